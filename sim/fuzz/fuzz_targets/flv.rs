#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::media::flv::fuzz_flv(data));
