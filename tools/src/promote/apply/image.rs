//! One image of an apply: the plan is compared with both sides, then the content is put in place.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wharf_oci::{Descriptor, Digest, Manifest, Reference};

use super::super::ImageState;
use super::super::companions::{Companion, CompanionAction, Copying};
use super::super::ledger::Event;
use super::super::manifests::Fetched;
use super::super::plan::{Item, TagStep};
use super::{Run, Stop};
use crate::moves::FLOATING_TAG;
use crate::registry::{BlobSource, KeptSession, UploadOutcome};
use crate::transfer::{
    ManifestTree, TransferBytes, TransferDestination, TransferStep, TransferTerms,
};

/// How many tags of one image are looked at at once.
const TAGS_AT_ONCE: usize = 16;

/// An image that is as the plan says.
pub(super) struct Checked {
    /// Whether every tag is in its final place.
    in_place: bool,
}

/// An image with its content in place.
pub(super) struct Copied {
    pub(super) tree: ManifestTree,
    pub(super) moved: TransferBytes,
    pub(super) companions: Vec<Companion>,
}

impl Run<'_> {
    /// Copies the content and writes every tag but `latest`.
    pub(super) async fn copy(
        &self,
        item: &Item,
        checked: Option<Result<Checked, Stop>>,
    ) -> Result<Copied, Stop> {
        let Checked { in_place } = match checked {
            Some(checked) => checked?,
            None => self.check(item).await?,
        };
        if in_place && item.companions_to_copy().next().is_none() {
            return Err(Stop::State(ImageState::UpToDate, String::new()));
        }
        let tree = self.fetch(item).await?;
        let sent = AtomicU64::new(0);
        let mut moved =
            TransferBytes { skipped_bytes: item.size_bytes(), ..TransferBytes::default() };
        if !in_place {
            moved = self.put_content(item, &tree, &sent, true).await?;
        }
        // Before the tags: a pull by tag then finds the signatures.
        let companions = self.copy_companions(item, &mut moved, &sent).await?;
        moved.resent_bytes = sent.load(Ordering::Relaxed).saturating_sub(moved.sent_bytes);
        let pinned = item.tags.iter().filter(|step| step.tag.as_str() != FLOATING_TAG).collect();
        let copied = Copied { tree, moved, companions };
        self.write_tags(item, pinned, &copied.tree).await?;
        Ok(copied)
    }

    /// Compares both sides with the plan, or the destination with an earlier run of it.
    pub(super) async fn check(&self, item: &Item) -> Result<Checked, Stop> {
        let source = stream::iter(&item.tags).map(|step| self.check_source(item, step));
        let source = source.buffered(TAGS_AT_ONCE).try_collect::<Vec<()>>();
        // In a repository that was not there is nothing to compare yet: the tags are looked at again
        // when they are written.
        let is_new = item.new_repository && self.apply.before(item).is_none();
        let looked = if is_new { &[][..] } else { &item.tags };
        let destination = stream::iter(looked).map(|step| self.check_destination(item, step));
        let destination = destination.buffered(TAGS_AT_ONCE).try_collect::<Vec<bool>>();
        let (_, places) = tokio::try_join!(source, destination)?;
        Ok(Checked { in_place: !is_new && places.into_iter().all(|is_there| is_there) })
    }

    async fn check_source(&self, item: &Item, step: &TagStep) -> Result<(), Stop> {
        let (from, reference) = (&self.apply.from, step.reference());
        let url = from.manifest_url(&item.source, &reference);
        let (state, reason) = match from.head_manifest(&item.source, &reference).await? {
            Some(found) if found.digest == step.digest => return Ok(()),
            Some(found) => {
                let (found, planned) = (found.digest, step.digest);
                (ImageState::Refused, format!("{url} points at {found}, the plan says {planned}"))
            }
            None => (ImageState::Missing, format!("{url} is not there")),
        };
        Err(Stop::State(state, reason))
    }

    /// Whether a tag is in its final place.
    async fn check_destination(&self, item: &Item, step: &TagStep) -> Result<bool, Stop> {
        let found = self.now(item, step).await?;
        if found != Some(step.digest) && found != step.before {
            return Err(Stop::State(ImageState::Refused, self.changed(item, step, found)));
        }
        Ok(found == Some(step.digest))
    }

    /// Fetches the manifests of the plan, by digest.
    async fn fetch(&self, item: &Item) -> Result<ManifestTree, Stop> {
        match self.source.tree(&item.source, &item.roots()).await? {
            Fetched::Tree(tree) => Ok(tree),
            Fetched::Missing(url) => {
                Err(Stop::State(ImageState::Missing, format!("{url} is not there")))
            }
        }
    }

    /// Puts blobs and manifests. A manifest with tags comes with its tags, unless companions refer
    /// to it before. `trusts` says whether what an earlier run or image brought needs no look.
    pub(super) async fn put_content(
        &self,
        item: &Item,
        tree: &ManifestTree,
        sent: &AtomicU64,
        trusts: bool,
    ) -> Result<TransferBytes, Stop> {
        let has_companions = item.companions_to_copy().next().is_some();
        let later = if has_companions { Vec::new() } else { later_roots(item, tree) };
        let tell = |step: TransferStep<'_>| self.tell(item, step, sent);
        let open = |blob: &Descriptor| {
            let (from, repo) = (self.apply.from.clone(), item.source.clone());
            Ok(BlobSource::remote(from, repo, blob.clone()))
        };
        let before = self.apply.before(item);
        let skip =
            |digest: &Digest| trusts && before.is_some_and(|before| before.blobs.contains(digest));
        let kept = |digest: &Digest| before.and_then(|before| before.sessions.get(digest).cloned());
        let terms = TransferTerms {
            skip: &skip,
            kept: &kept,
            may_have_parts: !trusts || !item.new_repository || before.is_some(),
            trusts,
            later: &later,
            slots: &self.slots,
            tell: &tell,
        };
        self.destination(item).put_on(tree, &open, &terms).await
    }

    /// Copies the image's companions, and returns the outcome of each.
    async fn copy_companions(
        &self,
        item: &Item,
        moved: &mut TransferBytes,
        sent: &AtomicU64,
    ) -> Result<Vec<Companion>, Stop> {
        let tell = |step: TransferStep<'_>| self.tell(item, step, sent);
        let (skip, kept) = (|_: &Digest| false, |_: &Digest| None::<KeptSession>);
        let terms = TransferTerms {
            skip: &skip,
            kept: &kept,
            may_have_parts: true,
            trusts: true,
            later: &[],
            slots: &self.slots,
            tell: &tell,
        };
        let to = self.destination(item);
        let copying = Copying { from: &self.source, source: &item.source, to, terms };
        let mut companions = item.companions.clone();
        for companion in companions.iter_mut().filter(|at| at.action == CompanionAction::Copy) {
            let Some((manifest, bytes)) = copying.put(companion).await? else {
                let reference = Reference::Digest(companion.digest);
                let url = self.apply.from.manifest_url(&item.source, &reference);
                return Err(Stop::State(ImageState::Missing, format!("{url} is not there")));
            };
            moved.add(bytes);
            companion.action = CompanionAction::Copied;
            let Some(tag) = companion.tag.clone() else { continue };
            let (digest, before) = (companion.digest, companion.before);
            let step = TagStep { tag, source: None, digest, before };
            if let Some(reason) = self.write_companion_tag(item, &step, &manifest).await? {
                companion.action = CompanionAction::Left;
                companion.reason = reason;
            }
        }
        Ok(companions)
    }

    /// Writes a step down, and shows it.
    fn tell(&self, item: &Item, step: TransferStep<'_>, sent: &AtomicU64) -> Result<(), Stop> {
        let plan = item.plan.clone();
        let event = match step {
            TransferStep::Blob(blob, how) => {
                if how != UploadOutcome::Sent {
                    self.watch.spared(blob.size);
                }
                Event::Blob { plan, digest: blob.digest, size_bytes: blob.size, how }
            }
            TransferStep::Manifest(digest) => Event::Manifest { plan, digest: *digest },
            TransferStep::Session(blob, session) => {
                Event::Session { plan, digest: blob.digest, session: session.clone() }
            }
            TransferStep::Sent(bytes) => {
                sent.fetch_add(bytes, Ordering::Relaxed);
                self.watch.sent(bytes);
                return Ok(());
            }
        };
        self.apply.ledger.append(event).map_err(Stop::Ledger)
    }

    pub(super) fn destination<'r>(&'r self, item: &'r Item) -> TransferDestination<'r> {
        let (registry, repo) = (&*self.apply.to, &item.destination);
        TransferDestination { registry, repo, known: &self.known }
    }
}

/// The manifests under tags that can wait for them: when the tag is written, nothing lists them yet.
fn later_roots(item: &Item, tree: &ManifestTree) -> Vec<Digest> {
    let is_floating = |step: &&TagStep| step.tag.as_str() == FLOATING_TAG;
    let pinned = item.tags.iter().filter(|step| !is_floating(step));
    let written: Vec<Digest> =
        pinned.chain(item.tags.iter().filter(is_floating)).map(|step| step.digest).collect();
    let turn = |digest: &Digest| written.iter().position(|at| at == digest);
    let waits = |root: &Digest| {
        let listed_by = tree
            .manifests
            .iter()
            .filter(|manifest| manifest.children().iter().any(|child| child.digest == *root));
        listed_by.map(Manifest::digest).all(|list| turn(&list) > turn(root))
    };
    item.roots().into_iter().filter(waits).collect()
}

impl Item {
    /// The digests under its tags, each once.
    fn roots(&self) -> Vec<Digest> {
        let mut roots: Vec<Digest> = Vec::new();
        for step in &self.tags {
            if !roots.contains(&step.digest) {
                roots.push(step.digest);
            }
        }
        roots
    }
}
