#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]

use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use wharf_oci::{Algorithm, Digester, MediaType, Timestamp};

use super::*;
use crate::image::build::{BuildError, Builder, BuiltImage, LayoutDestination};
use crate::image::layout_write::LayoutFolder;
use crate::image::progress::Silent;
use crate::offer::model::{Image, MadeFrom, PlanImage, PlatformBuild};
use crate::verify::{Limits, check};

/// A folder for the inputs, bases and layouts of plans.
struct Yard {
    folder: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let yard = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in [("low/lib/f", "low"), ("app/bin/run", "run"), ("app/lib/g", "g")] {
            let path = yard.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.repeat(9000)).unwrap();
        }
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A layout `from/base` of two platforms.
    fn base(&self) -> BuiltImage {
        let plan = plan(
            "base",
            json!({"repository": "a/base", "version": "1.0", "platforms": [
                {"platform": "linux/amd64", "layers": [{"dir": "low"}]},
                {"platform": "linux/arm64/v8", "layers": [{"dir": "low"}, {"dir": "app"}]}],
                "config": {"cmd": ["/bin/old"], "env": {"A": "1"}, "labels": {"of": "base"}}}),
        );
        self.build(&[&plan], "from").unwrap().remove(0)
    }

    fn open(&self, plans: &[&PlanImage], out: &str) -> Result<OpenBases, PickError> {
        let mut bases = OpenBases::near(&self.path(out));
        for plan in plans {
            for build in &plan.image.platforms {
                let Some((_, said)) = MadeFrom::of(&plan.image, build).named() else { continue };
                let target = Target::parse_in(self.folder.path(), OsStr::new(&said.text)).unwrap();
                let Target::Path { path, form, name } = &target else { panic!("{target}") };
                let source = Source::open_local(path, *form, name.as_deref()).unwrap();
                bases.add_source(said, &target, source);
                bases.add(&plan.id, &build.full_platform(), said)?;
            }
        }
        Ok(bases)
    }

    fn build(&self, plans: &[&PlanImage], out: &str) -> Result<Vec<BuiltImage>, BuildError> {
        let bases = self.open(plans, out).unwrap();
        self.build_with(&bases, plans, out)
    }

    fn build_with(
        &self,
        bases: &OpenBases,
        plans: &[&PlanImage],
        out: &str,
    ) -> Result<Vec<BuiltImage>, BuildError> {
        let folder = LayoutFolder::open(&self.path(out)).unwrap();
        let jobs = NonZeroUsize::MIN;
        let builder =
            Builder::new(self.folder.path(), folder.path(), Timestamp::default(), jobs, &Silent);
        let mut builder = builder.with_bases(bases);
        plans.iter().map(|plan| builder.build(plan, LayoutDestination::Folder(&folder))).collect()
    }

    /// A JSON blob of a layout.
    fn json(&self, layout: &str, digest: &Digest) -> Value {
        serde_json::from_slice(&fs::read(self.blob(layout, digest)).unwrap()).unwrap()
    }

    fn blob(&self, layout: &str, digest: &Digest) -> PathBuf {
        self.path(layout).join("blobs/sha256").join(digest.hex())
    }

    fn faults(&self, layout: &str) -> Vec<String> {
        let source = Source::open_path(&self.path(layout)).unwrap();
        let facts = check(&source, NonZeroUsize::MIN, &Limits::default());
        facts.faults.iter().map(ToString::to_string).collect()
    }
}

fn plan(id: &str, image: Value) -> PlanImage {
    let mut image: Image = serde_json::from_value(image).unwrap();
    let platforms: Vec<Platform> =
        image.platforms.iter().map(PlatformBuild::full_platform).collect();
    image.expanded_tags = image.tags.expand(&image.version, &platforms).unwrap();
    PlanImage::of_plan(id, image)
}

/// A plan for linux/amd64 with more keys at its image.
fn on(more: Value) -> PlanImage {
    let mut image = json!({"repository": "a/b", "version": "1.0",
        "platforms": [{"platform": "linux/amd64"}]});
    let platform = more.get("layers").cloned();
    for (key, value) in more.as_object().unwrap() {
        image[key] = value.clone();
    }
    image.as_object_mut().unwrap().remove("layers");
    if let Some(layers) = platform {
        image["platforms"][0]["layers"] = layers;
    }
    plan("top", image)
}

#[test]
fn layers_come_on_a_base_and_everything_of_it_is_below() {
    let yard = Yard::new();
    let base = yard.base();
    let plan = on(json!({"base": "from/base", "layers": [{"dir": "app"}],
        "config": {"entrypoint": ["/bin/run"], "env": {"B": "2"}}}));
    let built = yard.build(&[&plan], "out").unwrap().remove(0);
    let platform = &built.platforms[0];
    assert_eq!(platform.layers[0].descriptor, base.platforms[0].layers[0].descriptor);
    assert_eq!(platform.layers.len(), 2);
    let manifest = yard.json("out/top", &platform.manifest.digest);
    let says = &manifest["annotations"]["org.opencontainers.image.base.digest"];
    assert_eq!(*says, json!(base.platforms[0].manifest.digest));
    let config = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
    let config = yard.json("out/top", &config);
    assert_eq!(config["config"]["Env"], json!(["A=1", "B=2"]));
    assert_eq!(config["config"]["Cmd"], Value::Null);
    assert_eq!(config["config"]["Labels"]["of"], "base");
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
    assert_eq!(yard.faults("out/top"), [""; 0]);
}

#[test]
fn the_same_base_gives_the_same_image_and_a_tag_in_a_layout_can_be_named() {
    let yard = Yard::new();
    yard.base();
    let layers = json!([{"dir": "app"}]);
    let plan = on(json!({"base": "from/base", "layers": layers}));
    let named = on(json!({"base": "oci:from/base:1.0", "layers": layers}));
    let one = yard.build(&[&plan], "one").unwrap().remove(0);
    let two = yard.build(&[&named], "two").unwrap().remove(0);
    assert_eq!(one.platforms[0].manifest, two.platforms[0].manifest);
}

#[test]
fn an_adopted_image_is_the_same_byte_for_byte_on_every_platform() {
    let yard = Yard::new();
    let base = yard.base();
    let plan = plan(
        "top",
        json!({"repository": "a/b", "version": "2.0", "adopt": "from/base", "platforms": [
            {"platform": "linux/amd64"}, {"platform": "linux/arm64"}]}),
    );
    let built = yard.build(&[&plan], "out").unwrap().remove(0);
    for (built, base) in built.platforms.iter().zip(&base.platforms) {
        assert_eq!(built.manifest.digest, base.manifest.digest);
        assert_eq!(built.size_bytes, base.size_bytes);
    }
    assert_eq!(yard.faults("out/top"), [""; 0]);
}

#[test]
fn what_the_offer_says_of_an_adopted_image_is_written_and_nothing_else() {
    let yard = Yard::new();
    let base = yard.base();
    let plan =
        on(json!({"adopt": "from/base", "config": {"env": {"A": "9"}, "labels": {"x": "y"}}}));
    let built = yard.build(&[&plan], "out").unwrap().remove(0);
    let platform = &built.platforms[0];
    assert_ne!(platform.manifest.digest, base.platforms[0].manifest.digest);
    assert_eq!(platform.layers[0].descriptor, base.platforms[0].layers[0].descriptor);
    let config = |layout: &str, manifest: &Digest| {
        let digest = yard.json(layout, manifest)["config"]["digest"].clone();
        yard.json(layout, &digest.as_str().unwrap().parse().unwrap())
    };
    let mut expected = config("from/base", &base.platforms[0].manifest.digest);
    expected["config"]["Env"] = json!(["A=9"]);
    expected["config"]["Labels"]["x"] = json!("y");
    assert_eq!(config("out/top", &platform.manifest.digest), expected);
    let annotated = on(json!({"adopt": "from/base", "annotations": {"a": "b"}}));
    let built = yard.build(&[&annotated], "out").unwrap().remove(0);
    let manifest = yard.json("out/top", &built.platforms[0].manifest.digest);
    let mut expected = yard.json("from/base", &base.platforms[0].manifest.digest);
    expected["annotations"]["a"] = json!("b");
    assert_eq!(manifest, expected);
}

#[test]
fn a_platform_that_is_not_there_is_said_with_those_that_are() {
    let yard = Yard::new();
    yard.base();
    let plan = plan(
        "top",
        json!({"repository": "a/b", "version": "1.0", "base": "from/base", "platforms": [
            {"platform": "linux/arm/v7", "layers": [{"dir": "app"}]}]}),
    );
    let error = yard.open(&[&plan], "out").unwrap_err().to_string();
    let said = "it has no image for linux/arm/v7; it has: linux/amd64, linux/arm64/v8";
    assert_eq!(error, said);
}

#[test]
fn a_pinned_digest_is_that_of_index_manifest_or_configuration() {
    let yard = Yard::new();
    let base = yard.base();
    let manifest = base.platforms[0].manifest.digest;
    let config = yard.json("from/base", &manifest)["config"]["digest"].as_str().unwrap().to_owned();
    let pinned = |digest: &str| {
        let source = json!({"image": "oci:from/base:1.0", "digest": digest});
        yard.open(&[&on(json!({"adopt": source}))], "out")
    };
    for digest in [base.index.digest.to_string(), manifest.to_string(), config] {
        pinned(&digest).unwrap();
    }
    let other = format!("sha256:{}", "a".repeat(64));
    let error = pinned(&other).unwrap_err().to_string();
    assert!(error.contains(&other) && error.contains(&base.index.digest.to_string()), "{error}");
}

#[test]
fn a_damaged_layer_never_lands_in_a_layout() {
    let yard = Yard::new();
    let base = yard.base();
    let layer = base.platforms[0].layers[0].descriptor.digest;
    let blob = yard.blob("from/base", &layer);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    for plan in [
        on(json!({"base": "from/base", "layers": [{"dir": "app"}]})),
        on(json!({"adopt": "from/base"})),
    ] {
        let error = yard.build(&[&plan], "out").unwrap_err();
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert!(said.contains("layer 1 of `from/base`"), "{said}");
        assert!(!yard.path("out/top").exists() && !yard.path("out/.top.tmp").exists());
    }
}

#[test]
fn a_layer_that_the_output_has_is_not_read_again_and_a_damaged_copy_is() {
    let yard = Yard::new();
    let base = yard.base();
    let plan = on(json!({"base": "from/base", "layers": [{"dir": "app"}]}));
    let first = yard.build(&[&plan], "out").unwrap().remove(0);
    let layer = base.platforms[0].layers[0].descriptor.digest;
    let (there, here) = (yard.blob("from/base", &layer), yard.blob("out/top", &layer));
    let kept = fs::read(&there).unwrap();
    // The source lost it; the layout in place has it.
    fs::remove_file(&there).unwrap();
    fs::write(yard.path("app/bin/more"), "x").unwrap();
    let second = yard.build(&[&plan], "out").unwrap().remove(0);
    assert_ne!(first.index.digest, second.index.digest);
    assert_eq!(yard.faults("out/top"), [""; 0]);
    // A copy with other bytes is passed over.
    fs::write(&here, vec![7; kept.len()]).unwrap();
    assert!(yard.build(&[&plan], "out").is_err());
    fs::write(&there, &kept).unwrap();
    yard.build(&[&plan], "out").unwrap();
    assert_eq!(fs::read(&here).unwrap(), kept);
}

#[test]
fn a_layer_that_inflates_to_something_else_than_its_diff_id_is_refused() {
    let yard = Yard::new();
    let base = yard.base();
    let digest = base.platforms[0].manifest.digest;
    let mut manifest = yard.json("from/base", &digest);
    let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
    let mut lying = yard.json("from/base", &config);
    lying["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "c".repeat(64)));
    let put = |value: &Value, media_type: MediaType| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digester::digest(Algorithm::Sha256, &bytes);
        fs::write(yard.blob("from/base", &digest), &bytes).unwrap();
        Descriptor::new(media_type, digest, bytes.len() as u64)
    };
    manifest["config"] = json!(put(&lying, MediaType::OCI_CONFIG));
    let root = put(&manifest, MediaType::OCI_MANIFEST);
    let index = json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(yard.path("from/base/index.json"), index.to_string()).unwrap();
    let plan = on(json!({"base": "from/base", "layers": [{"dir": "app"}]}));
    let error = yard.build(&[&plan], "out").unwrap_err();
    let base_error = std::error::Error::source(&error).unwrap();
    let said = std::error::Error::source(base_error).unwrap().to_string();
    assert!(said.contains("its diffID is sha256:cccc"), "{said}");
}

#[test]
fn attestations_are_passed_over_and_said_and_several_images_have_to_be_named() {
    let yard = Yard::new();
    let base = yard.base();
    let layout = yard.path("from/base");
    let mut index = yard.json("from/base", &base.index.digest);
    let attestation = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": format!("sha256:{}", "d".repeat(64)), "size": 5,
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
    index["manifests"].as_array_mut().unwrap().push(attestation);
    let bytes = serde_json::to_vec(&index).unwrap();
    let digest = Digester::digest(Algorithm::Sha256, &bytes);
    fs::write(yard.blob("from/base", &digest), &bytes).unwrap();
    let root = Descriptor::new(MediaType::OCI_INDEX, digest, bytes.len() as u64);
    let list = |roots: Value| {
        let index = json!({"schemaVersion": 2, "manifests": roots});
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
    };
    list(json!([root]));
    let plan = on(json!({"adopt": "from/base"}));
    let bases = yard.open(&[&plan], "out").unwrap();
    assert!(bases.notes().iter().any(|note| note.contains("attestation")), "{:?}", bases.notes());
    let mut first = root.clone();
    first.annotations.insert(REF_NAME.to_owned(), "new".to_owned());
    list(json!([first, base.index]));
    let error = yard.open(&[&plan], "out").unwrap_err().to_string();
    assert!(error.contains("several images") && error.contains("new, @sha256:"), "{error}");
    let named = on(json!({"adopt": "oci:from/base:new"}));
    yard.open(&[&named], "out").unwrap();
}

#[test]
fn an_index_that_says_another_platform_than_its_image_is_refused() {
    let yard = Yard::new();
    let base = yard.base();
    let mut index = yard.json("from/base", &base.index.digest);
    index["manifests"][1]["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let bytes = serde_json::to_vec(&index).unwrap();
    let digest = Digester::digest(Algorithm::Sha256, &bytes);
    fs::write(yard.blob("from/base", &digest), &bytes).unwrap();
    let root = Descriptor::new(MediaType::OCI_INDEX, digest, bytes.len() as u64);
    let list = json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(yard.path("from/base/index.json"), list.to_string()).unwrap();
    let plan = plan(
        "top",
        json!({"repository": "a/b", "version": "1.0", "adopt": "from/base",
            "platforms": [{"platform": "linux/s390x"}]}),
    );
    let error = yard.open(&[&plan], "out").unwrap_err().to_string();
    assert!(error.contains("its index says linux/s390x") && error.contains("arm64/v8"), "{error}");
}
