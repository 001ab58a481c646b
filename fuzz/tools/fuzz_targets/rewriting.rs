//! Any bytes are a tar, and convert to a layer for every engine, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::rewriting(bytes));
