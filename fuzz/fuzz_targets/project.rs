//! libFuzzer's entry to `cnnkit_fuzz::project`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::project::run(bytes));
