//! Any bytes are a manifest of exactly these bytes to who takes everything, and to who is stricter the
//! same one or none.
#![no_main]
use wharf_oci::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = |how: fn(_, _) -> _| how(bytes.to_vec().into(), None).ok();
    let all: Option<Manifest> = read(Manifest::read);
    assert!(all.as_ref().is_none_or(|manifest| manifest.bytes() == bytes));
    let stricter = [read(Manifest::accept), read(Manifest::parse)];
    assert!(stricter.iter().all(|one| one.is_none() || *one == all));
});
