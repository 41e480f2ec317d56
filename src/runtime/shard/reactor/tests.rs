use std::os::unix::net::UnixStream;

use super::*;
use crate::runtime::real::read_clock;

fn note_reader(registration: &Registration) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    registration.source.readable.set(false);
    registration.poll_readable(&mut cx).is_pending()
}

#[test]
fn a_stale_event_meets_nobody() {
    let reactor = Reactor::new().unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    let old = reactor.register(&a).unwrap();
    let old_key = old.key;
    reactor.deregister(&old);
    drop(a);
    let new = reactor.register(&b).unwrap();
    assert_eq!(old_key as u32, new.key as u32, "the place is used again");
    assert!(note_reader(&new));
    reactor.dispatch(old_key, EventFlags::IN | EventFlags::HUP);
    assert!(!new.source.readable.get() && !new.source.hangup.get());
    reactor.dispatch(new.key, EventFlags::IN);
    assert!(new.source.readable.get());
    reactor.dispatch(u64::MAX - 1, EventFlags::IN);
    reactor.deregister(&old);
    assert_eq!(reactor.len(), 1, "a second time takes nobody else's place");
}

#[test]
fn every_notification_ends_a_wait() {
    let reactor = Reactor::new().unwrap();
    for _ in 0..3 {
        let start = read_clock();
        reactor.waker().wake();
        reactor.wait(Some(Duration::from_secs(10)), || {}).unwrap();
        assert!(read_clock().since(start) < Duration::from_secs(5));
    }
    reactor.wait(Some(Duration::ZERO), || {}).unwrap();
}

#[test]
fn a_wait_is_never_shorter_than_asked() {
    let reactor = Reactor::new().unwrap();
    let start = read_clock();
    reactor
        .wait(Some(Duration::from_micros(1_500)), || {})
        .unwrap();
    assert!(read_clock().since(start) >= Duration::from_micros(1_500));
}

#[test]
fn the_end_told_with_data_is_kept_through_a_short_read() {
    let source = Sources::default().insert();
    source.source.readable.set(false);
    source.source.note(EventFlags::IN | EventFlags::RDHUP);
    assert_eq!(source.try_read(10, || Ok(3)).unwrap(), 3);
    assert!(source.source.readable.get(), "no further edge will come");
    assert_eq!(source.try_read(10, || Ok(0)).unwrap(), 0);
    assert!(source.source.readable.get(), "the end stays");
}

#[test]
fn short_counts_and_would_block_use_readiness_up() {
    let block = || Err(io::ErrorKind::WouldBlock.into());
    let source = Sources::default().insert();
    assert_eq!(source.try_read(10, || Ok(10)).unwrap(), 10);
    assert!(source.source.readable.get(), "there may be more");
    assert_eq!(source.try_read(10, || Ok(3)).unwrap(), 3);
    let kind = source.try_read(10, || unreachable!()).unwrap_err().kind();
    assert_eq!(kind, io::ErrorKind::WouldBlock, "without a system call");
    source.source.note(EventFlags::IN);
    assert!(source.try_read(10, block).is_err());
    assert!(!source.source.readable.get());

    assert_eq!(source.try_write(10, || Ok(10)).unwrap(), 10);
    assert!(source.source.writable.get());
    assert_eq!(source.try_write(10, || Ok(9)).unwrap(), 9);
    assert!(!source.source.writable.get());
    assert_eq!(source.try_write(10, || Ok(1)).unwrap(), 1, "it is tried");
    assert!(!source.source.writable.get(), "until the edge comes");
    source.source.note(EventFlags::OUT);
    assert!(source.source.writable.get());
    let mut interrupted = true;
    let write = || match core::mem::take(&mut interrupted) {
        true => Err(io::ErrorKind::Interrupted.into()),
        false => Ok(10),
    };
    assert_eq!(source.try_write(10, write).unwrap(), 10);
    source.source.note(EventFlags::HUP);
    assert!(source.source.hangup.get() && source.source.readable.get());
}
