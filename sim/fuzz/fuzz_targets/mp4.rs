#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::media::mp4::fuzz_mp4(data));
