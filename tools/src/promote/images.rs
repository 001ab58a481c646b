//! A file of images that no offer describes: registries, repositories, tags by name or by pattern,
//! and where each goes.
//!
//! ```yaml
//! version: 1
//! registries:
//!   staging: { loginServer: staging.example }
//!   production: { loginServer: production.example }
//! images:
//!   - repository: team/api # the same repository at the destination
//!     tags: ["1.4.*", latest]
//!   - repository: team/web
//!     tags: ["2.0.1"]
//!     to: [shop/web, mirror/web] # the source is read once
//!   - repository: team/job
//!     digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//!     as: ["3.1"]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wharf_oci::{Digest, RepoName, Tag};

use super::companions::TagLists;
use super::plan::SourceName;
use super::planner::{PlanRequest, WantedTag};
use crate::moves::FLOATING_TAG;
use crate::offer::error::Diagnostic;
use crate::offer::globs::Glob;
use crate::offer::model::Registry;
use crate::offer::parse::parse;
use crate::offer::registries::RegistryTarget;
use crate::offer::source_map::SourceMap;
use crate::offer::values::RegistryName;
use crate::registry::{RegistryError, TagList};

/// Largest file of images, in bytes.
pub const IMAGES_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many images and destinations of one file are read.
const ENTRIES_MAX: usize = 10_000;

/// A file of images.
#[derive(Debug, Clone)]
pub struct ImagesFile {
    pub registries: BTreeMap<RegistryName, Registry>,
    images: Vec<ImageEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    registries: BTreeMap<RegistryName, Registry>,
    #[serde(default)]
    images: Vec<ImageEntry>,
}

/// Images of one repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImageEntry {
    repository: RepoName,
    /// Tags, or patterns of tags.
    #[serde(default)]
    tags: Vec<Glob>,
    /// One image by its digest, instead of tags.
    #[serde(default)]
    digest: Option<Digest>,
    /// The tags of that image at the destination.
    #[serde(default, rename = "as")]
    names: Vec<Tag>,
    /// The repositories at the destination; the same one when there are none.
    #[serde(default)]
    to: Vec<RepoName>,
}

/// Why a file of images cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// It is not UTF-8.
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The file has a fault.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
    /// A repository with the registry's prefix is no repository.
    #[error("`{repository}` under the prefix of {registry} is too long for a repository")]
    Prefix { repository: RepoName, registry: RegistryName },
    /// The list of tags, for patterns, does not come.
    #[error("{registry} does not list the tags of {repository}, which `{pattern}` needs")]
    NoList { registry: String, repository: RepoName, pattern: String },
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What a file asks for.
#[derive(Debug, Default)]
pub struct Selection {
    pub requests: Vec<PlanRequest>,
    /// The patterns that no tag fits, in words.
    pub unmatched: Vec<String>,
}

impl ImagesFile {
    /// Reads the content of a file of images; `path` is for messages.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, ImagesError> {
        let text = String::from_utf8(bytes).map_err(|_| ImagesError::NotUtf8(path.to_owned()))?;
        let spots = SourceMap::read(&text);
        let fault = |key: &str, message: String, help: &str| {
            let diagnostic = Diagnostic::new(path, &text, spots.find(key), message).help(help);
            ImagesError::Invalid(Box::new(diagnostic))
        };
        let Document { version, registries, images } = parse(path, &text, &spots)
            .map_err(|diagnostic| ImagesError::Invalid(Box::new(diagnostic)))?;
        if version != 1 {
            let message = format!("the version {version} is not known here");
            return Err(fault("version", message, "write `version: 1`"));
        }
        let count: usize = images.iter().map(|image| image.to.len().max(1)).sum();
        if count > ENTRIES_MAX {
            let message = format!("there are {count} images; {ENTRIES_MAX} is the most");
            return Err(fault("images", message, "write several files"));
        }
        for (place, image) in images.iter().enumerate() {
            let key = format!("images[{place}]");
            let help = "write `tags`, or `digest` and `as`";
            match (image.tags.is_empty(), &image.digest, image.names.is_empty()) {
                (false | true, None, true) | (true, Some(_), false) => {}
                (true, Some(_), true) => {
                    return Err(fault(&key, "an image by digest has no tag to write".into(), help));
                }
                _ => return Err(fault(&key, "tags and a digest are two images".into(), help)),
            }
        }
        Ok(Self { registries, images })
    }

    /// The images to be planned. Lists of tags are read only where patterns need them. An image
    /// without tags asks for nothing.
    pub async fn select(
        &self,
        from: &RegistryTarget,
        to: &RegistryTarget,
        lists: &TagLists,
    ) -> Result<Selection, ImagesError> {
        let mut selection = Selection::default();
        for image in &self.images {
            let source = placed(from, &image.repository)?;
            let tags = wanted(image, &source, from, lists, &mut selection.unmatched).await?;
            if tags.is_empty() {
                continue;
            }
            let same = [image.repository.clone()];
            let destinations = if image.to.is_empty() { &same[..] } else { &image.to };
            for destination in destinations {
                let destination = placed(to, destination)?;
                selection.add(&source, destination, &tags);
            }
        }
        Ok(selection)
    }
}

impl Selection {
    /// Images of one repository that go to one repository are one image of several tags.
    fn add(&mut self, source: &RepoName, destination: RepoName, tags: &[WantedTag]) {
        let same = self
            .requests
            .iter_mut()
            .find(|at| at.source == *source && at.destination == destination);
        let Some(request) = same else {
            let plan = self.name(source, &destination);
            let (source, tags) = (source.clone(), tags.to_vec());
            self.requests.push(PlanRequest { plan, source, destination, tags });
            return;
        };
        let known = &mut request.tags;
        let new: Vec<WantedTag> = tags.iter().filter(|tag| !known.contains(tag)).cloned().collect();
        known.extend(new);
    }

    /// What an image is called: by its destination, and by its source where two share that.
    fn name(&self, source: &RepoName, destination: &RepoName) -> String {
        let name = destination.to_string();
        if self.requests.iter().any(|at| at.plan == name) {
            return format!("{source} to {destination}");
        }
        name
    }
}

/// The tags to be written of one entry.
async fn wanted(
    image: &ImageEntry,
    source: &RepoName,
    from: &RegistryTarget,
    lists: &TagLists,
    unmatched: &mut Vec<String>,
) -> Result<Vec<WantedTag>, ImagesError> {
    if let Some(digest) = image.digest {
        let source = Some(SourceName::Digest(digest));
        let names = image.names.iter().cloned();
        return Ok(names.map(|tag| WantedTag { tag, source: source.clone() }).collect());
    }
    let mut tags: Vec<WantedTag> = Vec::new();
    for pattern in &image.tags {
        let text = pattern.as_str();
        let found: Vec<Tag> = match text.parse::<Tag>() {
            Ok(tag) => vec![tag],
            Err(_) => match lists.of(source).await? {
                TagList::Tags(all) => {
                    let fits =
                        all.into_iter().filter(|tag| pattern.matches(tag.as_str().as_bytes()));
                    // `sha256-…` are lists and signatures of images, which come along with those.
                    fits.filter(|tag| !tag.as_str().starts_with("sha256-")).collect()
                }
                TagList::NoRepository => Vec::new(),
                TagList::Unknown => {
                    return Err(ImagesError::NoList {
                        registry: from.login_server.to_string(),
                        repository: source.clone(),
                        pattern: text.to_owned(),
                    });
                }
            },
        };
        if found.is_empty() {
            unmatched.push(format!("{}/{source}: no tag fits `{text}`", from.login_server));
        }
        let new = found.into_iter().map(WantedTag::from);
        let new: Vec<WantedTag> = new.filter(|tag| !tags.contains(tag)).collect();
        tags.extend(new);
    }
    // The floating tag is written last, and stands last.
    tags.sort_by_key(|wanted| wanted.tag.as_str() == FLOATING_TAG);
    Ok(tags)
}

fn placed(target: &RegistryTarget, repository: &RepoName) -> Result<RepoName, ImagesError> {
    let Some(prefix) = &target.prefix else { return Ok(repository.clone()) };
    repository.under(prefix).map_err(|_| ImagesError::Prefix {
        repository: repository.clone(),
        registry: target.name.clone(),
    })
}

#[cfg(test)]
mod tests;
