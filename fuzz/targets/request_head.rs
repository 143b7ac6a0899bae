#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickertape::fuzzing::request_head(bytes));
