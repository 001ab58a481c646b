//! The corpus of the fuzz targets for the protocol's words, replayed on the stable compiler. Those
//! for routes and challenges are replayed beside their code in the proxy.

use std::path::Path;

use wharf_oci::{ByteRange, ChunkRange, ContentRange, Digest, Manifest, Reference, RepoName};

/// Every input of a target; none at all is a broken path.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap();
    let inputs: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "no corpus for {target}");
    inputs
}

#[test]
fn words_that_parse_display_as_what_was_parsed() {
    for input in corpus("digest").into_iter().chain(corpus("name")) {
        let text = String::from_utf8_lossy(&input);
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.to_string(), text);
        }
        if let Ok(name) = text.parse::<RepoName>() {
            assert_eq!(name.as_str(), text);
        }
        if let Ok(reference) = text.parse::<Reference>() {
            assert_eq!(reference.to_string(), text);
        }
    }
}

#[test]
fn ranges_stay_within_the_size() {
    for input in corpus("range") {
        let text = String::from_utf8_lossy(&input);
        for size in [0, 1, 10, u64::MAX] {
            if let Some(span) = text.parse::<ByteRange>().ok().and_then(|r| r.resolve(size)) {
                assert!(span.start() < span.end() && span.end() <= size);
            }
        }
        let _ = text.parse::<ChunkRange>();
        let _ = text.parse::<ContentRange>();
    }
}

#[test]
fn manifests_keep_their_bytes_or_are_refused() {
    for input in corpus("manifest") {
        let read = Manifest::read(input.clone().into(), None).unwrap();
        assert_eq!(read.bytes(), &input);
        let parsed = Manifest::parse(input.clone().into(), None);
        assert!(parsed.is_err() || parsed.ok().as_ref() == Some(&read));
        let outline = Manifest::read_outline(input.clone().into(), None).unwrap();
        assert_eq!(outline.named(), read.named());
        let taken = Manifest::accept(input.into(), None);
        assert!(taken.is_err() || taken.ok().as_ref() == Some(&outline));
    }
}
