//! Any bytes are a tar that becomes a layer which every engine takes, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::rewriting(bytes));
