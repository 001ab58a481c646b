//! `wharf verify`: proves images, judges them and their offer, and reports.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::publish::{self, publish};
use super::{Context, evidence};
use crate::cli::{ReportFormat, VerifyArgs};
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::report::anatomy::Anatomy;
use crate::report::{Report, summarise};
use crate::rules::{self, Judgement};
use crate::source::Source;
use crate::verify::{Limits, check};

/// A layout to look at, and the place of its plan in the offer.
struct Target {
    path: PathBuf,
    plan: Option<usize>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs, context: &Context) -> anyhow::Result<Exit> {
    publish::check(&args.judge, context)?;
    let offer = match &args.offer {
        None => None,
        Some(path) => {
            let file = OfferFile::open(path)?;
            let texts = Content::load(&file)?;
            Some((file, texts))
        }
    };
    let targets = targets(args, offer.as_ref().map(|(file, _)| file));
    let evidence = evidence();
    let profile = args.judge.profile;
    let mut judgement = match &offer {
        None => Judgement::default(),
        Some((file, texts)) => rules::judge_offer(file, texts, &evidence, profile),
    };
    let mut images = Vec::new();
    let mut anatomies = Vec::new();
    let mut indexes = Vec::new();
    // Going through a million files again is only worth a picture of them.
    let has_pictures = args.judge.reports.iter().any(|target| target.format == ReportFormat::Html);
    for target in &targets {
        context.output.note(&format!("verifying {}", target.path.display()));
        let facts = examine(&target.path)?;
        let place = offer.as_ref().zip(target.plan).map(|((file, _), plan)| (file, plan));
        let plan = place.and_then(|(file, plan)| file.offer.plans.get(plan));
        images.extend(summarise(&facts, plan.map(|plan| plan.id.as_str())));
        if has_pictures {
            let plan = plan.map(|plan| plan.id.as_str());
            anatomies.extend(Anatomy::of(&facts, plan));
        }
        judgement.join(rules::judge_image(&facts, place, &evidence, profile));
        indexes.push((target.plan, facts));
    }
    if let Some((file, _)) = &offer {
        judgement.join(rules::judge_difference(file, &indexes));
    }
    let mut report = Report::new(images, judgement, args.judge.fail_on);
    report.anatomies = anatomies;
    publish(&report, "verify", &args.judge, context)
}

fn examine(path: &Path) -> anyhow::Result<crate::image::facts::ImageFacts> {
    // A reference to an image on a registry is no path; the message says what reads one.
    let named = path.to_string_lossy();
    ensure!(
        path.exists() || !(named.contains('/') && named.contains([':', '@'])),
        "{named} is not on this disk, and verify reads only layouts and archives; copy the image \
         first: skopeo copy --all docker://{named} oci:FOLDER"
    );
    let source =
        Source::open_path(path).with_context(|| format!("cannot verify {}", path.display()))?;
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(check(&source, jobs, &Limits::default()))
}

/// What was named, or the layouts of all plans. A named layout belongs to the plan whose ID its
/// folder has.
fn targets(args: &VerifyArgs, offer: Option<&OfferFile>) -> Vec<Target> {
    let plans = offer.map(|file| file.offer.plans.as_slice()).unwrap_or_default();
    if let (true, Some(file)) = (args.targets.is_empty(), offer) {
        let folder = args.layouts.clone().unwrap_or_else(|| file.folder().join("out"));
        let target = |(place, plan): (usize, &crate::offer::model::Plan)| Target {
            path: folder.join(plan.id.as_str()),
            plan: Some(place),
        };
        return plans.iter().enumerate().map(target).collect();
    }
    let plan_of = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        plans.iter().position(|plan| plan.id.as_str() == name)
    };
    let named = args.targets.iter();
    named.map(|path| Target { plan: plan_of(path), path: path.clone() }).collect()
}
