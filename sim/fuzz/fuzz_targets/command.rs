#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream::rtmp::command::fuzz_command(data));
