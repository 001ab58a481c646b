//! Any `WWW-Authenticate` is read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|header: &str| {
    let _ = wharf_client::challenge::parse(header);
});
