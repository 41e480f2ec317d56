//! What every disk must do, written once and run on each: the simulator's, and the machine's on both backends.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "one of the worlds is the real one: it has a disk"
)]

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream::runtime::disk::{Disk, Kind, Open, directory_of};
use millstream::runtime::{Runtime, shard, smol};
use millstream::time::Duration;
use millstream_sim::checkers::Leftovers;
use millstream_sim::disk::DiskFaults;
use millstream_sim::host::{Running, Sites, Software};
use millstream_sim::runtime::SimRuntime;
use millstream_sim::scenario::Scenario;
use millstream_sim::world;

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().unwrap().kind()
}

async fn contract(runtime: impl Runtime, dir: PathBuf) {
    let disk = runtime.disk();
    let below = dir.join("a/b");
    assert_eq!(kind(disk.list(&below).await), io::ErrorKind::NotFound);
    let path = below.join("one.part");
    assert_eq!(
        kind(disk.open(&path, Open::New).await),
        io::ErrorKind::NotFound
    );
    disk.create_dir_all(&below).await.unwrap();
    disk.create_dir_all(&below).await.unwrap();
    files(&disk, &path).await;
    names(&disk, &below).await;
    dropped(&runtime, &below).await;
    runtime
        .sleep_until(runtime.now() + Duration::from_millis(1))
        .await;
}

/// Reads and writes.
async fn files<D: Disk>(disk: &D, path: &Path) {
    assert_eq!(
        kind(disk.open(path, Open::Read).await),
        io::ErrorKind::NotFound
    );
    assert_eq!(
        kind(disk.open(path, Open::Edit).await),
        io::ErrorKind::NotFound
    );
    let file = disk.open(path, Open::New).await.unwrap();
    assert_eq!(
        kind(disk.open(path, Open::New).await),
        io::ErrorKind::AlreadyExists
    );
    let written = disk.write_at(&file, 0, b"hello world".to_vec()).await;
    written.result.unwrap();
    assert_eq!(written.buffer, b"hello world", "the buffer comes back");
    disk.write_at(&file, 6, b"w".to_vec()).await.result.unwrap();
    disk.write_at(&file, 13, b"!".to_vec())
        .await
        .result
        .unwrap();
    assert_eq!(disk.len(&file).await.unwrap(), 14);
    let whole = disk.read_at(&file, 0, 100).await.unwrap();
    assert_eq!(whole, b"hello world\0\0!", "the hole is zeros");
    assert_eq!(disk.read_at(&file, 4, 3).await.unwrap(), b"o w");
    assert_eq!(disk.read_at(&file, 14, 5).await.unwrap(), b"");
    assert_eq!(disk.read_at(&file, u64::MAX / 2, 5).await.unwrap(), b"");
    disk.sync_data(&file).await.unwrap();
    let other = disk.open(path, Open::Edit).await.unwrap();
    disk.truncate(&other, 5).await.unwrap();
    assert_eq!(disk.read_at(&file, 0, 100).await.unwrap(), b"hello");
    disk.truncate(&other, 7).await.unwrap();
    assert_eq!(disk.read_at(&file, 3, 100).await.unwrap(), b"lo\0\0");
}

/// Directories.
async fn names<D: Disk>(disk: &D, dir: &Path) {
    let (from, to) = (dir.join("one.part"), dir.join("one"));
    let file = disk.open(&from, Open::Edit).await.unwrap();
    disk.open(&to, Open::New).await.unwrap();
    disk.rename(&from, &to).await.unwrap();
    disk.sync_dir(&directory_of(&to)).await.unwrap();
    disk.write_at(&file, 0, b"J".to_vec()).await.result.unwrap();
    let listed = disk.list(dir).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, "one");
    let Kind::File { len: 7, modified } = listed[0].kind else {
        panic!("{listed:?}");
    };
    assert!(modified.0 > 1_700_000_000_000_000);
    assert_eq!(kind(disk.rename(&from, &to).await), io::ErrorKind::NotFound);
    let above = disk.list(&directory_of(dir)).await.unwrap();
    assert_eq!((above.len(), above[0].kind), (1, Kind::Directory));
    assert!(disk.open(dir, Open::Read).await.is_err(), "no file");
    disk.remove(&to).await.unwrap();
    assert_eq!(kind(disk.remove(&to).await), io::ErrorKind::NotFound);
    // As long as it is open it is there.
    assert_eq!(disk.read_at(&file, 0, 2).await.unwrap(), b"Je");
    assert_eq!(
        kind(disk.sync_dir(&dir.join("none")).await),
        io::ErrorKind::NotFound
    );
}

/// Operations that nobody waits for are done or not, and nothing else breaks.
async fn dropped(runtime: &impl Runtime, dir: &Path) {
    let disk = runtime.disk();
    let path = dir.join("two");
    let file = disk.open(&path, Open::New).await.unwrap();
    for at in 0..50 {
        let write = disk.write_at(&file, at, b"x".to_vec());
        let now = async {};
        futures_first(write, now).await;
    }
    let content = disk.read_at(&file, 0, 100).await.unwrap();
    assert!(content.len() <= 50 && content.iter().all(|byte| [b'x', 0].contains(byte)));
    // Many at a time, more than there are places.
    let tasks: Vec<_> = (0..200_u64)
        .map(|at| {
            let (disk, file) = (disk.clone(), file.clone());
            runtime.spawn("writer", async move {
                let bytes = vec![at as u8; 10];
                disk.write_at(&file, at * 10, bytes).await.result.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    let content = disk.read_at(&file, 0, 4_000).await.unwrap();
    assert_eq!(content.len(), 2_000);
    assert!((content.iter().enumerate()).all(|(at, byte)| at / 10 == usize::from(*byte)));
}

/// Polls the first once, and drops it when the second is done.
async fn futures_first<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(|cx| {
        let _ = first.as_mut().poll(cx);
        second.as_mut().poll(cx)
    })
    .await;
}

/// A directory of this test's, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("millstream-disk-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_machines_disk_on_smol() {
    let scratch = Scratch::new("smol");
    smol::run(|runtime| contract(runtime, scratch.0.clone())).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn the_machines_disk_on_our_reactor() {
    let scratch = Scratch::new("shard");
    shard::run(|runtime| contract(runtime, scratch.0.clone())).unwrap();
}

#[test]
#[cfg(unix)]
fn links_are_not_followed() {
    let scratch = Scratch::new("links");
    let dir = scratch.0.clone();
    std::fs::write(dir.join("secret"), b"secret").unwrap();
    std::os::unix::fs::symlink(dir.join("secret"), dir.join("link")).unwrap();
    std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("dangling")).unwrap();
    smol::run(|runtime| async move {
        let disk = runtime.disk();
        for how in [Open::Read, Open::Edit, Open::New] {
            assert!(disk.open(&dir.join("link"), how).await.is_err());
            assert!(disk.open(&dir.join("dangling"), how).await.is_err());
        }
        let listed = disk.list(&dir).await.unwrap();
        assert_eq!(listed[0].kind, Kind::Other);
        assert!(!dir.join("nowhere").exists());
    })
    .unwrap();
}

/// Runs something on a simulated machine instead of a server.
struct Body<F>(Cell<Option<F>>, Rc<Cell<bool>>);

impl<F, Fut> Software for Body<F>
where
    F: FnOnce(SimRuntime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    fn boot(&self, sites: Sites) -> Running {
        let (body, ended) = (self.0.take(), Rc::clone(&self.1));
        if let Some(body) = body {
            let body = body(sites.control.clone());
            let body = async move {
                body.await;
                ended.set(true);
                std::future::pending::<()>().await;
            };
            sites.control.spawn("body", body).detach();
        }
        Running {
            operator: None,
            stop: Box::new(|| ()),
            excess: Box::new(|| None),
            census: Box::new(Leftovers::new),
            estate: Box::new(Leftovers::new),
        }
    }
}

fn simulated<Fut: Future<Output = ()> + 'static>(
    seed: u64,
    disk: DiskFaults,
    body: impl FnOnce(SimRuntime) -> Fut + 'static,
) {
    let text = r#"{"format": 1, "seed": 1, "clients": [{"name": "alice", "steps": [{"wait_ms": 60000}]}]}"#;
    let mut scenario: Scenario = serde_json::from_str(text).unwrap();
    scenario.seed = seed;
    scenario.disk = disk;
    let ended = Rc::<Cell<bool>>::default();
    let body = Body(Cell::new(Some(body)), ended.clone());
    let report = world::run_software(&scenario, Rc::new(body), Duration::from_secs(1));
    assert!(ended.get(), "{:?}", report.violations);
}

#[test]
fn the_simulated_disk() {
    for seed in 0..5 {
        simulated(seed, DiskFaults::default(), |runtime| {
            contract(runtime, PathBuf::from("/recordings"))
        });
    }
}

#[test]
fn the_simulated_disk_stalls_and_fails() {
    let faults = DiskFaults {
        errors: 0.2,
        stalls: 0.2,
        stall_ms: 300,
        short_writes: 0.2,
        ..DiskFaults::default()
    };
    simulated(3, faults, |runtime| async move {
        let disk = runtime.disk();
        let dir = Path::new("/r");
        while disk.create_dir_all(dir).await.is_err() {}
        let file = loop {
            match disk.open(&dir.join("x"), Open::New).await {
                Ok(file) => break file,
                Err(error) => assert_eq!(error.raw_os_error(), Some(5)),
            }
        };
        let (mut failed, mut slow, mut short) = (0, 0, 0);
        for round in 0..200_u64 {
            let began = runtime.now();
            let written = disk.write_at(&file, round * 10, vec![1; 10]).await;
            failed += u64::from(written.result.is_err());
            slow += u64::from(runtime.now().since(began) > Duration::from_millis(50));
            if let (Err(_), Ok(len)) = (written.result, disk.len(&file).await) {
                short += u64::from(len > round * 10);
            }
        }
        assert!((30..120).contains(&failed), "{failed}");
        assert!((20..60).contains(&slow), "{slow}");
        assert!(short > 5, "{short}");
    });
}

#[test]
fn the_simulated_disk_fills_up_and_has_room_again() {
    let faults = DiskFaults {
        full_after: 1_005,
        full_ms: 500,
        ..DiskFaults::default()
    };
    simulated(3, faults, |runtime| async move {
        let disk = runtime.disk();
        disk.create_dir_all(Path::new("/r")).await.unwrap();
        let file = disk.open(Path::new("/r/x"), Open::New).await.unwrap();
        let mut at = 0;
        let error = loop {
            match disk.write_at(&file, at, vec![1; 100]).await.result {
                Ok(()) => at += 100,
                Err(error) => break error,
            }
        };
        assert_eq!((at, error.kind()), (1_000, io::ErrorKind::StorageFull));
        assert_eq!(disk.len(&file).await.unwrap(), 1_005, "a part was written");
        // What is there may be written over.
        disk.write_at(&file, 0, vec![2; 100]).await.result.unwrap();
        runtime
            .sleep_until(runtime.now() + Duration::from_millis(600))
            .await;
        disk.write_at(&file, at, vec![1; 100]).await.result.unwrap();
    });
}
