//! What there may be only so many of at once: the end of a request ([`crate::Error::TooMany`]), a label of
//! metrics, the name of work in traces.
//!
//! Invariant: the set is closed, and no two have one word; nothing that a client says becomes a label.

use std::fmt;

/// What there are too many of when a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Connections in all.
    Connections,
    /// Requests of one party that are being answered.
    Requests,
    /// Requests over a rate that wait.
    RequestsWaiting,
    /// Upload sessions in all.
    Uploads,
    /// Upload sessions of one party.
    UserUploads,
    /// Blobs on their way from upstreams.
    Downloads,
    /// The same for one party.
    PartyDownloads,
    /// Blobs that pass by the store.
    RelayedDownloads,
    /// Questions about manifests.
    ManifestRequests,
    /// Questions about tags.
    TagRequests,
    /// Puts of manifests.
    ManifestPuts,
    /// Questions for tokens of upstreams.
    TokenRequests,
    /// Logins for one upstream that programs and identities are asked for.
    UpstreamLogins,
    /// Sets of keys of an issuer.
    IssuerKeys,
    /// Questions to upstreams who may do what.
    AccessQuestions,
    /// Logins that an upstream may not know.
    UnprovenLogins,
    /// Passwords that are checked here.
    PasswordChecks,
    /// Registries behind one pattern.
    Registries,
    /// Requests that wait for one upstream.
    UpstreamRequests,
    /// The same of one party.
    PartyUpstreamRequests,
    /// Changes that wait for one key.
    ChangesOfOne,
    /// Changes of tags, manifests and blobs.
    Changes,
    /// The same of one party.
    PartyChanges,
    /// Staged blobs.
    PendingBlobs,
    /// The same of one party.
    PartyPendingBlobs,
    /// Manifests that wait for staged blobs.
    WaitingManifests,
    /// What is looked at before content is deleted that manifests name.
    ReachingManifests,
    /// What an upstream is asked for before content is deleted that tags may name.
    TagsBeforeDeletion,
    /// Blobs with content in memory that is not on disk.
    Writers,
    /// Work off the async threads.
    BlockingJobs,
    /// What is read before it is asked for.
    BatchesAhead,
    /// Memory for bodies.
    BytesInFlight,
}

impl Bound {
    /// The word, as errors and metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests at once",
            Self::RequestsWaiting => "requests that wait for their turn",
            Self::Uploads => "uploads",
            Self::UserUploads => "uploads of this user",
            Self::Downloads => "downloads",
            Self::PartyDownloads => "downloads of one party",
            Self::RelayedDownloads => "relayed downloads",
            Self::ManifestRequests => "manifest requests",
            Self::TagRequests => "tag requests",
            Self::ManifestPuts => "puts of manifests",
            Self::TokenRequests => "token requests",
            Self::UpstreamLogins => "upstream logins",
            Self::IssuerKeys => "keys",
            Self::AccessQuestions => "questions of access",
            Self::UnprovenLogins => "logins that are not proven",
            Self::PasswordChecks => "password checks",
            Self::Registries => "registries",
            Self::UpstreamRequests => "requests to one upstream",
            Self::PartyUpstreamRequests => "requests of one party to one upstream",
            Self::ChangesOfOne => "changes of one tag or blob",
            Self::Changes => "changes of tags and blobs",
            Self::PartyChanges => "changes of tags and blobs of one party",
            Self::PendingBlobs => "blobs that wait for the upstream",
            Self::PartyPendingBlobs => "blobs of one party that wait for the upstream",
            Self::WaitingManifests => "manifests that wait for their blobs",
            Self::ReachingManifests => "manifests that name what is to be deleted",
            Self::TagsBeforeDeletion => "write-once tags to ask for before a deletion",
            Self::Writers => "writers",
            Self::BlockingJobs => "blocking jobs",
            Self::BatchesAhead => "batches ahead",
            Self::BytesInFlight => "bytes in flight",
        }
    }

    /// One piece of such work, as traces name it.
    #[must_use]
    pub(crate) const fn span_name(self) -> &'static str {
        match self {
            Self::Downloads => "fill",
            Self::ManifestRequests | Self::TagRequests => "manifest fill",
            Self::TokenRequests => "token",
            Self::ManifestPuts => "manifest put",
            _ => self.as_str(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Errors say "too many … at once" already.
        f.write_str(self.as_str().trim_end_matches(" at once"))
    }
}

/// How much of a bound is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoundUsage {
    /// What is bounded.
    pub(crate) bound: Bound,
    pub(crate) used: u64,
    pub(crate) max: u64,
}

impl BoundUsage {
    pub(crate) const fn new(bound: Bound, used: usize, max: usize) -> Self {
        Self { bound, used: used as u64, max: max as u64 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_bound_has_its_own_word() {
        let all = [
            Bound::Connections,
            Bound::Requests,
            Bound::RequestsWaiting,
            Bound::Uploads,
            Bound::UserUploads,
            Bound::Downloads,
            Bound::PartyDownloads,
            Bound::RelayedDownloads,
            Bound::ManifestRequests,
            Bound::TagRequests,
            Bound::ManifestPuts,
            Bound::TokenRequests,
            Bound::UpstreamLogins,
            Bound::IssuerKeys,
            Bound::AccessQuestions,
            Bound::UnprovenLogins,
            Bound::PasswordChecks,
            Bound::Registries,
            Bound::UpstreamRequests,
            Bound::PartyUpstreamRequests,
            Bound::ChangesOfOne,
            Bound::Changes,
            Bound::PartyChanges,
            Bound::PendingBlobs,
            Bound::PartyPendingBlobs,
            Bound::WaitingManifests,
            Bound::ReachingManifests,
            Bound::TagsBeforeDeletion,
            Bound::Writers,
            Bound::BlockingJobs,
            Bound::BatchesAhead,
            Bound::BytesInFlight,
        ];
        assert_eq!(all.len(), Bound::BytesInFlight as usize + 1);
        let words: BTreeSet<_> = all.iter().map(|bound| bound.as_str()).collect();
        assert_eq!(words.len(), all.len());
    }

    #[test]
    fn work_is_named_as_one_of_what_there_are_too_many_of() {
        for (bound, name) in [
            (Bound::Downloads, "fill"),
            (Bound::TagRequests, "manifest fill"),
            (Bound::PasswordChecks, "password checks"),
        ] {
            assert_eq!(bound.span_name(), name);
        }
    }
}
