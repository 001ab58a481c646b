//! `wharf package`: makes the OCI layout of each plan, reports the layouts it would make, or
//! compares the existing ones with them.

mod check;
mod explaining;
mod notes;
mod outcome;
mod text;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::explaining::Explaining;
use self::notes::Notes;
use self::outcome::{Packaged, PackagedPlan, State};
use super::inputs::Inputs;
use super::{Context, bases, variable, write_file};
use crate::cli::{PackageArgs, is_stdout};
use crate::exit::Exit;
use crate::explain::PlanContent;
use crate::image::build::{Builder, BuiltImage, LayoutDestination};
use crate::image::layer::check_source;
use crate::image::layout_write::{LayoutFolder, LayoutOutcome, check_place};
use crate::offer::OfferFile;
use crate::offer::model::PlanImage;
use crate::offer::origin::{DOCKERFILE_ADVICE, is_dockerfile};
use crate::offer::values::ImageId;
use crate::output::visible;
use crate::progress::{Show, TerminalProgress};
use crate::report::explained_page;
use wharf_oci::Timestamp;

/// The folder in the output with the cache for the next run; it may be deleted at any time.
const STATE: &str = ".wharf";

/// Most threads: more than any machine has cores, and far less than a system refuses.
const JOBS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// The constant part for all plans of one run.
struct Run<'a> {
    plans: &'a [&'a PlanImage],
    output: &'a Path,
    notes: Notes,
    explaining: Explaining<'a>,
}

/// Runs the command.
pub fn run(args: &PackageArgs, context: &Context) -> anyhow::Result<Exit> {
    refuse_dockerfile(&args.offer)?;
    let file = OfferFile::open(&args.offer)?;
    let plans = file.select_images(&args.plans)?;
    let output = args.output.clone().unwrap_or_else(|| file.folder().join("out"));
    let epoch = epoch(variable("SOURCE_DATE_EPOCH").as_deref())?;
    for plan in &plans {
        check_sources(&file, plan)?;
    }
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
        .min(JOBS_MAX);
    let bases = bases::open(&file, &plans, &output, context)?;
    let doing = if args.check { "checking" } else { "packaging" };
    let show = Show::on(&context.output, !args.no_progress);
    let progress = TerminalProgress::new(&context.output, show, doing, plans.len());
    let builder = Builder::new(file.folder(), &output, epoch, jobs, &progress);
    let mut builder = builder.with_bases(&bases).with_revision(args.revision.as_deref());
    if !args.dry_run && !args.check {
        builder = builder.remembering(&output.join(STATE));
    }
    let explaining = Explaining::new(&output);
    let mut run = Run { plans: &plans, output: &output, notes: Notes::default(), explaining };
    let packaged = if args.check {
        check::run(&mut run, &mut builder)?
    } else if args.dry_run {
        run.count(&mut builder)?
    } else {
        run.make(&mut builder)?
    };
    drop(progress);
    let notes = run.notes.tell(context);
    let differs = |plan: &PackagedPlan| matches!(plan.state, State::Differs | State::Missing);
    let exit = if packaged.iter().any(differs) { Exit::Findings } else { Exit::Ok };
    let wants = args.explaining.explain || args.explaining.explain_html.is_some();
    let explained = wants.then(|| run.explaining.explain());
    let page = args.explaining.explain_html.as_deref().zip(explained.as_ref());
    let explained = explained.as_ref().filter(|_| args.explaining.explain).cloned();
    let result = Packaged { output: output.clone(), plans: packaged, notes, explained };
    let told = |paint| text::text(&result, paint);
    match page {
        Some((file, explained)) if is_stdout(file) => {
            context.output.raw(&explained_page(explained))?;
            context.output.result_aside(told);
        }
        Some((to, explained)) => {
            write_file(to, &explained_page(explained), &Inputs::of(&file))?;
            context.output.result("package", &result, told)?;
        }
        None => context.output.result("package", &result, told)?,
    }
    Ok(exit)
}

/// A Dockerfile, or a folder with one, in place of an offer.
fn refuse_dockerfile(path: &Path) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut is_one = is_dockerfile(name);
    for name in ["Dockerfile", "Containerfile"] {
        is_one |= path.is_dir() && path.join(name).exists() && !path.join("offer.yaml").exists();
    }
    let path = visible(&path.to_string_lossy());
    anyhow::ensure!(
        !is_one,
        "{path} is no offer but a Dockerfile, or has one; wharf does not build those: \
         {DOCKERFILE_ADVICE} in the offer"
    );
    Ok(())
}

/// The time of images without their own.
fn epoch(value: Option<&str>) -> anyhow::Result<Timestamp> {
    let Some(text) = value else { return Ok(Timestamp::default()) };
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    // Ignoring it would make another image than the requested one.
    seconds.and_then(|seconds| Timestamp::from_unix_seconds(seconds).ok()).with_context(|| {
        format!("SOURCE_DATE_EPOCH is `{text}`; it must be whole seconds since 1970")
    })
}

/// Everything is looked for before anything is made.
fn check_sources(file: &OfferFile, plan: &PlanImage) -> anyhow::Result<()> {
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

impl Run<'_> {
    fn place(&self, plan: &PlanImage) -> PathBuf {
        self.output.join(plan.id.as_str())
    }

    fn make(&mut self, builder: &mut Builder<'_>) -> anyhow::Result<Vec<PackagedPlan>> {
        let folder = LayoutFolder::open(self.output)?;
        let mut before = self.before();
        let mut made = Vec::new();
        let plans = self.plans;
        builder.build_all(plans, LayoutDestination::Folder(&folder), &mut |plan, built| {
            let state = match built.outcome {
                Some(LayoutOutcome::Created) | None => State::Created,
                Some(LayoutOutcome::Replaced) => State::Replaced,
                Some(LayoutOutcome::Unchanged) => State::Unchanged,
            };
            let before = before.remove(&plan.id);
            if let (State::Replaced, Some(before)) = (state, &before) {
                explaining::note(self.output, plan, before);
            }
            self.explaining.add(plan, &built, state, before);
            made.push(self.packaged(plan, &built, state));
        })?;
        Ok(made)
    }

    /// Digests and sizes; nothing is written, also no folder.
    fn count(&mut self, builder: &mut Builder<'_>) -> anyhow::Result<Vec<PackagedPlan>> {
        self.check_places()?;
        let mut before = self.before();
        let mut counted = Vec::new();
        builder.build_all(self.plans, LayoutDestination::Counted, &mut |plan, built| {
            let place = self.place(plan);
            let state = match place.exists() {
                false => State::WouldCreate,
                true if built.counted.is_at(&place) => State::Unchanged,
                true => State::WouldReplace,
            };
            self.explaining.add(plan, &built, state, before.remove(&plan.id));
            counted.push(self.packaged(plan, &built, state));
        })?;
        Ok(counted)
    }

    /// Whether layouts may be put where they go.
    fn check_places(&self) -> anyhow::Result<()> {
        for plan in self.plans {
            check_place(&self.place(plan))?;
        }
        Ok(())
    }

    /// The present content in the places of the plans.
    fn before(&self) -> BTreeMap<ImageId, PlanContent> {
        let at = |plan: &&PlanImage| Some((plan.id.clone(), explaining::at(&self.place(plan))?));
        self.plans.iter().copied().filter_map(|plan| at(&plan)).collect()
    }

    fn packaged(&mut self, plan: &PlanImage, built: &BuiltImage, state: State) -> PackagedPlan {
        self.notes.add(plan, built);
        PackagedPlan::new(plan, self.place(plan), built, state)
    }
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
