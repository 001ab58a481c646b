//! The images of the platforms: each different one, at its first different layer, value or field.

use std::io::Read as _;

use serde_json::Value;
use wharf_oci::{Descriptor, Digester, Manifest, ManifestKind};

use super::difference::{Difference, short};
use super::layers::{self, Rebuild, TarDifference};
use super::{list, values};
use crate::image::build::{BuildError, BuiltImage, BuiltLayer, BuiltPlatform, LayerOrigin};
use crate::source::Source;

/// Keys about the layers: they follow from them.
const OF_LAYERS: [&str; 2] = ["rootfs", "history"];

/// Keys of a manifest derived from the configuration and the layers.
const OF_BLOBS: [&str; 2] = ["config", "layers"];

/// The image that would be made, and who makes its layers again.
pub struct ExpectedImage<'a> {
    pub image: &'a BuiltImage,
    /// Writes the tar of a layer, by the places of its platform and its own, from 0.
    pub rebuild: &'a Rebuild<'a>,
}

pub(super) fn differences(
    layout: &Source,
    index: &Manifest,
    wanted: &ExpectedImage<'_>,
) -> Result<Vec<Difference>, BuildError> {
    let mut found = Vec::new();
    let platforms = &wanted.image.platforms;
    for (place, built) in platforms.iter().enumerate() {
        let child =
            index.children().iter().find(|child| child.platform.as_ref() == Some(&built.platform));
        let look = Look { layout, wanted, built, place };
        match child {
            None => found.push(look.about("not in the layout")),
            Some(child) => found.extend(look.differences(child)?),
        }
    }
    for child in index.children() {
        let Some(platform) = &child.platform else { continue };
        if !platforms.iter().any(|built| built.platform == *platform) {
            found.push(Difference {
                platform: Some(platform.to_string()),
                ..Difference::whole(None, "only in the layout")
            });
        }
    }
    Ok(found)
}

/// One platform of the comparison.
struct Look<'a> {
    layout: &'a Source,
    wanted: &'a ExpectedImage<'a>,
    built: &'a BuiltPlatform,
    place: usize,
}

impl Look<'_> {
    fn about(&self, what: impl Into<String>) -> Difference {
        let platform = Some(self.built.platform.to_string());
        Difference { platform, ..Difference::whole(None, what) }
    }

    fn document(&self, name: &str, what: impl Into<String>) -> Difference {
        Difference { place: Some(name.to_owned()), ..self.about(what) }
    }

    fn differences(&self, child: &Descriptor) -> Result<Vec<Difference>, BuildError> {
        let manifest = match self.layout.manifest(child) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(vec![self.document("manifest", error.to_string())]),
        };
        let ManifestKind::Image { config, layers } = manifest.kind() else {
            return Ok(vec![self.document("manifest", "it is not the manifest of an image")]);
        };
        let mut found = Vec::new();
        found.extend(self.first_layer(layers)?);
        let has_other_layers = !found.is_empty();
        found.extend(self.configuration(config.as_ref(), has_other_layers));
        if manifest.digest() != self.built.manifest.digest {
            found.extend(self.manifest(&manifest, !found.is_empty()));
        }
        Ok(found)
    }

    fn first_layer(&self, were: &[Descriptor]) -> Result<Option<Difference>, BuildError> {
        let built = &self.built.layers;
        for number in 0..built.len().max(were.len()) {
            let about =
                |what: String| Some(Difference { layer: Some(number + 1), ..self.about(what) });
            let found = match (built.get(number), were.get(number)) {
                (Some(now), Some(was)) => self.layer(number, now, was)?,
                (Some(now), None) => about(format!("not in the layout ({})", now.source)),
                (None, Some(was)) => about(format!("only in the layout ({})", short(was))),
                (None, None) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn layer(
        &self,
        number: usize,
        now: &BuiltLayer,
        was: &Descriptor,
    ) -> Result<Option<Difference>, BuildError> {
        let about = |place: Option<String>, what: String| {
            Some(Difference { layer: Some(number + 1), place, ..self.about(what) })
        };
        let fault = self.fault(was);
        let is_same = now.descriptor.digest == was.digest && now.descriptor.size == was.size;
        if is_same && fault.is_none() {
            let (new, old) = (&now.descriptor.media_type, &was.media_type);
            return Ok((new != old)
                .then(|| about(None, format!("media type {new}, was {old}")))
                .flatten());
        }
        if now.origin == LayerOrigin::Base {
            let what = format!("{} of the base, was {}", short(&now.descriptor), short(was));
            return Ok(about(None, fault.unwrap_or(what)));
        }
        let blob = match self.layout.open_blob(was) {
            Ok(blob) => blob,
            Err(error) => return Ok(about(None, error.to_string())),
        };
        let compared = layers::compare(blob, self.wanted.rebuild, self.place, number)?;
        if let Some(TarDifference { path, what }) = compared.difference {
            let damage = fault.map(|fault| format!("; {fault}")).unwrap_or_default();
            return Ok(about(path, format!("{what}{damage}")));
        }
        if let Some(fault) = fault {
            return Ok(about(None, format!("{fault}; its files are the same")));
        }
        // The names in media types and those of codecs are one: `…tar+gzip`.
        let made = now.descriptor.media_type.as_str();
        let packed = compared.codec.map_or("nothing known", super::inflate::BlobCompression::name);
        let how = if made.ends_with(packed) {
            format!(
                "the files are the same, compressed otherwise: {} bytes, was {}",
                now.descriptor.size, was.size
            )
        } else {
            format!("the files are the same; the layout has them with {packed}, not as {made}")
        };
        Ok(about(None, how))
    }

    /// The fault in the bytes of a blob.
    fn fault(&self, blob: &Descriptor) -> Option<String> {
        let mut bytes = match self.layout.open_blob(blob) {
            Ok(bytes) => bytes,
            Err(error) => return Some(error.to_string()),
        };
        let mut digester = Digester::new(blob.digest.algorithm());
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => digester.update(buffer.get(..length).unwrap_or_default()),
                Err(error) => return Some(format!("{} cannot be read: {error}", short(blob))),
            }
        }
        let is_whole = digester.finish().digest == blob.digest;
        (!is_whole).then(|| format!("{} is damaged in the layout", short(blob)))
    }

    fn configuration(
        &self,
        config: Option<&Descriptor>,
        has_other_layers: bool,
    ) -> Option<Difference> {
        let small = &self.wanted.image.counted.small;
        let now = self.made_manifest()?;
        let digest = now.get("config")?.get("digest")?.as_str()?.parse().ok()?;
        let config = config?;
        let was = match self.layout.small_blob(config) {
            Ok(was) => was,
            Err(error) => return Some(self.document("configuration", error.to_string())),
        };
        if digest == config.digest {
            return None;
        }
        let now = small.get(&digest)?;
        let but: &[&str] = if has_other_layers { &OF_LAYERS } else { &[] };
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        if has_other_layers {
            let what = values::first(&parsed(now)?, &parsed(&was)?, but)?;
            return Some(self.document("configuration", what));
        }
        Some(self.document("configuration", list::documents(now, &was, but)))
    }

    fn manifest(&self, was: &Manifest, is_explained: bool) -> Option<Difference> {
        let Some(now) = self.wanted.image.counted.small.get(&self.built.manifest.digest) else {
            let (now, was) = (self.built.manifest.digest.short(), was.digest().short());
            return (!is_explained).then(|| self.document("manifest", format!("{now}, was {was}")));
        };
        if is_explained {
            let was = serde_json::from_slice(was.bytes()).ok()?;
            let what = values::first(&self.made_manifest()?, &was, &OF_BLOBS)?;
            return Some(self.document("manifest", what));
        }
        Some(self.document("manifest", list::documents(now, was.bytes(), &[])))
    }

    fn made_manifest(&self) -> Option<Value> {
        let bytes = self.wanted.image.counted.small.get(&self.built.manifest.digest)?;
        serde_json::from_slice(bytes).ok()
    }
}
