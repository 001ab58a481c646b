//! From the bytes of a manifest to its fields and their faults.
//!
//! Invariant: reading never fails. A manifest without readable fields is opaque.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::kind::{Detail, ManifestKind};
use super::outline::DESCRIPTOR_BYTES;
use super::signed;
use crate::members::{Faults, each, members, number, text};
use crate::{Descriptor, MediaType};

/// The fields of a manifest.
pub(super) struct Draft {
    pub(super) is_object: bool,
    pub(super) media_type: MediaType,
    pub(super) kind: ManifestKind,
    pub(super) subject: Option<Descriptor>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The annotations of an outline, as JSON text.
    pub(super) unread: Option<Bytes>,
    pub(super) payload: Option<signed::Payload>,
    pub(super) faults: Faults,
}

/// Every field of every kind of manifest. Unknown fields are allowed (image-spec, "Extensibility").
#[derive(Default)]
struct Fields {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
    unread: Option<Bytes>,
    is_signed: bool,
}

/// Reads a manifest; `declared` is its `Content-Type`.
pub(super) fn draft(bytes: &Bytes, declared: Option<&MediaType>, detail: Detail) -> Draft {
    let (mut faults, mut inner) = (Faults::default(), Faults::default());
    let fields = std::str::from_utf8(bytes).map_err(|error| error.to_string()).and_then(|json| {
        Fields::read(bytes, json, detail, &mut inner).map_err(|error| error.to_string())
    });
    let is_object = fields.is_ok();
    let mut fields = fields.unwrap_or_else(|error| {
        faults.wrong(|| error);
        Fields::default()
    });
    let media_type = decide_media_type(&fields, declared, &mut faults);
    let kind = if is_object {
        decide_kind(&media_type, &mut fields, &mut faults)
    } else {
        ManifestKind::Opaque
    };
    let is_signed = fields.is_signed && fields.schema_version == Some(1);
    Draft {
        is_object,
        media_type,
        kind,
        subject: fields.subject,
        artifact_type: fields.artifact_type,
        annotations: fields.annotations,
        unread: fields.unread,
        payload: is_signed.then(|| signed::Payload::of(bytes)).flatten(),
        faults: faults.then(inner),
    }
}

impl Fields {
    fn read(
        bytes: &Bytes,
        json: &str,
        detail: Detail,
        faults: &mut Faults,
    ) -> Result<Self, serde_json::Error> {
        let names = [
            "schemaVersion",
            "mediaType",
            "artifactType",
            "config",
            "layers",
            "blobs",
            "manifests",
            "subject",
            "annotations",
            "signatures",
        ];
        let found = members(json, names)?;
        if !found.is_exact {
            faults.odd(|| "a field is there twice, or in another case".to_owned());
        }
        let [
            schema_version,
            media_type,
            artifact_type,
            config,
            layers,
            blobs,
            manifests,
            subject,
            annotations,
            signatures,
        ] = found.values;
        let read_type = text(media_type).and_then(|text| text.parse().ok());
        if read_type.is_none() && media_type.is_some() {
            faults.wrong(|| "`mediaType` is not a media type".to_owned());
        }
        let read_artifact_type = text(artifact_type);
        if read_artifact_type.is_none() && artifact_type.is_some() {
            faults.odd(|| "`artifactType` is not text".to_owned());
        }
        let mut one = |raw: Option<&RawValue>, name| descriptor(raw?, name, detail, faults);
        let (config, subject) = (one(config, "config"), one(subject, "subject"));
        let mut list = |raw: Option<&RawValue>, name| descriptors(raw?, name, detail, faults);
        let (layers, blobs) = (list(layers, "layers"), list(blobs, "blobs"));
        let manifests = list(manifests, "manifests");
        let (read, unread) = match detail {
            Detail::All => (annotations, None),
            Detail::Outline => (None, annotations),
        };
        Ok(Self {
            schema_version: number(schema_version),
            media_type: read_type,
            artifact_type: read_artifact_type,
            config,
            layers,
            blobs,
            manifests,
            subject,
            annotations: read.map(|raw| texts(raw, faults)).unwrap_or_default(),
            unread: unread.map(|raw| bytes.slice_ref(raw.get().as_bytes())),
            is_signed: signatures.is_some(),
        })
    }
}

fn descriptor(
    raw: &RawValue,
    place: &str,
    detail: Detail,
    faults: &mut Faults,
) -> Option<Descriptor> {
    match detail {
        Detail::All => Descriptor::read(raw, place, faults),
        Detail::Outline => Descriptor::read_outline(raw, place, faults),
    }
}

/// The descriptors of an array; elements without a digest are left out.
fn descriptors(
    raw: &RawValue,
    name: &str,
    detail: Detail,
    faults: &mut Faults,
) -> Option<Vec<Descriptor>> {
    let mut count = 0;
    each(raw, |_, raw| count += usize::from(raw.get().starts_with('{')));
    // Room for exactly these elements, less those too short for a digest: a growing list takes
    // twice its size.
    let mut found = Vec::with_capacity(count.min(raw.get().len() / DESCRIPTOR_BYTES));
    let is_array = each(raw, |place, raw| {
        found.extend(descriptor(raw, &format!("{name}[{place}]"), detail, faults));
    });
    if !is_array {
        faults.wrong(|| format!("`{name}` is not an array"));
    }
    is_array.then_some(found)
}

/// All annotations, or none when the value of one is not text.
fn texts(raw: &RawValue, faults: &mut Faults) -> BTreeMap<String, String> {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| {
        faults.odd(|| "`annotations` are not all text".to_owned());
        BTreeMap::new()
    })
}

/// The media type to serve the manifest with: the declared one, unless it is generic, or no
/// manifest type beside a `mediaType` of one. Else `mediaType`, else a type guessed from the
/// fields.
fn decide_media_type(
    fields: &Fields,
    declared: Option<&MediaType>,
    faults: &mut Faults,
) -> MediaType {
    let own = fields.media_type.as_ref();
    let sent = declared.filter(|declared| declared.as_str() != "application/json");
    if let (Some(own), Some(sent)) = (own, sent)
        && own != sent
    {
        faults.wrong(|| format!("`mediaType` says {own}, but it was sent as {sent}"));
    }
    let telling = declared.filter(|declared| !declared.is_generic());
    let telling =
        telling.filter(|sent| sent.is_manifest() || !own.is_some_and(MediaType::is_manifest));
    let media_type = match telling.or(own) {
        Some(media_type) => media_type.clone(),
        None if fields.schema_version == Some(1) && fields.is_signed => {
            MediaType::DOCKER_SCHEMA_1_SIGNED
        }
        None if fields.schema_version == Some(1) => MediaType::DOCKER_SCHEMA_1,
        None if fields.manifests.is_some() => MediaType::OCI_INDEX,
        None if fields.schema_version == Some(2) || fields.config.is_some() => {
            MediaType::OCI_MANIFEST
        }
        None => declared.cloned().unwrap_or(MediaType::OCTET_STREAM),
    };
    let sent = sent.unwrap_or(&media_type);
    if media_type.is_schema_1() {
        faults.wrong(|| "schema 1 manifests are not supported; push schema 2 or OCI".to_owned());
    } else if !sent.is_manifest() || !media_type.is_manifest() {
        faults.wrong(|| format!("{sent} is not a manifest type"));
    }
    media_type
}

/// The parts of the manifest. Fields of two kinds at once are wrong, because clients would disagree
/// about the image (image-spec, "Manifest media types").
fn decide_kind(media_type: &MediaType, fields: &mut Fields, faults: &mut Faults) -> ManifestKind {
    if !media_type.is_manifest() {
        return ManifestKind::Opaque;
    }
    if fields.schema_version != Some(2) && !media_type.is_artifact() {
        faults.wrong(|| "`schemaVersion` is not 2".to_owned());
    }
    if media_type.is_index() {
        if fields.layers.is_some() || fields.config.is_some() {
            faults.wrong(|| "an index must not have `config` or `layers`".to_owned());
        }
        if fields.manifests.is_none() {
            faults.odd(|| missing("manifests"));
        }
        return ManifestKind::Index { manifests: fields.manifests.take().unwrap_or_default() };
    }
    if fields.manifests.is_some() {
        faults.wrong(|| "an image manifest must not have `manifests`".to_owned());
    }
    if media_type.is_artifact() {
        let layers = fields.blobs.take().unwrap_or_default();
        return ManifestKind::Image { config: None, layers };
    }
    if fields.config.is_none() {
        faults.wrong(|| missing("config"));
    }
    if fields.layers.is_none() {
        faults.odd(|| missing("layers"));
    }
    let layers = fields.layers.take().unwrap_or_default();
    ManifestKind::Image { config: fields.config.take(), layers }
}

fn missing(field: &str) -> String {
    format!("`{field}` is missing")
}
