//! Images with damage anywhere, or with endless nesting.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A whole layout, and one flipped bit in any file at any place.
    #[test]
    fn every_flipped_bit_of_any_blob_is_found(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        is_zstd: bool,
    ) {
        let tar = tar_of("file");
        let layer = if is_zstd { zstd(&tar) } else { gzip(&tar) };
        let mut sample = Sample::with_layer(&layer, &tar);
        if is_zstd {
            sample.layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
        }
        prop_assert!(kinds(&sample.finish()).is_empty());
        let mut files = walk_files(&sample.folder.path().join("blobs"));
        files.sort();
        let file = &files[file.index(files.len())];
        let mut bytes = fs::read(file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        fs::write(file, &bytes).unwrap();
        let facts = check_it(&Source::open_path(sample.folder.path()).unwrap());
        let is_intact = summarise(&facts, None).iter().any(|image| image.intact);
        prop_assert!(!facts.faults.is_empty() && !is_intact, "{file:?} at {at}");
    }

    /// Bytes of a tar, damaged in a few places, under the digests they have.
    #[test]
    fn any_tar_is_looked_at_without_panic(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut tar = [&tar_of("a")[..1024], &tar_of("b/c")[..1024], &tar_of(".wh.d")].concat();
        for (at, value) in places {
            let at = at.index(tar.len());
            tar[at] = value;
        }
        let _ = check_it(&Sample::with_layer(&gzip(&tar), &tar).finish());
    }
}

#[test]
fn indexes_nested_without_end_are_cut_off() {
    let sample = Sample::new();
    let mut child =
        sample.json(&MediaType::OCI_INDEX, &json!({"schemaVersion": 2, "manifests": []}));
    for _ in 0..20 {
        let index = json!({"schemaVersion": 2, "manifests": [child]});
        child = sample.json(&MediaType::OCI_INDEX, &index);
    }
    assert_eq!(kinds(&sample.roots(&[child])), [FaultKind::Manifest]);
}

#[test]
fn two_uses_of_a_blob_have_to_agree() {
    let sample = Sample::new();
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let mut other = sample.layer.clone();
    other["size"] = json!(7);
    let image = |layer: &Value| {
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        sample.json(&MediaType::OCI_MANIFEST, &manifest)
    };
    let found = kinds(&sample.roots(&[image(&sample.layer), image(&other)]));
    assert!(found.contains(&FaultKind::Size), "{found:?}");
    let mut other = sample.layer.clone();
    other["mediaType"] = json!(MediaType::DOCKER_LAYER_GZIP.as_str());
    assert_eq!(kinds(&sample.roots(&[image(&sample.layer), image(&other)])), []);
}

#[test]
fn random_damage_anywhere_never_panics() {
    let sample = Sample::new();
    sample.finish();
    let files: Vec<PathBuf> = walk_files(sample.folder.path());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] = damaged[at].wrapping_add(13);
            fs::write(&file, &damaged).unwrap();
            if let Ok(layout) = Source::open_path(sample.folder.path()) {
                let facts = check_it(&layout);
                let index_json = file.ends_with("index.json");
                assert!(index_json || !facts.faults.is_empty() || file.ends_with("oci-layout"));
            }
        }
        fs::write(&file, &bytes).unwrap();
    }
}

fn walk_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk_files(&path)) } else { files.push(path) }
    }
    files
}
