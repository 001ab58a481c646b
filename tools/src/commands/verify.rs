//! `wharf verify`: proves images, judges them and their offer, and reports.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Context;
use super::given::{Given, published};
use super::inputs::Inputs;
use super::publish::{self, publish};
use super::remote::{exit_of, jobs, one_line};
use super::since::{self, Current};
use super::targets::Opener;
use crate::cli::{ReportFormat, VerifyArgs};
use crate::diff::ReleaseDiff;
use crate::exit::Exit;
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::PlanImage;
use crate::output::visible;
use crate::published::Published;
use crate::report::anatomy::Anatomy;
use crate::report::{ImageSummary, Report, UnreadTarget, summarise};
use crate::rules::{self, Judgement};
use crate::source::Target;
use crate::verify::{Limits, check};

/// A target, and its place among the images of the offer.
struct Wanted {
    name: String,
    target: anyhow::Result<Target>,
    plan: Option<usize>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs, context: &Context) -> anyhow::Result<Exit> {
    publish::check(&args.judge, context)?;
    let (offer, ledger) = read_offer(args)?;
    let file = offer.as_ref().map(|(file, _)| file);
    let named = args.targets.iter().chain(&args.offer).map(AsRef::as_ref);
    let mut given = Given::read(&args.judge.given, Some(&args.scan), named, file)?;
    given.evidence.published = ledger;
    let evidence = &given.evidence;
    let profile = args.judge.profile;
    let mut judgement = match &offer {
        None => Judgement::default(),
        Some((file, texts)) => rules::judge_offer(file, texts, evidence, profile),
    };
    let wanted = wanted(args, file);
    let all = wanted.len();
    let judge = |facts: &ImageFacts, place: Option<(&OfferFile, usize)>| {
        judgement.join(rules::judge_image(facts, place, evidence, profile));
    };
    let wants = Wants {
        pictures: args.judge.reports.iter().any(|target| target.format == ReportFormat::Html),
        files: args.since.is_some(),
    };
    let looked = look(wanted, file, wants, context, judge);
    let Looked { images, anatomies, indexes, mut failures } = looked;
    if let Some((file, texts)) = &offer {
        judgement.join(rules::judge_difference(file, &indexes));
        judgement.join(rules::judge_claims(file, texts, &indexes));
        judgement.join(rules::judge_published(file, evidence, &indexes));
    }
    judgement = given.conclude(judgement, &indexes, failures.is_empty(), profile);
    let compared = args.since.as_ref().map(|since| {
        let compared = compare(since, &indexes, file, context);
        compared.map_err(|error| (since.display().to_string(), error))
    });
    let changes = match compared.transpose() {
        Ok(changes) => changes,
        Err(failure) => {
            failures.push(failure);
            None
        }
    };
    // Where nothing else was looked at, the error is all there is to say, but in reports.
    if offer.is_none()
        && indexes.is_empty()
        && all == 1
        && args.judge.reports.is_empty()
        && let Some((name, error)) = failures.pop()
    {
        let is_named = error.to_string().contains(&visible(&name));
        let context = format!("cannot verify {}", visible(&name));
        return Err(if is_named { error } else { error.context(context) });
    }
    let exit = exit_of(all, failures.iter().map(|(_, error)| error.as_ref()));
    let unread = failures.iter().map(|(name, error)| UnreadTarget {
        target: name.clone(),
        error: one_line(error.as_ref()),
    });
    let report = Report::new(images, judgement, args.judge.fail_on);
    let mut report = report.with_unread(unread.collect(), exit);
    report.anatomies = anatomies;
    report.changes = changes;
    publish(&report, "verify", &args.judge, inputs(args, file), context)
}

/// The files no report may replace.
fn inputs(args: &VerifyArgs, file: Option<&OfferFile>) -> Inputs {
    let images =
        args.targets.iter().map(PathBuf::as_path).chain(args.since.as_ref().map(Path::new));
    let inputs = file.map(Inputs::of).unwrap_or_default();
    inputs.and(images.chain(args.scan.scans.iter().map(PathBuf::as_path)))
}

/// The offer with its texts, and its published state.
type OfferGiven = (Option<(OfferFile, Content)>, Option<Published>);

fn read_offer(args: &VerifyArgs) -> anyhow::Result<OfferGiven> {
    let Some(path) = &args.offer else { return Ok((None, None)) };
    let mut file = OfferFile::open(path)?;
    let state = published(args.judge.given.ledger.as_deref(), &mut file)?;
    let texts = Content::load(&file)?;
    let ledger = state.map(|state| Published::of(state, &file, &texts));
    Ok((Some((file, texts)), ledger))
}

/// The outputs for an image besides findings.
#[derive(Clone, Copy)]
struct Wants {
    /// Going through a million files again is only worth a picture of them.
    pictures: bool,
    /// The files of many large images together are only held to be compared.
    files: bool,
}

/// The result over all targets.
#[derive(Default)]
struct Looked {
    images: Vec<ImageSummary>,
    anatomies: Vec<Anatomy>,
    /// The facts about each, with its place among the images of the offer.
    indexes: Vec<(Option<usize>, ImageFacts)>,
    /// The unreadable targets, with the reasons.
    failures: Vec<(String, anyhow::Error)>,
}

fn look(
    wanted: Vec<Wanted>,
    offer: Option<&OfferFile>,
    wants: Wants,
    context: &Context,
    mut judge: impl FnMut(&ImageFacts, Option<(&OfferFile, usize)>),
) -> Looked {
    let mut looked = Looked::default();
    let mut opener = Opener::new(context);
    for Wanted { name, target, plan } in wanted {
        context.output.note(&format!("verifying {}", visible(&name)));
        let mut facts = match target.and_then(|target| opener.open(&target)) {
            Ok(source) => check(&source, jobs(), &Limits::default()),
            Err(error) => {
                looked.failures.push((name, error));
                continue;
            }
        };
        let place = offer.zip(plan);
        let known = place.and_then(|(file, place)| file.image(place));
        let id = known.map(|plan| plan.id.as_str());
        looked.images.extend(summarise(&facts, id));
        if wants.pictures {
            looked.anatomies.extend(Anatomy::of(&facts, id));
        }
        judge(&facts, place);
        if !wants.files {
            facts.images.iter_mut().for_each(|image| image.files = None);
        }
        looked.indexes.push((plan, facts));
    }
    looked
}

fn compare(
    since: &OsStr,
    images: &[(Option<usize>, ImageFacts)],
    offer: Option<&OfferFile>,
    context: &Context,
) -> anyhow::Result<ReleaseDiff> {
    let id = |place: Option<usize>| Some(offer?.image(place?)?.id.as_str());
    let current = images.iter().map(|(plan, facts)| Current { plan: id(*plan), facts });
    since::compare(since, &current.collect::<Vec<_>>(), context)
}

/// The targets of the command line, or the layouts of all plans.
fn wanted(args: &VerifyArgs, offer: Option<&OfferFile>) -> Vec<Wanted> {
    let plans: Vec<&PlanImage> =
        offer.map(|file| file.offer.images().collect()).unwrap_or_default();
    if let (true, Some(file)) = (args.targets.is_empty(), offer) {
        let folder = args.layouts.clone().unwrap_or_else(|| file.folder().join("out"));
        let layout = |(place, plan): (usize, &&PlanImage)| {
            let path = folder.join(plan.id.as_str());
            let target = Target::Path { path, form: None, name: None };
            Wanted { name: target.to_string(), target: Ok(target), plan: Some(place) }
        };
        return plans.iter().enumerate().map(layout).collect();
    }
    let mut wanted = Vec::new();
    for text in &args.targets {
        match Target::parse(text.as_os_str()) {
            Ok(target) => wanted.extend(target.expand().into_iter().map(|target| Wanted {
                name: target.to_string(),
                plan: plan_of(&target, &plans),
                target: Ok(target),
            })),
            Err(error) => {
                let name = text.display().to_string();
                wanted.push(Wanted { name, target: Err(error.into()), plan: None });
            }
        }
    }
    wanted
}

/// The plan with this folder's or archive's name as its ID, or with the image's repository.
fn plan_of(target: &Target, plans: &[&PlanImage]) -> Option<usize> {
    let is_meant = |plan: &&PlanImage| match target {
        Target::Stdin => false,
        Target::Path { path, .. } => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ends = [".tar", ".tar.gz", ".tgz", ".tar.zst"];
            let stem = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            plan.id.as_str() == name || plan.id.as_str() == stem
        }
        Target::Image(image) => {
            let (full, own) = (image.repository.as_str(), plan.image.repository.as_str());
            full == own || full.strip_suffix(own).is_some_and(|before| before.ends_with('/'))
        }
    };
    plans.iter().position(is_meant)
}
