//! A client's credentials and its token request, one on each line, then lines of the password and
//! token files: the parsers accept them by their meaning or refuse them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    wharf_proxy::read_login_words(input);
});
