//! Rules WVR: the effect of waivers on findings, and the faults of waivers. A waived finding stays
//! in the report and decides nothing; a waiver without effect is a finding itself.
//!
//! Invariant: damaged bytes and findings about waivers are never waived.

use std::collections::BTreeSet;

use super::finding::{AppliedWaiver, Finding, Judgement, Outcome};
use super::findings::FindingScope;
use super::view::{Fate, WaiverView};
use super::{Check, Profile, Rule, Severity, find};
use crate::image::facts::ImageFacts;
use crate::waivers::{Waiver, WaiverFile};
use wharf_oci::Timestamp;

/// How far ahead the end of a waiver may lie, in days: long enough for a yearly look at all of them.
const DAYS_MAX: i64 = 366;
/// The beginnings of rules about the contents of images: there a waiver of a whole rule would hide
/// unseen findings.
const IMAGE_RULES: [&str; 2] = ["IMG-", "SUP-"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "WVR-001",
        title: "no waiver has expired",
        severity: Severity::Warning,
        source: "INFERENCE",
        why: "What was taken over until that day counts again.",
        fix: "mend what was waived, or look at it again and write a later day",
        check: Check::Waivers(|view, judge| {
            for (place, (waiver, fate)) in view.waivers().enumerate() {
                if fate == Fate::Expired {
                    let message =
                        format!("the waiver of {} expired on {}", waiver.rule, waiver.expires);
                    judge.warning(&format!("waivers[{place}].expires"), message);
                }
            }
        }),
    },
    Rule {
        id: "WVR-002",
        title: "every waiver is needed",
        severity: Severity::Warning,
        source: "INFERENCE",
        why: "One that waives nothing will hide the next fault that happens to fit it.",
        fix: "remove the waiver, or compare its scope with the finding",
        check: Check::Waivers(|view, judge| {
            for (place, (waiver, fate)) in view.waivers().enumerate() {
                if fate == Fate::Unused {
                    let message = format!("there is no finding of {} that it fits", waiver.rule);
                    judge.warning(&format!("waivers[{place}]"), message);
                }
            }
        }),
    },
    Rule {
        id: "WVR-003",
        title: "waivers name a rule, a scope and a day within a year, and nothing that cannot be waived",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "A waiver that takes over too much hides what nobody has looked at.",
        fix: "name the rule by its ID, and what exactly is meant: the plan, digest, path, \
              vulnerability or package",
        check: Check::Waivers(|view, judge| {
            for (place, (waiver, fate)) in view.waivers().enumerate() {
                if let Fate::Refused(why, key) = fate {
                    let message = format!("the waiver of {} does not count: {why}", waiver.rule);
                    judge.error(&format!("waivers[{place}]{key}"), message);
                }
            }
        }),
    },
];

/// The input for waivers.
#[derive(Clone, Copy)]
pub struct Waiving<'a> {
    pub file: &'a WaiverFile,
    /// The images of the run.
    pub images: &'a [(Option<usize>, ImageFacts)],
    /// The present time, for waivers.
    pub now: Timestamp,
    pub profile: Profile,
}

impl Waiving<'_> {
    /// The judgement with its findings waived, and the faults of the waivers.
    #[must_use]
    pub fn apply(self, mut judgement: Judgement) -> Judgement {
        let mut fates: Vec<Fate> =
            self.file.waivers.iter().map(|waiver| first_fate(waiver, self.now)).collect();
        let mut touched = BTreeSet::new();
        let was_judged = judged(&judgement);
        for (waiver, fate) in self.file.waivers.iter().zip(&mut fates) {
            if *fate == Fate::Unused {
                *fate = self.waive(waiver, &mut judgement.findings, &mut touched);
                // Without a report or an offer the need for the waiver is unknown.
                if *fate == Fate::Unused && !was_judged.contains(&waiver.rule.to_uppercase()) {
                    *fate = Fate::Unknown;
                }
            }
        }
        judgement.conclude_anew(&touched);
        let view = WaiverView { file: self.file, fates };
        for rule in RULES {
            if let Check::Waivers(check) = rule.check {
                let mut judge = rule.judge(self.profile, FindingScope::Waivers(self.file));
                check(&view, &mut judge);
                judgement.join(judge.finish());
            }
        }
        judgement
    }

    /// Waives every matching finding.
    fn waive(
        self,
        waiver: &Waiver,
        findings: &mut Vec<Finding>,
        touched: &mut BTreeSet<&'static str>,
    ) -> Fate {
        let mut fate = Fate::Unused;
        let mut split = Vec::new();
        for finding in findings.iter_mut() {
            let Some(platforms) = self.fits(waiver, finding) else { continue };
            if finding.is_damage {
                if fate == Fate::Unused {
                    let why = "bytes are missing or are not those that were named, and nobody can \
                               take that over";
                    fate = Fate::Refused(why, "");
                }
                continue;
            }
            fate = Fate::Used;
            touched.insert(finding.rule);
            if let Some(rest) = without(finding, &platforms) {
                split.push(rest);
            }
            finding.waived = Some(self.waived(waiver));
        }
        findings.extend(split);
        fate
    }

    fn waived(self, waiver: &Waiver) -> AppliedWaiver {
        AppliedWaiver {
            reason: waiver.reason.as_str().to_owned(),
            expires: Some(waiver.expires.to_string()),
            owner: waiver.owner.clone(),
            file: self.file.path().to_owned(),
        }
    }

    /// The platforms of a finding under the waiver: `None` without a match, none for all of it.
    fn fits(self, waiver: &Waiver, finding: &Finding) -> Option<Vec<String>> {
        let place = &finding.place;
        let same = |wanted: &Option<String>, actual: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| actual == Some(wanted))
        };
        let found = place.vulnerability.as_ref();
        let id = found.map(|found| found.id.as_str());
        let below = |key: &str, wanted: &str| {
            key.strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let fits = finding.waived.is_none()
            && finding.rule.eq_ignore_ascii_case(&waiver.rule)
            && waiver.plan.as_ref().is_none_or(|plan| is_of(place.plan.as_deref(), plan))
            && waiver.image.as_ref().is_none_or(|wanted| is_named(place.image.as_deref(), wanted))
            && waiver.path.as_ref().is_none_or(|glob| {
                let path = place.path.as_deref().map(|path| path.trim_start_matches('/'));
                path.is_some_and(|path| glob.matches(path.as_bytes()))
            })
            && waiver
                .key
                .as_ref()
                .is_none_or(|wanted| place.key.as_ref().is_some_and(|key| below(key, wanted)))
            && waiver
                .vulnerability
                .as_ref()
                .is_none_or(|wanted| id.is_some_and(|id| id.eq_ignore_ascii_case(wanted)))
            && same(&waiver.package, found.map(|found| found.package.as_str()));
        if !fits {
            return None;
        }
        self.platforms(waiver, finding)
    }

    /// The platforms the scope leaves of a finding.
    fn platforms(self, waiver: &Waiver, finding: &Finding) -> Option<Vec<String>> {
        let place = &finding.place;
        let mut wanted: Vec<String> = waiver.platform.iter().cloned().collect();
        if let Some(digest) = &waiver.digest {
            let at = place.image.as_ref()?;
            let images = self.images.iter().map(|(_, facts)| facts);
            let facts = images.into_iter().find(|facts| {
                facts.location == *at && !digest_platforms(facts, digest).is_empty()
            })?;
            let named = digest_platforms(facts, digest);
            let is_whole = named.contains(&None) || facts.images.len() == 1;
            if !is_whole {
                let named: Vec<String> = named.into_iter().flatten().collect();
                wanted.retain(|platform| named.contains(platform));
                if waiver.platform.is_none() {
                    wanted = named;
                } else if wanted.is_empty() {
                    return None;
                }
            }
        }
        if wanted.is_empty() {
            return Some(Vec::new());
        }
        let left: Vec<String> =
            place.platforms.iter().filter(|platform| wanted.contains(platform)).cloned().collect();
        if left.is_empty() { None } else { Some(left) }
    }
}

/// The platforms of an image with this digest; `None` is all of it.
fn digest_platforms(facts: &ImageFacts, digest: &wharf_oci::Digest) -> Vec<Option<String>> {
    let indexes = facts.indexes.iter().map(|index| &index.descriptor);
    let of_index = indexes.filter(|at| at.digest == *digest).map(|_| None);
    let of_images = facts.images.iter().filter(|image| {
        image.descriptor.digest == *digest
            || image.config_descriptor.as_ref().is_some_and(|config| config.digest == *digest)
    });
    of_index.chain(of_images.map(|image| Some(image.name()))).collect()
}

/// Whether a plan is the named one, or an image of it (`PLAN.NAME`).
fn is_of(actual: Option<&str>, wanted: &str) -> bool {
    let rest = actual.and_then(|actual| actual.strip_prefix(wanted));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The image by its full name, or by the last part of it.
fn is_named(image: Option<&str>, wanted: &str) -> bool {
    image.is_some_and(|image| {
        let wanted = wanted.trim_start_matches("./");
        let image = image.trim_start_matches("./");
        image == wanted || image.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
    })
}

/// The rest of a finding after a waiver for some platforms only; the finding itself keeps those.
fn without(finding: &mut Finding, platforms: &[String]) -> Option<Finding> {
    if platforms.is_empty() || platforms.len() == finding.place.platforms.len() {
        return None;
    }
    let mut rest = finding.clone();
    rest.place.platforms.retain(|platform| !platforms.contains(platform));
    finding.place.platforms = platforms.to_vec();
    Some(rest)
}

/// The decided rules.
fn judged(judgement: &Judgement) -> BTreeSet<String> {
    let outcomes = judgement.outcomes.iter();
    let decided = outcomes.filter(|(_, outcome)| **outcome != Outcome::NotLookedAt);
    decided.map(|(rule, _)| (*rule).to_owned()).collect()
}

/// The outcome of a waiver before any look at findings.
fn first_fate(waiver: &Waiver, now: Timestamp) -> Fate {
    let Some(rule) = find(&waiver.rule) else {
        return Fate::Refused("there is no such rule; `wharf rules` lists them", ".rule");
    };
    if matches!(rule.check, Check::Waivers(_)) {
        return Fate::Refused("rules about waivers cannot be waived", ".rule");
    }
    if rule.id == "IMG-020" && waiver.vulnerability.is_none() {
        return Fate::Refused("name the `vulnerability`; each one is looked at by itself", "");
    }
    if IMAGE_RULES.iter().any(|start| rule.id.starts_with(start)) && !waiver.is_narrow() {
        return Fate::Refused("it names no scope, and would hide what nobody has seen yet", "");
    }
    let today = now.day();
    if waiver.expires < today {
        return Fate::Expired;
    }
    if waiver.expires.days_since(today) > DAYS_MAX {
        return Fate::Refused("it lasts longer than a year", ".expires");
    }
    Fate::Unused
}

impl Judgement {
    /// The outcome of rules with waived findings.
    fn conclude_anew(&mut self, rules: &BTreeSet<&'static str>) {
        for rule in rules {
            let found = self.findings.iter().filter(|finding| finding.rule == *rule);
            let is_open = self.gaps.values().any(|open| open.contains(rule));
            let outcome = |found: Option<Outcome>, known: Outcome| {
                let found = found.unwrap_or(known);
                if is_open { found.max(Outcome::NotLookedAt) } else { found }
            };
            let of_rule = Outcome::of(found);
            if let Some(known) = self.outcomes.get_mut(rule) {
                *known = outcome(of_rule, *known);
            }
            for section in &mut self.sections {
                let about = |finding: &&Finding| {
                    finding.rule == *rule && finding.is_about(&section.subject)
                };
                let of_section = Outcome::of(self.findings.iter().filter(about));
                if let (Some(known), Some(_)) = (section.outcomes.get_mut(rule), of_section) {
                    *known = outcome(of_section, *known);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
