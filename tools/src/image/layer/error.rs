//! Why a layer cannot be made, with the path it is about.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::image::debian::DebianError;
use crate::image::tar_walk::TarFault;

/// How many entries a layer may have: their paths are held in memory to be sorted.
pub(super) const ENTRIES_MAX: usize = 2_000_000;

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The offer's path does not exist.
    #[error("{what} {path} does not exist; build it first")]
    Missing {
        /// `folder`, `file` or `tar`.
        what: &'static str,
        path: PathBuf,
    },
    /// It is of another kind.
    #[error("{path} is not a {what}")]
    WrongKind {
        /// `folder` or `file`.
        what: &'static str,
        path: PathBuf,
    },
    /// Reading a file of the layer failed.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// A socket, device or named pipe.
    #[error("{path} is a socket, a device or a named pipe; exclude it or remove it")]
    Special { path: PathBuf },
    /// It has changed since the look at it.
    #[error("{path} changed while it was packaged; package again when nothing writes to it")]
    Changed { path: PathBuf },
    /// A path of two inputs, or of two names of one input.
    #[error(
        "`{path}` comes twice, from {first} and from `{second}`; engines refuse that: exclude one"
    )]
    Twice {
        /// The path in the image.
        path: String,
        /// What had it first.
        first: EntryOrigin,
        second: String,
    },
    /// A folder of two inputs with different attributes.
    #[error(
        "the folder `{path}` is {first_is} from {first}, and {second_is} from `{second}`; \
             give both the same mode and owner, or put what is in it there by `into`"
    )]
    FolderDiffers {
        /// The path in the image.
        path: String,
        /// What had it first.
        first: EntryOrigin,
        /// Mode and owner there.
        first_is: String,
        second: String,
        /// Mode and owner there.
        second_is: String,
    },
    /// A link or a folder of a lower layer would become another kind.
    #[error(
        "`{path}` is a {lower_kind} of {lower}, and `{input}` would make a {kind} of it; {advice}"
    )]
    Replaces {
        /// The path in the image.
        path: String,
        kind: &'static str,
        /// The input with the entry.
        input: String,
        lower_kind: &'static str,
        /// Where that comes from.
        lower: EntryOrigin,
        advice: &'static str,
    },
    /// A path through a file of another kind than a folder.
    #[error("`{path}` cannot be made: `{at}` is a {kind} of {whose}")]
    NotAFolder {
        /// The path in the image.
        path: String,
        at: String,
        kind: &'static str,
        /// Where that comes from.
        whose: EntryOrigin,
    },
    /// A path of the image in a circle of links.
    #[error(
        "`{path}` leads through more links of the image than are followed; two may name each other"
    )]
    LinkLoop {
        /// The path in the image.
        path: String,
    },
    /// A path too long for kernels.
    #[error("`{path}` is too long; a path has at most 4095 bytes, and a name 255")]
    NameTooLong {
        /// The path in the image.
        path: String,
    },
    /// A whiteout's name: it would delete a file.
    #[error(
        "`{path}` begins with `.wh.`: engines would not make it, but delete what it names; \
             rename or exclude it"
    )]
    Whiteout {
        /// The path in the image.
        path: String,
    },
    /// File capabilities in a form wharf cannot carry over.
    #[error(
        "{path} has file capabilities in a form that engines cannot set; set them again by setcap"
    )]
    Capabilities { path: PathBuf },
    /// A folder of layouts, the output of this run.
    #[error("{path} is where layouts are written to; choose another `--output`, or another folder")]
    IsOutput { path: PathBuf },
    /// A pattern in an ignore file.
    #[error("line {line} of {path}: {message}")]
    IgnoreFile {
        /// The ignore file.
        path: PathBuf,
        line: usize,
        /// The fault of the pattern.
        message: String,
    },
    /// More entries than can be sorted.
    #[error("{path} has more than {ENTRIES_MAX} entries; make several layers of it")]
    TooMany { path: PathBuf },
    /// A ready tar engines refuse to unpack.
    #[error("the entry `{entry}` of {path} {reason}")]
    Refused {
        path: PathBuf,
        entry: String,
        /// The fault of the attribute.
        reason: String,
    },
    /// A ready tar without the form of a tar.
    #[error("{path} is not a tar, plain or compressed with gzip, zstd or xz: {fault}")]
    NotATar { path: PathBuf, fault: TarFault },
    /// An archive beyond the limits of any layer.
    #[error("{path} has {what}")]
    TooMuch {
        path: PathBuf,
        /// The limit it breaks, in words.
        what: String,
    },
    /// An unreadable Debian package.
    #[error("{path} cannot be unpacked: {source}")]
    Package { path: PathBuf, source: DebianError },
    /// A pattern without a match.
    #[error("nothing matches {pattern}; build or download the packages first")]
    NoMatch {
        /// The pattern, from the folder of the offer.
        pattern: PathBuf,
    },
    /// Two files with the same package.
    #[error("the package {name} comes twice, from {first} and {second}; leave one out")]
    SamePackage {
        name: String,
        /// The first file with it.
        first: String,
        /// The second file with it.
        second: String,
    },
    /// A package for another machine.
    #[error("{path} is for the architecture {architecture}, and this image for {platform}")]
    Architecture {
        path: String,
        architecture: String,
        /// Of the image.
        platform: String,
    },
    /// The layer could not be written.
    #[error("cannot write the layer")]
    Write(#[from] io::Error),
}

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryOrigin {
    /// This input of the same layer, `dir app`, say.
    Input(String),
    /// A lower layer.
    Layer {
        /// Its number, from 1 at the bottom.
        number: usize,
        /// The name of the origin; may be empty.
        name: String,
    },
}

impl fmt::Display for EntryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(f, "`{name}`"),
            Self::Layer { number, name } if name.is_empty() => write!(f, "layer {number}"),
            Self::Layer { number, name } => write!(f, "layer {number} ({name})"),
        }
    }
}
