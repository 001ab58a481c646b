//! The image that another is made from, as an offer writes it: to stand on (`base`), or to be taken
//! whole (`adopt`). The text is resolved where images are read.
//!
//! Invariant: the text is one line, names neither standard input nor a Dockerfile, and holds no login.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use wharf_oci::Digest;

use crate::logins;

/// Longest text of an image; paths end at 4096 bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// The word for no base at all, on a platform of an image with a base.
const SCRATCH: &str = "scratch";

/// The advice for a Dockerfile.
pub const DOCKERFILE_ADVICE: &str = "build it elsewhere, with `docker buildx build --output \
     type=oci,dest=app.tar .`, or `buildah bud -t app .` and `buildah push app \
     oci-archive:app.tar`, and write `adopt: app.tar`";

/// An image, in the words of `wharf verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// A reference on a registry, a path, or one with a prefix (`oci:`, `oci-archive:`,
    /// `docker-archive:`). Relative paths start at the folder of the offer.
    pub text: String,
    /// The digest required of it.
    pub digest: Option<Digest>,
}

/// The source of a platform's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeFrom<'a> {
    /// Nothing: its layers are all there is.
    Scratch,
    /// The layers of this image lie below.
    Base(&'a ImageSource),
    /// It is this image.
    Adopt(&'a ImageSource),
}

impl<'a> MadeFrom<'a> {
    pub(super) fn said(
        base: Option<&'a ImageSource>,
        adopt: Option<&'a ImageSource>,
    ) -> Option<Self> {
        match (base, adopt) {
            (_, Some(adopt)) => Some(Self::Adopt(adopt)),
            (Some(base), None) if base.is_scratch() => Some(Self::Scratch),
            (Some(base), None) => Some(Self::Base(base)),
            (None, None) => None,
        }
    }

    /// The image, and its key.
    #[must_use]
    pub const fn named(self) -> Option<(&'static str, &'a ImageSource)> {
        match self {
            Self::Scratch => None,
            Self::Base(source) => Some(("base", source)),
            Self::Adopt(source) => Some(("adopt", source)),
        }
    }
}

impl ImageSource {
    fn is_scratch(&self) -> bool {
        self.text == SCRATCH && self.digest.is_none()
    }

    fn new(text: String, digest: Option<Digest>) -> Result<Self, String> {
        let on_disk = ["oci:", "ocidir:", "oci-archive:", "docker-archive:"];
        // There `@` stands before a place or a digest in the archive.
        let is_on_disk = on_disk.iter().any(|prefix| text.starts_with(prefix));
        if !is_on_disk && logins::is_address(&text) {
            return Err(format!("this image holds a login and is not shown; {}", logins::ADVICE));
        }
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
            return Err("name an image in one line: REGISTRY/REPOSITORY:TAG, or a path".to_owned());
        }
        if text == "-" || text == "/dev/stdin" || text.ends_with(":-") {
            return Err("standard input is another every time; name a file".to_owned());
        }
        if is_dockerfile(&text) {
            return Err(format!(
                "`{text}` is a Dockerfile, which wharf does not build; {DOCKERFILE_ADVICE}"
            ));
        }
        Ok(Self { text, digest })
    }
}

impl std::str::FromStr for ImageSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text.to_owned(), None)
    }
}

/// Whether a path is called like a Dockerfile: `Dockerfile`, `Containerfile`, with more before or
/// behind a dot.
#[must_use]
pub fn is_dockerfile(path: &str) -> bool {
    const NAMES: [&str; 2] = ["dockerfile", "containerfile"];
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let archive = [".tar", ".gz", ".tgz", ".zst"].iter().any(|end| name.ends_with(end));
    let starts = |word: &str| name.strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
    let ends = |word: &str| name.strip_suffix(word).is_some_and(|rest| rest.ends_with('.'));
    !archive && NAMES.iter().any(|word| name == *word || starts(word) || ends(word))
}

impl<'de> Deserialize<'de> for ImageSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keyed {
    image: String,
    #[serde(default)]
    digest: Option<Digest>,
}

impl<'de> Visitor<'de> for Shape {
    type Value = ImageSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image, or a mapping of `image` and `digest`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ImageSource, E> {
        ImageSource::new(text.to_owned(), None).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ImageSource, A::Error> {
        let Keyed { image, digest } = Keyed::deserialize(MapAccessDeserializer::new(map))?;
        ImageSource::new(image, digest).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dockerfiles_are_known_by_their_names() {
        for name in ["Dockerfile", "a/Containerfile", "x/dockerfile.prod", "app.Dockerfile"] {
            assert!(is_dockerfile(name), "{name}");
        }
        for name in ["dockerfiles", "my-dockerfile", "a/Dockerfile.tar", "Dockerfile/x", "app.tar"]
        {
            assert!(!is_dockerfile(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_image_that_stays_is_refused() {
        let refused = |text: &str| ImageSource::new(text.to_owned(), None).unwrap_err();
        assert!(refused("-").contains("standard input"));
        assert!(refused("oci-archive:-").contains("standard input"));
        assert!(refused("").contains("one line") && refused("a\nb").contains("one line"));
        assert!(refused("ci/Dockerfile").contains("adopt: app.tar"));
        let login = refused("bob:s3cret@registry.example/a:1");
        assert!(login.contains("docker login") && !login.contains("s3cret"), "{login}");
        let digest = format!("registry.example/a@sha256:{}", "a".repeat(64));
        assert!(ImageSource::new(digest, None).is_ok());
    }
}
