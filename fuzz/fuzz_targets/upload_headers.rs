//! What a client says of an upload, query and `Content-Range` (or an upstream, `Range`) on a line each,
//! is read as what it says, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    wharf_proxy::read_upload_words(input);
});
