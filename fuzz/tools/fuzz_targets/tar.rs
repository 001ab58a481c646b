//! A tar read in pieces has the entries of the whole tar.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::tar(bytes));
