#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickertape::fuzzing::dns_answer(bytes));
