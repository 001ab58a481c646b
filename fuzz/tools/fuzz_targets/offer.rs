//! Any bytes are an offer, for the rules to judge, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::offer(bytes));
