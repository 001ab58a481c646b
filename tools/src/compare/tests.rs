#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester, Timestamp};

use super::*;
use crate::image::build::{Builder, LayoutDestination};
use crate::image::layout_write::LayoutFolder;
use crate::image::progress::Silent;
use crate::offer::model::{PlanImage, PlatformBuild};

/// An offer's folders, and the layout made of them.
struct Shop {
    folder: tempfile::TempDir,
    out: PathBuf,
    image: Value,
}

impl Shop {
    /// Two platforms with one layer in common.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layer = |dir: &str| json!({"dir": dir});
        let image = json!({
            "repository": "a/b", "version": "1.4.0", "created": "2026-11-01T00:00:00Z",
            "platforms": [
                {"platform": "linux/amd64", "layers": [layer("base"), layer("app")]},
                {"platform": "linux/arm64", "layers": [layer("base")]},
            ],
            "config": {"entrypoint": ["/x"], "env": {"A": "1"}, "user": "7:7"},
        });
        let shop = Self { out: folder.path().join("out"), folder, image };
        shop.write("base/lib/a", "one");
        shop.write("app/bin/server", &"serve ".repeat(50_000));
        shop.write("app/bin/tool", "tool");
        symlink("bin/server", shop.path("app/start")).unwrap();
        let plan = shop.plan();
        let out = LayoutFolder::open(&shop.path("out")).unwrap();
        shop.builder().build(&plan, LayoutDestination::Folder(&out)).unwrap();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn layout(&self) -> PathBuf {
        self.path("out/one")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn builder(&self) -> Builder<'_> {
        let (offer, output) = (self.folder.path(), self.out.as_path());
        Builder::new(offer, output, Timestamp::default(), NonZeroUsize::MIN, &Silent)
    }

    fn plan(&self) -> PlanImage {
        let mut image: crate::offer::model::Image =
            serde_json::from_value(self.image.clone()).unwrap();
        let platforms: Vec<_> = image.platforms.iter().map(PlatformBuild::full_platform).collect();
        image.expanded_tags = image.tags.expand(&image.version, &platforms).unwrap();
        PlanImage::of_plan("one", image)
    }

    /// The report of `--check`.
    fn differences(&self) -> Vec<String> {
        let plan = self.plan();
        let mut builder = self.builder();
        let built = builder.build(&plan, LayoutDestination::Counted).unwrap();
        let rebuild =
            |platform, layer, out: Out<'_>| builder.write_layer(&plan, platform, layer, out);
        let wanted = ExpectedImage { image: &built, rebuild: &rebuild };
        let layout = Source::open_path(&self.layout()).unwrap();
        let found = differences(&layout, &wanted).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn only_difference(&self) -> String {
        let found = self.differences();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    fn index_json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.layout().join("index.json")).unwrap()).unwrap()
    }

    fn blob(&self, digest: &Value) -> PathBuf {
        let hex = digest.as_str().unwrap().trim_start_matches("sha256:");
        self.layout().join("blobs/sha256").join(hex)
    }

    fn document(&self, digest: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(digest)).unwrap()).unwrap()
    }

    /// The manifest of the first platform.
    fn manifest(&self) -> Value {
        let roots = self.index_json();
        let index = roots["manifests"].as_array().unwrap();
        let index = index.iter().find(|root| root["mediaType"].as_str().unwrap().contains("index"));
        let index = self.document(&index.unwrap()["digest"]);
        self.document(&index["manifests"][0]["digest"])
    }

    /// Writes the layout anew with other content in a blob, and updates every digest up to the
    /// root.
    fn replace(&self, old: &Value, bytes: &[u8], media_type: Option<&str>) {
        let digest = Digester::digest(Algorithm::Sha256, bytes).to_string();
        fs::write(self.blob(&json!(digest)), bytes).unwrap();
        let swap = |descriptor: &mut Value| {
            descriptor["digest"] = json!(digest);
            descriptor["size"] = json!(bytes.len());
            if let Some(media_type) = media_type {
                descriptor["mediaType"] = json!(media_type);
            }
        };
        let blobs: Vec<PathBuf> = fs::read_dir(self.layout().join("blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        for blob in blobs {
            let Ok(text) = fs::read(&blob) else { continue };
            let Ok(mut value) = serde_json::from_slice::<Value>(&text) else { continue };
            if point(&mut value, old, &swap) {
                let before = Digester::digest(Algorithm::Sha256, &text).to_string();
                self.replace(&json!(before), &serde_json::to_vec(&value).unwrap(), None);
            }
        }
        let mut index = self.index_json();
        if point(&mut index, old, &swap) {
            fs::write(self.layout().join("index.json"), index.to_string()).unwrap();
        }
    }
}

/// Changes the descriptors with this digest below `manifests` and `layers`; whether there are any.
fn point(value: &mut Value, old: &Value, swap: &dyn Fn(&mut Value)) -> bool {
    let mut found = false;
    for list in ["manifests", "layers"] {
        for descriptor in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if descriptor["digest"] == *old {
                swap(descriptor);
                found = true;
            }
        }
    }
    found
}

fn inflate(path: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    let file = fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut tar).unwrap();
    tar
}

#[test]
fn what_is_the_same_has_no_difference() {
    assert_eq!(Shop::new().differences(), Vec::<String>::new());
}

#[test]
fn the_first_file_that_differs_is_named_with_how() {
    type Change = fn(&Shop);
    let cases: [(Change, &str); 7] = [
        (
            |shop| {
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(shop.path("app/bin/server"), mode).unwrap();
            },
            "bin/server: mode 0755, was 0644",
        ),
        (
            |shop| {
                let mut text = "serve ".repeat(50_000);
                text.replace_range(123_456..123_457, "x");
                shop.write("app/bin/server", &text);
                shop.write("app/bin/tool", "loot");
            },
            "bin/server: content differs at byte 123456",
        ),
        (|shop| shop.write("app/bin/tool", "tools"), "bin/tool: size 5, was 4"),
        (|shop| shop.write("app/bin/another", ""), "bin/another: not in the layout"),
        (
            |shop| fs::remove_file(shop.path("app/bin/server")).unwrap(),
            "bin/server: only in the layout",
        ),
        (
            |shop| {
                fs::remove_file(shop.path("app/start")).unwrap();
                symlink("bin/tool", shop.path("app/start")).unwrap();
            },
            "start: leads to bin/tool, was bin/server",
        ),
        (
            |shop| {
                fs::remove_file(shop.path("app/start")).unwrap();
                shop.write("app/start", "");
            },
            "start: a file, was a symbolic link",
        ),
    ];
    for (change, expected) in cases {
        let shop = Shop::new();
        change(&shop);
        assert_eq!(shop.only_difference(), format!("linux/amd64, layer 2: {expected}"));
    }
}

#[test]
fn only_the_platforms_that_differ_are_named() {
    let shop = Shop::new();
    shop.write("base/lib/b", "new");
    let expected = ["linux/amd64, layer 1: lib/b: not in the layout"].map(str::to_owned);
    let found = shop.differences();
    assert_eq!(found[..1], expected);
    assert_eq!(found[1], "linux/arm64, layer 1: lib/b: not in the layout");
    assert_eq!(found.len(), 2);
}

#[test]
fn layers_that_came_and_went_are_named() {
    let mut shop = Shop::new();
    shop.image["platforms"][1]["layers"] = json!([{"dir": "base"}, {"dir": "app"}]);
    let found = shop.differences();
    assert_eq!(found[0], "linux/arm64, layer 2: not in the layout (dir app)");
    let inputs =
        "index.json: the image part of the offer is not the one that the layout was made from";
    assert_eq!(found[1..], [inputs.to_owned()]);
    shop.image["platforms"] = json!([{"platform": "linux/amd64", "layers": [{"dir": "base"}]}]);
    let found = shop.differences();
    assert!(found[0].starts_with("linux/amd64, layer 2: only in the layout ("), "{found:?}");
    assert_eq!(found[1], "linux/arm64: only in the layout");
}

#[test]
fn values_of_configuration_and_manifest_are_named() {
    let mut shop = Shop::new();
    shop.image["config"]["env"]["A"] = json!("2");
    let found = shop.differences();
    assert_eq!(found[0], r#"linux/amd64: configuration: config.Env[0] "A=2", was "A=1""#);
    assert!(found[1].starts_with("linux/arm64: configuration: config.Env[0]"), "{found:?}");
    let mut shop = Shop::new();
    shop.image["annotations"] = json!({"vendor": "tide"});
    let found = shop.differences();
    let expected = r#"linux/amd64: manifest: annotations.vendor "tide" is not in the layout"#;
    assert_eq!(found[0], expected);
}

#[test]
fn a_damaged_layer_is_named_with_the_place_where_reading_ends() {
    let shop = Shop::new();
    let digest = shop.manifest()["layers"][1]["digest"].clone();
    let path = shop.blob(&digest);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let found = shop.only_difference();
    assert!(found.starts_with("linux/amd64, layer 2: "), "{found}");
    assert!(found.contains("bytes"), "{found}");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    fs::write(&path, flipped).unwrap();
    let found = shop.only_difference();
    assert!(found.starts_with("linux/amd64, layer 2: "), "{found}");
    let mut header = whole;
    header[9] = 3;
    fs::write(&path, header).unwrap();
    let found = shop.only_difference();
    assert!(found.ends_with("is damaged in the layout; its files are the same"), "{found}");
    fs::remove_file(&path).unwrap();
    assert!(shop.only_difference().starts_with("linux/amd64, layer 2: "));
}

#[test]
fn another_codec_and_another_compressor_are_named() {
    let shop = Shop::new();
    let digest = shop.manifest()["layers"][1]["digest"].clone();
    let tar = inflate(&shop.blob(&digest));
    let packed = zstd::encode_all(tar.as_slice(), 3).unwrap();
    shop.replace(&digest, &packed, Some("application/vnd.oci.image.layer.v1.tar+zstd"));
    let expected = "linux/amd64, layer 2: the files are the same; the layout has them with zstd, not \
                    as application/vnd.oci.image.layer.v1.tar+gzip";
    assert_eq!(shop.only_difference(), expected);
    let shop = Shop::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar).unwrap();
    shop.replace(&digest, &packed.finish().unwrap(), None);
    let found = shop.only_difference();
    let start = "linux/amd64, layer 2: the files are the same, compressed otherwise: ";
    assert!(found.starts_with(start), "{found}");
}

#[test]
fn a_header_field_that_nobody_unpacks_is_named() {
    let shop = Shop::new();
    let digest = shop.manifest()["layers"][1]["digest"].clone();
    let mut tar = inflate(&shop.blob(&digest));
    // The name of the first entry's owner, and the checksum for it.
    tar[265..268].copy_from_slice(b"bin");
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&tar[..512]);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar).unwrap();
    shop.replace(&digest, &packed.finish().unwrap(), None);
    assert_eq!(shop.only_difference(), "linux/amd64, layer 2: bin: user name ``, was `bin`");
}

#[test]
fn a_layout_of_an_older_wharf_and_other_tags_are_named() {
    let shop = Shop::new();
    let mut index = shop.index_json();
    for root in index["manifests"].as_array_mut().unwrap() {
        root["annotations"].as_object_mut().unwrap().remove("wharf.image.inputs");
    }
    fs::write(shop.layout().join("index.json"), index.to_string()).unwrap();
    assert!(shop.only_difference().contains("an older wharf or another tool"));
    let shop = Shop::new();
    let mut index = shop.index_json();
    let name = "org.opencontainers.image.ref.name";
    index["manifests"][0]["annotations"][name] = json!("mine");
    fs::write(shop.layout().join("index.json"), index.to_string()).unwrap();
    let found = shop.differences();
    assert_eq!(found[0], "index.json: tag 1.4.0-linux-amd64 is not in the layout");
    assert_eq!(found[1], "index.json: tag mine is only in the layout");
}
