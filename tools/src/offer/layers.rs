//! The layers of an image as an offer writes them: what goes in, and what is done to it on the way.

use serde::Deserialize;

use super::globs::Glob;
use super::words::{ImagePath, Owner, RelativePath};

/// Most inputs of a layer.
const INPUTS_MAX: usize = 1000;

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawLayer")]
pub struct Layer {
    /// What is in it, in the order in which it is written; at least one.
    pub inputs: Vec<LayerInput>,
    /// What its history entry says.
    pub comment: Option<String>,
}

/// Something that goes into a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerInput {
    /// A folder.
    Dir(DirInput),
    /// A tar.
    Tar(TarInput),
}

/// A folder.
#[derive(Debug, Clone, PartialEq)]
pub struct DirInput {
    /// The folder.
    pub path: RelativePath,
    /// Where its content goes in the image.
    pub into: ImagePath,
    /// Who owns every file.
    pub owner: Owner,
    /// What stays out.
    pub exclude: Vec<Glob>,
}

/// A tar.
#[derive(Debug, Clone, PartialEq)]
pub struct TarInput {
    /// The tar.
    pub path: RelativePath,
}

impl LayerInput {
    /// The path that it is read from, as the offer writes it.
    #[must_use]
    pub const fn path(&self) -> &RelativePath {
        match self {
            Self::Dir(dir) => &dir.path,
            Self::Tar(tar) => &tar.path,
        }
    }

    /// Its key in the offer.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Dir(_) => "dir",
            Self::Tar(_) => "tar",
        }
    }
}

/// A layer, or one of its inputs; which keys may stand in which is decided below.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLayer {
    #[serde(default)]
    inputs: Option<Vec<RawLayer>>,
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

impl RawLayer {
    const fn has_input(&self) -> bool {
        self.dir.is_some() || self.tar.is_some() || self.has_options()
    }

    const fn has_options(&self) -> bool {
        self.into.is_some() || self.owner.is_some() || self.exclude.is_some()
    }
}

impl TryFrom<RawLayer> for Layer {
    type Error = &'static str;

    fn try_from(mut raw: RawLayer) -> Result<Self, &'static str> {
        let comment = raw.comment.take();
        if comment.as_ref().is_some_and(|comment| comment.contains(['\n', '\r'])) {
            return Err("`comment` of a layer is one line");
        }
        let inputs: Vec<LayerInput> = match raw.inputs.take() {
            None => vec![raw.try_into()?],
            Some(_) if raw.has_input() => {
                return Err("a layer has `inputs`, or one input of its own, not both");
            }
            Some(inputs) if inputs.is_empty() || inputs.len() > INPUTS_MAX => {
                return Err("`inputs` has 1 to 1000 entries");
            }
            Some(inputs) => {
                inputs.into_iter().map(LayerInput::try_from).collect::<Result<_, _>>()?
            }
        };
        if inputs.len() > 1 && inputs.iter().any(|input| matches!(input, LayerInput::Tar(_))) {
            return Err("a `tar` is the only input of its layer");
        }
        Ok(Self { inputs, comment })
    }
}

impl TryFrom<RawLayer> for LayerInput {
    type Error = &'static str;

    fn try_from(raw: RawLayer) -> Result<Self, &'static str> {
        if raw.inputs.is_some() || raw.comment.is_some() {
            return Err("`inputs` and `comment` stand at a layer, not at one of its inputs");
        }
        let has_options = raw.has_options();
        match (raw.dir, raw.tar) {
            (Some(path), None) => Ok(Self::Dir(DirInput {
                path,
                into: raw.into.unwrap_or_else(ImagePath::root),
                owner: raw.owner.unwrap_or_default(),
                exclude: raw.exclude.unwrap_or_default(),
            })),
            (None, Some(_)) if has_options => {
                Err("`into`, `owner` and `exclude` go with `dir`, not with `tar`")
            }
            (None, Some(path)) => Ok(Self::Tar(TarInput { path })),
            _ => Err("a layer has exactly one of `dir` and `tar`, or `inputs`"),
        }
    }
}
