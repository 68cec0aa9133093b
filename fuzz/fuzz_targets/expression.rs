//! libFuzzer's entry to `cnnkit_fuzz::expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::expression::run(bytes));
