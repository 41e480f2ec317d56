//! What each connection costs the server in memory: everything allocated while its task runs is on its account until it
//! is freed, by whomever.
//!
//! The binary must install [`Allocator`] as its global allocator; without it nothing is counted. What the simulated
//! network and the journal allocate meanwhile is on nobody's account ([`outside`]).

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicI64, Ordering};
use core::task::{Context, Poll};
use std::alloc::System;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};

use millstream::limits;
use tracking_allocator::{
    AllocationGroupId, AllocationGroupToken, AllocationRegistry, AllocationTracker,
};

/// The global allocator that keeps the accounts.
pub type Allocator = tracking_allocator::Allocator<System>;

/// A fresh [`Allocator`].
pub const fn allocator() -> Allocator {
    Allocator::system()
}

/// What a connection may cost whatever it sends: room reserved for large messages on two chunk streams, since large ones
/// came before, and the replies that wait for a peer that does not read. Everything else is small; the worlds of 300 seeds
/// came to half of it.
pub const CONNECTION_BYTES: u64 = (2 * limits::PARTIAL_RESERVE + limits::REPLY_BYTES) as u64;
/// What each byte that it sends may cost: in the ring of its stream, in a message that is being put together while its
/// buffer grows, as parsed values.
pub const COST_OF_A_BYTE: u64 = 4;
/// What each chunk costs that its frames are laid out in for players: a header of format 3 and its extended timestamp,
/// in a buffer that grows by doubling.
pub const COST_OF_A_CHUNK: u64 = 10;

/// Accounts that may be open at once, in all worlds of a process.
const ACCOUNTS: usize = 16_384;

static LIVE: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
static PEAK: [AtomicI64; ACCOUNTS] = [const { AtomicI64::new(0) }; ACCOUNTS];
/// Closed accounts, for others to open.
static CLOSED: Mutex<Vec<AllocationGroupToken>> = Mutex::new(Vec::new());
static STARTED: OnceLock<()> = OnceLock::new();

thread_local! {
    /// Bytes that the account whose task runs has been sent.
    static FED: Cell<Option<u64>> = const { Cell::new(None) };
    static OUTSIDE: RefCell<Option<AllocationGroupToken>> = const { RefCell::new(None) };
}

struct Ledger;

impl AllocationTracker for Ledger {
    fn allocated(&self, _: usize, size: usize, _: usize, group: AllocationGroupId) {
        let group = group.as_usize().get();
        // A group belongs to one thread at a time: no two of these meet.
        if let (Some(live), Some(peak)) = (LIVE.get(group), PEAK.get(group)) {
            let now = live.load(Ordering::Relaxed) + size as i64;
            live.store(now, Ordering::Relaxed);
            peak.fetch_max(now, Ordering::Relaxed);
        }
    }

    fn deallocated(
        &self,
        _: usize,
        size: usize,
        _: usize,
        source: AllocationGroupId,
        _: AllocationGroupId,
    ) {
        if let Some(live) = LIVE.get(source.as_usize().get()) {
            live.fetch_sub(size as i64, Ordering::Relaxed);
        }
    }
}

/// The accounts of one world; clones share them.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Vec<Rc<Account>>>>);

struct Account {
    token: RefCell<Option<AllocationGroupToken>>,
    group: usize,
    /// Bytes the peer has sent.
    fed: Cell<u64>,
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
            closed.push(token);
        }
    }
}

/// What one connection has cost at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Bytes it has sent.
    pub fed: u64,
    /// The most bytes that were live on its behalf.
    pub peak: u64,
}

impl Cost {
    /// What it may cost where the server's chunks have `chunk_size` bytes.
    pub fn cap(self, chunk_size: u32) -> u64 {
        let chunks = self.fed.div_ceil(u64::from(chunk_size).max(1));
        CONNECTION_BYTES + COST_OF_A_BYTE * self.fed + COST_OF_A_CHUNK * chunks
    }
}

impl Memory {
    /// Runs `task` on an account of its own.
    pub fn accounts_for(
        &self,
        task: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = ()> + 'static {
        let account = open().inspect(|account| self.0.borrow_mut().push(account.clone()));
        Accounted {
            account,
            task: Box::pin(task),
        }
    }

    /// What every connection has cost, as far as it was counted.
    pub fn costs(&self) -> Vec<Cost> {
        let accounts = self.0.borrow();
        let cost = |account: &Rc<Account>| Cost {
            fed: account.fed.get(),
            peak: u64::try_from(PEAK[account.group].load(Ordering::Relaxed)).unwrap_or(0),
        };
        let costs = accounts.iter().map(cost);
        costs.filter(|cost| cost.peak > 0).collect()
    }
}

/// Opens an account; none if there are too many.
fn open() -> Option<Rc<Account>> {
    STARTED.get_or_init(|| {
        // Somebody else's tracker counts for somebody else: then nothing is counted here.
        if AllocationRegistry::set_global_tracker(Ledger).is_ok() {
            AllocationRegistry::enable_tracking();
        }
    });
    let closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let token = closed.or_else(AllocationGroupToken::register)?;
    let group = token.id().as_usize().get();
    LIVE.get(group)?.store(0, Ordering::Relaxed);
    PEAK.get(group)?.store(0, Ordering::Relaxed);
    Some(Rc::new(Account {
        token: RefCell::new(Some(token)),
        group,
        fed: Cell::new(0),
    }))
}

/// The account whose task runs was sent so many bytes.
pub fn fed(bytes: usize) {
    FED.with(|fed| fed.set(fed.get().map(|sum| sum + bytes as u64)));
}

/// Does `act`, which is not the server's work, on nobody's account.
pub fn outside<T>(act: impl FnOnce() -> T) -> T {
    if FED.get().is_none() {
        return act();
    }
    OUTSIDE.with(|token| match token.try_borrow_mut() {
        Ok(mut token) => {
            if token.is_none() {
                *token = AllocationGroupToken::register();
            }
            let _guard = token.as_mut().map(AllocationGroupToken::enter);
            act()
        }
        Err(_) => act(), // it is outside already
    })
}

struct Accounted {
    account: Option<Rc<Account>>,
    task: Pin<Box<dyn Future<Output = ()>>>,
}

impl Future for Accounted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(account) = &this.account else {
            return this.task.as_mut().poll(cx);
        };
        let _feeding = Feeding::new(account);
        let mut token = account.token.borrow_mut();
        let _guard = token.as_mut().map(AllocationGroupToken::enter);
        this.task.as_mut().poll(cx)
    }
}

/// While it lives, what is read is on the account; also if the task panics.
struct Feeding<'a> {
    account: &'a Account,
    before: Option<u64>,
}

impl<'a> Feeding<'a> {
    fn new(account: &'a Account) -> Self {
        let before = FED.replace(Some(account.fed.get()));
        Self { account, before }
    }
}

impl Drop for Feeding<'_> {
    fn drop(&mut self) {
        let fed = FED.replace(self.before);
        self.account.fed.set(fed.unwrap_or_default());
    }
}
