//! Any JSON is judged as the configuration, the manifest or the index of an image.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf_tools_fuzz::manifest(bytes));
