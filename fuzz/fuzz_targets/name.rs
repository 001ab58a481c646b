//! Every parsed name or reference displays as the input text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<wharf_oci::RepoName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(reference) = text.parse::<wharf_oci::Reference>() {
        assert_eq!(reference.to_string(), text);
    }
});
