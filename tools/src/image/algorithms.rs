//! Digests by algorithms unknown to this program: their content cannot be proven, and the rest can.

use serde_json::Value;

use super::config::ImageConfig;

/// How many of one manifest or configuration are named.
const NAMED_MAX: usize = 10;

/// Longest digest repeated in a message.
const SHOWN_CHARS: usize = 40;

/// Where a manifest has digests by unknown algorithms, in words; nothing when it is not JSON.
pub(crate) fn unknown_in_manifest(bytes: &[u8]) -> Vec<String> {
    let Ok(manifest) = serde_json::from_slice::<Value>(bytes) else { return Vec::new() };
    let mut found = Vec::new();
    let mut look = |place: String, digest: Option<&Value>| {
        if let Some(digest) = digest.and_then(Value::as_str)
            && is_unknown(digest)
            && found.len() < NAMED_MAX
        {
            found.push(words(&place, digest));
        }
    };
    for key in ["config", "subject"] {
        look(key.to_owned(), manifest.get(key).and_then(|at| at.get("digest")));
    }
    for key in ["layers", "manifests", "blobs"] {
        let list = manifest.get(key).and_then(Value::as_array);
        for (place, at) in list.into_iter().flatten().enumerate() {
            look(format!("{key}[{place}]"), at.get("digest"));
        }
    }
    found
}

/// A configuration, and where it has diffIDs by unknown algorithms: they are left out then.
pub(crate) fn read_config(bytes: &[u8]) -> Result<(ImageConfig, Vec<String>), serde_json::Error> {
    let error = match serde_json::from_slice(bytes) {
        Ok(config) => return Ok((config, Vec::new())),
        Err(error) => error,
    };
    let Ok(mut config) = serde_json::from_slice::<Value>(bytes) else { return Err(error) };
    let Some(diff_ids) = config.pointer_mut("/rootfs/diff_ids") else { return Err(error) };
    let list = diff_ids.as_array().into_iter().flatten().enumerate();
    let unknown =
        list.filter_map(|(place, at)| Some((place, at.as_str().filter(|at| is_unknown(at))?)));
    let unknown = unknown.take(NAMED_MAX);
    let found: Vec<String> = unknown
        .map(|(place, digest)| words(&format!("rootfs.diff_ids[{place}]"), digest))
        .collect();
    if found.is_empty() {
        return Err(error);
    }
    *diff_ids = Value::Null;
    serde_json::from_value(config).map(|config| (config, found))
}

fn words(place: &str, digest: &str) -> String {
    let shown: String = digest.chars().take(SHOWN_CHARS).collect();
    format!("`{place}` has the digest `{shown}`, by an algorithm that is not known here")
}

/// Whether a text has the form of a digest (image-spec, "Digests") by another algorithm than ours.
fn is_unknown(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let is_encoded = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'=' | b'_' | b'-');
    algorithm.split(['+', '.', '_', '-']).all(is_part)
        && !encoded.is_empty()
        && encoded.bytes().all(is_encoded)
        && !matches!(algorithm, "sha256" | "sha512")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn digests_by_other_algorithms_are_named_with_their_place() {
        let manifest = br#"{"config":{"digest":"sha256:00"},"layers":[{"digest":"sha512:1"},
            {"digest":"sha384:ab"},{"digest":"blake3:AB_="},{"digest":"no digest"},{"digest":7}]}"#;
        let found = unknown_in_manifest(manifest);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("`layers[1]` has the digest `sha384:ab`"));
        assert!(unknown_in_manifest(b"{").is_empty());
    }

    #[test]
    fn a_configuration_with_such_diff_ids_is_read_without_them() {
        let text = r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["blake3:aa"]}}"#;
        let (config, unknown) = read_config(text.as_bytes()).unwrap();
        assert_eq!(
            (config.os.as_str(), config.rootfs.diff_ids.len(), unknown.len()),
            ("linux", 0, 1)
        );
        assert!(read_config(text.replace("blake3", "sha256").as_bytes()).is_err());
        assert!(read_config(text.replace("\"linux\"", "7").as_bytes()).is_err());
    }
}
