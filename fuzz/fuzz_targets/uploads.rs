//! Any sequence of acts leaves uploads and blobs as a model of them says.
#![no_main]

libfuzzer_sys::fuzz_target!(|acts: &[u8]| {
    wharf_store::contract::acts::uploads(&wharf_store::MemoryStore::default(), acts);
});
