//! `wharf package`: makes the OCI layout of each plan, or says whether it would change.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use wharf_oci::Digest;

use super::{Context, variable};
use crate::cli::PackageArgs;
use crate::exit::Exit;
use crate::image::build::{Builder, BuiltImage, Finish};
use crate::image::layer::check_source;
use crate::image::layout_write::{LayoutFolder, Outcome};
use crate::offer::OfferFile;
use crate::offer::model::Plan;
use crate::offer::timestamp::Timestamp;
use crate::output::{Paint, Style, Table};
use crate::rules::image::size as size_text;
use crate::source::Source;

/// What was made, or found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Packaged {
    output: PathBuf,
    plans: Vec<PackagedPlan>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackagedPlan {
    plan: String,
    layout: PathBuf,
    state: State,
    tags: Vec<String>,
    /// The index over all platforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    platforms: Vec<PackagedPlatform>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackagedPlatform {
    platform: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    layers: Vec<PackagedLayer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackagedLayer {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

/// How a layout came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Created,
    Replaced,
    Unchanged,
    /// `--check`: what is there is what would be made.
    Same,
    /// `--check`: it is not.
    Differs,
    /// `--check`: nothing is there.
    Missing,
    /// `--dry-run`.
    Planned,
}

impl State {
    const fn text(self) -> (Style, &'static str) {
        match self {
            Self::Created => (Style::Good, "created"),
            Self::Replaced => (Style::Good, "replaced"),
            Self::Unchanged => (Style::Plain, "unchanged"),
            Self::Same => (Style::Good, "same"),
            Self::Differs => (Style::Error, "differs"),
            Self::Missing => (Style::Error, "missing"),
            Self::Planned => (Style::Plain, "would be made"),
        }
    }
}

/// Runs the command.
pub fn run(args: &PackageArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let plans: Vec<&Plan> = file.select(&args.plans)?.into_iter().map(|(_, plan)| plan).collect();
    let output = args.output.clone().unwrap_or_else(|| file.folder().join("out"));
    let epoch = epoch(variable("SOURCE_DATE_EPOCH").as_deref())?;
    for plan in &plans {
        check_sources(&file, plan)?;
    }
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let mut builder = Builder::new(file.folder(), epoch, jobs);
    let plans = if args.dry_run {
        plans.iter().map(|plan| planned(plan, &output)).collect()
    } else if args.check {
        check(&plans, &output, &mut builder)?
    } else {
        make(&plans, &output, &mut builder, context)?
    };
    let differs = |plan: &PackagedPlan| matches!(plan.state, State::Differs | State::Missing);
    let exit = if plans.iter().any(differs) { Exit::Findings } else { Exit::Ok };
    let result = Packaged { output, plans };
    context.output.result("package", &result, |paint| text(&result, paint))?;
    Ok(exit)
}

/// The time of images that set none.
fn epoch(value: Option<&str>) -> anyhow::Result<Timestamp> {
    let Some(text) = value else { return Ok(Timestamp::default()) };
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    // Ignoring it would make another image than the one that was asked for.
    seconds.and_then(|seconds| Timestamp::from_unix_seconds(seconds).ok()).with_context(|| {
        format!("SOURCE_DATE_EPOCH is `{text}`; it must be whole seconds since 1970")
    })
}

/// Everything is looked for before anything is made.
fn check_sources(file: &OfferFile, plan: &Plan) -> anyhow::Result<()> {
    for platform in &plan.image.platforms {
        for (number, layer) in platform.layers.iter().enumerate() {
            for input in &layer.inputs {
                check_source(file.folder(), input).with_context(|| {
                    format!("plan {}, {}, layer {}", plan.id, platform.platform, number + 1)
                })?;
            }
        }
    }
    Ok(())
}

fn make(
    plans: &[&Plan],
    output: &Path,
    builder: &mut Builder<'_>,
    context: &Context,
) -> anyhow::Result<Vec<PackagedPlan>> {
    let folder = LayoutFolder::open(output)?;
    let mut made = Vec::new();
    for plan in plans {
        context.output.note(&format!("packaging {}", plan.id));
        let built = builder.build(plan, &folder, Finish::Place)?;
        let state = match built.outcome {
            Some(Outcome::Created) | None => State::Created,
            Some(Outcome::Replaced) => State::Replaced,
            Some(Outcome::Unchanged) => State::Unchanged,
        };
        made.push(packaged(plan, output, &built, state));
    }
    Ok(made)
}

fn check(
    plans: &[&Plan],
    output: &Path,
    builder: &mut Builder<'_>,
) -> anyhow::Result<Vec<PackagedPlan>> {
    let mut checked = Vec::new();
    for plan in plans {
        let place = output.join(plan.id.as_str());
        if !place.exists() {
            checked.push(PackagedPlan { state: State::Missing, ..planned(plan, output) });
            continue;
        }
        let layout = Source::open_path(&place)?;
        let folder = LayoutFolder::open(output)?;
        let built = builder.build(plan, &folder, Finish::Discard)?;
        let same = layout.roots() == built.roots;
        let state = if same { State::Same } else { State::Differs };
        checked.push(packaged(plan, output, &built, state));
    }
    Ok(checked)
}

fn packaged(plan: &Plan, output: &Path, built: &BuiltImage, state: State) -> PackagedPlan {
    let mut packaged = planned(plan, output);
    packaged.state = state;
    packaged.digest = Some(built.index.digest);
    for (platform, built) in packaged.platforms.iter_mut().zip(&built.platforms) {
        platform.digest = Some(built.manifest.digest);
        platform.size_bytes = Some(built.size_bytes);
        for (layer, descriptor) in platform.layers.iter_mut().zip(&built.layers) {
            layer.digest = Some(descriptor.digest);
            layer.size_bytes = Some(descriptor.size);
        }
    }
    packaged
}

fn planned(plan: &Plan, output: &Path) -> PackagedPlan {
    let source = |layer: &crate::offer::model::Layer| {
        let paths: Vec<&str> = layer.inputs.iter().map(|input| input.path().as_str()).collect();
        paths.join(", ")
    };
    let layer = |layer: &crate::offer::model::Layer| PackagedLayer {
        source: source(layer),
        digest: None,
        size_bytes: None,
    };
    let platforms = plan.image.platforms.iter().map(|build| PackagedPlatform {
        platform: build.platform.to_string(),
        digest: None,
        size_bytes: None,
        layers: build.layers.iter().map(layer).collect(),
    });
    PackagedPlan {
        plan: plan.id.to_string(),
        layout: output.join(plan.id.as_str()),
        state: State::Planned,
        tags: plan.image.expanded_tags.iter().map(|expanded| expanded.tag.to_string()).collect(),
        digest: None,
        platforms: platforms.collect(),
    }
}

fn text(result: &Packaged, paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "PLATFORM", "DIGEST", "SIZE", "LAYERS", "STATE"]);
    let digest = |digest: Option<Digest>| digest.map_or_else(|| "-".to_owned(), |d| d.short());
    for plan in &result.plans {
        for platform in &plan.platforms {
            let (style, state) = plan.state.text();
            table.styled_row([
                (Style::Plain, plan.plan.clone()),
                (Style::Plain, platform.platform.clone()),
                (Style::Plain, digest(platform.digest)),
                (Style::Plain, platform.size_bytes.map_or_else(|| "-".to_owned(), size_text)),
                (Style::Plain, platform.layers.len().to_string()),
                (style, state.to_owned()),
            ]);
        }
    }
    let mut text = table.render(paint);
    for plan in &result.plans {
        let index = digest(plan.digest);
        let tags = plan.tags.join(", ");
        let _ = writeln!(text, "{}  index {index}  tags {tags}", plan.layout.display());
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_epoch_that_is_not_whole_seconds_is_a_hard_error() {
        assert_eq!(epoch(None).unwrap(), Timestamp::default());
        assert_eq!(epoch(Some("1793491200")).unwrap().unix_seconds(), 1_793_491_200);
        for text in ["", " 1", "+1", "-1", "1.5", "now", "99999999999999999999"] {
            assert!(epoch(Some(text)).is_err(), "{text:?}");
        }
    }
}
