//! The layers of an image as an offer writes them: a folder with what is done to its files, or a tar
//! that is taken as it stands.

use serde::Deserialize;

use super::globs::Glob;
use super::words::{ImagePath, Owner, RelativePath};

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawLayer")]
pub struct Layer {
    /// What is in it.
    pub source: LayerSource,
    /// What its history entry says.
    pub comment: Option<String>,
}

/// Where the content of a layer comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerSource {
    /// A folder.
    Dir(DirLayer),
    /// A tar whose bytes are the layer as they stand.
    Tar(RelativePath),
}

/// A layer made of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct DirLayer {
    /// The folder.
    pub path: RelativePath,
    /// Where its content goes in the image.
    pub into: ImagePath,
    /// Who owns every file.
    pub owner: Owner,
    /// What stays out.
    pub exclude: Vec<Glob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLayer {
    #[serde(default)]
    dir: Option<RelativePath>,
    #[serde(default)]
    tar: Option<RelativePath>,
    #[serde(default)]
    into: Option<ImagePath>,
    #[serde(default)]
    owner: Option<Owner>,
    #[serde(default)]
    exclude: Option<Vec<Glob>>,
    #[serde(default)]
    comment: Option<String>,
}

impl TryFrom<RawLayer> for Layer {
    type Error = &'static str;

    fn try_from(raw: RawLayer) -> Result<Self, &'static str> {
        if raw.comment.as_ref().is_some_and(|comment| comment.contains(['\n', '\r'])) {
            return Err("`comment` of a layer is one line");
        }
        let source = match (raw.dir, raw.tar) {
            (Some(path), None) => LayerSource::Dir(DirLayer {
                path,
                into: raw.into.unwrap_or_else(ImagePath::root),
                owner: raw.owner.unwrap_or_default(),
                exclude: raw.exclude.unwrap_or_default(),
            }),
            (None, Some(path)) => {
                if raw.into.is_some() || raw.owner.is_some() || raw.exclude.is_some() {
                    return Err("`into`, `owner` and `exclude` go with `dir`, not with `tar`");
                }
                LayerSource::Tar(path)
            }
            _ => return Err("a layer has exactly one of `dir` and `tar`"),
        };
        Ok(Self { source, comment: raw.comment })
    }
}
