//! Write-once tags: the rules, and an operator's overrides. `http/handlers/write_once_check.rs`
//! looks up the present state of a tag; the record for later readers, under the target `audit`, is
//! written here.
//!
//! Invariant: an override permits one change at most, before its time is over. No override survives
//! a restart.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::ttl_map::TtlMap;
use wharf_oci::{Digest, RepoName, Tag};

use crate::limits::{OVERRIDE_TIME_MAX, OVERRIDES_MAX};
use crate::push::change_locks::RepoLocation;
use crate::registries::{Target, UpstreamSet};

/// The rules of write-once tags, and the overrides.
pub(crate) struct WriteOnce {
    overrides: Mutex<TtlMap<(RepoLocation, Tag), Override>>,
}

impl Default for WriteOnce {
    fn default() -> Self {
        Self { overrides: Mutex::new(TtlMap::new(OVERRIDES_MAX)) }
    }
}

/// Permits one change of one tag.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    /// The reason, in the words of the operator.
    pub(crate) reason: String,
    expiry: Instant,
}

impl WriteOnce {
    /// Whether a tag is write-once.
    pub(crate) fn covers(target: &Target, place: &RepoLocation, tag: &Tag) -> bool {
        target.write_once_tags().iter().any(|rule| rule.fits(&place.repo, tag))
    }

    /// Whether a repository can have write-once tags.
    pub(crate) fn concerns(target: &Target, place: &RepoLocation) -> bool {
        target.write_once_tags().iter().any(|rule| rule.fits_repo(&place.repo))
    }

    /// Permits one change of a tag, named as clients name it. An error is a sentence.
    pub(crate) fn allow(
        &self,
        upstreams: &Arc<UpstreamSet>,
        repo: &RepoName,
        tag: &Tag,
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
        if time.is_zero() || time > OVERRIDE_TIME_MAX {
            return Err(format!("allow it for at most {} h", OVERRIDE_TIME_MAX.as_secs() / 3600));
        }
        let expiry = Instant::now() + time;
        let allowance = Override { reason: reason.to_owned(), expiry };
        let mut overrides = self.overrides.lock();
        overrides.sweep();
        if !overrides.insert((place, tag.clone()), allowance, expiry) {
            return Err("too many changes are allowed and not made yet".to_owned());
        }
        drop(overrides);
        let seconds = time.as_secs();
        tracing::warn!(target: "audit", audit = "granted", %repo, %tag, reason, seconds,
            "one change of a write-once tag is allowed");
        Ok(())
    }

    /// Takes the override of a tag, so that no other request uses it.
    pub(crate) fn spend(&self, place: &RepoLocation, tag: &Tag) -> Option<Override> {
        self.overrides.lock().remove(&(place.clone(), tag.clone()))
    }

    /// Gives back the override of a change that was certainly not made.
    pub(crate) fn give_back(&self, place: &RepoLocation, tag: &Tag, allowance: Override) {
        let (key, expiry) = ((place.clone(), tag.clone()), allowance.expiry);
        let mut overrides = self.overrides.lock();
        if !overrides.contains(&key) {
            overrides.insert(key, allowance, expiry);
        }
    }
}

/// The digests of a tag before and after a change; none after its deletion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TagMove {
    pub(crate) from: Digest,
    pub(crate) to: Option<Digest>,
}

impl TagMove {
    fn target(self) -> String {
        self.to.map_or_else(|| "nothing".to_owned(), |to| to.to_string())
    }
}

/// Records that an override was used.
pub(crate) fn audit_used(
    repo: &RepoName,
    tag: &Tag,
    change: TagMove,
    reason: &str,
    client: IpAddr,
) {
    let (from, to) = (change.from, change.target());
    tracing::warn!(target: "audit", audit = "used", %repo, %tag, %from, to, reason, %client,
        "a write-once tag is changed as it was allowed");
}

/// The state of a tag after a permitted change that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnusedOverride {
    /// The tag is unchanged.
    NotMade,
    /// The change was made all the same.
    Made,
    /// The tag's state is unknown.
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

/// Records the result of a failed change with an override; the override is back when the change was
/// not made.
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

/// Records that a change was refused.
pub(crate) fn audit_refused(repo: &RepoName, tag: &Tag, change: TagMove, client: IpAddr) {
    let (from, to) = (change.from, change.target());
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
        once.allow(&set, &repo, &tag, "because", minute).unwrap();
        let spent = once.spend(&place, &tag).unwrap();
        assert!(once.spend(&place, &tag).is_none());
        once.give_back(&place, &tag, spent);
        tokio::time::advance(minute).await;
        assert!(once.spend(&place, &tag).is_none());
        let refused = |tag: &str, reason, time| {
            once.allow(&set, &repo, &tag.parse().unwrap(), reason, time).unwrap_err()
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
            once.allow(&set, &"a/b".parse().unwrap(), &tag, "because", Duration::from_mins(1))
        };
        for number in 0..OVERRIDES_MAX {
            allow(number).unwrap();
        }
        assert!(allow(0).is_ok());
        assert!(allow(OVERRIDES_MAX).unwrap_err().contains("too many"));
    }
}
