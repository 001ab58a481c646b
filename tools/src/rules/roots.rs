//! The common part of rules about files: the files of each platform, the check over them, and a
//! file's name in a finding.

use super::finding::LayerPlace;
use super::image::of_platform;
use super::{Findings, Gap, ImageView, Site};
use crate::image::accounts::{ContainerUser, MissingAccount, resolve};
use crate::image::config::ImageConfig;
use crate::image::facts::PlatformImage;
use crate::image::files::{File, FileView};
use crate::output::visible;

/// How many findings of one rule about one platform name a file of their own; the rest is counted.
pub(super) const FILES_SHOWN_MAX: usize = 20;
/// How many paths stand in one message.
const PATHS_SHOWN_MAX: usize = 5;

/// The files of one platform, with its configuration.
pub(super) struct Root<'a> {
    pub(super) image: &'a PlatformImage,
    pub(super) config: &'a ImageConfig,
    pub(super) files: &'a FileView,
}

/// The files needed by a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Every one: the rule is about absent files.
    All,
    /// The known ones: the rule is about present files.
    Some,
}

/// Looks at the files of every platform that is not Windows. `look` returns whether the rule
/// applied.
pub(super) fn each_root(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    need: Need,
    mut look: impl FnMut(&mut Findings<'_>, &Root<'_>) -> bool,
) {
    let mut applies = false;
    for image in &view.facts.images {
        // An unreadable configuration is a finding of its own.
        let Some(config) = image.config.as_ref().filter(|config| config.os != "windows") else {
            continue;
        };
        let files = image.files.as_deref();
        if !files.is_some_and(FileView::is_complete) {
            judge.not_looked_at(Gap::Files);
        }
        let enough = files.filter(|files| need == Need::Some || files.is_complete());
        if let Some(files) = enough {
            let root = Root { image, config, files };
            judge.within(of_platform(image), |judge| applies |= look(judge, &root));
        }
    }
    if !applies {
        judge.not_applicable();
    }
}

/// The same for a rule that needs no files but knows more with them: platforms without files are
/// passed over.
pub(super) fn each_known_root(view: &ImageView<'_>, mut look: impl FnMut(&Root<'_>)) {
    for image in &view.facts.images {
        let config = image.config.as_ref().filter(|config| config.os != "windows");
        let files = image.files.as_deref().filter(|files| files.is_complete());
        if let Some((config, files)) = config.zip(files) {
            look(&Root { image, config, files });
        }
    }
}

impl<'a> Root<'a> {
    /// A file of the merged view, or an entry of a layer.
    pub(super) fn site(&self, layer: usize, path: &[u8]) -> Site {
        Site { layer: self.layer(layer), path: Some(shown(path)), ..Site::default() }
    }

    pub(super) fn layer(&self, place: usize) -> Option<LayerPlace> {
        let digest = self.image.layers.get(place)?.descriptor.digest;
        Some(LayerPlace { number: place + 1, digest })
    }

    /// The text of a file kept for rules, links followed; `None` when there is no such file.
    pub(super) fn text(&self, path: &str) -> Option<&'a [u8]> {
        let file = self.files.follow(path.as_bytes()).ok()?;
        file.content().text.as_deref()
    }

    /// The user of a container.
    pub(super) fn identity(&self) -> Result<ContainerUser, MissingAccount> {
        let text = |path| self.text(path).unwrap_or_default();
        resolve(&self.config.config.user, text("etc/passwd"), text("etc/group"))
    }

    /// The value of a variable; the last one counts.
    pub(super) fn variable(&self, name: &str) -> Option<&'a str> {
        let entries = self.config.config.env.iter().rev();
        entries
            .filter_map(|entry| entry.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The folder a container starts in.
    pub(super) fn working_folder(&self) -> &'a str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            folder => folder,
        }
    }

    /// The file at a path, links followed.
    pub(super) fn find(&self, path: &[u8]) -> Option<File<'a>> {
        self.files.follow(path).ok()
    }
}

/// A path from the root of the image, fit to be shown.
pub(super) fn shown(path: &[u8]) -> String {
    let text = visible(&String::from_utf8_lossy(path));
    if text.starts_with('/') { text } else { format!("/{text}") }
}

/// Words of a stranger, fit to be shown.
pub(super) fn words(bytes: &[u8]) -> String {
    visible(&String::from_utf8_lossy(bytes))
}

/// Some of the paths, and how many more there are.
pub(super) fn some_of<'p>(paths: impl IntoIterator<Item = &'p [u8]>) -> String {
    let mut paths = paths.into_iter();
    let first: Vec<String> = paths.by_ref().take(PATHS_SHOWN_MAX).map(shown).collect();
    match paths.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
