//! libFuzzer's entry to `cnnkit_fuzz::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::model::run(bytes));
