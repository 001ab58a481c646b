//! Any key and value of the store is a record with exactly these bytes, or refused: the first byte
//! says how long the key is.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (length, rest) = input.split_first().unwrap_or((&0, &[]));
    let (key, value) = rest.split_at(rest.len().min(usize::from(*length)));
    wharf_store::decode_anything(key, value);
});
