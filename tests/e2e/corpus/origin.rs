//! An image's statements about its origin, its demands on engines, and the manifests beside it.

use serde_json::{Value, json};
use wharf_testkit::handmade::{Handmade, Layer, set};

use super::config::run;
use super::{Case, Error, Warning, image};

pub(super) const CASES: &[Case] = &[
    image(
        "IMG-009",
        Error,
        "an image for Windows is built on a release that is not taken",
        |image| {
            windows(image, "10.0.20348.2000");
        },
    ),
    image("IMG-028", Warning, "there is no history", |image| {
        set(&mut image.platforms[0].config, "history", json!([]));
    }),
    image("IMG-029", Warning, "no label says who made it", |image| {
        let labels = image.platforms[0].run().get_mut("Labels").and_then(Value::as_object_mut);
        labels.unwrap().remove("org.opencontainers.image.vendor");
    }),
    image("IMG-029", Warning, "a label says another version than the tag", |image| {
        let labels = image.platforms[0].run().get_mut("Labels").unwrap();
        set(labels, "org.opencontainers.image.version", "7.2".into());
    }),
    image("IMG-034", Warning, "it was created in the future", |image| {
        set(&mut image.platforms[0].config, "created", "2999-01-01T00:00:00Z".into());
    }),
    image("IMG-034", Warning, "its time of creation is none", |image| {
        set(&mut image.platforms[0].config, "created", "last week".into());
    }),
    image("IMG-035", Warning, "it has fifty layers", |image| layers(image, 50)),
    image("IMG-035", Error, "it has 130 layers", |image| layers(image, 130)),
    image("IMG-037", Warning, "it relies on HEALTHCHECK", |image| {
        run(image, "Healthcheck", json!({ "Test": ["CMD", "/srv/tide/tided", "--probe"] }));
    }),
    image("IMG-038", Error, "its stop signal is none", |image| {
        run(image, "StopSignal", "SIGTIDE".into());
    }),
    image("IMG-038", Warning, "it has a volume", |image| {
        run(image, "Volumes", json!({ "/srv/tide/log": {} }));
    }),
    image("SUP-001", Warning, "a platform has no list of its parts", |image| {
        image.attached.retain(|at| at.platform != Some(1) || !at.artifact_type.contains("spdx"));
    }),
    image("SUP-002", Warning, "nothing is signed", |image| {
        image.attached.retain(|at| !at.artifact_type.contains("signature"));
    }),
];

/// So many layers for linux/amd64, each of nothing, one of them read.
fn layers(image: &mut Handmade, count: usize) {
    let platform = &mut image.platforms[0];
    let empty = Layer::new(Vec::new());
    platform.layers.resize(count, empty);
}

/// Makes linux/arm64 an image for Windows.
fn windows(image: &mut Handmade, version: &str) {
    let platform = &mut image.platforms[1];
    for (name, value) in [("os", "windows"), ("architecture", "amd64"), ("os.version", version)] {
        set(&mut platform.config, name, value.into());
        set(&mut platform.stated, name, value.into());
    }
}
