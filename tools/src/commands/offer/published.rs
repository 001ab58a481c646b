//! `wharf offer published`: the state in the ledger.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::super::Context;
use crate::cli::PublishedArgs;
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::tag_forms::version_of;
use crate::offer::values::ImageVersion;
use crate::output::{Paint, Style, Table};
use crate::published::{
    LEDGER_NAME, LedgerState, Life, OfferState, PlanState, PublishedFile, ValueHistory,
};

/// Most offers in the message about a missing one.
const NAMED_MAX: usize = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    ledger: String,
    records: usize,
    offers: Vec<ShownOffer>,
    /// The text in place of a table without rows.
    #[serde(skip)]
    nothing: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownOffer {
    publisher: String,
    offer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<&'static str>,
    plans: Vec<ShownPlan>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownPlan {
    plan: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted: Option<String>,
    kind: Option<&'static str>,
    licence: Option<&'static str>,
    visibility: Option<&'static str>,
    audience: Option<&'static str>,
    regions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_type: Option<String>,
    /// The highest live version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    tags: Vec<ShownVersion>,
    bundles: Vec<ShownVersion>,
}

/// A tag or a bundle.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownVersion {
    name: String,
    state: &'static str,
    /// More than one where it moved.
    digests: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &PublishedArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = args.offer.as_deref().map(OfferFile::open).transpose()?;
    let folder = file.as_ref().map_or(Path::new("."), OfferFile::folder);
    let ledger = PublishedFile::find(folder, args.ledger.as_deref())?.with_context(|| {
        let place = folder.join(LEDGER_NAME);
        let advice = "`wharf offer record OFFER --target live` starts it";
        format!("there is no ledger {}; {advice}", place.display())
    })?;
    let state = ledger.state();
    let wanted = file.as_ref().map(|file| (&file.offer.publisher, &file.offer.offer.id));
    let offers = state
        .offers
        .iter()
        .filter(|((publisher, offer), _)| wanted.is_none_or(|wanted| wanted == (publisher, offer)));
    let shown = Shown {
        ledger: ledger.path().display().to_string(),
        records: ledger.records().len(),
        offers: offers.map(|((publisher, id), at)| shown_offer(publisher, id, at)).collect(),
        nothing: nothing(&state, wanted),
    };
    context.output.result("offer published", &shown, |paint| text(&shown, paint))?;
    Ok(Exit::Ok)
}

/// Why there is no row.
fn nothing(state: &LedgerState, wanted: Option<(&String, &String)>) -> String {
    let advice = "`wharf offer record OFFER --target live` adds what was submitted";
    let known = state.offers.keys().map(|(publisher, offer)| format!("{publisher}/{offer}"));
    let known: Vec<String> = known.take(NAMED_MAX).collect();
    match wanted {
        Some((publisher, offer)) if !known.is_empty() => format!(
            "the ledger says nothing of `{publisher}/{offer}`, only of {}; {advice}",
            known.join(", ")
        ),
        _ => format!("the ledger has no records; {advice}"),
    }
}

fn shown_offer(publisher: &str, offer: &str, state: &OfferState) -> ShownOffer {
    ShownOffer {
        publisher: publisher.to_owned(),
        offer: offer.to_owned(),
        terms: state.terms.latest().map(|terms| terms.as_str()),
        plans: state.plans.iter().map(|(id, plan)| shown_plan(id, plan)).collect(),
    }
}

fn shown_plan(id: &str, plan: &PlanState) -> ShownPlan {
    let live = plan.live_tags().map(|(tag, _)| tag.as_str());
    let bundles = plan.live_bundles().map(|((_, version), _)| version.as_str());
    let versions = live.filter_map(|tag| version_of(tag).map(|(version, _)| version));
    let versions = versions.chain(bundles.filter_map(|version| version.parse().ok()));
    let highest = versions.max_by_key(ImageVersion::numbers);
    let version =
        |name: String, life: &Life, digests: &ValueHistory<wharf_oci::Digest>| ShownVersion {
            name,
            state: life.word(),
            digests: digests.all().map(ToString::to_string).collect(),
        };
    ShownPlan {
        plan: id.to_owned(),
        state: plan.life.word(),
        submitted: plan.life.submitted().map(|time| time.to_string()),
        kind: plan.kind.latest().map(|word| word.as_str()),
        licence: plan.licence.latest().map(|word| word.as_str()),
        visibility: plan.visibility.latest().map(|word| word.as_str()),
        audience: plan.audience.latest().map(|word| word.as_str()),
        regions: plan.regions.all().cloned().collect(),
        repository: plan.repository.latest().cloned(),
        extension_type: plan.extension_type.latest().cloned(),
        version: highest.map(|version| version.to_string()),
        tags: plan
            .tags
            .iter()
            .map(|(tag, at)| version(tag.to_string(), &at.life, &at.digests))
            .collect(),
        bundles: plan
            .bundles
            .iter()
            .map(|((repository, tag), at)| {
                version(format!("{repository}:{tag}"), &at.life, &at.digests)
            })
            .collect(),
    }
}

fn text(shown: &Shown, paint: Paint) -> String {
    if shown.offers.is_empty() {
        return format!("{}\n", crate::output::visible(&shown.nothing));
    }
    let mut table = Table::new(&[
        "OFFER",
        "PLAN",
        "STATE",
        "SUBMITTED",
        "VERSION",
        "LICENCE",
        "AUDIENCE",
        "REGIONS",
        "WHERE",
    ]);
    for offer in &shown.offers {
        for plan in &offer.plans {
            let style = match plan.state {
                "live" => Style::Good,
                "preview" => Style::Warning,
                _ => Style::Dim,
            };
            let word = |word: Option<&str>| word.unwrap_or("-").to_owned();
            let plain = |text: String| (Style::Plain, text);
            let place = plan.repository.as_deref().or(plan.extension_type.as_deref());
            table.styled_row([
                plain(offer.offer.clone()),
                plain(plan.plan.clone()),
                (style, plan.state.to_owned()),
                plain(word(plan.submitted.as_deref())),
                plain(word(plan.version.as_deref())),
                plain(word(plan.licence)),
                plain(word(plan.audience)),
                plain(plan.regions.join(", ")),
                plain(word(place)),
            ]);
        }
    }
    let mut text = table.render(paint);
    for plan in shown.offers.iter().flat_map(|offer| &offer.plans) {
        let live = plan.tags.iter().chain(&plan.bundles).filter(|at| at.state == "live");
        let names: Vec<&str> = live.map(|at| at.name.as_str()).collect();
        if !names.is_empty() {
            let list = format!("{}: {}", plan.plan, names.join(", "));
            text.push_str(&paint.wrap(&crate::output::visible(&list), 2));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::tests::{image, submitted};

    #[test]
    fn a_ledger_that_says_nothing_of_the_offer_says_so() {
        let shown = |state: &LedgerState, wanted: Option<(&String, &String)>| {
            let nothing = nothing(state, wanted);
            text(
                &Shown { ledger: String::new(), records: 0, offers: Vec::new(), nothing },
                Paint::PLAIN,
            )
        };
        let (publisher, offer) = ("quayline".to_owned(), "lagoon".to_owned());
        let state = LedgerState::of(&[submitted(&image())]);
        let unknown = shown(&state, Some((&publisher, &offer)));
        let words = "says nothing of `quayline/lagoon`, only of quayline/tidepool;";
        assert!(unknown.contains(words), "{unknown}");
        for wanted in [None, Some((&publisher, &offer))] {
            let empty = shown(&LedgerState::default(), wanted);
            assert!(empty.contains("no records"), "{empty}");
        }
    }
}
