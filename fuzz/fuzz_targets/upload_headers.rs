//! A client's upload query and `Content-Range`, or an upstream's `Range`, one on each line: the
//! parsers accept them by their meaning or refuse them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    wharf_proxy::read_upload_words(input);
});
