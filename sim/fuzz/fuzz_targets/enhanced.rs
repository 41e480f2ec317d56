#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::media::frame::fuzz_enhanced(data));
