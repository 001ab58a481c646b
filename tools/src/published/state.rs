//! The common state of all records: for each offer and plan every submission, and the part on sale
//! now.
//!
//! Invariant: a state depends on the set of records only. Everything here is a union or a maximum.

use std::collections::BTreeMap;

use wharf_oci::{Digest, Tag, Timestamp};

use super::record::{
    Record, RecordedAudience, RecordedKind, RecordedLicence, RecordedScope, RecordedTerms,
    RecordedVisibility, Submission, SubmissionTarget, Withdrawal,
};

/// Everything a ledger says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// The offers, by publisher and ID.
    pub offers: BTreeMap<(String, String), OfferState>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfferState {
    pub terms: ValueHistory<RecordedTerms>,
    /// Whether Microsoft sold it.
    pub sell_through_microsoft: ValueHistory<bool>,
    pub plans: BTreeMap<String, PlanState>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanState {
    /// When it was submitted, and when it was taken back.
    pub life: Life,
    pub kind: ValueHistory<RecordedKind>,
    pub licence: ValueHistory<RecordedLicence>,
    /// Whether it can be found.
    pub visibility: ValueHistory<RecordedVisibility>,
    pub audience: ValueHistory<RecordedAudience>,
    pub regions: ValueHistory<String>,
    /// The repository of its image.
    pub repository: ValueHistory<String>,
    /// The type of its cluster extension.
    pub extension_type: ValueHistory<String>,
    /// How often it is installed in a cluster.
    pub scope: ValueHistory<RecordedScope>,
    pub tags: BTreeMap<Tag, TagState>,
    /// Its bundles, by repository and version.
    pub bundles: BTreeMap<(String, String), BundleState>,
    /// The withdrawals of tags and bundles, with their times.
    withdrawals: BTreeMap<String, Timestamp>,
}

pub type TagState = DigestHistory;
pub type BundleState = DigestHistory;

/// A name with a digest behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DigestHistory {
    /// When it was submitted, and when it was taken back.
    pub life: Life,
    pub digests: ValueHistory<Digest>,
}

/// The times of the last submission and the last withdrawal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life {
    /// To the preview.
    pub preview: Option<Timestamp>,
    pub live: Option<Timestamp>,
    pub withdrawn: Option<Timestamp>,
}

/// The values of a field, each with the time of its last submission, by target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueHistory<T> {
    values: BTreeMap<T, Life>,
}

impl<T> Default for ValueHistory<T> {
    fn default() -> Self {
        Self { values: BTreeMap::new() }
    }
}

impl Life {
    fn submit(&mut self, target: SubmissionTarget, time: Timestamp) {
        let known = match target {
            SubmissionTarget::Preview => &mut self.preview,
            SubmissionTarget::Live => &mut self.live,
        };
        *known = (*known).max(Some(time));
    }

    fn withdraw(&mut self, time: Timestamp) {
        self.withdrawn = self.withdrawn.max(Some(time));
    }

    /// Whether customers can have it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.is_some() && self.live > self.withdrawn
    }

    /// Whether it was submitted to the preview after it was taken back, or never was.
    #[must_use]
    pub fn is_in_preview(&self) -> bool {
        self.preview.is_some() && self.preview > self.withdrawn
    }

    /// Whether customers could ever have it.
    #[must_use]
    pub const fn was_live(&self) -> bool {
        self.live.is_some()
    }

    /// Where it is now.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.is_live(), self.is_in_preview()) {
            (true, _) => "live",
            (false, true) => "preview",
            (false, false) => "withdrawn",
        }
    }

    /// The last time it was submitted.
    #[must_use]
    pub fn submitted(&self) -> Option<Timestamp> {
        self.preview.max(self.live)
    }
}

impl<T: Ord> ValueHistory<T> {
    fn add(&mut self, value: T, target: SubmissionTarget, time: Timestamp) {
        self.values.entry(value).or_default().submit(target, time);
    }

    /// Whether there was any value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether customers could have this one.
    #[must_use]
    pub fn was_live(&self, value: &T) -> bool {
        self.values.get(value).is_some_and(Life::was_live)
    }

    /// The values customers could have.
    pub fn live(&self) -> impl Iterator<Item = &T> {
        self.values.iter().filter(|(_, life)| life.was_live()).map(|(value, _)| value)
    }

    /// Every value, also those of the preview.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.values.keys()
    }

    /// The value of the last submission; of two at the same moment the greater one.
    #[must_use]
    pub fn latest(&self) -> Option<&T> {
        let last = self.values.iter().max_by_key(|(_, life)| life.submitted());
        last.map(|(value, _)| value)
    }
}

impl LedgerState {
    /// The state of these records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut state = Self::default();
        for record in records {
            state.take(record);
        }
        for plan in state.offers.values_mut().flat_map(|offer| offer.plans.values_mut()) {
            plan.settle();
        }
        state
    }

    fn take(&mut self, record: &Record) {
        match record {
            Record::Submitted(submission) => {
                let key = (submission.publisher.clone(), submission.offer.clone());
                self.offers.entry(key).or_default().submit(submission);
            }
            Record::Withdrawn(withdrawal) => {
                let key = (withdrawal.publisher.clone(), withdrawal.offer.clone());
                let offer = self.offers.entry(key).or_default();
                offer.plans.entry(withdrawal.plan.clone()).or_default().withdraw(withdrawal);
            }
        }
    }

    /// This publisher's submissions of this offer.
    #[must_use]
    pub fn offer(&self, publisher: &str, offer: &str) -> Option<&OfferState> {
        self.offers.get(&(publisher.to_owned(), offer.to_owned()))
    }

    /// The last withdrawal of a plan, or of anything of it.
    #[must_use]
    pub fn last_withdrawal(&self, publisher: &str, offer: &str, plan: &str) -> Option<Timestamp> {
        let plan = self.offer(publisher, offer)?.plans.get(plan)?;
        plan.withdrawals.values().copied().chain(plan.life.withdrawn).max()
    }
}

impl OfferState {
    fn submit(&mut self, submission: &Submission) {
        let Submission { target, time, .. } = *submission;
        if let Some(terms) = submission.terms {
            self.terms.add(terms, target, time);
        }
        if let Some(sold) = submission.sell_through_microsoft {
            self.sell_through_microsoft.add(sold, target, time);
        }
        self.plans.entry(submission.plan.clone()).or_default().submit(submission);
    }

    /// Whether any plan of it was ever live.
    #[must_use]
    pub fn was_live(&self) -> bool {
        self.plans.values().any(|plan| plan.life.was_live())
    }
}

impl PlanState {
    fn submit(&mut self, submission: &Submission) {
        let Submission { target, time, .. } = *submission;
        self.life.submit(target, time);
        self.kind.add(submission.kind, target, time);
        let add = |known: &mut ValueHistory<String>, value: &Option<String>| {
            if let Some(value) = value {
                known.add(value.clone(), target, time);
            }
        };
        add(&mut self.repository, &submission.repository);
        add(&mut self.extension_type, &submission.extension_type);
        if let Some(licence) = submission.licence {
            self.licence.add(licence, target, time);
        }
        if let Some(visibility) = submission.visibility {
            self.visibility.add(visibility, target, time);
        }
        if let Some(audience) = submission.audience {
            self.audience.add(audience, target, time);
        }
        if let Some(scope) = submission.scope {
            self.scope.add(scope, target, time);
        }
        for region in &submission.regions {
            self.regions.add(region.clone(), target, time);
        }
        for (tag, digest) in &submission.tags {
            self.tags.entry(tag.clone()).or_default().submit(*digest, target, time);
        }
        for bundle in &submission.bundles {
            let key = (bundle.repository.clone(), bundle.version.clone());
            self.bundles.entry(key).or_default().submit(bundle.digest, target, time);
        }
    }

    fn withdraw(&mut self, withdrawal: &Withdrawal) {
        if withdrawal.versions.is_empty() {
            self.life.withdraw(withdrawal.time);
        }
        for version in &withdrawal.versions {
            let known = self.withdrawals.entry(version.clone()).or_insert(withdrawal.time);
            *known = withdrawal.time.max(*known);
        }
    }

    /// A withdrawal may stand before its submission, so it is applied last.
    fn settle(&mut self) {
        let whole = self.life.withdrawn;
        let withdrawals = &self.withdrawals;
        let at = |version: &str| withdrawals.get(version).copied().max(whole);
        for (tag, state) in &mut self.tags {
            state.life.withdrawn = at(tag.as_str());
        }
        for ((_, version), state) in &mut self.bundles {
            state.life.withdrawn = at(version);
        }
    }

    /// The tags customers can have.
    pub fn live_tags(&self) -> impl Iterator<Item = (&Tag, &TagState)> {
        self.tags.iter().filter(|(_, state)| state.life.is_live())
    }

    /// The bundles customers can have, by repository and version.
    pub fn live_bundles(&self) -> impl Iterator<Item = (&(String, String), &BundleState)> {
        self.bundles.iter().filter(|(_, state)| state.life.is_live())
    }
}

impl DigestHistory {
    fn submit(&mut self, digest: Option<Digest>, target: SubmissionTarget, time: Timestamp) {
        self.life.submit(target, time);
        if let Some(digest) = digest {
            self.digests.add(digest, target, time);
        }
    }
}
