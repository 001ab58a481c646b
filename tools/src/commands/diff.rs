//! `wharf diff`: the differences between two images, or between the images of two releases.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use super::Context;
use super::inputs::Inputs;
use super::remote::jobs;
use super::targets::Opener;
use super::write_file;
use crate::cli::{DiffArgs, DiffFormat, OutputFormat};
use crate::diff::text::{self, DiffForm};
use crate::diff::{self, ImageDiff, ListBounds, Release, ReleaseDiff};
use crate::exit::Exit;
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::output::{Paint, json, visible};
use crate::source::Target;
use crate::verify::{Limits, check};

/// One side of a comparison.
enum Side {
    Image(ImageFacts),
    /// Images by the IDs of their plans.
    Release(BTreeMap<String, ImageFacts>),
}

/// The result; in JSON one or the other by its members.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Image(ImageDiff),
    Release(ReleaseDiff),
}

/// Runs the command.
pub fn run(args: &DiffArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut opener = Opener::new(context);
    let before = side(&args.before, &mut opener, context)?;
    let after = side(&args.after, &mut opener, context)?;
    let bounds = if args.all { ListBounds::ALL } else { ListBounds::default() };
    let outcome = match (&before, &after) {
        (Side::Image(before), Side::Image(after)) => {
            Outcome::Image(diff::images(before, after, bounds))
        }
        (Side::Release(before), Side::Release(after)) => {
            let (one, other) = (args.before.display(), args.after.display());
            let (one, other) = (one.to_string(), other.to_string());
            let before = Release { location: &one, images: before };
            let after = Release { location: &other, images: after };
            Outcome::Release(diff::releases(before, after, bounds))
        }
        _ => bail!(
            "one of the two is an image, the other a release of several plans; name the layout of \
             a plan, or two releases"
        ),
    };
    publish(&outcome, args, context)?;
    let is_equal = match &outcome {
        Outcome::Image(diff) => diff.is_equal(),
        Outcome::Release(diff) => diff.is_equal(),
    };
    Ok(if args.exit_code && !is_equal { Exit::Findings } else { Exit::Ok })
}

fn publish(outcome: &Outcome, args: &DiffArgs, context: &Context) -> anyhow::Result<()> {
    let written = |form| match outcome {
        Outcome::Image(diff) => text::image(diff, form),
        Outcome::Release(diff) => text::release(diff, form),
    };
    let format = args.format.unwrap_or(match context.output.format() {
        OutputFormat::Text => DiffFormat::Text,
        OutputFormat::Json => DiffFormat::Json,
    });
    let whole = match (format, &args.output) {
        (DiffFormat::Json, _) => json("diff", outcome)?,
        (DiffFormat::Markdown, _) => written(DiffForm::Markdown),
        (DiffFormat::Text, Some(_)) => written(DiffForm::Text(Paint::PLAIN)),
        (DiffFormat::Text, None) => written(DiffForm::Text(context.output.paint())),
    };
    match &args.output {
        None => Ok(context.output.raw(&whole)?),
        Some(path) => {
            let sides = [&args.before, &args.after].map(Path::new);
            write_file(path, &whole, &Inputs::none().and(sides))
        }
    }
}

/// Reads one side: an offer stands for its layouts, a folder for those in it.
fn side(name: &OsStr, opener: &mut Opener<'_>, context: &Context) -> anyhow::Result<Side> {
    let shown = visible(&name.to_string_lossy());
    let path = Path::new(name);
    let is_offer = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let targets = if is_offer && path.is_file() {
        let file = OfferFile::open(path)?;
        let folder = file.folder().join("out");
        let layout = |id: &str| {
            (id.to_owned(), Target::Path { path: folder.join(id), form: None, name: None })
        };
        file.offer.plans.iter().map(|plan| layout(plan.id.as_str())).collect()
    } else {
        let target = Target::parse(name).with_context(|| format!("cannot compare {shown}"))?;
        let expanded = target.clone().expand();
        if expanded.as_slice() == [target.clone()] {
            return Ok(Side::Image(examine(&target, opener, context)?));
        }
        expanded.into_iter().map(|target| (plan_of(&target), target)).collect::<Vec<_>>()
    };
    let mut images = BTreeMap::new();
    for (plan, target) in targets {
        images.insert(plan, examine(&target, opener, context)?);
    }
    Ok(Side::Release(images))
}

/// The name of a layout's folder: the ID of its plan.
fn plan_of(target: &Target) -> String {
    match target {
        Target::Path { path, .. } => {
            path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
        }
        other => other.to_string(),
    }
}

fn examine(
    target: &Target,
    opener: &mut Opener<'_>,
    context: &Context,
) -> anyhow::Result<ImageFacts> {
    let name = visible(&target.to_string());
    context.output.note(&format!("reading {name}"));
    let source = opener.open(target).with_context(|| format!("cannot compare {name}"))?;
    let facts = check(&source, jobs(), &Limits { hash_contents: true, ..Limits::default() });
    if let (true, Some(fault)) = (facts.images.is_empty(), facts.faults.first()) {
        bail!("cannot compare {name}: {}", visible(&fault.to_string()));
    }
    ensure!(!facts.images.is_empty(), "cannot compare {name}: it holds no image");
    Ok(facts)
}
