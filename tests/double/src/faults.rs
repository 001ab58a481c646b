//! Faults on order: the choice of the requests, and the number of times.
//!
//! A rule names a kind, a digest, both or neither. A request uses up the first rule it fits. A
//! fault strikes after the caller's credentials were accepted, and every strike is counted.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::fault::Fault;
use super::kind::Kind;
use wharf_testkit::dice::Dice;

/// The most waiting rules.
const RULES_MAX: usize = 256;
/// The most counted pairs of a kind and a fault; further pairs are not counted.
const STRUCK_MAX: usize = 1024;
/// The longest time of a rule.
const TIME_MAX: Duration = Duration::from_hours(24);

/// The requests for a fault, and the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests of this kind; every kind when absent.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Only requests with this digest; any request when absent.
    #[serde(default)]
    pub digest: Option<String>,
    /// Only requests for repositories with this prefix; any request when absent.
    #[serde(default)]
    pub repo: Option<String>,
    /// Only requests with (`true`) or without (`false`) a Range header; both when absent.
    #[serde(default)]
    pub ranged: Option<bool>,
    /// How many fitting requests pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    /// How many fitting requests are hit.
    #[serde(default = "once")]
    pub times: u64,
    /// Hits every fitting request for this long from its order on; `times` has no effect then.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// The time begins with the first hit, not with the order.
    #[serde(default)]
    pub from_first_hit: bool,
    /// Hits only so many of a hundred fitting requests, by chance; all when absent.
    #[serde(default)]
    pub percent: Option<u8>,
    /// The fault of these requests.
    pub fault: Fault,
}

fn once() -> u64 {
    1
}

impl FaultRule {
    /// A fault for the next request of this kind.
    pub fn next(kind: Kind, fault: Fault) -> Self {
        let (digest, repo, ranged, for_ms, percent) = (None, None, None, None, None);
        let (kind, from_first_hit) = (Some(kind), false);
        let (skip, times) = (0, 1);
        Self { kind, digest, repo, ranged, skip, times, for_ms, from_first_hit, percent, fault }
    }

    /// A fault for the next request of any kind.
    pub fn any(fault: Fault) -> Self {
        Self { kind: None, ..Self::next(Kind::Other, fault) }
    }

    /// The same fault, only for requests with this digest.
    #[must_use]
    pub fn of_digest(self, digest: impl Into<String>) -> Self {
        Self { digest: Some(digest.into()), ..self }
    }

    /// The same fault, only for repositories with this prefix; at the token endpoint the scope
    /// names the repository.
    #[must_use]
    pub fn in_repos(self, begin: impl Into<String>) -> Self {
        Self { repo: Some(begin.into()), ..self }
    }

    /// The same for this many requests.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// The same after this many fitting requests went unharmed.
    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// The same for every fitting request from its order on, for this long.
    #[must_use]
    pub fn during(self, time: Duration) -> Self {
        Self { for_ms: Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// The same fault for every fitting request from the first hit on, for this long.
    #[must_use]
    pub fn pause(self, time: Duration) -> Self {
        Self { from_first_hit: true, ..self.during(time) }
    }

    /// The same for only so many of a hundred fitting requests, by chance.
    #[must_use]
    pub fn percent(self, percent: u8) -> Self {
        Self { percent: Some(percent), ..self }
    }

    /// The same for requests with a Range header only.
    #[must_use]
    pub fn ranged(self) -> Self {
        Self { ranged: Some(true), ..self }
    }

    /// The same for requests without a Range header only.
    #[must_use]
    pub fn unranged(self) -> Self {
        Self { ranged: Some(false), ..self }
    }

    fn fits(&self, asked: &Asked<'_>) -> bool {
        self.kind.is_none_or(|wanted| wanted == asked.kind)
            && self.digest.as_deref().is_none_or(|wanted| asked.digest == Some(wanted))
            && self.repo.as_deref().is_none_or(|begin| is_in(asked.repo, begin))
            && self.ranged.is_none_or(|wanted| wanted == asked.ranged)
            && (asked.ranged || !self.fault.needs_range())
    }
}

fn is_in(repo: Option<&str>, begin: &str) -> bool {
    repo.is_some_and(|repo| repo.starts_with(begin))
}

/// A request as seen by the rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) kind: Kind,
    pub(crate) digest: Option<&'a str>,
    pub(crate) repo: Option<&'a str>,
    /// Whether it has a Range header.
    pub(crate) ranged: bool,
}

/// A waiting rule.
#[derive(Debug)]
struct Waiting {
    rule: FaultRule,
    /// How long a rule for a time holds.
    time: Option<Duration>,
    /// When it is over, once its time has begun.
    until: Option<Instant>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        match self.until {
            Some(until) => Instant::now() >= until,
            None => self.time.is_none() && self.rule.times == 0,
        }
    }

    /// It hits one request; how much of its time is left.
    fn hit(&mut self) -> Duration {
        let Some(time) = self.time else {
            self.rule.times -= 1;
            return Duration::ZERO;
        };
        let now = Instant::now();
        self.until.get_or_insert(now + time).saturating_duration_since(now)
    }
}

/// The waiting rules. Tests add them, requests use them up.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Waiting>>,
    /// The dice of rules by chance.
    dice: Mutex<Dice>,
    /// How many requests of a kind a fault has hit.
    struck: Mutex<Vec<(Kind, Fault, u64)>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { rules: Mutex::default(), dice: Mutex::new(Dice::new(0)), struck: Mutex::default() }
    }
}

impl Faults {
    /// Adds a rule; `false` when too many wait already or the rule would hit nothing.
    pub(crate) fn add(&self, rule: FaultRule) -> bool {
        let time = |time| Duration::from_millis(time).min(TIME_MAX);
        let time = rule.for_ms.map(time);
        let until = time.filter(|_| !rule.from_first_hit).map(|time| Instant::now() + time);
        self.with(|rules| {
            let hits = rule.fault.is_sound() && (rule.times > 0 || time.is_some());
            let room = rules.len() < RULES_MAX && hits;
            if room {
                rules.push(Waiting { rule, time, until });
            }
            room
        })
    }

    /// Chance begins anew from this seed.
    pub(crate) fn seed(&self, seed: u64) {
        *self.dice.lock().unwrap_or_else(PoisonError::into_inner) = Dice::new(seed);
    }

    fn hits(&self, rule: &FaultRule) -> bool {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        rule.percent.is_none_or(|percent| dice.percent(percent))
    }

    pub(crate) fn clear(&self) {
        self.with(Vec::clear);
    }

    pub(crate) fn waiting(&self) -> Vec<FaultRule> {
        self.with(|rules| rules.iter().map(|waiting| waiting.rule.clone()).collect())
    }

    /// How many requests of this kind this fault has hit.
    pub(crate) fn struck(&self, kind: Kind, fault: Fault) -> u64 {
        let struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        let of = struck.iter().find(|(of, which, _)| (*of, *which) == (kind, fault));
        of.map_or(0, |(.., times)| *times)
    }

    /// How many requests any fault has hit.
    pub(crate) fn struck_in_all(&self) -> u64 {
        let struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        struck.iter().map(|(.., times)| *times).sum()
    }

    fn count(&self, kind: Kind, fault: Fault) {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |(of, which, _): &&mut (Kind, Fault, u64)| (*of, *which) == (kind, fault);
        if let Some((.., times)) = struck.iter_mut().find(known) {
            *times += 1;
        } else if struck.len() < STRUCK_MAX {
            struck.push((kind, fault, 1));
        }
    }

    /// Takes the fault for this request.
    pub(crate) fn take(&self, asked: &Asked<'_>) -> Option<Fault> {
        let (fault, left) = self.next(asked)?;
        self.count(asked.kind, fault);
        Some(fault.with_left(left))
    }

    /// The fault as it was ordered, and how much longer its rule holds.
    fn next(&self, asked: &Asked<'_>) -> Option<(Fault, Duration)> {
        self.with(|rules| {
            for waiting in rules.iter_mut().filter(|waiting| waiting.rule.fits(asked)) {
                if waiting.rule.skip > 0 {
                    waiting.rule.skip -= 1;
                    continue;
                }
                if !self.hits(&waiting.rule) {
                    continue;
                }
                return Some((waiting.rule.fault, waiting.hit()));
            }
            None
        })
    }

    /// No caller panics half-way through a rule, so a poisoned lock still guards whole rules.
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Waiting>) -> T) -> T {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|waiting| !waiting.is_over());
        act(&mut rules)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::fault::Says;

    fn asked(kind: Kind, digest: Option<&str>) -> Asked<'_> {
        Asked { kind, digest, repo: None, ranged: false }
    }

    #[test]
    fn a_rule_skips_hits_and_is_gone() {
        let faults = Faults::default();
        assert!(faults.add(FaultRule::next(Kind::BlobGet, Fault::Unavailable).after(1).times(2)));
        let hits: Vec<bool> =
            (0..5).map(|_| faults.take(&asked(Kind::BlobGet, None)).is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.waiting().is_empty());
        assert_eq!(faults.struck(Kind::BlobGet, Fault::Unavailable), 2);
        assert_eq!(faults.struck(Kind::BlobHead, Fault::Unavailable), 0);
    }

    #[test]
    fn a_rule_for_a_digest_spares_other_digests_and_kinds() {
        let faults = Faults::default();
        faults.add(FaultRule::next(Kind::StorageGet, Fault::WrongBytes).of_digest("sha256:a"));
        assert_eq!(faults.take(&asked(Kind::StorageGet, Some("sha256:b"))), None);
        assert_eq!(faults.take(&asked(Kind::BlobGet, Some("sha256:a"))), None);
        assert_eq!(faults.take(&asked(Kind::StorageGet, None)), None);
        assert_eq!(
            faults.take(&asked(Kind::StorageGet, Some("sha256:a"))),
            Some(Fault::WrongBytes)
        );
    }

    #[test]
    fn a_rule_for_repositories_spares_others_and_what_is_about_none() {
        let faults = Faults::default();
        faults.add(FaultRule::next(Kind::BlobGet, Fault::Hang).in_repos("mallory/").times(9));
        let hits = |repo| faults.take(&Asked { repo, ..asked(Kind::BlobGet, None) }).is_some();
        assert!(hits(Some("mallory/a")) && hits(Some("mallory/b/c")));
        assert!(!hits(Some("alice/mallory/")) && !hits(None));
    }

    #[test]
    fn a_rule_can_ask_for_a_range_or_for_none_and_faults_of_ranges_always_do() {
        let faults = Faults::default();
        let ranged = |ranged| Asked { ranged, ..asked(Kind::StorageGet, None) };
        let rule = |fault| FaultRule::next(Kind::StorageGet, fault);
        for (rule, wanted) in [
            (rule(Fault::WrongBytes).ranged(), true),
            (rule(Fault::WrongBytes).unranged(), false),
            (rule(Fault::RangeIgnored), true),
        ] {
            assert!(faults.add(rule.clone()));
            assert_eq!(faults.take(&ranged(!wanted)), None, "{rule:?}");
            assert_eq!(faults.take(&ranged(wanted)), Some(rule.fault), "{rule:?}");
        }
    }

    #[test]
    fn a_rule_for_a_time_hits_all_until_it_is_over() {
        let faults = Faults::default();
        let rule = FaultRule::next(Kind::Token, Fault::Unavailable).after(1);
        assert!(faults.add(rule.clone().during(Duration::from_hours(1))));
        let hit = || faults.take(&asked(Kind::Token, None)).is_some();
        assert_eq!([hit(), hit(), hit()], [false, true, true]);
        faults.clear();
        assert!(faults.add(rule.during(Duration::ZERO)));
        assert_eq!([hit(), hit()], [false, false]);
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_pause_begins_with_the_first_request_and_says_how_much_of_it_is_left() {
        let faults = Faults::default();
        let busy = |left_s| Fault::Busy { says: Says::Seconds, left_s };
        let rule = FaultRule::next(Kind::BlobGet, busy(1));
        let hit = || faults.take(&asked(Kind::BlobGet, None));
        assert!(faults.add(rule.clone().pause(Duration::ZERO)));
        assert_eq!([hit(), hit()], [Some(busy(1)), None]);
        assert!(faults.add(rule.pause(Duration::from_hours(1))));
        assert_eq!(hit(), Some(busy(3600)));
        assert!(matches!(hit(), Some(Fault::Busy { left_s: 2..=3600, .. })));
        assert_eq!(faults.struck(Kind::BlobGet, busy(1)), 3);
        assert_eq!(faults.struck_in_all(), 3);
    }

    #[test]
    fn when_to_come_back_is_said_in_either_form_or_not_at_all() {
        let said = |says| Fault::Busy { says, left_s: 7 }.rejection().unwrap().retry_after;
        assert_eq!(said(Says::Nothing), None);
        assert_eq!(said(Says::Seconds).as_deref(), Some("7"));
        let date = httpdate::parse_http_date(&said(Says::Date).unwrap()).unwrap();
        let left = date.duration_since(std::time::SystemTime::now()).unwrap();
        assert!(left <= Duration::from_secs(7), "{left:?}");
    }

    #[test]
    fn a_rule_by_chance_hits_its_share_and_the_same_ones_for_the_same_seed() {
        let faults = Faults::default();
        let rule =
            FaultRule::next(Kind::UploadPut, Fault::CountingDown { period_s: 2, delay_ms: 0 });
        assert!(faults.add(rule.percent(20).during(Duration::from_hours(1))));
        let hits = || {
            faults.seed(7);
            let hit = |_: &u64| faults.take(&asked(Kind::UploadPut, None)).is_some();
            (0..1_000).filter(hit).collect::<Vec<_>>()
        };
        let first = hits();
        assert!((150..250).contains(&first.len()), "{}", first.len());
        assert_eq!(first, hits());
    }

    #[test]
    fn a_fault_that_cannot_be_carried_out_is_refused() {
        for fault in [
            Fault::Status { code: 200, retry_after_s: None },
            Fault::Status { code: 600, retry_after_s: None },
            Fault::RedirectHops { hops: 0 },
            Fault::CountingDown { period_s: 0, delay_ms: 0 },
        ] {
            assert!(!Faults::default().add(FaultRule::next(Kind::BlobGet, fault)), "{fault:?}");
        }
    }

    #[test]
    fn rules_are_bounded_and_a_rule_that_hits_nothing_is_refused() {
        let faults = Faults::default();
        let rule = FaultRule::next(Kind::Tags, Fault::Unavailable);
        assert!(!faults.add(rule.clone().times(0)));
        assert!((0..RULES_MAX).all(|_| faults.add(rule.clone())));
        assert!(!faults.add(rule));
    }

    #[test]
    fn a_rule_is_read_from_json_with_its_defaults() {
        let text = r#"{"kind":"storage_get","fault":{"short_body":{"bytes":3}}}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule, FaultRule::next(Kind::StorageGet, Fault::ShortBody { bytes: 3 }));
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault":"wrong_bytes","tims":2}"#).is_err());
    }
}
