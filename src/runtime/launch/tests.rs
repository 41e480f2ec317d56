use std::io::Write as _;
use std::net::TcpStream;

use super::*;

#[test]
fn a_thread_gives_its_result_or_its_panic() {
    let name = || std::thread::current().name().map(str::to_owned);
    let thread = spawn_thread("shard-7", name).unwrap();
    assert_eq!(thread.join().unwrap().as_deref(), Some("shard-7"));
    let thread = spawn_thread("bad", || panic!("for the {}", "test")).unwrap();
    assert_eq!(thread.join().unwrap_err(), "for the test");
}

#[test]
fn listens_again_at_once_but_not_twice() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let busy = listen(addr).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    // Closing first leaves our side in TIME_WAIT.
    let peer = TcpStream::connect(addr).unwrap();
    drop(listener.accept().unwrap());
    drop((listener, peer));
    listen(addr).unwrap();
}

#[test]
fn the_unspecified_ipv6_address_hears_both() {
    // Containers may have no IPv6.
    let Ok(listener) = listen("[::]:0".parse().unwrap()) else {
        return;
    };
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "::1"] {
        if host == "127.0.0.1" || TcpListener::bind(("::1", 0)).is_ok() {
            TcpStream::connect((host, port)).unwrap();
        }
    }
}

#[test]
fn the_file_limit_is_raised_to_the_hard_one() {
    let limit = raise_file_limit().unwrap();
    assert_eq!(raise_file_limit().unwrap(), limit);
    assert!((1..=limits::SHARDS_MAX).contains(&parallelism()));
}

#[test]
fn reads_a_file_within_bounds() {
    let path = std::env::temp_dir().join(format!("millstream-{}.txt", std::process::id()));
    let write = |bytes: &[u8]| File::create(&path).unwrap().write_all(bytes).unwrap();
    write("häß".as_bytes());
    assert_eq!(read_file(&path).unwrap(), "häß");
    write(&vec![b'x'; limits::FILE_BYTES]);
    assert_eq!(read_file(&path).unwrap().len(), limits::FILE_BYTES);
    write(&vec![b'x'; limits::FILE_BYTES + 1]);
    assert_eq!(
        read_file(&path).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
    write(&[0xFF]);
    assert_eq!(
        read_file(&path).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        read_file(&path).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}
