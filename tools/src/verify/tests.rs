#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod damage;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester, MediaType};

use super::*;
use crate::image::compress::compress;
use crate::image::facts::EngineRefusal;
use crate::image::files::Magic;
use crate::report::{Proof, summarise};

/// A layout in a temporary folder, made blob by blob, so each test can lie in its own way.
struct Sample {
    folder: tempfile::TempDir,
    layer: Value,
    config: Value,
}

fn tar_of(name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(4);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, b"body".as_slice()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress::<std::io::Error>(NonZeroUsize::MIN, &mut out, |w| w.write_all(bytes)).unwrap();
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

impl Sample {
    fn new() -> Self {
        Self::with_layer(&gzip(&tar_of("file")), &tar_of("file"))
    }

    /// A layout with one layer of these bytes and the diffID of this tar.
    fn with_layer(layer: &[u8], tar: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let mut sample = Self { folder, layer: json!(null), config: json!(null) };
        sample.layer = sample.blob(&MediaType::OCI_LAYER_GZIP, layer);
        sample.config = json!({
            "os": "linux", "architecture": "amd64",
            "rootfs": {
                "type": "layers",
                "diff_ids": [Digester::digest(Algorithm::Sha256, tar).to_string()],
            },
        });
        sample
    }

    fn blob(&self, media_type: &MediaType, bytes: &[u8]) -> Value {
        let digest = Digester::digest(Algorithm::Sha256, bytes);
        fs::write(self.path(&digest.to_string()), bytes).unwrap();
        json!({"mediaType": media_type.as_str(), "digest": digest.to_string(), "size": bytes.len()})
    }

    fn json(&self, media_type: &MediaType, value: &Value) -> Value {
        self.blob(media_type, value.to_string().as_bytes())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.path().join("blobs").join(digest.replace(':', "/"))
    }

    fn layer_path(&self) -> PathBuf {
        self.path(self.layer["digest"].as_str().unwrap())
    }

    /// Writes configuration, manifest, index and `index.json`.
    fn finish(&self) -> Source {
        let config = self.json(&MediaType::OCI_CONFIG, &self.config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [self.layer]});
        let mut child = self.json(&MediaType::OCI_MANIFEST, &manifest);
        child["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let index = json!({"schemaVersion": 2, "manifests": [child]});
        let mut root = self.json(&MediaType::OCI_INDEX, &index);
        root["annotations"] = json!({"org.opencontainers.image.ref.name": "1.0"});
        self.roots(&[root])
    }

    fn roots(&self, roots: &[Value]) -> Source {
        let index = json!({"schemaVersion": 2, "manifests": roots});
        fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
        Source::open_path(self.folder.path()).unwrap()
    }
}

fn check_it(layout: &Source) -> ImageFacts {
    check(layout, NonZeroUsize::new(2).unwrap(), &Limits::default())
}

fn kinds(layout: &Source) -> Vec<FaultKind> {
    check_it(layout).faults.iter().map(|fault| fault.kind).collect()
}

#[test]
fn a_sound_layout_has_no_faults_and_all_facts() {
    let facts = check_it(&Sample::new().finish());
    assert_eq!(facts.faults, []);
    assert_eq!((facts.roots.len(), facts.indexes.len(), facts.images.len()), (1, 1, 1));
    assert_eq!(facts.tags.keys().map(ToString::to_string).collect::<Vec<_>>(), ["1.0"]);
    let image = &facts.images[0];
    assert_eq!(image.name(), "linux/amd64");
    assert!(image.descriptor.platform.is_some());
    assert_eq!(image.uncompressed_bytes(), Some(tar_of("file").len() as u64));
}

#[test]
fn what_is_kept_elsewhere_is_not_proven_and_other_annotations_hide_no_image() {
    for (key, value) in [
        ("mediaType", json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")),
        ("urls", json!(["https://layers.example.com/x"])),
    ] {
        let mut sample = Sample::new();
        fs::remove_file(sample.layer_path()).unwrap();
        sample.layer[key] = value;
        let facts = check_it(&sample.finish());
        let kinds: Vec<_> = facts.faults.iter().map(|at| at.kind).collect();
        assert_eq!(kinds, [FaultKind::Unproven], "{key}");
    }
    let sample = Sample::new();
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [sample.layer]});
    let mut root = sample.json(&MediaType::OCI_MANIFEST, &manifest);
    for (kind, images) in [("x", 1), ("attestation-manifest", 0)] {
        root["annotations"] = json!({"vnd.docker.reference.type": kind});
        assert_eq!(check_it(&sample.roots(&[root.clone()])).images.len(), images, "{kind}");
    }
}

#[test]
fn the_same_layout_in_an_archive_gives_the_same_facts() {
    let sample = Sample::new();
    let folder = check_it(&sample.finish());
    let archive = sample.folder.path().with_extension("tar");
    let mut builder = tar::Builder::new(fs::File::create(&archive).unwrap());
    builder.append_dir_all(".", sample.folder.path()).unwrap();
    builder.finish().unwrap();
    let facts = check_it(&Source::open_path(&archive).unwrap());
    fs::remove_file(&archive).unwrap();
    assert_eq!(facts.faults, []);
    assert_eq!(facts.roots, folder.roots);
    assert_eq!(facts.images[0].descriptor, folder.images[0].descriptor);
}

#[test]
fn a_missing_a_short_and_a_changed_blob_are_found() {
    let sample = Sample::new();
    let layout = sample.finish();
    let bytes = fs::read(sample.layer_path()).unwrap();
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(sample.layer_path(), &changed).unwrap();
    assert_eq!(kinds(&layout), [FaultKind::Digest]);
    fs::write(sample.layer_path(), &bytes[1..]).unwrap();
    assert_eq!(kinds(&layout), [FaultKind::Size]);
    fs::remove_file(sample.layer_path()).unwrap();
    assert_eq!(kinds(&layout), [FaultKind::Missing]);
}

#[test]
fn a_blob_that_is_a_link_is_not_followed() {
    let sample = Sample::new();
    let layout = sample.finish();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("layer");
    fs::rename(sample.layer_path(), &target).unwrap();
    symlink(&target, sample.layer_path()).unwrap();
    let facts = check_it(&layout);
    assert_eq!(facts.faults[0].kind, FaultKind::Missing);
    assert!(facts.faults[0].message.ends_with("is not a regular file"));
    let blobs = sample.folder.path().join("blobs");
    fs::rename(&blobs, elsewhere.path().join("blobs")).unwrap();
    symlink(elsewhere.path().join("blobs"), &blobs).unwrap();
    assert_eq!(kinds(&layout), [FaultKind::Missing]);
}

#[test]
fn a_wrong_diff_id_and_a_wrong_number_of_them_are_found() {
    let layer = gzip(&tar_of("file"));
    assert_eq!(kinds(&Sample::with_layer(&layer, b"else").finish()), [FaultKind::DiffId]);
    let mut sample = Sample::new();
    sample.config["rootfs"]["diff_ids"] = json!([]);
    assert_eq!(kinds(&sample.finish()), [FaultKind::DiffId]);
}

#[test]
fn compression_other_than_the_type_says_and_broken_gzip_are_found() {
    let tar = tar_of("file");
    let packing = |refusal| [FaultKind::Packing(refusal)];
    assert_eq!(kinds(&Sample::with_layer(&tar, &tar).finish()), packing(EngineRefusal::None));
    assert_eq!(
        kinds(&Sample::with_layer(&zstd(&tar), &tar).finish()),
        packing(EngineRefusal::Some)
    );
    let packed = gzip(&tar);
    let cut = &packed[..packed.len() - 9];
    assert_eq!(kinds(&Sample::with_layer(cut, &tar).finish()), [FaultKind::Compression]);
    let trailing = [packed.as_slice(), b"trailing"].concat();
    assert_eq!(kinds(&Sample::with_layer(&trailing, &tar).finish()), packing(EngineRefusal::Some));
    let twice = [gzip(&tar[..600]), gzip(&tar[600..])].concat();
    assert_eq!(kinds(&Sample::with_layer(&twice, &tar).finish()), []);
}

#[test]
fn a_zstd_layer_is_inflated_and_proven() {
    let tar = tar_of("file");
    let check = |layer: &[u8], tar: &[u8]| {
        let mut sample = Sample::with_layer(layer, tar);
        sample.layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
        check_it(&sample.finish())
    };
    let facts = check(&zstd(&tar), &tar);
    assert_eq!(facts.faults, []);
    assert_eq!(facts.images[0].uncompressed_bytes(), Some(tar.len() as u64));
    assert_eq!(summarise(&facts, None)[0].proof, Proof::Proven);
    assert_eq!(check(&zstd(&tar), b"else").faults[0].kind, FaultKind::DiffId);
    let packed = zstd(&tar);
    let cut = check(&packed[..packed.len() - 3], &tar);
    assert_eq!(cut.faults[0].kind, FaultKind::Compression);
    assert_eq!(summarise(&cut, None)[0].proof, Proof::Damaged);
    let front = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], packed.as_slice()].concat();
    let kinds: Vec<_> = check(&front, &tar).faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::Packing(EngineRefusal::Some)]);
}

#[test]
fn a_layer_that_cannot_be_inflated_is_not_proven() {
    // A frame with a window of 1 GiB.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 1, 0, 0];
    for (media_type, bytes) in [
        ("application/vnd.oci.image.layer.v1.tar+zstd", wide.as_slice()),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"cipher"),
        ("application/vnd.example.layer.v1.squashfs", b"hsqs"),
    ] {
        let mut sample = Sample::with_layer(bytes, b"");
        sample.layer["mediaType"] = json!(media_type);
        let facts = check_it(&sample.finish());
        let kinds: Vec<_> = facts.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, [FaultKind::Unproven], "{media_type}");
        let summary = &summarise(&facts, None)[0];
        assert!(!summary.intact && summary.proof == Proof::NotProven, "{media_type}");
    }
}

#[test]
fn names_out_of_the_root_and_devices_leave_an_image_intact() {
    for name in ["../x", "/ko-app/x", "a/../../x"] {
        let bytes = tar_of(name);
        assert_eq!(kinds(&Sample::with_layer(&gzip(&bytes), &bytes).finish()), [], "{name}");
    }
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Char);
    header.set_size(0);
    header.set_device_major(1).unwrap();
    builder.append_data(&mut header, "dev/null", std::io::empty()).unwrap();
    let bytes = builder.into_inner().unwrap();
    let facts = check_it(&Sample::with_layer(&gzip(&bytes), &bytes).finish());
    assert_eq!(facts.faults[0].kind, FaultKind::Entry(EngineRefusal::None));
    assert!(summarise(&facts, None)[0].intact);
}

#[test]
fn what_engines_refuse_is_found_and_only_broken_tars_are_damage() {
    let mut twice = tar_of("x");
    twice.truncate(1024);
    let twice = [twice, tar_of("./x")].concat();
    let facts = check_it(&Sample::with_layer(&gzip(&twice), &twice).finish());
    assert_eq!(facts.faults[0].kind, FaultKind::Entry(EngineRefusal::Some));
    assert!(summarise(&facts, None)[0].intact);
    for bytes in [b"not a tar".repeat(100), tar_of("x")[..514].to_vec()] {
        let facts = check_it(&Sample::with_layer(&gzip(&bytes), &bytes).finish());
        assert_eq!(facts.faults[0].kind, FaultKind::Tar);
        assert_eq!(summarise(&facts, None)[0].proof, Proof::Damaged);
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let sample = Sample::with_layer(&gzip(&vec![0; 1 << 20]), b"");
    let facts = check(
        &sample.finish(),
        NonZeroUsize::MIN,
        &Limits { inflated_bytes_max: 300_000, ..Limits::default() },
    );
    assert!(facts.faults[0].message.contains("more than 300000 bytes"));
}

#[test]
fn manifests_that_lie_about_their_size_or_type_are_found() {
    let sample = Sample::new();
    let huge = json!({
        "mediaType": MediaType::OCI_MANIFEST.as_str(), "size": 5_000_000_000_u64,
        "digest": sample.layer["digest"],
    });
    assert_eq!(kinds(&sample.roots(&[huge])), [FaultKind::Manifest]);
    let strange = sample.blob(&MediaType::OCTET_STREAM, b"x");
    assert_eq!(kinds(&sample.roots(&[strange])), [FaultKind::Manifest]);
    let text = sample.blob(&MediaType::OCI_MANIFEST, b"text");
    assert_eq!(kinds(&sample.roots(&[text])), [FaultKind::Manifest]);
    let mut config = Sample::new();
    config.config = json!([1]);
    assert_eq!(kinds(&config.finish()), [FaultKind::Config]);
}

#[test]
fn what_an_unknown_algorithm_names_is_not_proven_and_the_rest_is_looked_at() {
    let other = "sha384:1b8dd59fa9b5a4d6";
    let mut sample = Sample::new();
    let sound = sample.layer.clone();
    sample.layer["digest"] = json!(other);
    let facts = check_it(&sample.finish());
    assert_eq!(facts.faults.len(), 1, "{:?}", facts.faults);
    assert_eq!(facts.faults[0].kind, FaultKind::Algorithm);
    assert!(facts.faults[0].message.contains("`layers[0]`") && facts.images.is_empty());
    // A child of an index without a usable digest leaves its brothers.
    sample.layer = sound;
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [sample.layer]});
    let child = sample.json(&MediaType::OCI_MANIFEST, &manifest);
    let lost = json!({"mediaType": child["mediaType"], "digest": "blake3:af13", "size": 7});
    let index = json!({"schemaVersion": 2, "manifests": [lost, child.clone()]});
    let root = sample.json(&MediaType::OCI_INDEX, &index);
    let facts = check_it(&sample.roots(&[root]));
    assert_eq!((facts.faults.len(), facts.images.len()), (1, 1), "{:?}", facts.faults);
    assert!(facts.faults[0].message.contains("`manifests[0]`"));
    // The list of images itself.
    let found =
        sample.roots(&[child.clone(), json!({"mediaType": "a/b", "digest": other, "size": 1})]);
    let facts = check_it(&found);
    assert_eq!((facts.faults.len(), facts.images.len()), (1, 1), "{:?}", facts.faults);
    // DiffIDs.
    sample.config["rootfs"]["diff_ids"] = json!([other]);
    let facts = check_it(&sample.finish());
    assert_eq!(facts.faults.iter().map(|at| at.kind).collect::<Vec<_>>(), [FaultKind::Algorithm]);
    assert_eq!(summarise(&facts, None)[0].proof, Proof::NotProven);
}

#[test]
fn two_pointers_at_a_manifest_have_to_agree_and_a_name_stands_for_one() {
    let sample = Sample::new();
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let image = |note: &str| {
        let manifest = json!({
            "schemaVersion": 2, "config": config, "layers": [sample.layer],
            "annotations": {"note": note},
        });
        let mut root = sample.json(&MediaType::OCI_MANIFEST, &manifest);
        root["annotations"] = json!({"org.opencontainers.image.ref.name": "1.0"});
        root
    };
    let (one, mut same) = (image("one"), image("one"));
    assert_eq!(kinds(&sample.roots(&[one.clone(), same.clone()])), []);
    same["size"] = json!(3);
    assert_eq!(kinds(&sample.roots(&[one.clone(), same])), [FaultKind::Size]);
    let mut other_type = image("one");
    other_type["mediaType"] = json!(MediaType::DOCKER_MANIFEST.as_str());
    assert_eq!(kinds(&sample.roots(&[one.clone(), other_type])), [FaultKind::Manifest]);
    assert_eq!(kinds(&sample.roots(&[one, image("other")])), [FaultKind::Name]);
}

#[test]
fn an_index_of_thousands_and_a_manifest_of_thousands_of_layers_end() {
    let sample = Sample::new();
    let children: Vec<Value> = (0..3000_u32)
        .map(|number| {
            let digest = Digester::digest(Algorithm::Sha256, &number.to_le_bytes()).to_string();
            let media_type = MediaType::OCI_MANIFEST;
            json!({"mediaType": media_type.as_str(), "digest": digest, "size": 7})
        })
        .collect();
    let index =
        sample.json(&MediaType::OCI_INDEX, &json!({"schemaVersion": 2, "manifests": children}));
    let found = kinds(&sample.roots(&[index]));
    assert_eq!(found.iter().filter(|kind| **kind == FaultKind::Manifest).count(), 1);
    let layers = vec![sample.layer.clone(); 10_000];
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let root = sample.json(&MediaType::OCI_MANIFEST, &manifest);
    let facts = check_it(&sample.roots(&[root]));
    assert_eq!(facts.faults.iter().map(|at| at.kind).collect::<Vec<_>>(), [FaultKind::DiffId]);
    assert_eq!(facts.images[0].files.as_ref().unwrap().layers().len(), 10_000);
}

#[test]
fn sizes_that_no_disk_has_are_found() {
    for size in [json!(i64::MAX), json!(u64::MAX), json!(9.3e18), json!(-1)] {
        let mut sample = Sample::new();
        sample.layer["size"] = size.clone();
        assert!(!kinds(&sample.finish()).is_empty(), "{size}");
    }
}

#[test]
fn the_files_of_an_image_are_seen_with_what_they_are() {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in [
        ("etc/passwd", 0o600, "root:x:0:0::/root:/bin/sh\n"),
        ("bin/run", 0o755, "#!/bin/sh -e\nexec true\n"),
        ("empty", 0o644, ""),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(9);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    for layer in [gzip(&tar), zstd(&tar), tar.clone()] {
        let facts = check_it(&Sample::with_layer(&layer, &tar).finish());
        let files = facts.images[0].files.as_ref().unwrap();
        assert!(files.is_complete());
        let passwd = files.get(b"/etc/passwd").unwrap();
        assert_eq!((passwd.mode(), passwd.owner(), passwd.size_bytes()), (0o600, (7, 9), 26));
        assert!(passwd.content().text.as_ref().unwrap().starts_with(b"root:"));
        let script = Magic::Script(b"/bin/sh -e".as_slice().into());
        assert_eq!(files.get(b"bin/run").unwrap().content().magic, script);
        assert_eq!(files.get(b"empty").unwrap().content().magic, Magic::Empty);
    }
}

#[test]
fn a_large_layer_is_the_same_on_two_threads() {
    let mut tar = Vec::new();
    let mut random = 1_u32;
    for number in 0..40 {
        tar.extend_from_slice(&tar_of(&format!("f{number}"))[..1024]);
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("big/{number}")).unwrap();
        header.set_size(100_352);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend((0..100_352).map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        }));
    }
    for (layer, media_type) in [
        (gzip(&tar), MediaType::OCI_LAYER_GZIP.as_str().to_owned()),
        (zstd(&tar), "application/vnd.oci.image.layer.v1.tar+zstd".to_owned()),
        (tar.clone(), "application/vnd.oci.image.layer.v1.tar".to_owned()),
    ] {
        let mut sample = Sample::with_layer(&layer, &tar);
        sample.layer["mediaType"] = json!(media_type);
        let facts = check_it(&sample.finish());
        assert_eq!(facts.faults, [], "{media_type}");
        let files = facts.images[0].files.as_ref().unwrap();
        assert_eq!(files.layers()[0].len(), 80);
        assert_eq!(facts.images[0].uncompressed_bytes(), Some(tar.len() as u64));
        let mut changed = layer.clone();
        let at = changed.len() - 30;
        changed[at] ^= 4;
        fs::write(sample.layer_path(), &changed).unwrap();
        let layout = Source::open_path(sample.folder.path()).unwrap();
        assert_eq!(kinds(&layout), [FaultKind::Digest], "{media_type}");
    }
}

#[test]
fn an_artifact_says_what_it_is_of() {
    let sample = Sample::new();
    let config = sample.json(&MediaType::OCI_CONFIG, &sample.config);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [sample.layer]});
    let image = sample.json(&MediaType::OCI_MANIFEST, &manifest);
    let empty = sample.blob(&"application/vnd.oci.empty.v1+json".parse().unwrap(), b"{}");
    let mut statement = sample.blob(&"application/vnd.in-toto+json".parse().unwrap(), b"{\"s\":1}");
    statement["annotations"] = json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"});
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "config": empty,
        "layers": [statement], "subject": image, "artifactType": "application/vnd.example.sbom",
    });
    let artifact = sample.json(&MediaType::OCI_MANIFEST, &artifact);
    let facts = check_it(&sample.roots(&[image.clone(), artifact]));
    assert_eq!((facts.images.len(), facts.artifacts.len()), (1, 1), "{:?}", facts.faults);
    let found = &facts.artifacts[0];
    assert_eq!(found.subject.unwrap().to_string(), image["digest"].as_str().unwrap());
    assert_eq!(found.artifact_type.as_deref(), Some("application/vnd.example.sbom"));
    assert_eq!(found.predicate_types, ["https://spdx.dev/Document"]);
}
