//! Any bytes are a file of waivers, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::waivers(bytes));
