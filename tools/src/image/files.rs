//! The files of layers and of whole platforms: the entries of each layer, in its order, and a
//! container's view once runtimes laid the layers over one another.
//!
//! Paths are those in the image's root, without `.`, `..` and a leading slash; the root itself is
//! the empty path. Invariant: a file costs its path, its link and [`ENTRY_BYTES`], and nothing here
//! asks the machine it runs on.

mod builder;
mod content;
mod entry;
mod hashes;
mod merge;
mod names;
mod view;

pub use self::builder::{LayerFilesBuilder, NewFile};
pub use self::content::{Elf, ElfKind, FileContent, Machine, Magic};
pub use self::entry::{ENTRY_BYTES, File, FileKind, LayerFiles};
pub use self::hashes::CONTENT_HASH_BYTES;
pub use self::merge::{Oddity, OddityKind, Replacement};
pub use self::names::{clean, shown};
pub use self::view::{BrokenPath, FileView};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
