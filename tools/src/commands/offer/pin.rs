//! `wharf offer pin`: where images are, by digest, into the values of charts.

mod digests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use self::digests::{Digests, published};
use super::super::Context;
use crate::chart::VALUES_FILE;
use crate::chart::folder::FILE_BYTES_MAX;
use crate::chart::pin::{Pin, pin};
use crate::cli::PinArgs;
use crate::exit::Exit;
use crate::input;
use crate::offer::OfferFile;
use crate::offer::model::{Plan, Registry};
use crate::offer::plans::PlanKind;
use crate::output_file;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    charts: Vec<ChartItem>,
}

/// The values of one plan.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChartItem {
    plan: String,
    file: PathBuf,
    state: State,
    images: Vec<ImageItem>,
}

/// The present or planned digest of an image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageItem {
    name: String,
    reference: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Pinned,
    Unchanged,
    /// With `--check`: it would be changed.
    NotPinned,
}

/// Runs the command.
pub(super) fn run(args: &PinArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let plans = file.select(&args.plans)?;
    let is_kubernetes = |plan: &Plan| matches!(plan.kind, PlanKind::Kubernetes(_));
    if let Some((_, plan)) =
        plans.iter().find(|(_, plan)| !args.plans.is_empty() && !is_kubernetes(plan))
    {
        bail!("the plan `{}` is of `kind: image` and has no chart to pin", plan.id);
    }
    let name = &file.offer.offer.registry;
    let registry =
        file.offer.registries.get(name).context("the registry of the offer is missing")?;
    let digests = Digests::read(args, &file, registry)?;
    // All is known before the first file changes.
    let mut work = Vec::new();
    for (_, plan) in plans {
        work.extend(planned(&file, plan, registry, &digests)?);
    }
    digests.all_used()?;
    ensure!(!work.is_empty(), "no plan of this offer has a chart with images to pin");
    agree(&work)?;
    let mut charts = Vec::new();
    for (plan, path, pins) in work {
        charts.push(apply(plan, path, &pins, args.check)?);
    }
    let is_pinned = charts.iter().all(|chart| chart.state != State::NotPinned);
    let report = Report { charts };
    context.output.result("offer pin", &report, |_| text(&report))?;
    Ok(if is_pinned { Exit::Ok } else { Exit::Findings })
}

/// The pins for the values of a plan; none for one without a chart, or without a requested image.
fn planned(
    file: &OfferFile,
    plan: &Plan,
    registry: &Registry,
    digests: &Digests,
) -> anyhow::Result<Option<(String, PathBuf, Vec<Pin>)>> {
    let PlanKind::Kubernetes(kind) = &plan.kind else { return Ok(None) };
    let mut pins = Vec::new();
    for image in &kind.images {
        let Some(name) = &image.name else { continue };
        let Some(digest) = digests.of(image)? else { continue };
        let repository = published(registry, image)?;
        pins.push(Pin {
            name: name.to_string(),
            registry: registry.login_server.to_string(),
            image: repository.to_string(),
            digest: digest.to_string(),
        });
    }
    let path = file.resolve(&kind.chart).join(VALUES_FILE);
    Ok((!pins.is_empty()).then(|| (plan.id.to_string(), path, pins)))
}

/// Plans may share a chart with one image under a name: two digests would overwrite each other.
fn agree(work: &[(String, PathBuf, Vec<Pin>)]) -> anyhow::Result<()> {
    let mut known = BTreeMap::new();
    for (plan, path, pins) in work {
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        for pin in pins {
            let (other, first) = *known.entry((place.clone(), &pin.name)).or_insert((plan, pin));
            ensure!(
                first == pin,
                "the plans {other} and {plan} share {}, and `{}` is {} for the one and {} for the \
                 other; give each plan a chart of its own, or the images two names",
                path.display(),
                pin.name,
                reference(first),
                reference(pin)
            );
        }
    }
    Ok(())
}

fn reference(pin: &Pin) -> String {
    format!("{}/{}@{}", pin.registry, pin.image, pin.digest)
}

fn apply(plan: String, path: PathBuf, pins: &[Pin], is_check: bool) -> anyhow::Result<ChartItem> {
    let text = read(&path)?;
    let pinned = pin(&text, pins).with_context(|| format!("cannot pin {}", path.display()))?;
    let state = match (pinned == text, is_check) {
        (true, _) => State::Unchanged,
        (false, true) => State::NotPinned,
        (false, false) => {
            output_file::rewrite(&path, &pinned)
                .with_context(|| format!("cannot write {}", path.display()))?;
            State::Pinned
        }
    };
    let images =
        pins.iter().map(|pin| ImageItem { name: pin.name.clone(), reference: reference(pin) });
    Ok(ChartItem { plan, file: path, state, images: images.collect() })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = input::open(path).with_context(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "{} has more than {FILE_BYTES_MAX} bytes",
        path.display()
    );
    String::from_utf8(bytes).ok().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for chart in &report.charts {
        let state = match chart.state {
            State::Pinned => "pinned",
            State::Unchanged => "unchanged",
            State::NotPinned => "not pinned",
        };
        // Writing into a text does not fail.
        let _ = writeln!(text, "{state}: {} ({})", chart.file.display(), chart.plan);
        for image in &chart.images {
            let _ = writeln!(text, "  {} = {}", image.name, image.reference);
        }
    }
    text
}

#[cfg(test)]
mod tests;
