//! Archives and folders with damage, of too large a size, or without an image.

use super::*;

#[test]
fn damaged_archives_are_errors_that_say_where() {
    let bytes = Image::new().docker();
    assert!(said(&bytes[..2000]).contains("damaged"));
    assert!(said(&gzip(&bytes)[..400]).contains("does not decompress"));
    let packed = zstd(&bytes);
    assert!(said(&packed[..packed.len() - 20]).contains("does not decompress"));
    assert!(said(b"").contains("is an empty file"));
    assert!(said(&gzip(b"")).contains("is an empty file"));
    assert!(said(&gzip(&gzip(&bytes))).contains("compressed twice"));
    assert!(said(&gzip(&vec![0; 4 << 20])).contains("is an empty tar"));
    // A checksum of the packing is read although the tar ended before it.
    let mut packed = gzip(&bytes);
    let end = packed.len() - 6;
    packed[end] ^= 1;
    assert!(said(&packed).contains("does not decompress"));
}

#[test]
fn names_without_end_are_too_much() {
    let long = "x/".repeat(400_000);
    let mut tar = Tar::default();
    for at in 0..45 {
        tar.file(&format!("{long}{at}"), b"");
    }
    assert!(said(&tar.finish()).contains("more than is looked at"));
}

#[test]
fn a_list_of_images_without_end_is_too_much_and_each_file_is_hashed_once() {
    let archive = |manifest: &serde_json::Value, layer: &[u8]| {
        let mut tar = Tar::default();
        tar.file("c.json", b"{}");
        tar.file("l", layer);
        tar.file("manifest.json", manifest.to_string().as_bytes());
        tar.finish()
    };
    let named = vec!["a"; 2000];
    let many = json!([{"Config": "c.json", "RepoTags": named, "Layers": ["l"]}]);
    assert!(said(&archive(&many, b"x")).contains("1000 names"));
    let image = json!({"Config": "c.json", "Layers": vec!["l"; 1000]});
    let images = serde_json::Value::from(vec![image.clone(); 200]);
    assert!(said(&archive(&images, b"x")).contains("100000 layers"));
    // Hashed anew each time, these were fifty gigabytes.
    let folder = tempfile::tempdir().unwrap();
    let images = serde_json::Value::from(vec![image; 50]);
    let layer = [&[0x1f, 0x8b], vec![0; 1 << 20].as_slice()].concat();
    let path = write(&folder, "images.tar", &archive(&images, &layer));
    assert_eq!(Source::open_path(&path).unwrap().roots().len(), 50);
}

#[test]
fn what_is_no_image_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let words = |name: &str, bytes: &[u8]| {
        let path = write(&folder, name, bytes);
        Source::open_path(&path).unwrap_err().to_string()
    };
    let root = |names: &[&str]| {
        let mut tar = Tar::default();
        for name in names {
            tar.file(name, b"x");
        }
        tar.finish()
    };
    for (name, bytes, word) in [
        ("Dockerfile.prod", b"ARG a\n".to_vec(), "a Dockerfile"),
        ("x", b"FROM scratch\n".to_vec(), "a Dockerfile"),
        ("compose.yaml", b"x: 1\n".to_vec(), "a compose file"),
        ("stack.yml", b"services:\n  a: {}\n".to_vec(), "a compose file"),
        ("Chart.yaml", b"name: a\n".to_vec(), "a Helm chart"),
        ("deploy.yaml", b"apiVersion: v1\nkind: Pod\n".to_vec(), "a Kubernetes manifest"),
        ("offer.yaml", b"offer:\nplans:\n".to_vec(), "--offer"),
        ("index.json", br#"{"schemaVersion":2}"#.to_vec(), "of a manifest or an index alone"),
        ("page", b"<!DOCTYPE html>".to_vec(), "a web page"),
        ("a.zip", b"PK\x03\x04xxxx".to_vec(), "a zip file"),
        ("a.sqfs", b"hsqsxxxx".to_vec(), "squashfs"),
        ("a.sif", [&[b'#'; 32][..], b"SIF_MAGIC\0"].concat(), "Apptainer"),
        ("a.age", b"age-encryption.org/v1\n-> X".to_vec(), "age encrypted"),
        ("a.gpg", b"\x8c\x0d\x04\x09\x03\x02xxx".to_vec(), "gpg encrypted"),
        ("a.xz", b"\xfd7zXZ\0xxx".to_vec(), "an xz file"),
        ("noise", vec![0xee; 600], "a file of another kind"),
        ("root.tar", root(&["bin/a", "etc/b", "usr/c"]), "docker export"),
        ("chart.tgz", gzip(&root(&["web/Chart.yaml"])), "a Helm chart"),
        ("context.tar", root(&["Dockerfile", "a"]), "a build folder"),
        ("out.tar", root(&["out/oci-layout", "out/index.json"]), "tar -C FOLDER"),
        ("old.tar", root(&["repositories", "id/layer.tar"]), "docker before 1.10"),
        ("any.tar", root(&["a"]), "without oci-layout or manifest.json"),
    ] {
        let said = words(name, &bytes);
        assert!(said.contains(word), "{name}: {said}");
    }
    let hostile = words("a\u{1b}[31m\u{202e}b", b"x");
    assert!(!hostile.contains(['\u{1b}', '\u{202e}']), "{hostile:?}");
}

#[test]
fn folders_that_are_no_layout_are_called_by_their_name() {
    for (files, word) in [
        (&[][..], "an empty folder"),
        (&["version", "manifest.json"], "skopeo wrote as dir:"),
        (&["manifest.json", "a.tar"], "was unpacked"),
        (&["Dockerfile"], "with a Dockerfile"),
        (&["compose.yaml"], "with a compose file"),
        (&["Chart.yaml"], "a Helm chart"),
        (&["offer.yaml"], "--offer"),
        (&["bin/a", "etc/a", "usr/a"], "a root file system"),
        (&["config.json", "rootfs/a"], "a bundle of a runtime"),
        (&["anything"], "it has no oci-layout"),
        (&["index.json"], "it has no oci-layout"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let said = Source::open_path(folder.path()).unwrap_err().to_string();
        assert!(said.contains(word), "{files:?}: {said}");
    }
}

#[test]
fn what_is_wrong_with_a_layout_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| Source::open_path(path).unwrap_err().to_string();
    assert!(error(&folder.path().join("gone")).ends_with("gone does not exist"));
    fs::write(folder.path().join(LAYOUT_FILE), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(error(folder.path()).contains("version 2.0.0"));
    fs::write(folder.path().join(LAYOUT_FILE), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    assert!(error(folder.path()).ends_with("it has no index.json"));
    fs::write(folder.path().join("index.json"), "{").unwrap();
    assert!(error(folder.path()).contains("its index.json"));
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("x")).unwrap();
    fs::rename(folder.path().join("x"), folder.path().join("index.json")).unwrap();
    assert!(error(folder.path()).ends_with("its index.json is not a regular file"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_an_error_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        packing in 0_u8..3,
    ) {
        let bytes = match packing {
            0 => bytes,
            1 => gzip(&bytes),
            _ => zstd(&bytes),
        };
        let _ = open(&bytes);
    }

    #[test]
    fn a_changed_archive_is_read_or_refused_and_never_a_panic(
        form in 0_usize..5,
        at in any::<prop::sample::Index>(),
        value: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let image = Image::of(vec![layer("a", "a"), layer("b", "b")]);
        let mut bytes = match form {
            0 => image.docker(),
            1 => image.podman(),
            2 => image.crane(),
            3 => image.nix(),
            _ => image.docker_25(&json!({})),
        };
        let at = at.index(bytes.len());
        bytes[at] = value;
        for bytes in [bytes.as_slice(), &bytes[..cut.index(bytes.len())]] {
            if let Ok(source) = open(bytes) {
                let _ = examine(&source);
            }
        }
    }

    #[test]
    fn a_flipped_byte_of_a_layer_or_a_configuration_is_found(
        form in 0_usize..3,
        at in any::<prop::sample::Index>(),
    ) {
        let image = Image::of(vec![layer("a", "content")]);
        let (mut bytes, part) = match form {
            0 => (image.docker(), image.layers[0].clone()),
            1 => (image.docker_25(&json!({})), gzip(&image.layers[0])),
            // Its name is no digest, but other tools know it by the digest.
            _ => (image.docker_25(&json!({})), image.config.clone()),
        };
        let start = bytes.windows(part.len()).position(|window| window == part).unwrap();
        bytes[start + at.index(part.len())] ^= 1;
        prop_assert!(!kinds(&bytes).is_empty());
    }
}
