//! Any bytes are a report of a scanner or the state of a registry, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::scan(bytes));
