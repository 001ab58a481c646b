//! Takes the findings of checks and gives each a place. One cause is one finding: a repeated
//! finding about another platform adds the platform to the first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::finding::{
    AffectedPackage, AppliedWaiver, Finding, Gap, Judgement, LayerPlace, NamedPlace, Outcome,
    Place, Section, Subject,
};
use super::severity::{Profile, Severity};
use crate::logins;
use crate::offer::OfferFile;
use crate::waivers::WaiverFile;
use crate::yaml::Spot;

/// Takes the findings of one rule at a time.
pub struct Findings<'a> {
    profile: Profile,
    rule: &'static str,
    severity: Severity,
    fix: &'static str,
    scope: FindingScope<'a>,
    site: Site,
    applies: bool,
    judgement: Judgement,
    /// Where each finding about a platform is in the list.
    known: HashMap<Cause, usize>,
}

/// The fields that make findings of two platforms one.
type Cause = (Severity, String, Option<LayerPlace>, Option<String>);

/// The base of the places of findings.
#[derive(Clone, Copy)]
pub(super) enum FindingScope<'a> {
    Offer(&'a OfferFile),
    /// A file given besides the offer.
    Given(&'a Path),
    /// The file of waivers.
    Waivers(&'a WaiverFile),
    /// An image; with the offer and its place among the images when they are known.
    Image {
        location: &'a str,
        offer: Option<(&'a OfferFile, usize)>,
    },
}

impl FindingScope<'_> {
    fn subject(&self) -> Subject {
        match self {
            Self::Offer(_) | Self::Given(_) | Self::Waivers(_) => Subject::Offer,
            Self::Image { location, offer } => Subject::Image {
                location: (*location).to_owned(),
                plan: offer.and_then(|(file, place)| Some(file.image(place)?.id.to_string())),
            },
        }
    }
}

/// The place of a check in an image; an unstated part is as around it.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub platform: Option<String>,
    pub layer: Option<LayerPlace>,
    /// The path, fit to be shown.
    pub path: Option<String>,
    pub vulnerability: Option<AffectedPackage>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(
        profile: Profile,
        rule: &'static str,
        severity: Severity,
        fix: &'static str,
        scope: FindingScope<'a>,
    ) -> Self {
        let (site, judgement) = (Site::default(), Judgement::default());
        let known = HashMap::new();
        Self { profile, rule, severity, fix, scope, site, applies: true, judgement, known }
    }

    /// The most a finding of the rule weighs.
    pub(super) const fn rule_severity(&self) -> Severity {
        self.severity
    }

    /// The rule's result.
    pub(super) fn finish(mut self) -> Judgement {
        let of_findings = Outcome::of(self.judgement.findings.iter());
        let outcome = if let Some(outcome) = of_findings.filter(|at| *at > Outcome::NotLookedAt) {
            outcome
        } else if !self.judgement.gaps.is_empty() {
            Outcome::NotLookedAt
        } else if let Some(outcome) = of_findings {
            outcome
        } else if self.applies {
            Outcome::Passed
        } else {
            Outcome::NotApplicable
        };
        self.judgement.conclude(self.rule, outcome);
        let outcomes = self.judgement.outcomes.clone();
        self.judgement.sections = vec![Section { subject: self.scope.subject(), outcomes }];
        self.judgement
    }

    /// Adds an error, for a value that will be refused; `key` is its path in the offer.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Error, key, message.into());
    }

    /// Adds an error, for missing or altered bytes; no waiver covers it.
    pub fn damage(&mut self, key: &str, message: impl Into<String>) {
        let place = self.add(Severity::Error, key, message.into());
        if let Some(finding) = self.judgement.findings.get_mut(place) {
            finding.is_damage = true;
        }
    }

    /// Adds an error under this waiver.
    pub fn waived(&mut self, key: &str, message: impl Into<String>, waived: AppliedWaiver) {
        let place = self.add(Severity::Error, key, message.into());
        if let Some(finding) = self.judgement.findings.get_mut(place) {
            finding.waived = Some(waived);
        }
    }

    /// Adds a warning, for a value that may be refused.
    pub fn warning(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Warning, key, message.into());
    }

    /// Adds an error in a file that the offer names; `key` is the offer's key for the file.
    pub fn error_in(&mut self, key: &str, at: &NamedPlace, message: impl Into<String>) {
        let place = self.add(Severity::Error, key, message.into());
        self.stand_in(place, at);
    }

    /// Adds a warning in such a file.
    pub fn warning_in(&mut self, key: &str, at: &NamedPlace, message: impl Into<String>) {
        let place = self.add(Severity::Warning, key, message.into());
        self.stand_in(place, at);
    }

    /// The same for a value that only the narrower of two contradicting pages refuses.
    pub fn narrow_in(&mut self, key: &str, at: &NamedPlace, message: impl Into<String>) {
        if self.profile == Profile::Strict {
            self.warning_in(key, at, message);
        }
    }

    fn stand_in(&mut self, place: usize, at: &NamedPlace) {
        let Some(finding) = self.judgement.findings.get_mut(place) else { return };
        let NamedPlace { file, spot, line } = at;
        finding.place.file.clone_from(file);
        finding.place.is_named_file = true;
        finding.place.line = Some(spot.line);
        finding.place.column = Some(spot.column);
        finding.place.width = Some(spot.width);
        finding.place.snippet = Some(line.clone());
    }

    /// Adds a finding for a value that only the narrower of two contradicting pages refuses.
    pub fn narrow(&mut self, key: &str, message: impl Into<String>) {
        if self.profile == Profile::Strict {
            self.add(Severity::Warning, key, message.into());
        }
    }

    /// Adds a finding for a check that looked and could not decide. The fix for a broken rule may
    /// not mend the missing proof.
    pub fn not_proven(&mut self, key: &str, message: impl Into<String>) {
        let place = self.add(Severity::Warning, key, message.into());
        if let Some(finding) = self.judgement.findings.get_mut(place) {
            finding.not_proven = true;
            finding.fix =
                "give the image in a form that can be read to its end, or check this by hand";
        }
    }

    /// Adds a finding for an answer that the evidence lacks; unlike [`Self::not_proven`] it is not
    /// about bytes, and the rule's own advice helps.
    pub fn not_said(&mut self, key: &str, message: impl Into<String>) {
        let place = self.add(Severity::Warning, key, message.into());
        if let Some(finding) = self.judgement.findings.get_mut(place) {
            finding.not_proven = true;
        }
    }

    /// There is nothing here the rule is about.
    pub const fn not_applicable(&mut self) {
        self.applies = false;
    }

    /// The rule was not decided, because this was not at hand.
    pub fn not_looked_at(&mut self, gap: Gap) {
        self.judgement.gaps.entry(gap).or_default().insert(self.rule);
        if let FindingScope::Image { location, .. } = self.scope {
            let image = match &self.site.platform {
                Some(platform) => format!("{location} {platform}"),
                None => location.to_owned(),
            };
            self.judgement.gap_images.entry(gap).or_default().insert(image);
        }
    }

    /// Looks at a place: findings within `look` are there.
    pub fn within(&mut self, site: Site, look: impl FnOnce(&mut Self)) {
        let around = self.site.clone();
        self.site = Site {
            platform: site.platform.or_else(|| around.platform.clone()),
            layer: site.layer.or(around.layer),
            path: site.path.or_else(|| around.path.clone()),
            vulnerability: site.vulnerability.or_else(|| around.vulnerability.clone()),
        };
        look(self);
        self.site = around;
    }

    /// Adds a finding, or its platform to the same finding; returns its place in the list.
    fn add(&mut self, severity: Severity, key: &str, message: String) -> usize {
        let Site { platform, layer, path, vulnerability } = &self.site;
        let cause = (severity, message, *layer, path.clone());
        if let Some(platform) = platform
            && let Some(at) = self.known.get(&cause).copied()
            && let Some(known) = self.judgement.findings.get_mut(at)
        {
            if !known.place.platforms.contains(platform) {
                known.place.platforms.push(platform.clone());
            }
            return at;
        }
        let place = Place {
            platforms: platform.iter().cloned().collect(),
            layer: *layer,
            path: path.clone(),
            vulnerability: vulnerability.clone(),
            ..self.place(key)
        };
        let place_in_list = self.judgement.findings.len();
        if platform.is_some() {
            self.known.insert(cause.clone(), place_in_list);
        }
        let (severity, message, ..) = cause;
        let (rule, fix) = (self.rule, self.fix);
        let not_proven = false;
        let (waived, is_damage) = (None, false);
        let finding =
            Finding { rule, severity, message, not_proven, fix, waived, is_damage, place };
        self.judgement.findings.push(finding);
        place_in_list
    }

    fn place(&self, key: &str) -> Place {
        match self.scope {
            FindingScope::Offer(file) => place_of(file, key),
            FindingScope::Given(file) => Place { file: file.to_owned(), ..Place::default() },
            FindingScope::Waivers(file) => {
                place_at(file.path(), file.spot(key), file.line(file.spot(key).line), key)
            }
            FindingScope::Image { location, offer: Some((file, place)) } => {
                let dot = if key.is_empty() { "" } else { "." };
                let image = file.image(place);
                let at = image.map(|at| at.key.as_str()).unwrap_or_default();
                let of_plan = place_of(file, &format!("{at}{dot}{key}"));
                let plan = image.map(|image| image.id.to_string());
                Place { image: Some(location.to_owned()), plan, ..of_plan }
            }
            FindingScope::Image { location, offer: None } => Place {
                file: PathBuf::from(location),
                image: Some(location.to_owned()),
                ..Place::default()
            },
        }
    }
}

fn place_of(file: &OfferFile, key: &str) -> Place {
    let spot = file.spot(key);
    Place {
        plan: plan_of(key).and_then(|plan| plan_id(file, plan)),
        ..place_at(file.path(), spot, file.line(spot.line), key)
    }
}

fn place_at(file: &Path, spot: Spot, line: Option<&str>, key: &str) -> Place {
    Place {
        file: file.to_owned(),
        line: Some(spot.line),
        column: Some(spot.column),
        width: Some(spot.width),
        snippet: line.map(|line| logins::cut_line(line).into_owned()),
        key: Some(key.to_owned()),
        ..Place::default()
    }
}

fn plan_id(file: &OfferFile, plan: usize) -> Option<String> {
    file.offer.plans.get(plan).map(|plan| plan.id.to_string())
}

/// The plan a key is in: 3 for `plans[3].name`.
fn plan_of(key: &str) -> Option<usize> {
    let (place, _) = key.strip_prefix("plans[")?.split_once(']')?;
    place.parse().ok()
}
