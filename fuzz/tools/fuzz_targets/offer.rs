//! Any bytes are an offer, which the rules judge, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::offer(bytes));
