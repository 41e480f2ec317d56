#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::rtmp::handshake::fuzz_handshake(data));
