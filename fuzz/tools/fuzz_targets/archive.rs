//! Any bytes are an archive of images, compressed or not, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::archive(bytes));
