#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peerline_fuzz::targets::tls(data));
