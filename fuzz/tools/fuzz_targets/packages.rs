//! Any bytes are a list of packages; versions have one order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::packages(bytes));
