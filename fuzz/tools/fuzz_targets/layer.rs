//! Any bytes are judged as the one layer of an image; an image is equal to itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::layer(bytes));
