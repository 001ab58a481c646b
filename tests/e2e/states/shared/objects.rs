//! The objects shared by clients at a registry, each for `history.rs`: an upload, a blob in a
//! repository, the manifests and tags of a repository. No HTTP.
//!
//! Invariant: a response wrong in every state is no act at all; its client reports it at once.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Event, Object};

/// An upload: how much it has, `None` when it is over.
pub(super) struct Upload;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadAct {
    /// A chunk with or without its start.
    Patch {
        first: Option<usize>,
        size: usize,
        said: Said,
    },
    /// An end; `whole` is the upload's final size in the client's view.
    Finish {
        first: Option<usize>,
        size: usize,
        whole: usize,
        said: Said,
    },
    Status(Said),
    Cancel(Said),
}

/// The response to an upload's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It goes on with so much.
    At(usize),
    /// 201, or 204 to a cancellation.
    Ended,
    /// The digest differs from the content's; the upload ends here too.
    WrongDigest,
    /// Not there where it has so much.
    OutOfOrder(usize),
    /// Another request writes.
    Busy,
    Unknown,
}

impl UploadAct {
    pub(super) const fn said(&self) -> Said {
        match self {
            Self::Patch { said, .. }
            | Self::Finish { said, .. }
            | Self::Status(said)
            | Self::Cancel(said) => *said,
        }
    }

    /// Whether it holds the upload while it lasts.
    pub(super) const fn holds(&self) -> bool {
        !matches!(self, Self::Status(_))
    }
}

impl Object for Upload {
    /// How much it has while it goes on; how much it came to, once it ended well.
    type State = (Option<usize>, Option<usize>);
    type Act = UploadAct;

    fn after(state: &Self::State, act: &UploadAct) -> Option<Self::State> {
        // Whether there was another one is looked at elsewhere: it is not a matter of order.
        if act.said() == Said::Busy {
            return Some(*state);
        }
        let (Some(has), _) = *state else {
            // A repeated end finds its result.
            let is_found = match *act {
                UploadAct::Finish { whole, said: Said::Ended, .. } => state.1 == Some(whole),
                _ => act.said() == Said::Unknown,
            };
            return is_found.then_some(*state);
        };
        let goes_on = |has| (Some(has), None);
        let fits = |first: Option<usize>| first.is_none_or(|first| first == has);
        match *act {
            UploadAct::Patch { first, said: Said::OutOfOrder(at), .. }
            | UploadAct::Finish { first, said: Said::OutOfOrder(at), .. } => {
                (!fits(first) && at == has).then_some(goes_on(has))
            }
            UploadAct::Patch { first, size, said: Said::At(at) } => {
                (fits(first) && has + size == at).then_some(goes_on(at))
            }
            UploadAct::Finish { first, size, whole, said } => {
                let right = has + size == whole;
                let said_right = said == if right { Said::Ended } else { Said::WrongDigest };
                (fits(first) && said_right).then_some((None, right.then_some(whole)))
            }
            UploadAct::Status(Said::At(at)) => (at == has).then_some(goes_on(has)),
            UploadAct::Cancel(Said::Ended) => Some((None, None)),
            _ => None,
        }
    }
}

/// A blob in a repository: whether it is there.
pub(super) struct Blob;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlobAct {
    /// It was seen to be there, or not to be, by such a request.
    Seen(bool, &'static str),
    /// It was put there, or mounted.
    Created,
    Deleted,
    /// Deleted at the same time as by another client, perhaps after it.
    DeletedToo,
}

impl Object for Blob {
    type State = bool;
    type Act = BlobAct;

    fn after(there: &bool, act: &BlobAct) -> Option<bool> {
        match act {
            BlobAct::Seen(seen, _) => (seen == there).then_some(*there),
            BlobAct::Created => Some(true),
            BlobAct::Deleted => there.then_some(false),
            BlobAct::DeletedToo => Some(false),
        }
    }
}

/// Of two overlapping deletions of a blob, both may get the response of the first one.
pub(super) fn soften(events: &mut [Event<BlobAct>]) {
    let deleted: Vec<_> =
        events.iter().filter(|event| event.act == BlobAct::Deleted).cloned().collect();
    for event in events.iter_mut().filter(|event| event.act == BlobAct::Deleted) {
        let mut others = deleted.iter().filter(|other| other.begun != event.begun);
        if others.any(|other| other.overlaps(event)) {
            event.act = BlobAct::DeletedToo;
        }
    }
}

/// All manifests of a repository and its tags.
pub(super) struct Manifests;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    there: BTreeSet<usize>,
    tags: BTreeMap<usize, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManifestAct {
    Put {
        tag: Option<usize>,
        manifest: usize,
    },
    /// The digest of a tag.
    Tag {
        tag: usize,
        manifest: Option<usize>,
    },
    Digest {
        manifest: usize,
        there: bool,
    },
    Untagged {
        tag: usize,
        was: bool,
    },
    Removed {
        manifest: usize,
        was: bool,
    },
}

impl Object for Manifests {
    type State = Named;
    type Act = ManifestAct;

    fn after(state: &Named, act: &ManifestAct) -> Option<Named> {
        let mut next = state.clone();
        let right = match act {
            ManifestAct::Put { tag, manifest } => {
                next.there.insert(*manifest);
                next.tags.extend(tag.map(|tag| (tag, *manifest)));
                true
            }
            ManifestAct::Tag { tag, manifest } => state.tags.get(tag) == manifest.as_ref(),
            ManifestAct::Digest { manifest, there } => state.there.contains(manifest) == *there,
            ManifestAct::Untagged { tag, was } => next.tags.remove(tag).is_some() == *was,
            ManifestAct::Removed { manifest, was } => {
                next.tags.retain(|_, named| named != manifest);
                next.there.remove(manifest) == *was
            }
        };
        right.then_some(next)
    }
}
