//! The corpus of the fuzz target for records, replayed on the stable compiler: what decodes encodes
//! to the same bytes, and nothing panics.

use std::path::Path;

#[test]
fn records_of_the_fuzz_corpus_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/record");
    let mut replayed = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(file.unwrap().path()).unwrap();
        // As in fuzz/fuzz_targets/record.rs: the first byte says how long the key is.
        let (length, rest) = input.split_first().unwrap_or((&0, &[]));
        let (key, value) = rest.split_at(rest.len().min(usize::from(*length)));
        wharf_store::decode_anything(key, value);
        replayed += 1;
    }
    assert!(replayed >= 30, "{replayed} inputs: the corpus is elsewhere");
}
