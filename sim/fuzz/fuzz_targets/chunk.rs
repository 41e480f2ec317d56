#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::rtmp::chunk::decoder::fuzz_decoder(data));
