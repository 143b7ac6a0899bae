#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickertape::fuzzing::nats_codec(bytes));
