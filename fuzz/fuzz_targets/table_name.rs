#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rowmark_fuzz::table_name(bytes));
