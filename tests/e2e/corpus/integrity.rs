//! Bytes with wrong declarations: blobs, manifests, indexes, compression.

use std::fs;

use serde_json::{Value, json};
use wharf_testkit::handmade::{Attached, GZIP_TYPE, Packing, TAR_TYPE, Written, ZSTD_TYPE, set};
use wharf_testkit::images::sha256;

use super::{Case, Error, Make, NotProven, Warning, image};

/// The flipped bit of a broken byte.
const BIT: u8 = 0x10;

pub(super) const CASES: &[Case] = &[
    image("IMG-003", Error, "a layer is missing", |image| {
        image.on_folder = |written| fs::remove_file(written.layer(0, 1));
    }),
    image("IMG-003", Error, "a layer of both platforms is missing", |image| {
        image.on_folder = |written| fs::remove_file(written.layer(0, 0));
    }),
    image("IMG-003", Error, "the configuration of a platform is missing", |image| {
        image.on_folder = |written| fs::remove_file(written.path(&written.configs[1]));
    }),
    image("IMG-003", Error, "the manifest of a platform is missing", |image| {
        image.attached.retain(|at| at.platform != Some(1));
        image.on_folder = |written| fs::remove_file(written.path(&written.manifests[1]));
    }),
    image("IMG-003", Error, "a layer is a folder", |image| {
        image.on_folder = |written| {
            fs::remove_file(written.layer(0, 1))?;
            fs::create_dir(written.layer(0, 1))
        };
    }),
    image("IMG-003", Error, "a layer is a link to a file elsewhere", |image| {
        image.on_folder = |written| {
            let layer = written.layer(0, 1);
            fs::rename(&layer, written.folder.join("elsewhere"))?;
            std::os::unix::fs::symlink(written.folder.join("elsewhere"), layer)
        };
    }),
    image("IMG-003", Error, "a layer lacks its last byte", |image| {
        image.on_folder = |written| {
            let bytes = fs::read(written.layer(0, 1))?;
            fs::write(written.layer(0, 1), &bytes[..bytes.len() - 1])
        };
    }),
    image("IMG-003", Error, "a layer is empty", |image| {
        image.on_folder = |written| fs::write(written.layer(0, 1), []);
    }),
    image("IMG-003", Error, "a layer has one byte more", |image| {
        image.on_folder = |written| {
            let bytes = fs::read(written.layer(0, 1))?;
            fs::write(written.layer(0, 1), [bytes.as_slice(), &[0]].concat())
        };
    }),
    image("IMG-003", Error, "a bit of a layer is flipped", |image| {
        image.on_folder = |written| {
            let mut bytes = fs::read(written.layer(0, 1))?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= BIT;
            fs::write(written.layer(0, 1), bytes)
        };
    }),
    image("IMG-003", Error, "a bit of a configuration is flipped", |image| {
        image.on_folder = |written| {
            let path = written.path(&written.configs[1]);
            let text = fs::read_to_string(&path)?;
            fs::write(path, text.replacen("TIDE_LEVEL=3", "TIDE_LEVEL=2", 1))
        };
    }),
    image("IMG-003", Error, "a digit of a manifest is another", |image| {
        image.attached.retain(|at| at.platform != Some(1));
        image.on_folder = |written| {
            let path = written.path(&written.manifests[1]);
            let text = fs::read_to_string(&path)?;
            fs::write(path, text.replacen("\"schemaVersion\":2", "\"schemaVersion\":3", 1))
        };
    }),
    image("IMG-003", Error, "two layers changed places", |image| {
        // Uncompressed, both have one size, so only the digest differs.
        image.platforms[0].app().pack(Packing::Plain);
        image.platforms[1].app().pack(Packing::Plain);
        image.on_folder = |written| {
            let (one, other) = (written.layer(0, 1), written.layer(1, 1));
            let (first, second) = (fs::read(&one)?, fs::read(&other)?);
            assert_eq!(first.len(), second.len());
            fs::write(one, second)?;
            fs::write(other, first)
        };
    }),
    image("IMG-003", Error, "a manifest says another size of a layer", |image| {
        image.platforms[0].on_manifest = |manifest| manifest["layers"][1]["size"] = 17.into();
    }),
    image("IMG-003", Error, "two manifests say different sizes of one layer", |image| {
        image.platforms[1].on_manifest = |manifest| manifest["layers"][0]["size"] = 99.into();
    }),
    image("IMG-033", Error, "two manifests say different types of one layer", |image| {
        image.platforms[1].on_manifest =
            |manifest| manifest["layers"][0]["mediaType"] = ZSTD_TYPE.into();
    }),
    image("IMG-036", Error, "a diffID is of something else", |image| {
        image.platforms[0].on_config = |config| {
            config["rootfs"]["diff_ids"][1] = format!("sha256:{}", "5".repeat(64)).into();
        };
    }),
    image("IMG-036", Error, "diffIDs changed places", |image| {
        image.platforms[0].on_config = |config| {
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse();
        };
    }),
    image("IMG-036", Error, "a layer has the diffID of the one below", |image| {
        image.platforms[0].on_config = |config| {
            config["rootfs"]["diff_ids"][1] = config["rootfs"]["diff_ids"][0].clone();
        };
    }),
    image("IMG-036", Error, "a diffID is missing", |image| {
        image.platforms[0].on_config = |config| {
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
        };
    }),
    image("IMG-036", Error, "there is a diffID too many", |image| {
        image.platforms[0].on_config = |config| {
            let first = config["rootfs"]["diff_ids"][0].clone();
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(first);
        };
    }),
    image("IMG-039", Error, "more steps of history than layers", |image| {
        let history = image.platforms[0].config["history"].as_array_mut().unwrap();
        let step = history.last().unwrap().clone();
        history.push(step);
    }),
    image("IMG-049", Error, "one name stands for two images", |image| {
        image.tag_platforms();
        image.on_top = |top| {
            let name = top["manifests"][0]["annotations"].clone();
            top["manifests"][1]["annotations"] = name;
        };
    }),
    image("DEP-004", Warning, "no index lists both platforms", |image| {
        image.attached.retain(|attached| attached.platform.is_some());
        image.on_folder = |written| {
            let path = written.folder.join("index.json");
            let mut top: Value = serde_json::from_slice(&fs::read(&path)?)?;
            let listed = top["manifests"].as_array_mut().unwrap();
            listed.retain(|root| root["digest"] != written.top.digest.as_str());
            for (place, (manifest, architecture)) in
                written.manifests.iter().zip(["amd64", "arm64"]).enumerate()
            {
                let mut root = manifest.json();
                root["platform"] = json!({ "os": "linux", "architecture": architecture });
                if place == 0 {
                    root["annotations"] = json!({ "org.opencontainers.image.ref.name": "1.4.0" });
                }
                listed.push(root);
            }
            fs::write(path, top.to_string())
        };
    }),
    image("IMG-036", NotProven, "a layer is encrypted", |image| {
        let layer = image.platforms[0].app();
        layer.media_type = format!("{GZIP_TYPE}+encrypted");
        layer.on_blob = |blob| blob.iter_mut().for_each(|byte| *byte ^= 0xa5);
    }),
    image("IMG-033", Error, "a gzip stream breaks off", |image| {
        image.platforms[0].app().on_blob = |blob| blob.truncate(blob.len() - 12);
    }),
    image("IMG-033", Error, "a gzip stream has another checksum", |image| {
        image.platforms[0].app().on_blob = |blob| {
            let at = blob.len() - 6;
            blob[at] ^= BIT;
        };
    }),
    image("IMG-033", Error, "a gzip stream says another length", |image| {
        image.platforms[0].app().on_blob = |blob| {
            let at = blob.len() - 1;
            blob[at] ^= BIT;
        };
    }),
    image("IMG-033", Error, "zeros follow a gzip stream", |image| {
        image.platforms[0].app().on_blob = |blob| blob.extend([0; 512]);
    }),
    image("IMG-033", Error, "a zero follows a gzip stream", |image| {
        image.platforms[0].app().on_blob = |blob| blob.push(0);
    }),
    image("IMG-033", Error, "words follow a gzip stream", |image| {
        image.platforms[0].app().on_blob = |blob| blob.extend(b"and so on");
    }),
    image("IMG-033", Error, "the second member of a gzip stream breaks off", |image| {
        image.platforms[0].app().on_blob = |blob| {
            let second = Packing::Gzip.pack(&[0; 1024]).unwrap();
            blob.extend(&second[..second.len() - 3]);
        };
    }),
    image("IMG-033", Error, "a zstd frame breaks off", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.on_blob = |blob| blob.truncate(blob.len() - 5);
    }),
    image("IMG-033", Error, "words follow a zstd frame", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.on_blob = |blob| blob.extend(b"and so on");
    }),
    image("IMG-033", Error, "a skippable frame stands before the zstd frame", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.on_blob = |blob| {
            let frame = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, b't', b'i', b'd', b'e'];
            blob.splice(0..0, frame);
        };
    }),
    image("IMG-033", Error, "a skippable frame says more than there is", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.on_blob = |blob| blob.extend([0x51, 0x2a, 0x4d, 0x18, 255, 0, 0, 0, 1]);
    }),
    image("IMG-033", Error, "a plain tar is in gzip", |image| {
        TAR_TYPE.clone_into(&mut image.platforms[0].app().media_type);
    }),
    image("IMG-033", Warning, "a gzip layer is a plain tar", |image| {
        image.platforms[0].app().packing = Packing::Plain;
    }),
    image("IMG-033", Error, "a gzip layer is in zstd", |image| {
        image.platforms[0].app().packing = Packing::Zstd;
    }),
    image("IMG-033", Error, "a zstd layer is a plain tar", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.packing = Packing::Plain;
    }),
    image("IMG-033", Error, "a zstd layer is in gzip", |image| {
        let layer = image.platforms[0].app();
        layer.pack(Packing::Zstd);
        layer.packing = Packing::Gzip;
    }),
    image("IMG-006", Error, "the index states another architecture", |image| {
        set(&mut image.platforms[1].stated, "architecture", "riscv64".into());
    }),
    image("IMG-006", Error, "the index states another variant", |image| {
        set(&mut image.platforms[1].config, "variant", "v8".into());
        set(&mut image.platforms[1].stated, "variant", "v9".into());
    }),
    image("IMG-006", Error, "the index states no platform", |image| {
        image.on_index = |index| {
            index["manifests"][1].as_object_mut().unwrap().remove("platform");
        };
    }),
    image("IMG-007", Warning, "the index has one platform twice", |image| {
        image.on_index = |index| {
            let again = index["manifests"][1].clone();
            index["manifests"].as_array_mut().unwrap().push(again);
        };
    }),
    image("IMG-001", Error, "the index lists something that is no manifest", |image| {
        image.on_index = |index| {
            let mut child = index["manifests"][1].clone();
            child["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
            child["platform"]["architecture"] = "riscv64".into();
            child["digest"] = format!("sha256:{}", "7".repeat(64)).into();
            index["manifests"].as_array_mut().unwrap().push(child);
        };
    }),
    image("IMG-001", Error, "a manifest says another type than its index", |image| {
        image.attached.retain(|at| at.platform != Some(1));
        image.platforms[1].on_manifest = |manifest| {
            manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into();
        };
    }),
    image("IMG-001", Error, "a manifest has no configuration", |image| {
        image.attached.retain(|at| at.platform != Some(1));
        image.platforms[1].on_manifest = |manifest| {
            manifest.as_object_mut().unwrap().remove("config");
        };
    }),
    image("IMG-001", Error, "a manifest is a list of words", |image| {
        image.attached.retain(|at| at.platform != Some(1));
        image.platforms[1].on_manifest = |manifest| *manifest = json!(["tide"]);
    }),
    image(
        "IMG-003",
        NotProven,
        "a layer has a digest by an algorithm that nobody knows",
        |image| {
            image.attached.retain(|at| at.platform != Some(1));
            image.platforms[1].on_manifest = |manifest| {
                manifest["layers"][0]["digest"] = format!("blake9:{}", "1".repeat(64)).into();
            };
        },
    ),
    image("IMG-001", Error, "indexes lie in one another, six deep", |image| {
        image.on_folder = nest;
    }),
    image("IMG-002", Error, "a manifest is of Docker's first schema", |image| {
        image.on_folder = |written| {
            let manifest =
                json!({ "schemaVersion": 1, "name": "tide", "tag": "1.4.0" }).to_string();
            let entry = json!({
                "mediaType": "application/vnd.docker.distribution.manifest.v1+json",
                "digest": sha256(manifest.as_bytes()), "size": manifest.len(),
            });
            list(written, &manifest, entry)
        };
    }),
    image("REG-011", Warning, "an index lists more than `az acr import` takes", |image| {
        for number in 2..51 {
            let mut platform = image.platforms[1].clone();
            let variant = format!("v{number}");
            set(&mut platform.config, "variant", variant.clone().into());
            set(&mut platform.stated, "variant", variant.into());
            image.platforms.push(platform);
            let bill = Attached { platform: Some(number), ..image.attached[0] };
            image.attached.push(bill);
        }
    }),
    image("TEC-015", Error, "`latest` is not the highest version", |image| {
        image.on_index = |index| {
            index["manifests"].as_array_mut().unwrap().pop();
        };
        image.platform_tags = ["1.3.0", "latest"].map(|tag| (1, tag.to_owned())).to_vec();
    }),
    image("IMG-005", Error, "there is no image for linux/amd64", |image| {
        image.platforms.remove(0);
        image.attached.retain(|at| at.platform != Some(1));
    }),
    image("IMG-008", Warning, "the layers have more than 15 GiB unpacked", |image| {
        let layer = image.platforms[1].app();
        layer.pack(Packing::Zstd);
        layer.on_tar = |tar| tar.resize(412 << 20, 0);
        // The same layer so often, read once.
        image.platforms[1].on_manifest = |manifest| {
            let layers = manifest["layers"].as_array_mut().unwrap();
            let again = layers[1].clone();
            layers.extend(std::iter::repeat_n(again, 37));
        };
        image.platforms[1].on_config = |config| {
            let ids = config["rootfs"]["diff_ids"].as_array_mut().unwrap();
            let again = ids[1].clone();
            ids.extend(std::iter::repeat_n(again, 37));
        };
    }),
    image("IMG-031", Warning, "a layer is foreign", |image| {
        image.platforms[0].on_manifest = |manifest| {
            let layer = &mut manifest["layers"][1];
            layer["mediaType"] =
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
            layer["urls"] = json!(["https://quayline.dev/layer"]);
        };
    }),
];

/// Oddities accepted by every engine.
pub(super) const HEALTHY: &[(&str, Make)] = &[
    (
        "a gzip layer of two members",
        Make::Image(|image| {
            image.platforms[0].app().on_blob = |blob| blob.extend(Packing::Gzip.pack(&[]).unwrap());
        }),
    ),
    (
        "a layer that is not compressed",
        Make::Image(|image| {
            image.platforms[0].app().pack(Packing::Plain);
        }),
    ),
    (
        "a tar without its end",
        Make::Image(|image| {
            image.platforms[0].app().on_tar = |tar| tar.truncate(tar.len() - 1024);
        }),
    ),
    (
        "fewer steps of history than layers",
        Make::Image(|image| {
            image.platforms[0].on_config = |config| {
                config["history"].as_array_mut().unwrap().pop();
            };
        }),
    ),
    ("one image under two names", Make::Image(|image| image.tags.push("1.4.0-all".to_owned()))),
];

/// Puts six indexes around the top.
fn nest(written: &Written) -> std::io::Result<()> {
    let mut inner = written.top.json();
    for _ in 0..6 {
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [inner],
        })
        .to_string();
        let digest = sha256(index.as_bytes());
        fs::write(written.folder.join("blobs").join(digest.replacen(':', "/", 1)), &index)?;
        inner = json!({
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest, "size": index.len(),
        });
    }
    push(written, inner)
}

/// Writes a manifest and lists it in `index.json`.
fn list(written: &Written, manifest: &str, entry: Value) -> std::io::Result<()> {
    let digest = entry["digest"].as_str().unwrap();
    fs::write(written.folder.join("blobs").join(digest.replacen(':', "/", 1)), manifest)?;
    push(written, entry)
}

fn push(written: &Written, entry: Value) -> std::io::Result<()> {
    let path = written.folder.join("index.json");
    let mut top: Value = serde_json::from_slice(&fs::read(&path)?)?;
    top["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(path, top.to_string())
}
