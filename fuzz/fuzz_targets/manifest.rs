//! Any bytes are a manifest with exactly these bytes, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = wharf_oci::Manifest::parse(bytes.to_vec().into(), None) {
        assert_eq!(manifest.bytes(), bytes);
    }
});
