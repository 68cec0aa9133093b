//! libFuzzer's entry to `cnnkit_fuzz::network`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::network::run(bytes));
