//! `wharf push`: the layouts of an offer, or one image in any form, onto a registry.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use wharf_oci::{Descriptor, Digest, RepoName, Tag};

use super::remote::{Endpoint, exit_of, jobs, one_line, open};
use super::targets::Opener;
use super::{Context, variable};
use crate::cli::PushArgs;
use crate::exit::Exit;
use crate::image::facts::Fault;
use crate::image::inputs;
use crate::moves::FLOATING_TAG;
use crate::offer::OfferFile;
use crate::offer::model::PlanImage;
use crate::offer::registries::target;
use crate::output::{Paint, Style, Table, visible};
use crate::push::{Push, PushError, PushReport, image_for, open_proven, prove};
use crate::registry::{ImageRef, Registry};
use crate::rules::image::size;
use crate::source::{Source, Target};
use crate::transfer::{KnownBlobs, TransferStep};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    registry: String,
    items: Vec<Item>,
    requests: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    repository: RepoName,
    state: State,
    #[serde(flatten)]
    pushed: Option<PushReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    failure: Option<PushError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Pushed,
    Unchanged,
    /// A tag of it points elsewhere.
    Refused,
    Failed,
}

/// Runs the command.
pub async fn run(args: &PushArgs, context: &Context) -> anyhow::Result<Exit> {
    match (&args.reference, &args.to) {
        (Some(reference), _) => one_image(args, reference, context).await,
        (None, Some(_)) => whole_offer(args, context).await,
        (None, None) => anyhow::bail!("say where to push: --to NAME, or a reference"),
    }
}

async fn one_image(args: &PushArgs, reference: &str, context: &Context) -> anyhow::Result<Exit> {
    let target = Target::parse(args.source.as_os_str())?;
    let location = target.to_string();
    anyhow::ensure!(
        !matches!(target, Target::Image(_)),
        "{location} is on a registry; `wharf promote` copies the images of an offer between \
         registries, with their signatures, and `skopeo copy --all` copies any other"
    );
    let image: ImageRef = reference.parse()?;
    let tag = image.tag.clone().filter(|_| image.digest.is_none());
    let tag = tag.with_context(|| format!("`{reference}` has no tag to push to; append :TAG"))?;
    let (opened, remarks) = Opener::new(context)
        .open(&target)
        .and_then(|source| Ok(prove(source, jobs())?))
        .with_context(|| format!("cannot push {location}"))?;
    say_all(&remarks, &location, context);
    let target = image_for(&opened, Some(&tag))?;
    let endpoint = Endpoint {
        name: image.registry.as_str(),
        host: &image.registry,
        plain_http: false,
        credentials: None,
        folder: Path::new("."),
    };
    let registry = open(&endpoint, context).await?;
    let run = Run {
        registry: &registry,
        known: KnownBlobs::default(),
        context,
        allow_tag_move: args.allow_tag_move,
    };
    let tags = vec![(tag, target)];
    let item = push(&run, None, &opened, &image.repository, tags).await;
    finish(vec![item], &registry, context)
}

async fn whole_offer(args: &PushArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.source)?;
    let plans = file.select_images(&args.plans)?;
    let name = args.to.as_ref().context("--to is missing")?;
    let mut to = target(&file, name, &variable)?;
    if let Some(through) = &args.through {
        to.login_server = through.clone();
    }
    let layouts = args.layouts.clone().unwrap_or_else(|| file.folder().join("out"));
    let endpoint = Endpoint {
        name: to.name.as_str(),
        host: &to.login_server,
        plain_http: to.plain_http,
        credentials: to.credentials.as_ref(),
        folder: file.folder(),
    };
    let registry = open(&endpoint, context).await?;
    let run = Run {
        registry: &registry,
        known: KnownBlobs::default(),
        context,
        allow_tag_move: args.allow_tag_move,
    };
    let mut items = Vec::new();
    for plan in plans {
        let repo = to.repository(&plan.image.repository);
        let path = layouts.join(plan.id.as_str());
        let opened = open_proven(&path, jobs()).and_then(|(opened, remarks)| {
            check_inputs(plan, &opened, context)?;
            let tags = plan_tags(plan, &opened)?;
            say_all(&remarks, &path.to_string_lossy(), context);
            Ok((opened, tags))
        });
        items.push(match opened {
            Ok((opened, tags)) => push(&run, Some(plan), &opened, &repo, tags).await,
            Err(error) => failed(Some(plan), &repo, error, context),
        });
    }
    finish(items, &registry, context)
}

/// A fault that does not keep a layout from being pushed is reported all the same.
fn say_all(remarks: &[Fault], location: &str, context: &Context) {
    for remark in remarks {
        context.output.warning(&visible(&format!("{location}: {remark}")));
    }
}

/// A layout of an earlier version of the offer is not pushed under the tags of this one.
fn check_inputs(plan: &PlanImage, source: &Source, context: &Context) -> Result<(), PushError> {
    let path = source.location();
    if inputs::is_stale(source.roots(), &plan.image) {
        return Err(PushError::Outdated { location: path.to_owned() });
    }
    if inputs::recorded(source.roots()).is_none() {
        let message = format!("{path} does not say which version of the offer it is made from");
        context.output.warning(&message);
    }
    Ok(())
}

/// The plan's tags in the offer, with the layout's descriptor for each.
fn plan_tags(plan: &PlanImage, source: &Source) -> Result<Vec<(Tag, Descriptor)>, PushError> {
    let found = |tag: &Tag| {
        let named = source.tags().find(|(name, _)| name == tag).map(|(_, target)| target.clone());
        named.map(|target| (tag.clone(), target)).ok_or_else(|| PushError::Absent {
            location: source.location().to_owned(),
            missing: format!("tag {tag}"),
        })
    };
    plan.image.expanded_tags.iter().map(|expanded| found(&expanded.tag)).collect()
}

/// The constant part for all items of one run.
struct Run<'a> {
    registry: &'a Registry,
    known: KnownBlobs,
    context: &'a Context,
    allow_tag_move: bool,
}

async fn push(
    run: &Run<'_>,
    plan: Option<&PlanImage>,
    source: &Source,
    repo: &RepoName,
    tags: Vec<(Tag, Descriptor)>,
) -> Item {
    let Run { registry, known, context, allow_tag_move } = run;
    let allow_tag_move = *allow_tag_move;
    context.output.note(&format!("pushing {} to {}/{repo}", source.location(), registry.host()));
    let tell = |step: TransferStep<'_>| {
        if let TransferStep::Blob(blob, how) = step {
            let short = blob.digest.short();
            context.output.detail(&format!("{repo} {short} {} {how:?}", size(blob.size)));
        }
    };
    match (Push { source, registry, repo, tags, known, allow_tag_move }).run(&tell).await {
        Ok(pushed) => {
            for tag in pushed.tags.iter().filter(|tag| tag.tag.as_str() != FLOATING_TAG) {
                if let Some(from) = &tag.moved_from {
                    let message = format!("{repo}:{} pointed at {from} before", tag.tag);
                    context.output.warning(&message);
                }
            }
            Item {
                plan: plan.map(|plan| plan.id.to_string()),
                repository: repo.clone(),
                state: if pushed.unchanged { State::Unchanged } else { State::Pushed },
                pushed: Some(pushed),
                error: None,
                failure: None,
            }
        }
        Err(error) => failed(plan, repo, error, context),
    }
}

fn failed(plan: Option<&PlanImage>, repo: &RepoName, error: PushError, context: &Context) -> Item {
    let message = one_line(&error);
    let plan = plan.map(|plan| plan.id.to_string());
    let what = plan.clone().unwrap_or_else(|| repo.to_string());
    context.output.failure(&format!("{what}: {message}"), None);
    Item {
        plan,
        repository: repo.clone(),
        state: match error {
            PushError::TagMoves { .. } => State::Refused,
            _ => State::Failed,
        },
        pushed: None,
        error: Some(message),
        failure: Some(error),
    }
}

fn finish(items: Vec<Item>, registry: &Registry, context: &Context) -> anyhow::Result<Exit> {
    let failures = items.iter().filter_map(|item| item.failure.as_ref());
    let exit = exit_of(items.len(), failures.map(|error| error as _));
    let report =
        Report { registry: registry.host().to_string(), items, requests: registry.requests() };
    context.output.result("push", &report, |paint| text(&report, paint))?;
    Ok(exit)
}

fn text(report: &Report, paint: Paint) -> String {
    let mut table =
        Table::new(&["PLAN", "REPOSITORY", "DIGEST", "SENT", "MOUNTED", "SKIPPED", "STATE"]);
    for item in &report.items {
        let bytes = |count: fn(&PushReport) -> u64| {
            item.pushed.as_ref().map_or_else(|| "-".to_owned(), |pushed| size(count(pushed)))
        };
        let digest: Option<Digest> = item.pushed.as_ref().map(|pushed| pushed.digest);
        let state = match item.state {
            State::Pushed => (Style::Good, "pushed"),
            State::Unchanged => (Style::Plain, "unchanged"),
            State::Refused => (Style::Error, "refused"),
            State::Failed => (Style::Error, "failed"),
        };
        let cells = [
            item.plan.clone().unwrap_or_else(|| "-".to_owned()),
            item.repository.to_string(),
            digest.map_or_else(|| "-".to_owned(), |digest| digest.short()),
            bytes(|pushed| pushed.moved.sent_bytes),
            bytes(|pushed| pushed.moved.mounted_bytes),
            bytes(|pushed| pushed.moved.skipped_bytes),
        ];
        let plain = cells.into_iter().map(|cell| (Style::Plain, cell));
        table.styled_row(plain.chain([(state.0, state.1.to_owned())]));
    }
    let mut text = table.render(paint);
    for item in &report.items {
        for tag in item.pushed.iter().flat_map(|pushed| &pushed.tags) {
            let line =
                format!("{}/{}:{}@{}\n", report.registry, item.repository, tag.tag, tag.digest);
            text.push_str(&line);
        }
    }
    text
}
