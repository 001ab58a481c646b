//! The layers of an image in the offer's own form: their sources, and the changes on the way.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::globs::Glob;
use super::patterns::PathPatterns;
use super::values::{ImagePath, Owner, RelativePath, ValueError};

/// Most inputs of a layer.
const INPUTS_MAX: usize = 1000;

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Gzip, which every engine takes.
    #[default]
    Gzip,
    /// Zstandard, which is smaller and faster; umoci 0.4 and docker 20.10 do not take it.
    Zstd,
}

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
    /// A file.
    File(FileInput),
    /// A tar.
    Tar(TarInput),
    /// Debian packages.
    Deb(DebInput),
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
    /// What becomes of the permission bits.
    pub modes: Modes,
    /// What goes in, with the folders above it; everything when there are no patterns.
    pub include: Vec<Glob>,
    /// What stays out.
    pub exclude: Vec<Glob>,
    /// A file of patterns of what else stays out.
    pub ignore_file: Option<RelativePath>,
}

/// A file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileInput {
    /// The file.
    pub path: RelativePath,
    /// Where it goes in the image.
    pub into: Destination,
    /// Who owns it.
    pub owner: Owner,
    /// Its permission bits; when nothing is said, 0755 of a file that its owner may run, else 0644.
    pub mode: Option<FileMode>,
}

/// A tar, compressed or not.
///
/// Alone in its layer, and with none of the other keys, its bytes are the layer.
#[derive(Debug, Clone, PartialEq)]
pub struct TarInput {
    /// The tar.
    pub path: RelativePath,
    /// Where its entries go in the image.
    pub into: Option<ImagePath>,
    /// Who owns every file, instead of its owner in the tar.
    pub owner: Option<Owner>,
    /// What goes in, with the folders above it; everything when there are no patterns.
    pub include: Vec<Glob>,
    /// What stays out.
    pub exclude: Vec<Glob>,
}

impl TarInput {
    /// Whether a key asks for a rewrite, entry by entry.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.into.is_some()
            || self.owner.is_some()
            || !self.include.is_empty()
            || !self.exclude.is_empty()
    }
}

/// Debian packages, unpacked as `dpkg -x` does; their scripts do not run.
#[derive(Debug, Clone, PartialEq)]
pub struct DebInput {
    /// Their files.
    pub paths: PathPatterns,
    /// What goes in, with the folders above it; everything when there are no patterns.
    pub include: Vec<Glob>,
    /// What stays out.
    pub exclude: Vec<Glob>,
    /// Whether scanners find them: in `/var/lib/dpkg/status.d`, as in distroless images.
    pub status: bool,
}

/// What becomes of the permission bits of a folder's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modes {
    /// As git keeps them: 0755 of folders and of files that their owner may run, else 0644.
    #[default]
    Normal,
    /// As they are on disk, with setuid, setgid and sticky.
    Kept,
}

/// Where something goes in the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The path.
    pub path: ImagePath,
    /// Whether it was written with a `/` at its end: it is the folder that the input goes into.
    pub is_folder: bool,
}

impl Destination {
    /// The root of the image.
    #[must_use]
    pub fn root() -> Self {
        Self { path: ImagePath::root(), is_folder: true }
    }
}

impl FromStr for Destination {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(rest) = text.strip_suffix('/').filter(|rest| !rest.is_empty()) {
            return Ok(Self { path: rest.parse()?, is_folder: true });
        }
        let path: ImagePath = text.parse()?;
        Ok(Self { is_folder: path.is_root(), path })
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::from_text(deserializer)
    }
}

/// The permission bits of a file, with setuid, setgid and sticky.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

/// The text is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mode: write it as three or four octal digits, in quotes: \"0644\"")]
pub struct ModeError(String);

impl FileMode {
    /// The bits, at most `0o7777`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|c| c.is_ascii_digit());
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        bits.map(Self).ok_or_else(|| ModeError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::from_text(deserializer)
    }
}

impl LayerInput {
    /// The source's path, as the offer writes it.
    #[must_use]
    pub const fn path(&self) -> &RelativePath {
        match self {
            Self::Dir(dir) => &dir.path,
            Self::File(file) => &file.path,
            Self::Tar(tar) => &tar.path,
            Self::Deb(deb) => deb.paths.first.text(),
        }
    }

    /// Its key in the offer.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Dir(_) => "dir",
            Self::File(_) => "file",
            Self::Tar(_) => "tar",
            Self::Deb(_) => "deb",
        }
    }
}

impl fmt::Display for LayerInput {
    /// Its key and its paths.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deb(deb) => write!(f, "{} {}", self.key(), deb.paths),
            _ => write!(f, "{} {}", self.key(), self.path()),
        }
    }
}

/// One of several inputs of a layer: the keys of a layer but `inputs` and `comment`.
// It is a layer, too, in its written form; the combinations of keys are checked below.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Input")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawLayer {
    /// What goes in, in its order, where that is more than one thing; 1 to 1000 entries.
    #[serde(default)]
    inputs: Option<Vec<RawLayer>>,
    /// A folder whose content goes in.
    #[serde(default)]
    dir: Option<RelativePath>,
    /// A file that goes in.
    #[serde(default)]
    file: Option<RelativePath>,
    /// A tar that goes in, compressed or not; its bytes are the layer where nothing else is said.
    #[serde(default)]
    tar: Option<RelativePath>,
    /// Debian packages that are unpacked; their scripts do not run.
    #[serde(default)]
    deb: Option<PathPatterns>,
    /// Where it goes in the image.
    #[serde(default)]
    into: Option<Destination>,
    /// Who owns every file.
    #[serde(default)]
    owner: Option<Owner>,
    /// The permission bits of a `file`; 0755 of one that its owner may run and else 0644 where it is left
    /// out.
    #[serde(default)]
    mode: Option<FileMode>,
    /// What becomes of the permission bits of the files of a `dir`.
    #[serde(default)]
    modes: Option<Modes>,
    /// What goes in of a `dir`, `tar` or `deb`; all where there are no patterns.
    #[serde(default)]
    include: Option<Vec<Glob>>,
    /// What stays out of a `dir`, `tar` or `deb`.
    #[serde(default)]
    exclude: Option<Vec<Glob>>,
    /// A file of patterns (`.dockerignore`, `.gitignore`) of what else stays out of a `dir`.
    #[serde(default)]
    ignore_file: Option<RelativePath>,
    /// Whether scanners find the packages of `deb`.
    #[serde(default)]
    dpkg_status: Option<bool>,
    /// What the history of the image says of the layer; one line.
    #[serde(default)]
    comment: Option<String>,
}

impl RawLayer {
    const fn has_input(&self) -> bool {
        self.dir.is_some()
            || self.file.is_some()
            || self.tar.is_some()
            || self.deb.is_some()
            || self.has_place()
            || self.mode.is_some()
            || self.has_selection()
            || self.dpkg_status.is_some()
    }

    const fn has_place(&self) -> bool {
        self.into.is_some() || self.owner.is_some()
    }

    /// Keys of folders only.
    const fn has_selection(&self) -> bool {
        self.modes.is_some()
            || self.include.is_some()
            || self.exclude.is_some()
            || self.ignore_file.is_some()
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
        Ok(Self { inputs, comment })
    }
}

impl TryFrom<RawLayer> for LayerInput {
    type Error = &'static str;

    fn try_from(mut raw: RawLayer) -> Result<Self, &'static str> {
        if raw.inputs.is_some() || raw.comment.is_some() {
            return Err("`inputs` and `comment` stand at a layer, not at one of its inputs");
        }
        if raw.dpkg_status.is_some() && raw.deb.is_none() {
            return Err("`dpkgStatus` goes with `deb`");
        }
        match (raw.dir.take(), raw.file.take(), raw.tar.take(), raw.deb.take()) {
            (Some(path), None, None, None) => raw.into_dir(path).map(Self::Dir),
            (None, Some(path), None, None) => raw.into_file(path).map(Self::File),
            (None, None, Some(path), None) => raw.into_tar(path).map(Self::Tar),
            (None, None, None, Some(paths)) => raw.into_deb(paths).map(Self::Deb),
            _ => Err("a layer has exactly one of `dir`, `file`, `tar` and `deb`, or `inputs`"),
        }
    }
}

impl RawLayer {
    fn into_dir(self, path: RelativePath) -> Result<DirInput, &'static str> {
        if self.mode.is_some() {
            return Err(
                "`mode` goes with `file`; with `dir`, write `modes: normal` or `modes: kept`",
            );
        }
        Ok(DirInput {
            path,
            into: self.into.unwrap_or_else(Destination::root).path,
            owner: self.owner.unwrap_or_default(),
            modes: self.modes.unwrap_or_default(),
            include: self.include.unwrap_or_default(),
            exclude: self.exclude.unwrap_or_default(),
            ignore_file: self.ignore_file,
        })
    }

    fn into_file(self, path: RelativePath) -> Result<FileInput, &'static str> {
        if self.has_selection() {
            return Err(
                "`modes`, `include`, `exclude` and `ignoreFile` go with `dir`, not with `file`",
            );
        }
        Ok(FileInput {
            path,
            into: self.into.unwrap_or_else(Destination::root),
            owner: self.owner.unwrap_or_default(),
            mode: self.mode,
        })
    }

    fn into_tar(self, path: RelativePath) -> Result<TarInput, &'static str> {
        if self.mode.is_some() || self.modes.is_some() || self.ignore_file.is_some() {
            return Err("`mode`, `modes` and `ignoreFile` do not go with `tar`, which has modes");
        }
        Ok(TarInput {
            path,
            into: self.into.map(|into| into.path),
            owner: self.owner,
            include: self.include.unwrap_or_default(),
            exclude: self.exclude.unwrap_or_default(),
        })
    }

    fn into_deb(self, paths: PathPatterns) -> Result<DebInput, &'static str> {
        let has_others = self.mode.is_some() || self.modes.is_some() || self.ignore_file.is_some();
        if has_others || self.has_place() {
            return Err(
                "with `deb` go `include`, `exclude` and `dpkgStatus`: a package says where \
                        its files go, and whose they are",
            );
        }
        Ok(DebInput {
            paths,
            include: self.include.unwrap_or_default(),
            exclude: self.exclude.unwrap_or_default(),
            status: self.dpkg_status.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mode_is_octal_with_and_without_quotes() {
        for text in ["\"0640\"", "0640", "640", "\"640\""] {
            let layer: Layer =
                serde_saphyr::from_str(&format!("{{ file: a, mode: {text} }}")).unwrap();
            let Some(LayerInput::File(file)) = layer.inputs.first() else { panic!("{text}") };
            assert_eq!(file.mode.map(FileMode::bits), Some(0o640), "{text}");
        }
        for text in ["64", "0o640", "00640", "0888", "-640", "6 4"] {
            assert!(text.parse::<FileMode>().is_err(), "{text}");
        }
    }
}
