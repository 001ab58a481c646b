#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod refused;

use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester, MediaType};

use super::docker::LAYERS_MAX;
use super::*;
use crate::image::facts::{FaultKind, ImageFacts};
use crate::image::layout::LAYOUT_FILE;
use crate::verify::{Limits, check};

fn hex(bytes: &[u8]) -> String {
    Digester::digest(Algorithm::Sha256, bytes).hex()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let jobs = NonZeroUsize::MIN;
    crate::image::compress::compress::<io::Error>(jobs, &mut out, |w| w.write_all(bytes)).unwrap();
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

/// A layer with one file.
fn layer(name: &str, content: &str) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.file(name, content.as_bytes());
    tar.finish()
}

/// An archive made member by member, so each test can forge it in its own way.
struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    fn header(size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_size(size as u64);
        header.set_mode(0o644);
        header
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.0.append_data(&mut Self::header(bytes.len()), name, bytes).unwrap();
        self
    }

    fn json(&mut self, name: &str, value: &Value) -> &mut Self {
        self.file(name, value.to_string().as_bytes())
    }

    fn link(&mut self, name: &str, target: &str, kind: tar::EntryType) -> &mut Self {
        let mut header = Self::header(0);
        header.set_entry_type(kind);
        self.0.append_link(&mut header, name, target).unwrap();
        self
    }

    fn symlink(&mut self, name: &str, target: &str) -> &mut Self {
        self.link(name, target, tar::EntryType::Symlink)
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// The image of every form: two layers, the first of them twice.
struct Image {
    layers: Vec<Vec<u8>>,
    config: Vec<u8>,
}

const NAME: &str = "r.example/app:1.0";

impl Image {
    fn new() -> Self {
        let (base, app) = (layer("base", "base"), layer("app", "app"));
        Self::of(vec![base.clone(), app, base])
    }

    fn of(layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "os": "linux", "architecture": "amd64",
            "config": {"Entrypoint": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        Self { layers, config: config.to_string().into_bytes() }
    }

    fn config_name(&self) -> String {
        format!("{}.json", hex(&self.config))
    }

    fn manifest_json(&self, layers: &[String]) -> Value {
        json!([{"Config": self.config_name(), "RepoTags": [NAME], "Layers": layers}])
    }

    /// `docker save` before 25: a folder for each layer, a second one is a link to the first.
    fn docker(&self) -> Vec<u8> {
        let mut tar = Tar::default();
        let mut names: Vec<String> = Vec::new();
        for (at, bytes) in self.layers.iter().enumerate() {
            let id = hex(format!("id {at}").as_bytes());
            let first = self.layers.iter().position(|other| other == bytes).unwrap();
            tar.file(&format!("{id}/VERSION"), b"1.0");
            let name = format!("{id}/layer.tar");
            if first == at {
                tar.file(&name, bytes);
            } else {
                tar.symlink(&name, &format!("../{}", names[first]));
            }
            names.push(name);
        }
        tar.file(&self.config_name(), &self.config);
        tar.json("manifest.json", &self.manifest_json(&names));
        tar.json("repositories", &json!({"r.example/app": {"1.0": "id"}}));
        tar.finish()
    }

    /// `podman save`: layers by diffID, folders with links to them.
    fn podman(&self) -> Vec<u8> {
        let mut tar = Tar::default();
        let mut names = Vec::new();
        for (at, bytes) in self.layers.iter().enumerate() {
            let name = format!("{}.tar", hex(bytes));
            if !names.contains(&name) {
                tar.file(&name, bytes);
            }
            tar.symlink(&format!("{}/layer.tar", hex(&[u8::try_from(at).unwrap()])), "../x.tar");
            names.push(name);
        }
        tar.file(&self.config_name(), &self.config);
        tar.json("manifest.json", &self.manifest_json(&names));
        tar.finish()
    }

    /// crane's legacy form, also of jib and ko: layers as gzip.
    fn crane(&self) -> Vec<u8> {
        let mut tar = Tar::default();
        let mut names: Vec<String> = Vec::new();
        tar.file("sha256:config", &self.config);
        for bytes in &self.layers {
            let bytes = gzip(bytes);
            let name = format!("{}.tar.gz", hex(&bytes));
            if !names.contains(&name) {
                tar.file(&name, &bytes);
            }
            names.push(name);
        }
        let entry = json!([{"Config": "sha256:config", "RepoTags": [NAME], "Layers": names}]);
        tar.json("manifest.json", &entry);
        tar.finish()
    }

    /// Nix's form: `./` before names, folders by the hash of the layer, no `repositories`.
    fn nix(&self) -> Vec<u8> {
        let mut tar = Tar::default();
        let mut names: Vec<String> = Vec::new();
        for bytes in &self.layers {
            let name = format!("{}/layer.tar", hex(bytes));
            tar.file(&format!("./{name}"), bytes);
            names.push(name);
        }
        tar.file(&format!("./{}", self.config_name()), &self.config);
        tar.json("./manifest.json", &self.manifest_json(&names));
        tar.finish()
    }

    /// The files of an OCI layout; `root` gives the annotations of its only image.
    fn layout_files(&self, root: &Value) -> Vec<(String, Vec<u8>)> {
        let describe = |media_type: &MediaType, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let layers: Vec<Vec<u8>> = self.layers.iter().map(|layer| gzip(layer)).collect();
        let descriptors: Vec<Value> =
            layers.iter().map(|layer| describe(&MediaType::OCI_LAYER_GZIP, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
            "config": describe(&MediaType::OCI_CONFIG, &self.config), "layers": descriptors,
        });
        let manifest = manifest.to_string().into_bytes();
        let mut top = describe(&MediaType::OCI_MANIFEST, &manifest);
        top["annotations"] = root.clone();
        let index = json!({"schemaVersion": 2, "manifests": [top]});
        let blob = |bytes: &Vec<u8>| (format!("blobs/sha256/{}", hex(bytes)), bytes.clone());
        let mut files: Vec<(String, Vec<u8>)> = layers.iter().map(blob).collect();
        files.extend([blob(&self.config), blob(&manifest)]);
        files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files.push(("index.json".to_owned(), index.to_string().into_bytes()));
        files
    }

    fn oci_archive(&self, root: &Value) -> Tar {
        let mut tar = Tar::default();
        for (name, bytes) in self.layout_files(root) {
            tar.file(&name, &bytes);
        }
        tar
    }

    /// `docker save` since 25: a layout, with `manifest.json` beside it.
    fn docker_25(&self, root: &Value) -> Vec<u8> {
        let mut tar = self.oci_archive(root);
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
        let layers: Vec<String> = self.layers.iter().map(|layer| blob(&gzip(layer))).collect();
        let config = blob(&self.config);
        tar.json(
            "manifest.json",
            &json!([{
                "Config": config, "RepoTags": [NAME], "Layers": layers,
            }]),
        );
        tar.finish()
    }
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn examine(source: &Source) -> ImageFacts {
    check(source, NonZeroUsize::MIN, &Limits::default())
}

fn open(bytes: &[u8]) -> Result<Source, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    Source::open_path(&write(&folder, "archive", bytes))
}

fn kinds(bytes: &[u8]) -> Vec<FaultKind> {
    examine(&open(bytes).unwrap()).faults.iter().map(|fault| fault.kind).collect()
}

fn said(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

/// The form-independent facts: names, platform, configuration, and the layers unpacked.
fn essence(source: &Source) -> (Vec<String>, Vec<Descriptor>, Vec<Option<u64>>) {
    let facts = examine(source);
    assert_eq!(facts.faults, [], "{}", source.location());
    let tags = facts.tags.keys().map(ToString::to_string).collect();
    assert_eq!(facts.images.len(), 1);
    let image = &facts.images[0];
    assert_eq!(image.name(), "linux/amd64");
    let sizes = image.layers.iter().map(|layer| layer.uncompressed_bytes).collect();
    (tags, image.config_descriptor.iter().cloned().collect(), sizes)
}

#[test]
fn one_image_is_the_same_in_every_form_plain_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::new();
    let named = json!({"org.opencontainers.image.ref.name": "1.0"});
    let layout = folder.path().join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    for (name, bytes) in image.layout_files(&named) {
        fs::write(layout.join(name), bytes).unwrap();
    }
    let expected = essence(&Source::open_path(&layout).unwrap());
    assert_eq!(expected.0, ["1.0"]);
    let containerd = json!({"io.containerd.image.name": NAME});
    for (form, bytes) in [
        ("oci", image.oci_archive(&named).finish()),
        ("docker", image.docker()),
        ("docker-25", image.docker_25(&json!({}))),
        ("docker-25-containerd", image.docker_25(&containerd)),
        ("podman", image.podman()),
        ("crane", image.crane()),
        ("nix", image.nix()),
    ] {
        for (ending, bytes) in [("tar", bytes.clone()), ("gz", gzip(&bytes)), ("zst", zstd(&bytes))]
        {
            let path = write(&folder, &format!("{form}.{ending}"), &bytes);
            let source = Source::open_path(&path).unwrap_or_else(|e| panic!("{form}: {e}"));
            assert_eq!(essence(&source), expected, "{form}.{ending}");
        }
    }
}

#[test]
fn compressed_layers_keep_their_digests_and_plain_ones_have_their_diff_ids() {
    let image = Image::new();
    let layers = |bytes: &[u8]| {
        let facts = examine(&open(bytes).unwrap());
        let layers = facts.images[0].layers.iter();
        layers.map(|layer| layer.descriptor.digest.to_string()).collect::<Vec<_>>()
    };
    let plain: Vec<String> = image.layers.iter().map(|layer| digest(layer)).collect();
    let packed: Vec<String> = image.layers.iter().map(|layer| digest(&gzip(layer))).collect();
    assert_eq!(layers(&image.docker()), plain);
    assert_eq!(layers(&image.crane()), packed);
}

#[test]
fn what_manifest_json_says_is_not_believed() {
    let image = Image::of(vec![layer("a", "a"), layer("b", "b")]);
    let with = |manifest: Value, more: &dyn Fn(&mut Tar)| {
        let mut tar = Tar::default();
        tar.file("a.tar", &image.layers[0]).file("b.tar", &image.layers[1]);
        tar.file("c.json", &image.config).json("manifest.json", &manifest);
        more(&mut tar);
        tar.finish()
    };
    let of = |layers: &[&str]| {
        with(json!([{"Config": "c.json", "RepoTags": null, "Layers": layers}]), &|_| {})
    };
    assert_eq!(kinds(&of(&["a.tar", "b.tar"])), []);
    assert_eq!(kinds(&of(&["b.tar", "a.tar"])), [FaultKind::Digest; 2]);
    assert_eq!(kinds(&of(&["a.tar"])), [FaultKind::DiffId]);
    assert_eq!(kinds(&of(&["a.tar", "b.tar", "a.tar"])), [FaultKind::DiffId]);
    let missing = of(&["a.tar", "gone.tar"]);
    assert_eq!(kinds(&missing), [FaultKind::Missing]);
    let facts = examine(&open(&missing).unwrap());
    assert!(facts.faults[0].message.contains("`gone.tar`"), "{}", facts.faults[0].message);
    // Of two members with one name the last counts.
    let list = json!([{"Config": "c.json", "Layers": ["a.tar", "b.tar"]}]);
    let again = with(list, &|tar| {
        tar.file("b.tar", b"other");
    });
    assert!(kinds(&again).contains(&FaultKind::Digest));
    for (list, word) in [
        (json!({}), "manifest.json cannot be read"),
        (json!([]), "lists no image"),
        (json!([{"Config": "gone.json", "Layers": []}]), "it has no gone.json"),
        (json!([{"Layers": []}]), "missing field `Config`"),
        (json!([{"Config": "c.json", "Layers": vec!["a.tar"; LAYERS_MAX + 1]}]), "more than"),
        (json!([{"Config": "c.json", "Layers": ["a.tar", "b.tar", "gone"]}]), "it has no `gone`"),
    ] {
        let said = said(&with(list, &|_| {}));
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn two_files_that_claim_one_diff_id_are_both_read() {
    let (good, bad) = (layer("a", "good"), layer("a", "evil"));
    let image = Image::of(vec![good.clone(), good.clone()]);
    let mut tar = Tar::default();
    tar.file("one.tar", &good).file("two.tar", &bad);
    tar.file(&image.config_name(), &image.config);
    tar.json("manifest.json", &image.manifest_json(&["one.tar".into(), "two.tar".into()]));
    assert_eq!(kinds(&tar.finish()), [FaultKind::DiffId]);
}

#[test]
fn links_lead_to_members_and_nowhere_else() {
    let image = Image::of(vec![layer("a", "a")]);
    let kinds_of = |make: &dyn Fn(&mut Tar)| {
        let mut tar = Tar::default();
        make(&mut tar);
        tar.file(&image.config_name(), &image.config);
        tar.json("manifest.json", &image.manifest_json(&["l/layer.tar".into()]));
        kinds(&tar.finish())
    };
    let hard = tar::EntryType::Link;
    let layer = &image.layers[0];
    assert_eq!(
        kinds_of(&|tar| {
            tar.file("x.tar", layer).symlink("y", "./x.tar").symlink("l/layer.tar", "../y");
        }),
        []
    );
    assert_eq!(
        kinds_of(&|tar| {
            tar.file("x.tar", layer).link("l/layer.tar", "x.tar", hard);
        }),
        []
    );
    for target in ["/etc/passwd", "../../../../etc/passwd", "layer.tar", "../gone"] {
        let kinds = kinds_of(&|tar| {
            tar.symlink("l/layer.tar", target);
        });
        assert_eq!(kinds, [FaultKind::Missing], "{target}");
    }
}

#[test]
fn a_configuration_that_is_none_is_a_fault() {
    let image = Image { config: b"no json".to_vec(), ..Image::new() };
    let kinds = kinds(&image.docker());
    assert!(kinds.contains(&FaultKind::Config), "{kinds:?}");
    let mut long = Image::new();
    long.config.resize(5 * 1024 * 1024, b' ');
    assert!(said(&long.docker()).contains("has more than 4194304 bytes"));
}

#[test]
fn a_save_of_one_platform_says_so() {
    let image = Image::new();
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [{
        "mediaType": MediaType::OCI_MANIFEST, "digest": digest(b"x"), "size": 1,
        "platform": {"os": "linux", "architecture": "arm64"},
    }]});
    let index = index.to_string().into_bytes();
    let mut tar = image.oci_archive(&json!({}));
    let top = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": MediaType::OCI_INDEX, "digest": digest(&index), "size": index.len(),
    }]});
    tar.file(&format!("blobs/sha256/{}", hex(&index)), &index).json("index.json", &top);
    let facts = examine(&open(&tar.finish()).unwrap());
    let message = &facts.faults[0].message;
    assert!(message.contains("linux/arm64") && message.contains("partial save"), "{message}");
    assert_eq!(facts.faults[0].kind, FaultKind::Missing);
}

#[test]
fn a_name_leaves_only_its_image_and_a_form_must_be_the_one_that_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Image::of(vec![layer("a", "1")]), Image::of(vec![layer("a", "2")]));
    let mut tar = Tar::default();
    for (at, image) in [&one, &two].into_iter().enumerate() {
        tar.file(&format!("{at}.tar"), &image.layers[0]);
        tar.file(&image.config_name(), &image.config);
    }
    let entry = |at: usize, image: &Image, name: &str| json!({"Config": image.config_name(), "RepoTags": [name], "Layers": [format!("{at}.tar")]});
    tar.json("manifest.json", &json!([entry(0, &one, "a/x:1"), entry(1, &two, "a/y:2")]));
    let path = write(&folder, "two.tar", &tar.finish());
    let both = Source::open_path(&path).unwrap();
    assert_eq!(examine(&both).images.len(), 2);
    let docker = Some(PathForm::DockerArchive);
    for name in ["a/y:2", "2", "@1"] {
        let only = Source::open_local(&path, docker, Some(name)).unwrap();
        assert_eq!(only.roots(), &both.roots()[1..], "{name}");
        assert!(only.location().ends_with(&format!("two.tar:{name}")));
    }
    let error = Source::open_local(&path, docker, Some("3")).unwrap_err().to_string();
    assert!(error.contains("has no image 3; it has a/x:1, a/y:2"), "{error}");
    let oci = Some(PathForm::OciArchive);
    assert!(Source::open_local(&path, oci, None).is_err());
    let new = write(&folder, "25.tar", &one.docker_25(&json!({})));
    assert!(Source::open_local(&new, docker, None).is_ok());
    assert!(Source::open_local(&new, oci, None).is_ok());
}

#[test]
fn a_tag_of_references_that_means_two_images_means_none() {
    let source = |names: [&str; 2]| {
        let (one, two) = (Image::of(vec![layer("a", "1")]), Image::of(vec![layer("a", "2")]));
        let mut tar = Tar::default();
        let mut entries = Vec::new();
        for (image, name) in [&one, &two].into_iter().zip(names) {
            let layer = format!("{name}.tar");
            tar.file(&layer, &image.layers[0]).file(&image.config_name(), &image.config);
            entries.push(json!({
                "Config": image.config_name(), "RepoTags": [name], "Layers": [layer],
            }));
        }
        tar.json("manifest.json", &json!(entries));
        open(&tar.finish()).unwrap()
    };
    let tags = |source: &Source| source.tags().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>();
    assert_eq!(tags(&source(["r.example:5000/a:1", "b:2"])), ["1", "2"]);
    assert_eq!(tags(&source(["r.example/a:1", "r.example/b:1"])), [""; 0]);
}
