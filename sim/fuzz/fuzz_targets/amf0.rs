#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::rtmp::amf::fuzz_amf0(data));
