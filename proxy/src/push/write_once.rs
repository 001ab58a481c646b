//! Write-once tags: which they are, and which changes of them an operator has allowed. What a tag is
//! at the moment is asked in `http/handlers/write_once_check.rs`; what is said about it for later readers, under the
//! target `audit`, is written here.
//!
//! Invariant: a change that was allowed is made once at most, before its time is over. Nothing is
//! allowed across a restart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wharf_oci::{Digest, RepoName, Tag};

use crate::limits::{ALLOWANCE_TIME_MAX, ALLOWANCES_MAX};
use crate::push::change_locks::RepoLocation;
use crate::registries::{Target, UpstreamSet};

/// Which tags are write-once, and what is allowed all the same.
#[derive(Default)]
pub(crate) struct WriteOnce {
    allowed: Mutex<HashMap<(RepoLocation, Tag), Override>>,
}

/// One change of one tag.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    /// Why, in the words of who allowed it.
    pub(crate) reason: String,
    until: Instant,
}

impl WriteOnce {
    /// Whether a tag is write-once.
    pub(crate) fn covers(target: &Target, place: &RepoLocation, tag: &Tag) -> bool {
        target.write_once_tags().iter().any(|rule| rule.fits(&place.repo, tag))
    }

    /// Whether a repository can have such tags.
    pub(crate) fn concerns(target: &Target, place: &RepoLocation) -> bool {
        target.write_once_tags().iter().any(|rule| rule.fits_repo(&place.repo))
    }

    /// Allows one change of a tag, which is named as clients name it. An error is a sentence.
    pub(crate) fn allow(
        &self,
        upstreams: &Arc<UpstreamSet>,
        (repo, tag): (&RepoName, &Tag),
        reason: &str,
        time: Duration,
    ) -> Result<(), String> {
        let named = upstreams.without_namespace(repo);
        let named = named.map_err(|error| error.to_string())?;
        let target = upstreams.target(&named).map_err(|error| error.to_string())?;
        let place = RepoLocation::of(&target, &named);
        if !Self::covers(&target, &place, tag) {
            return Err(format!("{repo}:{tag} is not write-once: it can be changed anyway"));
        }
        if reason.trim().is_empty() {
            return Err("the reason is empty".to_owned());
        }
        if time.is_zero() || time > ALLOWANCE_TIME_MAX {
            return Err(format!("allow it for at most {} h", ALLOWANCE_TIME_MAX.as_secs() / 3600));
        }
        let (now, key) = (Instant::now(), (place, tag.clone()));
        let mut allowed = self.allowed();
        allowed.retain(|_, allowance| now < allowance.until);
        if allowed.len() >= ALLOWANCES_MAX && !allowed.contains_key(&key) {
            return Err("too many changes are allowed and not made yet".to_owned());
        }
        allowed.insert(key, Override { reason: reason.to_owned(), until: now + time });
        drop(allowed);
        let seconds = time.as_secs();
        tracing::warn!(target: "audit", audit = "granted", %repo, %tag, reason, seconds,
            "one change of a write-once tag is allowed");
        Ok(())
    }

    /// Takes what is allowed for a tag, so that nobody else uses it.
    pub(crate) fn spend(&self, place: &RepoLocation, tag: &Tag) -> Option<Override> {
        let allowance = self.allowed().remove(&(place.clone(), tag.clone()))?;
        (Instant::now() < allowance.until).then_some(allowance)
    }

    /// Gives back what was spent on a change that was certainly not made.
    pub(crate) fn give_back(&self, place: &RepoLocation, tag: &Tag, allowance: Override) {
        self.allowed().entry((place.clone(), tag.clone())).or_insert(allowance);
    }

    /// Nothing panics half-way through a change.
    fn allowed(&self) -> MutexGuard<'_, HashMap<(RepoLocation, Tag), Override>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that an allowance is used; `to` is nothing for a deletion.
pub(crate) fn audit_used(
    repo: &RepoName,
    tag: &Tag,
    (from, to): (Digest, Option<Digest>),
    reason: &str,
    client: IpAddr,
) {
    let to = to.map_or_else(|| "nothing".to_owned(), |to| to.to_string());
    tracing::warn!(target: "audit", audit = "used", %repo, %tag, %from, to, reason, %client,
        "a write-once tag is changed as it was allowed");
}

/// What became of a change that was allowed and not carried out as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnusedOverride {
    /// The tag is what it was.
    NotMade,
    /// It was made all the same.
    Made,
    /// Nobody can say.
    Unknown,
}

impl UnusedOverride {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NotMade => "not made",
            Self::Made => "made",
            Self::Unknown => "unknown",
        }
    }
}

/// Says what became of a change for which an allowance was used; it is back when it was not made.
pub(crate) fn audit_undone(
    repo: &RepoName,
    tag: &Tag,
    from: Digest,
    undone: UnusedOverride,
    client: IpAddr,
) {
    let outcome = undone.as_str();
    tracing::warn!(target: "audit", audit = "undone", %repo, %tag, %from, outcome, %client,
        "the change of a write-once tag failed");
}

/// Says that a change was refused.
pub(crate) fn audit_refused(
    repo: &RepoName,
    tag: &Tag,
    (from, to): (Digest, Option<Digest>),
    client: IpAddr,
) {
    let to = to.map_or_else(|| "nothing".to_owned(), |to| to.to_string());
    tracing::warn!(target: "audit", audit = "refused", %repo, %tag, %from, to, %client,
        "a write-once tag was not changed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::patterns::TagRule;

    fn write_once() -> (WriteOnce, Arc<UpstreamSet>, RepoLocation) {
        let rule = TagRule::try_from("v*".to_owned()).unwrap();
        let place = RepoLocation::of(&Target::local(), &"a/b".parse().unwrap());
        (WriteOnce::default(), UpstreamSet::new(&[], &[rule], None).unwrap(), place)
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_is_for_one_change_within_its_time() {
        let (once, set, place) = write_once();
        let (repo, tag): (RepoName, Tag) = ("a/b".parse().unwrap(), "v1".parse().unwrap());
        let minute = Duration::from_mins(1);
        assert!(once.spend(&place, &tag).is_none());
        once.allow(&set, (&repo, &tag), "because", minute).unwrap();
        let spent = once.spend(&place, &tag).unwrap();
        assert!(once.spend(&place, &tag).is_none());
        once.give_back(&place, &tag, spent);
        tokio::time::advance(minute).await;
        assert!(once.spend(&place, &tag).is_none());
        let refused = |tag: &str, reason, time| {
            once.allow(&set, (&repo, &tag.parse().unwrap()), reason, time).unwrap_err()
        };
        assert!(refused("latest", "because", minute).contains("not write-once"));
        assert!(refused("v1", " ", minute).contains("reason"));
        assert!(refused("v1", "because", Duration::ZERO).contains("24 h"));
    }

    #[tokio::test]
    async fn what_is_allowed_is_bounded() {
        let (once, set, _) = write_once();
        let allow = |number: usize| {
            let tag = format!("v{number}").parse().unwrap();
            once.allow(&set, (&"a/b".parse().unwrap(), &tag), "because", Duration::from_mins(1))
        };
        for number in 0..ALLOWANCES_MAX {
            allow(number).unwrap();
        }
        assert!(allow(0).is_ok());
        assert!(allow(ALLOWANCES_MAX).unwrap_err().contains("too many"));
    }
}
