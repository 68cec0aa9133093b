//! libFuzzer's entry to `cnnkit_fuzz::spec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::spec::run(bytes));
