//! Any bytes are a manifest of exactly these bytes to who takes everything, and to who is stricter the
//! same one or none.
#![no_main]
use wharf_oci::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let all = Manifest::read(bytes.to_vec().into(), None).ok();
    assert!(all.as_ref().is_none_or(|manifest| manifest.bytes() == bytes));
    let taken = Manifest::accept(bytes.to_vec().into(), None).ok();
    let strict = Manifest::parse(bytes.to_vec().into(), None).ok();
    assert!([taken, strict].iter().all(|one| one.is_none() || *one == all));
});
