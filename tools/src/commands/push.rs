//! `wharf push`: the layouts of an offer, or one image in any form, onto a registry.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use wharf_oci::{Descriptor, Digest, RepoName, Tag};

use super::remote::{Endpoint, exit_of, jobs, one_line, open, open_with};
use super::targets::Opener;
use super::{Context, variable};
use crate::cli::{LoginArgs, PasswordPlace, PushArgs};
use crate::credentials::{self, Login};
use crate::exit::Exit;
use crate::image::facts::Fault;
use crate::image::inputs;
use crate::image_lock::{self, LockState};
use crate::input;
use crate::moves::FLOATING_TAG;
use crate::offer::OfferFile;
use crate::offer::model::PlanImage;
use crate::offer::registries::target;
use crate::offer::secrets::Secret;
use crate::output::{Paint, Style, Table, visible};
use crate::promote::manifests::Manifests;
use crate::push::{self, Push, PushError, PushOrigin, PushReport, image_for, open_proven, prove};
use crate::registry::{ImageRef, Quota, Registry};
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
    lock: Option<LockState>,
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
    let image: ImageRef = reference.parse()?;
    let tag = image.tag.clone().filter(|_| image.digest.is_none());
    let tag = tag.with_context(|| format!("`{reference}` has no tag to push to; append :TAG"))?;
    let endpoint = endpoint_of(&image);
    let login = given_login(&args.login, Some(&target))?;
    if let Target::Image(from) = &target {
        let registry = destination(&endpoint, login, context).await?;
        let item = from_registry(args, from, &registry, &image.repository, tag, context).await?;
        return finish(vec![item], &registry, context);
    }
    let location = target.to_string();
    let (opened, remarks) = Opener::new(context)
        .open(&target)
        .and_then(|source| Ok(prove(source, jobs())?))
        .with_context(|| format!("cannot push {location}"))?;
    say_all(&remarks, &location, context);
    let found = image_for(&opened, Some(&tag))?;
    let registry = destination(&endpoint, login, context).await?;
    let run = Run::new(args, &registry, context);
    let origin = PushOrigin::Disk(&opened);
    let item = push(&run, None, origin, &image.repository, vec![(tag, found)]).await;
    finish(vec![item], &registry, context)
}

/// A registry that no offer names.
fn endpoint_of(image: &ImageRef) -> Endpoint<'_> {
    Endpoint {
        name: image.registry.as_str(),
        host: &image.registry,
        plain_http: false,
        credentials: None,
        folder: Path::new("."),
    }
}

/// Opens the destination with the login of the command line, or the usual one.
async fn destination(
    endpoint: &Endpoint<'_>,
    login: Option<Login>,
    context: &Context,
) -> anyhow::Result<Arc<Registry>> {
    match login {
        Some(login) => open_with(endpoint, Some(login), Quota::default(), context),
        None => open(endpoint, context).await,
    }
}

/// The login that the command line gives.
fn given_login(args: &LoginArgs, source: Option<&Target>) -> anyhow::Result<Option<Login>> {
    let Some(username) = args.username.clone() else { return Ok(None) };
    if args.password_stdin {
        anyhow::ensure!(
            source != Some(&Target::Stdin),
            "stdin cannot be both the image and the password; take the password from \
             --password-from, or the image from a file"
        );
        let password = credentials::password_of(&mut std::io::stdin().lock())?;
        return Ok(Some(Login::Basic { username, password }));
    }
    let Some(place) = &args.password_from else { return Ok(None) };
    let password = match place {
        PasswordPlace::Env(name) => Secret::Env(name.clone()).resolve(Path::new("."), &variable)?,
        PasswordPlace::KeyVault(name) => {
            Secret::KeyVault(name.clone()).resolve(Path::new("."), &variable)?
        }
        PasswordPlace::File(path) => {
            let cannot = || format!("cannot read the password in {}", path.display());
            let mut file = input::open(path).with_context(cannot)?;
            credentials::password_of(&mut file).with_context(cannot)?
        }
    };
    Ok(Some(Login::Basic { username, password }))
}

/// Pushes an image of another registry, or of the same one.
async fn from_registry(
    args: &PushArgs,
    from: &ImageRef,
    registry: &Arc<Registry>,
    repo: &RepoName,
    tag: Tag,
    context: &Context,
) -> anyhow::Result<Item> {
    let is_same = from.registry == *registry.host();
    let source =
        if is_same { Arc::clone(registry) } else { open(&endpoint_of(from), context).await? };
    let found = push::find(&source, &from.repository, &from.reference()?).await?;
    let run = Run::new(args, registry, context);
    let origin =
        PushOrigin::Registry { manifests: Manifests::new(source), repo: from.repository.clone() };
    Ok(push(&run, None, origin, repo, vec![(tag, found)]).await)
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
    let login = given_login(&args.login, None)?;
    let registry = destination(&endpoint, login, context).await?;
    let run = Run::new(args, &registry, context);
    let mut items = Vec::new();
    for plan in plans {
        let repo = to.repository(&plan.image.repository);
        let path = layouts.join(plan.id.as_str());
        items.push(match open_layout(plan, &path, context) {
            Ok((opened, tags)) => {
                push(&run, Some(plan), PushOrigin::Disk(&opened), &repo, tags).await
            }
            Err(error) => failed(Some(plan), &repo, error, context),
        });
    }
    finish(items, &registry, context)
}

/// The proven layout of a plan, with the descriptors of its tags.
fn open_layout(
    plan: &PlanImage,
    path: &Path,
    context: &Context,
) -> Result<(Source, Vec<(Tag, Descriptor)>), PushError> {
    let (opened, remarks) = open_proven(path, jobs())?;
    check_inputs(plan, &opened, context)?;
    let tags = plan_tags(plan, &opened)?;
    say_all(&remarks, &path.to_string_lossy(), context);
    Ok((opened, tags))
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
    args: &'a PushArgs,
    registry: &'a Registry,
    known: KnownBlobs,
    context: &'a Context,
}

impl<'a> Run<'a> {
    fn new(args: &'a PushArgs, registry: &'a Registry, context: &'a Context) -> Self {
        Self { args, registry, known: KnownBlobs::default(), context }
    }

    /// Locks what was pushed, where it is asked for.
    async fn lock(&self, item: &mut Item) {
        let Some(pushed) = item.pushed.as_ref().filter(|_| self.args.lock) else { return };
        let tags = pushed.tags.iter().map(|tag| &tag.tag);
        let manifests = pushed.manifests.iter().copied();
        let what = item.plan.clone().unwrap_or_else(|| item.repository.to_string());
        match image_lock::lock(self.registry, &item.repository, tags, manifests).await {
            Ok(lock) => {
                if lock == LockState::Unsupported {
                    let host = self.registry.host().as_str();
                    let message = format!("{what}: {}", image_lock::unsupported(host));
                    self.context.output.warning(&message);
                }
                item.lock = Some(lock);
            }
            Err(error) => {
                let error = PushError::Lock(error);
                let message = one_line(&error);
                self.context.output.failure(&format!("{what}: {message}"), None);
                item.error = Some(message);
                item.failure = Some(error);
            }
        }
    }
}

async fn push(
    run: &Run<'_>,
    plan: Option<&PlanImage>,
    origin: PushOrigin<'_>,
    repo: &RepoName,
    tags: Vec<(Tag, Descriptor)>,
) -> Item {
    let Run { registry, known, context, args } = run;
    let from = origin.location();
    context.output.note(&format!("pushing {from} to {}/{repo}", registry.host()));
    let tell = |step: TransferStep<'_>| {
        if let TransferStep::Blob(blob, how) = step {
            let short = blob.digest.short();
            context.output.detail(&format!("{repo} {short} {} {how:?}", size(blob.size)));
        }
    };
    let allow_tag_move = args.allow_tag_move;
    let pushed = Push { origin, registry, repo, tags, known, allow_tag_move }.run(&tell).await;
    match pushed {
        Ok(pushed) => {
            for tag in pushed.tags.iter().filter(|tag| tag.tag.as_str() != FLOATING_TAG) {
                if let Some(from) = &tag.moved_from {
                    let message = format!("{repo}:{} pointed at {from} before", tag.tag);
                    context.output.warning(&message);
                }
            }
            let mut item = Item {
                plan: plan.map(|plan| plan.id.to_string()),
                repository: repo.clone(),
                state: if pushed.unchanged { State::Unchanged } else { State::Pushed },
                pushed: Some(pushed),
                lock: None,
                error: None,
                failure: None,
            };
            run.lock(&mut item).await;
            item
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
        lock: None,
        error: Some(message),
        failure: Some(error),
    }
}

fn finish(items: Vec<Item>, registry: &Registry, context: &Context) -> anyhow::Result<Exit> {
    let failures = items.iter().filter_map(|item| item.failure.as_ref());
    let exit = match exit_of(items.len(), failures.map(|error| error as _)) {
        Exit::Ok if items.iter().any(|item| item.lock == Some(LockState::Unsupported)) => {
            Exit::Partial
        }
        exit => exit,
    };
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
