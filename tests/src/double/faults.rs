//! Faults on order: which requests are answered wrongly, how, and how often.
//!
//! A rule names a kind, a digest, both or neither; the first rule that fits a request is used up by
//! it. Faults that stand in for an answer happen after the caller's credentials were accepted.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::counts::Kind;

/// Rules that may wait at once.
const RULES_MAX: usize = 256;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The body has the right size and one wrong byte, its first.
    WrongBytes,
    /// The body, and the `Content-Length` with it, is this many bytes shorter.
    ShortBody {
        /// How many bytes are missing.
        bytes: u64,
    },
    /// The body, and the `Content-Length` with it, is this many bytes longer.
    LongBody {
        /// How many bytes are added.
        bytes: u64,
    },
    /// The body ends after this many bytes, with the whole `Content-Length` promised, in an orderly
    /// closed connection.
    CutBody {
        /// How many bytes are sent.
        after: u64,
    },
    /// The connection is reset after this many bytes: of the request when it has a body, of the
    /// answer otherwise. Nothing of such a request reaches the backing registry.
    Reset {
        /// How many bytes pass.
        after: u64,
    },
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// The value of `Retry-After`, in seconds.
        retry_after_s: u64,
    },
    /// 503, without a word on when to come back.
    Unavailable,
}

/// Which requests a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests of this kind; every kind when absent.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Only requests that name this digest; any when absent.
    #[serde(default)]
    pub digest: Option<String>,
    /// How many fitting requests pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    /// How many fitting requests are hit.
    #[serde(default = "once")]
    pub times: u64,
    /// What goes wrong with them.
    pub fault: Fault,
}

fn once() -> u64 {
    1
}

impl FaultRule {
    /// A fault that hits the next request of this kind.
    pub fn next(kind: Kind, fault: Fault) -> Self {
        Self { kind: Some(kind), digest: None, skip: 0, times: 1, fault }
    }

    /// The same for requests that name this digest only.
    #[must_use]
    pub fn of_digest(self, digest: impl Into<String>) -> Self {
        Self { digest: Some(digest.into()), ..self }
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

    fn fits(&self, kind: Kind, digest: Option<&str>) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.digest.as_deref().is_none_or(|wanted| digest == Some(wanted))
    }
}

/// The rules that wait. Filled by tests, used up by requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<FaultRule>>,
}

impl Faults {
    /// Adds a rule; `false` when too many wait already or the rule would hit nothing.
    pub(crate) fn add(&self, rule: FaultRule) -> bool {
        self.with(|rules| {
            let room = rules.len() < RULES_MAX && rule.times > 0;
            if room {
                rules.push(rule);
            }
            room
        })
    }

    pub(crate) fn clear(&self) {
        self.with(Vec::clear);
    }

    pub(crate) fn waiting(&self) -> Vec<FaultRule> {
        self.with(|rules| rules.clone())
    }

    /// The fault that this request gets, if any.
    pub(crate) fn take(&self, kind: Kind, digest: Option<&str>) -> Option<Fault> {
        self.with(|rules| {
            let mut fault = None;
            for rule in rules.iter_mut().filter(|rule| rule.fits(kind, digest)) {
                if rule.skip > 0 {
                    rule.skip -= 1;
                } else {
                    rule.times -= 1;
                    fault = Some(rule.fault);
                    break;
                }
            }
            rules.retain(|rule| rule.times > 0);
            fault
        })
    }

    /// No caller panics half-way through a rule, so a poisoned lock still guards whole rules.
    fn with<T>(&self, act: impl FnOnce(&mut Vec<FaultRule>) -> T) -> T {
        act(&mut self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_rule_skips_hits_and_is_gone() {
        let faults = Faults::default();
        assert!(faults.add(FaultRule::next(Kind::BlobGet, Fault::Unavailable).after(1).times(2)));
        let hits: Vec<bool> = (0..5).map(|_| faults.take(Kind::BlobGet, None).is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_rule_for_a_digest_spares_other_digests_and_kinds() {
        let faults = Faults::default();
        faults.add(FaultRule::next(Kind::StorageGet, Fault::WrongBytes).of_digest("sha256:a"));
        assert_eq!(faults.take(Kind::StorageGet, Some("sha256:b")), None);
        assert_eq!(faults.take(Kind::BlobGet, Some("sha256:a")), None);
        assert_eq!(faults.take(Kind::StorageGet, None), None);
        assert_eq!(faults.take(Kind::StorageGet, Some("sha256:a")), Some(Fault::WrongBytes));
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
