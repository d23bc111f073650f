#![no_main]

use std::sync::Once;

static HOOK: Once = Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The fuzzer's hook ends the process at any panic; those of Arrow are caught, and are no failure.
    HOOK.call_once(|| drop(std::panic::take_hook()));
    rowmark_fuzz::segment(bytes);
});
