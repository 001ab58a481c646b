//! For a lenient parser any bytes are a manifest of exactly these bytes. A stricter parser reads
//! the same manifest or none.
#![no_main]
use wharf_oci::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let all = Manifest::read(bytes.to_vec().into(), None).ok();
    assert!(all.as_ref().is_none_or(|manifest| manifest.bytes() == bytes));
    let strict = Manifest::parse(bytes.to_vec().into(), None).ok();
    assert!(strict.is_none() || strict == all);
    let outline = Manifest::read_outline(bytes.to_vec().into(), None).ok();
    let taken = Manifest::accept(bytes.to_vec().into(), None).ok();
    assert!(taken.is_none() || taken == outline);
    let named = |manifest: Option<&Manifest>| manifest.map(Manifest::named);
    assert_eq!(named(outline.as_ref()), named(all.as_ref()));
});
