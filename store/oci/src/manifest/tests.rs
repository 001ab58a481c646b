//! The three ways to read a manifest.

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    json!({
        "mediaType": media_type,
        "digest": Digester::digest(Algorithm::Sha256, content).to_string(),
        "size": content.len(),
    })
}

fn digest_of(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

fn image() -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "config": descriptor(MediaType::OCI_CONFIG.as_str(), b"{}"),
        "layers": [descriptor(MediaType::OCI_LAYER_GZIP.as_str(), b"layer")],
    })
}

fn parse(value: &serde_json::Value, declared: Option<&MediaType>) -> Result<Manifest, ParseError> {
    Manifest::parse(Bytes::from(serde_json::to_vec_pretty(value).unwrap()), declared)
}

#[test]
fn an_image_keeps_its_exact_bytes_and_names_its_blobs() {
    let value = image();
    let manifest = parse(&value, Some(&MediaType::OCI_MANIFEST)).unwrap();
    let bytes = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(manifest.bytes(), &bytes);
    assert_eq!(manifest.digest(), Digester::digest(Algorithm::Sha256, &bytes));
    assert_eq!(manifest.blobs().count(), 2);
    assert_eq!(manifest.artifact_type(), Some(MediaType::OCI_CONFIG.as_str()));
    assert!(manifest.children().is_empty());
}

#[test]
fn an_index_names_its_children_with_platforms() {
    let mut child = descriptor(MediaType::OCI_MANIFEST.as_str(), b"child");
    child["platform"] = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0"});
    let value = json!({"schemaVersion": 2, "manifests": [child]});
    let manifest = parse(&value, None).unwrap();
    assert_eq!(manifest.media_type(), &MediaType::OCI_INDEX);
    let platform = manifest.children().first().unwrap().platform.clone().unwrap();
    assert_eq!(platform.to_string(), "windows/amd64");
    assert_eq!(platform.os_version.as_deref(), Some("10.0"));
}

#[test]
fn docker_types_and_the_old_artifact_manifest_are_read() {
    let mut docker = image();
    docker["mediaType"] = json!(MediaType::DOCKER_MANIFEST.as_str());
    assert!(parse(&docker, Some(&MediaType::DOCKER_MANIFEST)).is_ok());
    let artifact = json!({
        "mediaType": MediaType::OCI_ARTIFACT.as_str(),
        "artifactType": "application/sbom",
        "blobs": [descriptor("text/plain", b"x")],
        "subject": descriptor(MediaType::OCI_MANIFEST.as_str(), b"subject"),
    });
    let artifact = parse(&artifact, None).unwrap();
    assert_eq!(artifact.artifact_type(), Some("application/sbom"));
    assert_eq!(artifact.blobs().count(), 1);
    assert!(artifact.subject().is_some());
}

#[test]
fn ambiguous_and_foreign_manifests_are_refused() {
    let mut both = image();
    both["manifests"] = json!([]);
    assert!(parse(&both, None).is_err());
    assert!(parse(&image(), Some(&MediaType::OCI_INDEX)).is_err());
    assert!(parse(&json!({"schemaVersion": 1, "name": "a"}), None).is_err());
    assert!(parse(&image(), Some(&MediaType::DOCKER_SCHEMA_1)).is_err());
    let mut bad_digest = image();
    bad_digest["config"]["digest"] = json!("sha256:00");
    assert!(parse(&bad_digest, None).is_err());
    let mut negative = image();
    negative["config"]["size"] = json!(-1);
    assert!(parse(&negative, None).is_err());
}

/// An image with other values of some fields; none for a field that is missing.
fn image_with(changes: &[(&str, Option<serde_json::Value>)]) -> serde_json::Value {
    let mut image = image();
    let fields = image.as_object_mut().unwrap();
    for (name, value) in changes {
        match value {
            Some(value) => drop(fields.insert((*name).to_owned(), value.clone())),
            None => drop(fields.remove(*name)),
        }
    }
    image
}

fn layer_with(name: &str, value: serde_json::Value) -> serde_json::Value {
    let mut layer = descriptor(MediaType::OCI_LAYER_GZIP.as_str(), b"layer");
    layer[name] = value;
    image_with(&[("layers", Some(json!([layer])))])
}

#[test]
fn what_registries_take_is_accepted_and_only_what_is_right_is_parsed() {
    let null = || Some(json!(null));
    let layer = digest_of(b"layer");
    let odd = [
        (image_with(&[("layers", null())]), 1),
        (image_with(&[("layers", None)]), 1),
        (image_with(&[("annotations", Some(json!({"a": 1})))]), 2),
        (image_with(&[("artifactType", Some(json!(7)))]), 2),
        (layer_with("urls", json!(null)), 2),
        (layer_with("urls", json!(7)), 2),
        (layer_with("annotations", json!(null)), 2),
        (layer_with("platform", json!("linux")), 2),
        (layer_with("platform", json!({"os": null})), 2),
        (layer_with("mediaType", json!(null)), 2),
        (layer_with("mediaType", json!("no type")), 2),
        (layer_with("size", json!(null)), 2),
        (layer_with("size", json!(-1)), 2),
        (layer_with("size", json!("5")), 2),
        (layer_with("size", json!(5.0)), 2),
    ];
    for (value, blobs) in odd {
        let bytes = Bytes::from(value.to_string());
        let manifest = Manifest::accept(bytes.clone(), Some(&MediaType::OCI_MANIFEST)).unwrap();
        assert_eq!((manifest.bytes(), manifest.blobs().count()), (&bytes, blobs), "{value}");
        assert!(manifest.blobs().skip(1).all(|blob| blob.digest == layer), "{value}");
        assert!(Manifest::parse(bytes, None).is_err(), "{value}");
    }
    // A `null` counts as an absent field, and no field here is required.
    for name in ["annotations", "subject", "artifactType", "manifests", "mediaType"] {
        assert!(parse(&image_with(&[(name, null())]), None).is_ok(), "{name}");
    }
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str()});
    let index = Manifest::accept(Bytes::from(index.to_string()), None).unwrap();
    assert!(index.children().is_empty());
}

#[test]
fn names_in_another_case_and_the_last_of_two_are_read_as_registries_read_them() {
    let other = image().to_string().replace("\"layers\"", "\"Layers\"");
    let manifest = Manifest::accept(Bytes::from(other), None).unwrap();
    assert_eq!(manifest.blobs().count(), 2);
    let twice = image().to_string().replacen('{', "{\"layers\": [], ", 1);
    let manifest = Manifest::accept(Bytes::from(twice.clone()), None).unwrap();
    assert_eq!(manifest.blobs().count(), 2);
    assert!(Manifest::parse(Bytes::from(twice), None).is_err());
    let hidden = image().to_string().replacen('{', "{\"MANIFESTS\": [], ", 1);
    assert!(Manifest::accept(Bytes::from(hidden), None).is_err(), "two kinds at once");
}

#[test]
fn what_makes_a_digest_or_a_type_wrong_is_not_accepted_and_read_all_the_same() {
    let index = MediaType::OCI_INDEX.as_str();
    let wrong = [
        image_with(&[("config", None)]),
        image_with(&[("config", Some(json!(null)))]),
        image_with(&[("layers", Some(json!("x")))]),
        image_with(&[("layers", Some(json!([null])))]),
        layer_with("digest", json!("sha256:12")),
        layer_with("digest", json!(null)),
        image_with(&[("subject", Some(json!("x")))]),
        image_with(&[("manifests", Some(json!([])))]),
        image_with(&[("schemaVersion", Some(json!("2")))]),
        image_with(&[("schemaVersion", None)]),
        image_with(&[("mediaType", Some(json!(3)))]),
        image_with(&[("mediaType", Some(json!(index)))]),
        json!({"schemaVersion": 2, "mediaType": index, "manifests": [], "config": descriptor("a/b", b"")}),
        json!([]),
    ];
    let texts = wrong.iter().map(ToString::to_string);
    let more = ["", "hello", "{\"schemaVersion\": 2", "{} {}"].map(str::to_owned);
    for text in texts.chain(more).chain([format!("\u{feff}{}", image())]) {
        let bytes = Bytes::from(text);
        let declared = Some(&MediaType::OCI_MANIFEST);
        assert!(Manifest::accept(bytes.clone(), declared).is_err(), "{bytes:?}");
        let read = Manifest::read(bytes.clone(), declared).unwrap();
        assert_eq!((read.bytes(), read.media_type()), (&bytes, &MediaType::OCI_MANIFEST));
        assert_eq!(read.digest(), digest_of(&bytes));
    }
    let bare = Bytes::from(image_with(&[("mediaType", None)]).to_string());
    let plain = "text/plain".parse().unwrap();
    assert!(Manifest::accept(bare.clone(), Some(&plain)).is_err());
    assert!(Manifest::accept(bare, Some(&"application/json".parse().unwrap())).is_ok());
    let bytes = Bytes::from_static(b"\xff\xfe");
    assert!(Manifest::accept(bytes.clone(), None).is_err());
    assert_eq!(Manifest::read(bytes, None).unwrap().kind(), &ManifestKind::Opaque);
}

#[test]
fn what_is_read_is_served_as_what_it_was_sent_as_unless_that_says_nothing() {
    let of = |value: &serde_json::Value, declared: Option<&str>| {
        let declared = declared.map(|text| text.parse().unwrap());
        let read = Manifest::read(Bytes::from(value.to_string()), declared.as_ref()).unwrap();
        read.media_type().to_string()
    };
    let (oci, docker) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
    let (oci, docker) = (oci.as_str(), docker.as_str());
    let custom = "application/vnd.example.thing.v1+json";
    let bare = image_with(&[("mediaType", None)]);
    for (value, declared, served) in [
        (image(), None, oci),
        (image(), Some("text/plain"), oci),
        (image(), Some("application/json"), oci),
        (image(), Some("application/octet-stream"), oci),
        (image(), Some("application/x-unheard-of"), oci),
        (image(), Some(docker), docker),
        (bare.clone(), None, oci),
        (bare.clone(), Some("text/html"), oci),
        (bare, Some(docker), docker),
        (json!({"schemaVersion": 2, "manifests": []}), None, MediaType::OCI_INDEX.as_str()),
        (json!({"schemaVersion": 1}), None, MediaType::DOCKER_SCHEMA_1.as_str()),
        (json!({"mediaType": custom}), None, custom),
        (json!({"mediaType": custom}), Some("application/json"), custom),
        (json!({}), Some(custom), custom),
        (json!({}), Some("application/json"), "application/json"),
        (json!({}), None, "application/octet-stream"),
    ] {
        assert_eq!(of(&value, declared), served, "{declared:?} {value}");
    }
}

#[test]
fn only_what_nobody_gives_a_type_needs_another_witness() {
    let says = |text: &str, declared: Option<&str>| {
        let declared = declared.map(|text| text.parse().unwrap());
        let read = Manifest::read(Bytes::from(text.to_owned()), declared.as_ref()).unwrap();
        read.says_what_it_is()
    };
    assert!(says(&image().to_string(), None));
    assert!(says("{}", Some("application/vnd.example.thing.v1+json")));
    assert!(!says("{\"error\": \"log in first\"}", Some("application/json")));
    assert!(!says("<html>log in first</html>", Some("text/html")));
    assert!(!says("{\"schemaVersion\": 2, \"con", Some(MediaType::OCI_MANIFEST.as_str())));
}

#[test]
fn what_is_not_interpreted_still_names_what_it_mentions() {
    let digests = [digest_of(b"a"), Digester::digest(Algorithm::Sha512, b"b")];
    let text =
        format!("{{\"things\": [\"{}\", \"{}\", \"sha256:12\", \"sha\"]}}", digests[0], digests[1]);
    let custom = "application/vnd.example.thing.v1+json".parse().unwrap();
    let read = Manifest::read(Bytes::from(text), Some(&custom)).unwrap();
    assert_eq!((read.kind(), read.named()), (&ManifestKind::Opaque, digests.to_vec()));
    assert_eq!(read.blobs().count() + read.children().len(), 0);
    let manifest = parse(&image(), None).unwrap();
    assert_eq!(manifest.named(), [digest_of(b"{}"), digest_of(b"layer")]);
}

/// A signed document as `libtrust` writes it; its payload is `{` `begin` `}`.
fn signed(begin: &str, length: usize, tail: &str) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let protected = json!({"formatLength": length, "formatTail": encode(tail)}).to_string();
    let signature =
        json!({"header": {"alg": "ES256"}, "signature": "x", "protected": encode(&protected)});
    format!("{begin},\n   \"signatures\": [{signature}]\n}}")
}

#[test]
fn the_digest_of_the_first_schema_is_of_what_was_signed() {
    let begin = "{\n   \"schemaVersion\": 1,\n   \"name\": \"a/b\"";
    let text = signed(begin, begin.len(), "\n}");
    let payload = digest_of(format!("{begin}\n}}").as_bytes());
    let read = Manifest::read(Bytes::from(text.clone()), None).unwrap();
    assert_eq!(read.media_type(), &MediaType::DOCKER_SCHEMA_1_SIGNED);
    assert_eq!((read.bytes(), read.digest()), (&Bytes::from(text.clone()), payload));
    assert!(read.prove(&payload).is_ok());
    assert!(read.prove(&digest_of(text.as_bytes())).is_ok(), "its bytes are themselves");
    assert!(read.prove(&digest_of(b"other")).is_err());
    assert!(Manifest::accept(Bytes::from(text), None).is_err());
}

#[test]
fn what_was_not_signed_is_not_hidden_beside_signatures() {
    let begin = "{\"schemaVersion\": 1";
    let good = signed(begin, begin.len(), "}");
    let payload = digest_of(format!("{begin}}}").as_bytes());
    let more = good.replacen("\n}", ", \"fsLayers\": []\n}", 1);
    let between = good.replacen(",\n", ", \"name\": \"x\",\n", 1);
    let second = json!({"protected": "e30"});
    let another = good.replacen("[{", &format!("[{second}, {{"), 1);
    let far = signed(begin, usize::MAX, "}");
    for text in [more, between, another, far] {
        let read = Manifest::read(Bytes::from(text.clone()), None).unwrap();
        assert_eq!(read.digest(), digest_of(text.as_bytes()), "{text}");
        assert!(read.prove(&payload).is_err(), "{text}");
    }
    let read = Manifest::read(Bytes::from(good), None).unwrap();
    assert!(read.prove(&payload).is_ok());
}

#[test]
fn an_outline_points_at_the_same_things_and_says_whether_they_can_be_elsewhere() {
    let mut value = image_with(&[("annotations", Some(json!({"a": "b"})))]);
    value["layers"] = json!([
        {"mediaType": "application/x", "digest": digest_of(b"1"), "size": 3, "annotations": {"c": "d"},
         "urls": ["https://a.example", "https://b.example"], "data": "eA==", "extra": 1},
        {"digest": digest_of(b"2"), "urls": [1], "size": "many"},
        {"digest": digest_of(b"3"), "urls": [], "Size": 5},
    ]);
    let bytes = Bytes::from(value.to_string());
    let (outline, whole) = (
        Manifest::read_outline(bytes.clone(), None).unwrap(),
        Manifest::read(bytes, None).unwrap(),
    );
    let essence = |manifest: &Manifest| -> Vec<_> {
        let of =
            |one: &Descriptor| (one.media_type.clone(), one.digest, one.size, one.urls.is_empty());
        manifest.blobs().map(of).collect()
    };
    assert_eq!(essence(&outline), essence(&whole));
    assert_eq!(outline.blobs().map(|blob| blob.urls.len()).sum::<usize>(), 1);
    assert!(outline.blobs().all(|blob| blob.annotations.is_empty() && blob.data.is_none()));
    assert_eq!((outline.digest(), outline.media_type()), (whole.digest(), whole.media_type()));
    assert!(outline.annotations().is_empty());
    let listed =
        |manifest: &Manifest| crate::Referrer::of(manifest, &manifest.digest()).json().to_owned();
    assert_eq!(listed(&outline), listed(&whole));
    for odd in [json!({"a": 1}), json!(["a"]), json!("a")] {
        let odd = image_with(&[("annotations", Some(odd))]);
        let odd = Manifest::read_outline(odd.to_string().into(), None).unwrap();
        assert!(odd.listed_annotations().is_empty());
    }
}

/// Heap memory of an outline and of the records derived from it, without the bytes.
fn on_the_heap(manifest: &Manifest) -> usize {
    let piece = |bytes: usize| if bytes == 0 { 0 } else { bytes.max(24) + 8 };
    let descriptor = |one: &Descriptor| {
        assert!(one.annotations.is_empty() && one.data.is_none() && one.platform.is_none());
        let urls: usize =
            one.urls.iter().map(|url| size_of::<String>() + 8 + piece(url.len())).sum();
        piece(one.media_type.as_str().len()) + urls
    };
    let list = match manifest.kind() {
        ManifestKind::Image { layers, .. } => layers,
        ManifestKind::Index { manifests } => manifests,
        ManifestKind::Opaque => return 2 * piece(manifest.named().len() * size_of::<Digest>()),
    };
    let texts: usize = manifest.blobs().chain(manifest.children()).map(descriptor).sum();
    // A list of named digests, and a half-empty set of them.
    let named = manifest.named().len() * size_of::<Digest>() * 3;
    list.capacity() * size_of::<Descriptor>() + texts + named
}

#[test]
fn an_outline_takes_no_more_memory_than_it_says_whatever_somebody_wrote() {
    let digest = format!("\"digest\":\"{}\"", digest_of(b"a"));
    let many = |one: &str| {
        let all = vec![one; 400_000 / one.len()].join(",");
        format!("{{\"schemaVersion\":2,\"config\":{{{digest}}},\"layers\":[{all}]}}")
    };
    let escaped = digest.replace("sha", "\\u0073ha");
    let texts = (0..40_000).map(|n| format!("\"{n:x}\":\"a\"")).collect::<Vec<_>>().join(",");
    let named = digest_of(b"a").to_string();
    for text in [
        many(&format!("{{{digest}}}")),
        many(&format!("{{{escaped}}}")),
        many(&format!("{{{digest},\"mediaType\":\"a/b\"}}")),
        many(&format!("{{{digest},\"urls\":[\"a\",\"b\",\"c\"]}}")),
        many("{}"),
        many("[]"),
        many(&format!("{{{digest},\"annotations\":{{{texts}}}}}")),
        format!("{{\"schemaVersion\":2,\"config\":{{{digest}}},\"annotations\":{{{texts}}}}}"),
        vec![named.as_str(); 5_000].join(""),
        image().to_string(),
    ] {
        let manifest = Manifest::read_outline(Bytes::from(text.clone()), None).unwrap();
        let (says, has) = (Manifest::outline_bytes(text.as_bytes()), on_the_heap(&manifest));
        assert!(has as u64 <= says, "{has} of {says}: {}", text.get(..200).unwrap_or(&text));
        assert!(says <= 10 * text.len() as u64 + 1_000, "{says} for {}", text.len());
    }
}

#[test]
fn a_manifest_over_four_mebibytes_is_refused_by_size() {
    let bytes = Bytes::from(vec![b' '; usize::try_from(MANIFEST_SIZE_BYTES_MAX).unwrap() + 1]);
    let error = Manifest::parse(bytes, None).unwrap_err();
    assert!(matches!(error, ParseError::ManifestTooLarge { .. }));
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = Bytes::from(bytes);
        let read = Manifest::read(bytes.clone(), None).unwrap();
        prop_assert_eq!(read.bytes(), &bytes);
        let parsed = Manifest::parse(bytes.clone(), None);
        prop_assert!(parsed.is_err() || parsed.ok().as_ref() == Some(&read));
        let outline = Manifest::read_outline(bytes.clone(), None).unwrap();
        prop_assert_eq!(outline.named(), read.named());
        let taken = Manifest::accept(bytes, None);
        prop_assert!(taken.is_err() || taken.ok() == Some(outline));
    }
}
