//! Any text is judged as a description, as terms and as notes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::descriptions(bytes));
