//! Any bytes are an ar archive, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::ar(bytes));
