//! `wharf promote plan`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use super::super::inputs::Inputs;
use super::super::{Context, publish, variable, write_file};
use super::{companions_text, open_sides, quota_of, release};
use crate::cli::PromotePlanArgs;
use crate::exit::Exit;
use crate::input;
use crate::offer::OfferFile;
use crate::offer::registries::{RegistryTarget, target, target_of};
use crate::output::{Paint, Style, Table};
use crate::promote::companions::CompanionAction;
use crate::promote::forecast::Forecast;
use crate::promote::images::{IMAGES_BYTES_MAX, ImagesFile, Selection};
use crate::promote::plan::{Content, CredentialNames, Item, Plan, PlanAction, RegistryRef};
use crate::promote::planner::{PlanRequest, Planner, WantedTag};
use crate::rules::image::size;

/// What the images are taken from.
enum Wanted {
    Offer(Box<OfferFile>),
    Images(ImagesFile, PathBuf),
}

/// A plan and what it takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    forecast: Forecast,
}

/// Makes a plan.
pub(super) async fn run(args: &PromotePlanArgs, context: &Context) -> anyhow::Result<Exit> {
    let wanted = Wanted::open(args)?;
    let (from, to) = (wanted.target(&args.from)?, wanted.target(&args.to)?);
    let folder = wanted.folder()?;
    let sides = (side(&from, &folder, context), side(&to, &folder, context));
    let quota = quota_of(args.tier);
    let (source, destination) = open_sides(&sides.0, &sides.1, quota, context).await?;
    let planner = Planner::new(
        Arc::clone(&source),
        Arc::clone(&destination),
        args.allow_tag_move,
        args.late_companions,
    );
    let selection = wanted.select(args, (&from, &to), &planner).await?;
    selection.unmatched.iter().for_each(|text| context.output.warning(text));
    let note =
        |request: &PlanRequest| context.output.detail(&format!("looking at {}", request.plan));
    let (items, manifests) = planner.plan(&selection.requests, &note).await?;
    for item in &items {
        for left in item.companions.iter().filter(|at| at.action == CompanionAction::Left) {
            context.output.warning(&format!("{}: {left}", item.plan));
        }
    }
    let (offer, allow_tag_move) = (wanted.name(), args.allow_tag_move);
    let (from, to) = sides;
    let plan = Plan::new(Content { offer, from, to, allow_tag_move, items, manifests });
    let forecast = Forecast::of(plan.content(), quota);
    let is_one = Arc::ptr_eq(&source, &destination);
    let asked = source.requests() + if is_one { 0 } else { destination.requests() };
    context.output.detail(&format!("{asked} requests"));
    match &args.output {
        Some(path) => {
            write_file(path, &plan.to_json()?, &wanted.inputs())?;
            let result = Planned { plan: &plan, forecast };
            context.output.result("promote plan", &result, |paint| {
                plan_text(&result, path, args.late_companions, paint)
            })?;
        }
        None => context.output.raw(&plan.to_json()?)?,
    }
    let page = release::planned(&plan, args.output.as_deref().unwrap_or(Path::new("PLAN")));
    let inputs = wanted.inputs().and(args.output.as_deref());
    let markdown = |bytes_max| page.markdown(bytes_max);
    let exit = planned_exit(&plan.content().items);
    Ok(publish::pages(&args.reports, &markdown, &inputs, exit, context))
}

impl Wanted {
    fn open(args: &PromotePlanArgs) -> anyhow::Result<Self> {
        if let Some(path) = &args.images {
            let cannot = || format!("cannot read {}", path.display());
            let mut bytes = Vec::new();
            let file = input::open(path).with_context(cannot)?;
            file.take(IMAGES_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
            anyhow::ensure!(
                bytes.len() as u64 <= IMAGES_BYTES_MAX,
                "{} has more than {}",
                path.display(),
                size(IMAGES_BYTES_MAX)
            );
            return Ok(Self::Images(ImagesFile::parse(path, bytes)?, path.clone()));
        }
        let offer = args.offer.as_deref().context("name an offer file, or --images FILE")?;
        Ok(Self::Offer(Box::new(OfferFile::open(offer)?)))
    }

    fn target(&self, name: &crate::offer::values::RegistryName) -> anyhow::Result<RegistryTarget> {
        Ok(match self {
            Self::Offer(file) => target(file, name, &variable)?,
            Self::Images(file, path) => target_of(path, &file.registries, name, &variable)?,
        })
    }

    /// Where relative paths of credentials start.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = match self {
            Self::Offer(file) => file.folder(),
            Self::Images(_, path) => path.parent().unwrap_or(Path::new(".")),
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::path::absolute(folder).context("cannot find the folder of the file")
    }

    fn name(&self) -> String {
        match self {
            Self::Offer(file) => file.offer.offer.id.clone(),
            Self::Images(_, path) => path.file_name().unwrap_or_default().to_string_lossy().into(),
        }
    }

    fn inputs(&self) -> Inputs {
        match self {
            Self::Offer(file) => Inputs::of(file),
            Self::Images(_, path) => Inputs::none().and([path.as_path()]),
        }
    }

    async fn select(
        &self,
        args: &PromotePlanArgs,
        (from, to): (&RegistryTarget, &RegistryTarget),
        planner: &Planner,
    ) -> anyhow::Result<Selection> {
        let file = match self {
            Self::Images(file, _) => {
                return Ok(file.select(from, to, planner.source_tags()).await?);
            }
            Self::Offer(file) => file,
        };
        let plans = file.select_images(&args.plans)?;
        let requests = plans.into_iter().map(|plan| PlanRequest {
            plan: plan.id.to_string(),
            source: from.repository(&plan.image.repository),
            destination: to.repository(&plan.image.repository),
            tags: plan
                .image
                .expanded_tags
                .iter()
                .map(|expanded| WantedTag::from(expanded.tag.clone()))
                .collect(),
        });
        Ok(Selection { requests: requests.collect(), unmatched: Vec::new() })
    }
}

fn side(target: &RegistryTarget, folder: &Path, context: &Context) -> RegistryRef {
    RegistryRef {
        name: target.name.to_string(),
        login_server: target.login_server.clone(),
        plain_http: target.plain_http || context.global.plain_http,
        credentials: target.credentials.as_ref().map(CredentialNames::of),
        offer_folder: folder.to_owned(),
    }
}

/// A plan that cannot do everything fails at once.
fn planned_exit(items: &[Item]) -> Exit {
    let is_stuck = |item: &Item| match item.action {
        PlanAction::Missing | PlanAction::Refused | PlanAction::Conflict => true,
        PlanAction::Copy | PlanAction::UpToDate => false,
    };
    if items.iter().any(is_stuck) { Exit::Partial } else { Exit::Ok }
}

fn plan_text(planned: &Planned<'_>, path: &Path, late: bool, paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "FROM", "TO", "TAGS", "DIGEST", "SIZE", "ACTION"]);
    let promotion = planned.plan.content();
    for item in &promotion.items {
        let (style, action) = action_of(item);
        let digest = item.tags.last().map_or_else(|| "-".to_owned(), |step| step.digest.short());
        let tags: Vec<&str> = item.tags.iter().map(|step| step.tag.as_str()).collect();
        let cells = [
            item.plan.clone(),
            format!("{}/{}", promotion.from.login_server, item.source),
            format!("{}/{}", promotion.to.login_server, item.destination),
            tags.join(","),
            digest,
            if item.blobs.is_empty() { "-".to_owned() } else { size(item.size_bytes()) },
        ];
        let styled = cells.into_iter().map(|cell| (Style::Plain, cell));
        table.styled_row(styled.chain([(style, action)]));
    }
    let mut text = if promotion.items.is_empty() {
        "nothing is selected, and nothing will be done\n".to_owned()
    } else {
        table.render(paint)
    };
    for item in &promotion.items {
        text.push_str(&companions_text(&item.plan, &item.companions));
    }
    text.push_str(&totals_text(planned, late));
    let _ = writeln!(text, "plan {} in {}", planned.plan.digest(), path.display());
    text
}

/// What will be done about an image, with the reason for doing nothing.
fn action_of(item: &Item) -> (Style, String) {
    match item.action {
        PlanAction::Copy => {
            let moves = item.tags.iter().filter(|step| step.write().is_move());
            let moves: Vec<&str> = moves.map(|step| step.tag.as_str()).collect();
            match moves.as_slice() {
                [] => (Style::Good, "add".to_owned()),
                moves => (Style::Warning, format!("add, tag move: {}", moves.join(", "))),
            }
        }
        PlanAction::UpToDate => (Style::Plain, "up to date".to_owned()),
        PlanAction::Refused => (Style::Error, format!("tag move, refused: {}", item.reason)),
        PlanAction::Conflict => (Style::Error, format!("conflict: {}", item.reason)),
        PlanAction::Missing => (Style::Error, format!("lost: {}", item.reason)),
    }
}

/// How much all of it is.
fn totals_text(planned: &Planned<'_>, late: bool) -> String {
    let Forecast { image_bytes, sent_bytes, minutes, .. } = planned.forecast;
    let items = &planned.plan.content().items;
    let is_copied = |item: &&Item| item.action == PlanAction::Copy;
    let mut text = format!(
        "{} of {} images to add: at most {} to send of {} in them, about {} requests ({} reads at \
         the source, {} reads and {} writes at the destination)",
        items.iter().filter(is_copied).count(),
        items.len(),
        size(sent_bytes),
        size(image_bytes),
        planned.forecast.requests(),
        planned.forecast.source_reads,
        planned.forecast.destination_reads,
        planned.forecast.destination_writes,
    );
    match minutes {
        Some(minutes) => {
            let _ = writeln!(text, "; by the limits of the tier {minutes} min at least");
        }
        None => text.push('\n'),
    }
    let up_to_date = items.iter().filter(|item| item.action == PlanAction::UpToDate).count();
    if up_to_date > 0 && !late {
        let _ = writeln!(
            text,
            "{up_to_date} up to date by their tags; --late-companions looks for signatures that came \
             since"
        );
    }
    text
}
