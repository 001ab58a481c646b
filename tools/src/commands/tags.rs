//! `wharf tags`: the tags each plan should publish, in the order of writing, and the tags to drop.

use std::fmt::Write as _;

use serde::Serialize;
use wharf_oci::Tag;

use super::Context;
use super::given::published;
use crate::cli::{OutputFormat, TagsArgs};
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::model::PlanImage;
use crate::offer::tag_forms::{TAGS_MAX, version_of};
use crate::offer::tags::{TagTarget, TagTemplate};
use crate::output::{Paint, Style, Table, json, visible};
use crate::published::PlanState;
use crate::rules::Profile;
use crate::tag_plan::{LeftOut, PlannedTag, TagOrigin, TagOutcome, TagPlan, TagRequest, solve};

/// The result for the requested plans.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Solved {
    profile: &'static str,
    plans: Vec<SolvedPlan>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SolvedPlan {
    plan: String,
    repository: String,
    version: String,
    /// The list, or why there is none.
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Answer {
    List {
        tags: Vec<ListedTag>,
        free: usize,
        tags_per_version: usize,
        left_out: Vec<LeftOutTags>,
        /// The part of it that the ledger has as live, in the form of
        /// `wharf offer record --withdraw`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        withdraw: Vec<String>,
        /// The offer's keys for this list.
        offer: OfferKeys,
    },
    None {
        error: String,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedTag {
    tag: String,
    state: &'static str,
    /// A platform, or `index`; of a published tag only its text is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    points_at: Option<String>,
    #[serde(skip)]
    style: Style,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOutTags {
    /// The published version without any tag left.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The template of the offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    tags: Vec<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfferKeys {
    /// Whether it says this already.
    is_same: bool,
    tags: Vec<String>,
    published_tags: Vec<String>,
}

/// Runs the command.
pub fn run(args: &TagsArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut file = OfferFile::open(&args.offer)?;
    let state = published(args.ledger.as_deref(), &mut file)?.unwrap_or_default();
    only_earlier(&mut file);
    let profile = if args.lenient { Profile::Lenient } else { args.profile };
    // The images of a chart are found by their digests; their tags are in no list.
    let plans = file.select_images(&args.plans)?.into_iter();
    let known = state.offer(&file.offer.publisher, &file.offer.offer.id);
    let live = |plan: &PlanImage| known.and_then(|known| known.plans.get(plan.id.plan()));
    let plans = plans.filter(|plan| plan.name.is_none());
    let plans = plans.map(|plan| solved(plan, live(plan), profile));
    let profile = match profile {
        Profile::Strict => "strict",
        Profile::Lenient => "lenient",
    };
    let result = Solved { profile, plans: plans.collect() };
    match args.format.unwrap_or_else(|| context.output.format()) {
        OutputFormat::Json => context.output.raw(&json("tags", &result)?)?,
        OutputFormat::Text => {
            let offer = args.offer.display().to_string();
            context.output.raw(&text(&result, &offer, context.output.paint()))?;
        }
    }
    let unsolved = result.plans.iter().any(|plan| matches!(plan.answer, Answer::None { .. }));
    Ok(if unsolved { Exit::Findings } else { Exit::Ok })
}

/// Live tags of this version are rewritten with it; another spelling from before is no earlier
/// version.
fn only_earlier(file: &mut OfferFile) {
    let mut earlier = Vec::new();
    for (place, _, plan) in file.offer.image_plans() {
        let image = &plan.image.image;
        if !file.has(&format!("{}.publishedTags", plan.image.key)) {
            let is_this = |tag: &Tag| {
                version_of(tag.as_str())
                    .is_some_and(|(version, _)| version.numbers() == image.version.numbers())
            };
            let tags = image.published_tags.iter().filter(|tag| !is_this(tag)).cloned();
            earlier.push((place, tags.collect::<Vec<_>>()));
        }
    }
    for (place, tags) in earlier {
        file.offer.take_published_tags(place, tags);
    }
}

fn solved(plan: &PlanImage, live: Option<&PlanState>, profile: Profile) -> SolvedPlan {
    let answer = match solve(&TagRequest::of(&plan.image), profile) {
        Ok(tags) => list(plan, live, tags),
        Err(error) => Answer::None { error: error.to_string() },
    };
    SolvedPlan {
        plan: plan.id.to_string(),
        repository: plan.image.repository.to_string(),
        version: plan.image.version.to_string(),
        answer,
    }
}

fn list(plan: &PlanImage, live: Option<&PlanState>, solved: TagPlan) -> Answer {
    let TagPlan { tags, left_out, templates } = solved;
    let is_published = |item: &&PlannedTag| item.state == TagOutcome::Published;
    let published = tags.iter().filter(is_published).map(|item| item.tag.to_string());
    let published: Vec<String> = published.collect();
    let image = &plan.image;
    let same = image.tags.as_slice() == templates
        && published.len() == image.published_tags.len()
        && image.published_tags.iter().all(|tag| published.iter().any(|at| at == tag.as_str()));
    let written = templates.iter().map(TagTemplate::as_str).map(ToOwned::to_owned);
    Answer::List {
        free: TAGS_MAX.saturating_sub(tags.len()),
        // `latest` is the same tag in each version.
        tags_per_version: (tags.len() - published.len()).saturating_sub(1),
        offer: OfferKeys { is_same: same, tags: written.collect(), published_tags: published },
        withdraw: withdraw(plan, live, &left_out),
        left_out: left_out.iter().map(left_out_tags).collect(),
        tags: tags.iter().map(|item| listed(plan, item)).collect(),
    }
}

fn listed(plan: &PlanImage, item: &PlannedTag) -> ListedTag {
    let (style, state) = match item.state {
        TagOutcome::Published => (Style::Plain, "published"),
        TagOutcome::Moves => (Style::Plain, "moves"),
        TagOutcome::New => (Style::Good, "new"),
        TagOutcome::Added => (Style::Warning, "added"),
    };
    let points_at = item.target.map(|target| match target {
        TagTarget::Index => "index".to_owned(),
        TagTarget::Platform(place) => {
            let build = plan.image.platforms.get(place);
            build.map(|build| build.platform.to_string()).unwrap_or_default()
        }
    });
    ListedTag { tag: item.tag.to_string(), state, points_at, style }
}

/// The dropped tags still on sale: the ledger would ask for them again.
fn withdraw(plan: &PlanImage, live: Option<&PlanState>, left_out: &[LeftOut]) -> Vec<String> {
    let is_live = |tag: &&Tag| {
        live.and_then(|live| live.tags.get(*tag)).is_some_and(|known| known.life.is_live())
    };
    let tags = left_out.iter().flat_map(|item| &item.tags).filter(is_live);
    tags.map(|tag| format!("{}:{tag}", plan.id.plan())).collect()
}

fn left_out_tags(item: &LeftOut) -> LeftOutTags {
    let (mut version, mut template) = (None, None);
    match &item.origin {
        TagOrigin::Version(of) => version = Some(of.to_string()),
        TagOrigin::Template(text) | TagOrigin::Advised(text) => template = Some(text.clone()),
        TagOrigin::Published => {}
    }
    let tags = item.tags.iter().map(ToString::to_string).collect();
    LeftOutTags { version, template, tags, reason: item.reason.to_string() }
}

fn text(result: &Solved, file: &str, paint: Paint) -> String {
    let mut text = String::new();
    for (place, plan) in result.plans.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        let name = paint.text(Style::Strong, &plan.plan);
        let _ = write!(text, "{name} {} ({})", plan.version, plan.repository);
        match &plan.answer {
            Answer::None { error } => {
                let what = paint.text(Style::Error, "no list");
                let _ = writeln!(text, ": {what}: {}", visible(error));
            }
            Answer::List { tags, free, tags_per_version, left_out, withdraw, offer } => {
                let used = tags.len();
                let _ = writeln!(text, ": {used} of {TAGS_MAX} tags, {}", result.profile);
                text.push_str(&table(tags, paint));
                for item in left_out {
                    let line = format!("left out: {}: {}", named(item), item.reason);
                    let _ = writeln!(text, "{}", paint.wrap(&visible(&line), 4));
                }
                text.push_str(&withdrawal(file, withdraw));
                let _ = writeln!(text, "{}", outlook(*free, *tags_per_version));
                text.push_str(&keys(offer));
            }
        }
    }
    text
}

/// The command for the withdrawal in the ledger; empty without one.
fn withdrawal(file: &str, tags: &[String]) -> String {
    if tags.is_empty() {
        return String::new();
    }
    let command = format!("wharf offer record {file} --withdraw {}", tags.join(" --withdraw "));
    format!("the ledger has these as live; to stop offering them:\n  {}\n", visible(&command))
}

fn table(tags: &[ListedTag], paint: Paint) -> String {
    let mut table = Table::new(&["TAG", "POINTS AT", "STATE"]);
    for item in tags {
        let at = item.points_at.as_deref().unwrap_or("-");
        let at = if at == "index" { "all platforms" } else { at };
        let cells = [(Style::Plain, item.tag.clone()), (Style::Plain, at.to_owned())];
        let said = match item.state {
            "added" => "new, not in the offer yet",
            "moves" => "moves to this version",
            state => state,
        };
        table.styled_row(cells.into_iter().chain([(item.style, said.to_owned())]));
    }
    table.render(paint)
}

/// A dropped tag group, by its best-known word.
fn named(item: &LeftOutTags) -> String {
    let tags = item.tags.join(", ");
    match (&item.version, &item.template) {
        (Some(version), _) => format!("version {version} ({tags})"),
        (None, Some(template)) if *template != tags => format!("{template} ({tags})"),
        _ => tags,
    }
}

/// The room for the next versions.
fn outlook(free: usize, per_version: usize) -> String {
    let more = free.checked_div(per_version).unwrap_or_default();
    match more {
        0 => format!("each version adds {per_version}; the next one puts the oldest out"),
        1 => format!("each version adds {per_version}; one more fits before the oldest goes"),
        more => format!("each version adds {per_version}; {more} more fit before the oldest goes"),
    }
}

/// The keys of the offer for this list.
fn keys(offer: &OfferKeys) -> String {
    if offer.is_same {
        return "the offer says this already\n".to_owned();
    }
    let list = |items: &[String]| {
        let quoted = items.iter().map(|item| format!("\"{item}\""));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("in the offer:\n  tags: [{}]\n", visible(&list(&offer.tags)));
    if !offer.published_tags.is_empty() {
        let _ = writeln!(text, "  publishedTags: [{}]", visible(&list(&offer.published_tags)));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::offer::fixture;
    use crate::published::tests::{image, submitted};
    use crate::published::{self, LedgerState, Submission};

    #[test]
    fn what_is_left_out_and_live_is_told_with_the_command_that_takes_it_back() {
        let versions = ["1.1.0", "1.2.0", "1.3.0"];
        let words = ["all", "test", "linux-amd64", "linux-arm64"];
        let tags =
            versions.iter().flat_map(|version| words.map(|word| format!("{version}-{word}")));
        let tags = tags.map(|tag| (tag.parse().unwrap(), None)).collect();
        let live = Submission { tags, ..image() };
        let state = LedgerState::of(&[submitted(&live)]);
        let mut file = fixture::parse(fixture::OFFER).unwrap();
        published::complete(&mut file, &state);
        let known = &state.offer("quayline", "tidepool").unwrap().plans["server"];
        let plan = file.image(0).unwrap();
        let solved = |known| {
            let plans = vec![solved(plan, known, Profile::Strict)];
            let result = Solved { profile: "strict", plans };
            let text = text(&result, "offer.yaml", Paint::PLAIN);
            let Answer::List { left_out, withdraw, .. } = &result.plans[0].answer else {
                panic!("{result:?}")
            };
            assert!(!left_out.is_empty(), "17 tags fit");
            (withdraw.clone(), text)
        };
        let (withdraw, text) = solved(Some(known));
        assert!(withdraw.iter().any(|tag| tag.starts_with("server:1.1.0-")), "{withdraw:?}");
        let command = format!("wharf offer record offer.yaml --withdraw {}", withdraw[0]);
        assert!(text.contains(&command), "{text}");
        // A withdrawal needs a live tag in the ledger.
        let (withdraw, text) = solved(None);
        assert!(withdraw.is_empty() && !text.contains("--withdraw"), "{text}");
    }
}
