//! Bodies: right, almost right and wrong manifests, and random bytes.

use serde_json::{Value, json};
use wharf_testkit::dice::Dice;
use wharf_testkit::images::sha256;

use super::stage::Known;
use crate::fixture::noise;

pub(super) const TYPES: [&str; 8] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/json",
    "text/plain; charset=utf-8",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ";;=,",
];
const LARGE_BYTES: usize = 4 * 1024 * 1024;
const DEEP: usize = 5_000;

/// A manifest of existing blobs; returns its type.
pub(super) fn manifest(known: &Known, dice: &mut Dice) -> (&'static str, String) {
    let subject = known.manifests.any(dice).filter(|_| dice.percent(30));
    let subject = subject.map(|(digest, size)| described(TYPES[0], &digest, size));
    let serial = dice.below(u64::MAX).to_string();
    let mut manifest = if dice.percent(25) {
        let child = known.manifests.any(dice).filter(|_| dice.percent(60));
        let children: Vec<_> =
            child.iter().map(|(digest, size)| described(TYPES[0], digest, *size)).collect();
        json!({ "schemaVersion": 2, "mediaType": TYPES[1], "manifests": children })
    } else {
        let blob = |dice: &mut Dice| {
            let (digest, size) = known.blobs.any(dice).unwrap_or((sha256(b"{}"), 2));
            described("application/x", &digest, size)
        };
        let (config, layer) = (blob(dice), blob(dice));
        json!({ "schemaVersion": 2, "mediaType": TYPES[0], "config": config, "layers": [layer] })
    };
    manifest["annotations"] = json!({ "n": serial });
    if let Some(subject) = subject {
        manifest["subject"] = subject;
    }
    let media_type = if manifest["manifests"].is_array() { TYPES[1] } else { TYPES[0] };
    (media_type, manifest.to_string())
}

fn described(media_type: &str, digest: &str, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// Random content in the place of a manifest.
pub(super) fn anything(known: &Known, dice: &mut Dice) -> Vec<u8> {
    let (_, right) = manifest(known, dice);
    match dice.below(14) {
        0 => Vec::new(),
        1 => right.as_bytes()[..right.len() / 2].to_vec(),
        2 => noise(dice.below(1_000), 300),
        3 => format!("{{\"a\":{}1{}}}", "[".repeat(DEEP), "]".repeat(DEEP)).into_bytes(),
        4 if dice.percent(20) => {
            let spaces = LARGE_BYTES + 1 - right.len().min(LARGE_BYTES);
            (right + &" ".repeat(spaces)).into_bytes()
        }
        5 => right.replace("\"size\":", "\"size\":-").into_bytes(),
        6 => right.replace("sha256:", "sha257:").into_bytes(),
        7 => right
            .replace("\"schemaVersion\":2", "\"schemaVersion\":99999999999999999999")
            .into_bytes(),
        8 => right.replace("\"digest\"", "\"digest\":\"x\",\"digest\"").into_bytes(),
        9 => b"null".to_vec(),
        10 => br#"{"schemaVersion":2,"manifests":null,"layers":[null],"config":7}"#.to_vec(),
        _ => right.into_bytes(),
    }
}

/// Content of a blob.
pub(super) fn blob(dice: &mut Dice) -> Vec<u8> {
    let most = if dice.percent(5) { 3_000_000 } else { 60_000 };
    let size = dice.size(1, most);
    let size = if dice.percent(4) { 0 } else { size };
    noise(dice.below(1 << 40), usize::try_from(size).unwrap())
}
