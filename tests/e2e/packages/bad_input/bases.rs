//! Images to start from.

use std::fs;
use std::path::Path;

use wharf_testkit::images::{Layout, Recipe};

use super::{Case, End};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a base that has another digest",
        make: |folder| drop(below(folder)),
        image: concat!(
            "      base: { image: \"oci:below:1\", digest: \"sha256:",
            "0000000000000000000000000000000000000000000000000000000000000007\" }\n",
            "      platforms: [{ platform: linux/amd64, layers: [{ dir: good }] }]\n"
        ),
        end: End::NotRead(&["tide-service", "linux/amd64", "oci:below:1", "0000007", "sha256:"]),
    },
    Case {
        name: "a base without the platform",
        make: |folder| drop(below(folder)),
        image: "      base: \"oci:below:1\"\n      platforms:\n        \
                    - { platform: linux/amd64, layers: [{ dir: good }] }\n        \
                    - { platform: linux/s390x, layers: [{ dir: good }] }\n",
        end: End::NotRead(&["tide-service", "linux/s390x", "oci:below:1", "linux/arm64"]),
    },
    Case {
        name: "a base that is not there",
        make: |_| (),
        image: "      base: nowhere.tar\n      \
                    platforms: [{ platform: linux/amd64, layers: [{ dir: good }] }]\n",
        end: End::NotRead(&["tide-service", "linux/amd64", "nowhere.tar"]),
    },
    Case {
        name: "a base with a layer of other bytes",
        make: |folder| {
            let layout = below(folder);
            let layer = layout.path(&layout.images[0].layers[1].blob);
            let mut bytes = fs::read(&layer).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(layer, bytes).unwrap();
        },
        image: "      base: \"oci:below:1\"\n      \
                    platforms: [{ platform: linux/amd64, layers: [{ dir: good }] }]\n",
        end: End::NotRead(&["tide-service", "linux/amd64", "oci:below:1", "sha256:", "layer 2"]),
    },
    Case {
        name: "an adopted image with a layer of other bytes",
        make: |folder| {
            let layout = below(folder);
            let layer = layout.path(&layout.images[0].layers[0].blob);
            let length = fs::metadata(&layer).unwrap().len();
            fs::write(layer, vec![7; usize::try_from(length).unwrap()]).unwrap();
        },
        image: "      adopt: \"oci:below:1\"\n      platforms: [{ platform: linux/amd64 }]\n",
        end: End::NotRead(&["tide-service", "linux/amd64", "oci:below:1", "layer 1"]),
    },
    Case {
        name: "a base that is no image",
        make: |folder| fs::write(folder.join("notes.txt"), "buy milk\n").unwrap(),
        image: "      base: notes.txt\n      \
                    platforms: [{ platform: linux/amd64, layers: [{ dir: good }] }]\n",
        end: End::NotRead(&["tide-service", "notes.txt"]),
    },
    Case {
        name: "an adopted image with layers on top",
        make: |folder| drop(below(folder)),
        image: "      adopt: \"oci:below:1\"\n      \
                    platforms: [{ platform: linux/amd64, layers: [{ dir: good }] }]\n",
        end: End::NotRead(&["base", "adopt", "whole"]),
    },
];

/// A layout `below` with an image of two platforms.
fn below(folder: &Path) -> Layout {
    let recipe = Recipe::new(11, &[1000, 90_000]).architectures(&["amd64", "arm64"]);
    recipe.write(&folder.join("below"), "1").unwrap()
}
