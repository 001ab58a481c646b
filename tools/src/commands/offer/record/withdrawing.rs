//! Withdrawals: whole plans, or versions of them.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};

use crate::offer::OfferFile;
use crate::offer::tag_forms::version_of;
use crate::published::{LedgerState, PlanState, Record, Withdrawal};
use wharf_oci::Timestamp;

/// The records of `PLAN` and `PLAN:VERSION`.
pub(super) fn records(
    file: &OfferFile,
    wanted: &[String],
    state: &LedgerState,
    time: Timestamp,
) -> anyhow::Result<Vec<Record>> {
    let publisher = &file.offer.publisher;
    let offer = &file.offer.offer.id;
    let record = |text: &String| {
        let (plan, version) = match text.split_once(':') {
            Some((plan, version)) => (plan, Some(version)),
            None => (text.as_str(), None),
        };
        let known = state.offer(publisher, offer).and_then(|known| known.plans.get(plan));
        let known = known.with_context(|| {
            format!("the ledger knows no plan `{plan}` of the offer `{offer}`; `wharf offer published` lists them")
        })?;
        let versions = match version {
            Some(version) => versions(known, version),
            None => BTreeSet::new(),
        };
        let is_there = if version.is_some() { !versions.is_empty() } else { is_offered(known) };
        ensure!(is_there, "nothing of `{text}` is offered by the ledger");
        let time = latest(known, time);
        let (publisher, offer) = (publisher.clone(), offer.clone());
        Ok(Record::Withdrawn(Withdrawal {
            time,
            publisher,
            offer,
            plan: plan.to_owned(),
            versions,
        }))
    };
    wanted.iter().map(record).collect()
}

fn is_offered(plan: &PlanState) -> bool {
    plan.life.is_live() || plan.life.is_in_preview()
}

/// A withdrawn version was offered before its withdrawal, even by a wrong clock.
fn latest(plan: &PlanState, time: Timestamp) -> Timestamp {
    plan.life.submitted().map_or(time, |submitted| submitted.max(time))
}

/// The tag or bundle of this name, else every tag of this version.
fn versions(plan: &PlanState, wanted: &str) -> BTreeSet<String> {
    let lives = |life: &crate::published::Life| life.is_live() || life.is_in_preview();
    let tags = plan.tags.iter().filter(|(_, at)| lives(&at.life)).map(|(tag, _)| tag.as_str());
    let bundles = plan.bundles.iter().filter(|(_, at)| lives(&at.life));
    let bundles = bundles.map(|((_, version), _)| version.as_str());
    let all: BTreeSet<&str> = tags.chain(bundles).collect();
    if all.contains(wanted) {
        return BTreeSet::from([wanted.to_owned()]);
    }
    let is_of =
        |tag: &&&str| version_of(tag).is_some_and(|(version, _)| version.as_str() == wanted);
    all.iter().filter(is_of).map(|tag| (*tag).to_owned()).collect()
}
