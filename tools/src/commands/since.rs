//! `--since`: the earlier release, found and compared with the verified images.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context as _;

use super::Context;
use super::remote::jobs;
use super::targets;
use crate::diff::{self, ListBounds, ReleaseDiff};
use crate::image::facts::ImageFacts;
use crate::verify::{Limits, check};

/// A verified image, with its plan.
pub(super) struct Current<'a> {
    pub(super) plan: Option<&'a str>,
    pub(super) facts: &'a ImageFacts,
}

impl Current<'_> {
    fn name(&self) -> &str {
        self.plan.unwrap_or_else(|| last_name(&self.facts.location))
    }
}

/// Compares with the images of `since`: one image with one, else each with the layout of its name.
pub(super) fn compare(
    since: &OsStr,
    images: &[Current<'_>],
    context: &Context,
) -> anyhow::Result<ReleaseDiff> {
    let shown = since.to_string_lossy();
    let sources = targets::open(since, context);
    let sources = sources.with_context(|| format!("cannot compare with {shown}"))?;
    let limits = Limits::default();
    let mut before: Vec<ImageFacts> =
        sources.iter().map(|source| check(source, jobs(), &limits)).collect();
    let mut release = ReleaseDiff {
        before: shown.into_owned(),
        after: match images {
            [image] => image.facts.location.clone(),
            _ => "this release".to_owned(),
        },
        plans_removed: Vec::new(),
        plans_added: Vec::new(),
        images: Vec::new(),
    };
    let is_pair = images.len() == 1 && before.len() == 1;
    for image in images {
        let same = |one: &ImageFacts| is_pair || last_name(&one.location) == image.name();
        match before.iter().position(same) {
            None => release.plans_added.push(image.name().to_owned()),
            Some(at) => {
                let mut changes =
                    diff::images(&before.remove(at), image.facts, ListBounds::default());
                changes.plan = image.plan.map(ToOwned::to_owned);
                release.images.push(changes);
            }
        }
    }
    let left = before.iter().map(|one| last_name(&one.location).to_owned());
    release.plans_removed = left.collect();
    Ok(release)
}

/// The name of a folder or an archive in its folder.
fn last_name(location: &str) -> &str {
    Path::new(location).file_name().and_then(OsStr::to_str).unwrap_or(location)
}
