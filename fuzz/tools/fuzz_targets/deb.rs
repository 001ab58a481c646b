//! Any bytes are a Debian package, and convert to a layer, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::deb(bytes));
