//! libFuzzer's entry to `cnnkit_fuzz::tensors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cnnkit_fuzz::tensors::run(bytes));
