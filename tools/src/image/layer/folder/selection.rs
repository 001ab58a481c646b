//! The selection of a folder's paths for a layer: `include`, `exclude` and an ignore file.

use std::path::Path;

use super::ignore_file::IgnoreFile;
use crate::image::layer::LayerError;
use crate::offer::globs::Glob;
use crate::offer::layers::DirInput;

/// The patterns of an input, and the use of each.
pub(super) struct Selection<'a> {
    include: Vec<Pattern<'a>>,
    exclude: Vec<Pattern<'a>>,
    ignore: Option<IgnoreFile>,
}

struct Pattern<'a> {
    glob: &'a Glob,
    is_used: bool,
}

/// The state of a folder for the verdict on its paths.
#[derive(Debug, Clone, Default)]
pub(super) struct Within {
    /// It is included, and all in it with it.
    is_picked: bool,
    /// The matches of the ignore file's patterns on it, or on a folder above it.
    ignoring: Vec<bool>,
}

/// The verdict on a path.
#[derive(Debug)]
pub(super) enum PathSelection {
    /// It goes in.
    In(Within),
    /// It is a folder, and goes in with any entry in it.
    Perhaps(Within),
    /// It stays out, with everything in it.
    Out,
}

impl<'a> Selection<'a> {
    /// The patterns of an input; paths are looked for in the folder of the offer.
    pub(super) fn of(input: &'a DirInput, offer_folder: &Path) -> Result<Self, LayerError> {
        let patterns = |globs: &'a [Glob]| {
            globs.iter().map(|glob| Pattern { glob, is_used: false }).collect::<Vec<_>>()
        };
        let ignore = input.ignore_file.as_ref();
        let ignore = ignore.map(|path| IgnoreFile::read(&offer_folder.join(path.as_str())));
        Ok(Self {
            include: patterns(&input.include),
            exclude: patterns(&input.exclude),
            ignore: ignore.transpose()?,
        })
    }

    /// The state of the folder itself.
    pub(super) fn start(&self) -> Within {
        let patterns = self.ignore.as_ref().map_or(0, IgnoreFile::len);
        Within { is_picked: self.include.is_empty(), ignoring: vec![false; patterns] }
    }

    /// Judges a path below the folder.
    pub(super) fn judge(&mut self, path: &[u8], is_folder: bool, within: &Within) -> PathSelection {
        if mean(&mut self.exclude, path) {
            return PathSelection::Out;
        }
        let (is_ignored, can_return, ignoring) = match &self.ignore {
            None => (false, false, Vec::new()),
            Some(ignore) => ignore.judge(path, is_folder, &within.ignoring),
        };
        if is_ignored && !(is_folder && can_return) {
            return PathSelection::Out;
        }
        // Every pattern is matched, below a picked folder too, so that none counts as unused by
        // mistake.
        let is_picked = mean(&mut self.include, path) || within.is_picked;
        let inner = Within { is_picked, ignoring };
        match is_picked && !is_ignored {
            true => PathSelection::In(inner),
            false if is_folder => PathSelection::Perhaps(inner),
            false => PathSelection::Out,
        }
    }

    /// The unused patterns, each with its key.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&'static str, &Glob)> {
        let include = self.include.iter().map(|pattern| ("include", pattern));
        let all = include.chain(self.exclude.iter().map(|pattern| ("exclude", pattern)));
        all.filter(|(_, pattern)| !pattern.is_used).map(|(key, pattern)| (key, pattern.glob))
    }
}

fn mean(patterns: &mut [Pattern<'_>], path: &[u8]) -> bool {
    let mut is_meant = false;
    for pattern in patterns {
        let matches = pattern.glob.matches(path);
        pattern.is_used |= matches;
        is_meant |= matches;
    }
    is_meant
}
