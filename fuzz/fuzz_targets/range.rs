//! A range never reaches past the size it is resolved against.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, u64)| {
    let (text, size) = input;
    if let Some(span) = text.parse::<wharf_oci::ByteRange>().ok().and_then(|range| range.resolve(size)) {
        assert!(span.start() < span.end() && span.end() <= size);
    }
    let _ = text.parse::<wharf_oci::ChunkRange>();
    let _ = text.parse::<wharf_oci::ContentRange>();
});
