//! Any text is judged as an address.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::links(bytes));
