//! Every parsed digest displays as the input text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<wharf_oci::Digest>() {
        assert_eq!(digest.to_string(), text);
    }
});
