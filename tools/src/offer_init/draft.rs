//! The check of an offer before its files are written: the faults of its values alone, reported by
//! their flags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::answers::Answers;
use super::error::InitError;
use super::proposals::complete;
use super::sources::Sources;
use super::topics::{Topic, Values, said};
use super::{offer_text, texts};
use crate::offer::content::Content;
use crate::offer::{OfferError, OfferFile};
use crate::rules::evidence::Evidence;
use crate::rules::{Profile, judge_offer};

/// Keys whose files are not made yet, or are not made by the values.
const FILES: [&str; 7] =
    ["chart", "manifest", "uiDefinition", "armTemplate", "bundle", "clusters", "namespace"];

/// The topic of the value at a key: the first with a fitting start.
const KEYS: [(&str, Topic); 26] = [
    ("publisher", Topic::Publisher),
    ("offer.id", Topic::OfferId),
    ("offer.alias", Topic::Title),
    ("registries.production.azure.subscriptionId", Topic::SubscriptionId),
    ("registries.production.azure.tenantId", Topic::TenantId),
    ("registries.production.azure.resourceGroup", Topic::ResourceGroup),
    ("registries.production", Topic::Registry),
    ("listing.title", Topic::Title),
    ("listing.keywords", Topic::Title),
    ("listing.searchSummary", Topic::Summary),
    ("listing.shortDescription", Topic::Summary),
    ("listing.contacts.support.email", Topic::Email),
    ("listing.contacts.support.phone", Topic::Phone),
    ("listing.contacts.support.name", Topic::Title),
    ("listing.contacts.engineering.email", Topic::Email),
    ("listing.contacts.engineering.phone", Topic::Phone),
    ("listing.contacts.engineering.name", Topic::Title),
    ("listing.screenshots", Topic::Title),
    ("legal.terms", Topic::Title),
    ("preview.subscriptions", Topic::SubscriptionId),
    ("plans[0].id", Topic::PlanId),
    ("plans[0].name", Topic::Title),
    ("plans[0].summary", Topic::Title),
    ("plans[0].description", Topic::Title),
    ("plans[0].licence", Topic::Licence),
    ("plans[0].extensionType", Topic::ExtensionType),
];

/// Checks all settled values.
pub fn check(answers: &Answers) -> Result<(), InitError> {
    let faults = faults(answers)?;
    if faults.is_empty() {
        return Ok(());
    }
    Err(InitError::Wrong(told(faults)))
}

/// Faults with their flags. One value stands at many keys, so only its first fault is told.
fn told(faults: Vec<(Option<Topic>, String)>) -> Vec<String> {
    let mut topics = BTreeSet::new();
    let (mut told, mut others) = (Vec::new(), Vec::new());
    for (topic, message) in faults {
        match topic {
            Some(topic) if topics.insert(topic) => told.push(said(topic, &message)),
            None if !others.contains(&message) => others.push(message),
            _ => {}
        }
    }
    // Texts made of several values repeat the faults of one.
    if told.is_empty() { others } else { told }
}

/// Checks flags before the questions for the rest; the rest is as proposed meanwhile.
pub(super) fn check_given(
    given: &BTreeMap<Topic, String>,
    values: &Values,
    sources: &Sources,
) -> Result<(), InitError> {
    let wrong = |topic: &Topic| Some(said(*topic, &fault(*topic, values.clone(), sources)?));
    let wrong: Vec<String> = given.keys().filter_map(wrong).collect();
    if wrong.is_empty() { Ok(()) } else { Err(InitError::Wrong(wrong)) }
}

/// The fault in one value, while the others are as proposed: at its own place, or in its
/// combination with them.
pub(super) fn fault(topic: Topic, values: Values, sources: &Sources) -> Option<String> {
    let judged = |values: Values| {
        let values = complete(values, sources);
        faults(&Answers::new(values, sources, String::from("2026-01-01")))
    };
    let mut without = values.clone();
    without.remove(&topic);
    let found = match judged(values) {
        Ok(found) => found,
        Err(error) => return judged(without).is_ok().then(|| error.to_string()),
    };
    if let Some((_, message)) = found.iter().find(|(at, _)| *at == Some(topic)) {
        return Some(message.clone());
    }
    let mut nobodys = found.into_iter().filter(|(at, _)| at.is_none()).peekable();
    nobodys.peek()?;
    let before = judged(without).unwrap_or_default();
    nobodys.find(|fault| !before.contains(fault)).map(|(_, message)| message)
}

/// The rules' findings in texts and words; the strict ones, common to all of Microsoft's pages.
fn faults(answers: &Answers) -> Result<Vec<(Option<Topic>, String)>, InitError> {
    let text = offer_text::offer(answers);
    let file = match OfferFile::parse(Path::new("offer.yaml"), text.into_bytes()) {
        Ok(file) => file,
        Err(OfferError::Invalid(faults)) => {
            let messages: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
            return Err(InitError::Offer(messages.join("; ")));
        }
        Err(error) => return Err(InitError::Offer(error.to_string())),
    };
    let content = Content {
        description: texts::description(answers),
        terms: (!answers.standard_contract).then(|| texts::terms(answers)),
        certification_notes: Some(texts::notes(answers)),
        plan_descriptions: vec![texts::plan(answers)],
        ..Content::default()
    };
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    let of_values = judgement.findings.into_iter().filter_map(|finding| {
        let key = finding.place.key.unwrap_or_default();
        let plan = key.strip_prefix("plans[0].").unwrap_or_default();
        let is_file = FILES.iter().any(|name| plan == *name || key.starts_with("listing.logos"));
        (!is_file).then(|| (topic(&key), finding.message))
    });
    Ok(of_values.collect())
}

fn topic(key: &str) -> Option<Topic> {
    let starts = |(start, topic): &(&str, Topic)| key.starts_with(start).then_some(*topic);
    let by_end = match key {
        _ if key.ends_with(".repository") => Some(Topic::Repository),
        _ if key.to_ascii_lowercase().ends_with("url") || key == "listing.privacyPolicy" => {
            Some(Topic::Website)
        }
        _ => None,
    };
    by_end.or_else(|| KEYS.iter().find_map(starts))
}
