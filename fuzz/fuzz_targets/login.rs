//! What a client shows to log in and asks a token for, on a line each, then lines of the files of
//! passwords and tokens: read as what they say, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    wharf_proxy::read_login_words(input);
});
