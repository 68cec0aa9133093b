//! libFuzzer's entry to `cnnkit_fuzz::rates`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::rates::run(bytes));
