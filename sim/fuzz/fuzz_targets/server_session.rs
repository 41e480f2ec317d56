#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::rtmp::session::fuzz::fuzz_server_session(data));
