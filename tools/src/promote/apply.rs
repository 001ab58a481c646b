//! Applies a plan, image by image, and writes each step down before the next.
//!
//! Order within an image: blobs, manifests from the inside out, tags. `latest` of every image comes
//! after everything else of all of them. A failed image leaves the others alone; a failed write of
//! the ledger ends the run.

use std::sync::Arc;

use serde::Serialize;
use wharf_oci::{Digest, Manifest, Reference};

use super::ImageState;
use super::companions::{Companion, CompanionAction, Copying};
use super::ledger::{Event, Ledger, LedgerError, LedgerHistory};
use super::plan::{Content, Item, PlanAction, TagStep};
use super::tree::{Fetched, fetch_tree};
use crate::moves::FLOATING_TAG;
use crate::registry::{BlobSource, Registry, RegistryError};
use crate::transfer::{KnownBlobs, ManifestTree, TransferBytes, TransferDestination, TransferStep};

/// A run of a plan.
pub struct Apply<'a> {
    /// The content of the plan.
    pub content: &'a Content,
    pub from: Arc<Registry>,
    pub to: Arc<Registry>,
    pub ledger: &'a Ledger,
    /// The history of an earlier run.
    pub history: Option<LedgerHistory>,
}

/// How an image ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageOutcome {
    /// The plan of the offer.
    pub plan: String,
    pub destination: String,
    pub state: ImageState,
    /// Why, unless it is done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The digest of the last tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bytes of blobs, of this run.
    #[serde(flatten)]
    pub moved: TransferBytes,
    /// Its companions, and the outcome of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<Companion>,
    #[serde(skip)]
    pub failure: Option<RegistryError>,
}

/// Why an image did not get to its end.
enum Stop {
    State(ImageState, String),
    Registry(RegistryError),
    Ledger(LedgerError),
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// An image with its content in place; `latest` is still to be written.
struct Copied {
    tree: ManifestTree,
    moved: TransferBytes,
    companions: Vec<Companion>,
}

impl Apply<'_> {
    /// Runs the plan. An error means the ledger cannot be written.
    pub async fn run(&self, note: &dyn Fn(&str)) -> Result<Vec<ImageOutcome>, LedgerError> {
        let known = KnownBlobs::default();
        if self.from.host() == self.to.host() {
            for item in &self.content.items {
                for blob in &item.blobs {
                    known.add(blob.digest, &item.source);
                }
            }
        }
        let mut outcomes = Vec::new();
        let mut waiting = Vec::new();
        for (place, item) in self.content.items.iter().enumerate() {
            if self.is_done(item) {
                outcomes.push(outcome(item, ImageState::UpToDate, "promoted before".to_owned()));
                continue;
            }
            note(&format!("promoting {} to {}/{}", item.plan, self.to.host(), item.destination));
            match self.copy(item, &known).await {
                Ok(copied) => {
                    outcomes.push(outcome(item, ImageState::Promoted, String::new()));
                    waiting.push((place, copied));
                }
                Err(stop) => outcomes.push(self.stopped(item, stop)?),
            }
        }
        for (place, copied) in waiting {
            let Some((item, slot)) = self.content.items.get(place).zip(outcomes.get_mut(place))
            else {
                continue;
            };
            let floating = |step: &&TagStep| step.tag.as_str() == FLOATING_TAG;
            let steps = item.tags.iter().filter(floating);
            *slot = match self.write_tags(item, steps, &copied.tree, &known).await {
                Ok(()) => {
                    self.end(item, ImageState::Promoted, "")?;
                    let Copied { moved, companions, .. } = copied;
                    let promoted = outcome(item, ImageState::Promoted, String::new());
                    ImageOutcome { moved, companions, ..promoted }
                }
                Err(stop) => self.stopped(item, stop)?,
            };
        }
        self.ledger.append(Event::End)?;
        Ok(outcomes)
    }

    fn is_done(&self, item: &Item) -> bool {
        let before = self.history.as_ref().and_then(|history| history.item(&item.plan));
        before.is_some_and(|before| before.state.as_ref().is_some_and(|(state, _)| state.is_done()))
    }

    fn stopped(&self, item: &Item, stop: Stop) -> Result<ImageOutcome, LedgerError> {
        let (state, reason, failure) = match stop {
            Stop::State(state, reason) => (state, reason, None),
            Stop::Registry(error) => (ImageState::Failed, error.to_string(), Some(error)),
            Stop::Ledger(error) => return Err(error),
        };
        self.end(item, state, &reason)?;
        Ok(ImageOutcome { failure, ..outcome(item, state, reason) })
    }

    fn end(&self, item: &Item, state: ImageState, reason: &str) -> Result<(), LedgerError> {
        let (plan, reason) = (item.plan.clone(), reason.to_owned());
        self.ledger.append(Event::Item { plan, state, reason })
    }

    /// Copies the content and writes every tag but `latest`.
    async fn copy(&self, item: &Item, known: &KnownBlobs) -> Result<Copied, Stop> {
        match item.action {
            PlanAction::Refused => {
                return Err(Stop::State(ImageState::Refused, item.reason.clone()));
            }
            PlanAction::Missing => {
                return Err(Stop::State(ImageState::Missing, item.reason.clone()));
            }
            PlanAction::Copy | PlanAction::UpToDate => {}
        }
        self.check_source(item).await?;
        let in_place = self.check_destination(item).await?;
        if in_place && item.companions_to_copy().next().is_none() {
            return Err(Stop::State(ImageState::UpToDate, String::new()));
        }
        let tree = self.fetch(item).await?;
        let destination =
            TransferDestination { registry: &self.to, repo: &item.destination, known };
        let open = |blob: &wharf_oci::Descriptor| {
            Ok(BlobSource::remote(Arc::clone(&self.from), item.source.clone(), blob.clone()))
        };
        let before = self.history.as_ref().and_then(|history| history.item(&item.plan));
        let skip = |digest: &Digest| before.is_some_and(|before| before.blobs.contains(digest));
        let tell = |step: TransferStep<'_>| {
            let plan = item.plan.clone();
            let event = match step {
                TransferStep::Blob(blob, how) => {
                    Event::Blob { plan, digest: blob.digest, size_bytes: blob.size, how }
                }
                TransferStep::Manifest(digest) => Event::Manifest { plan, digest: *digest },
            };
            self.ledger.append(event).map_err(Stop::Ledger)
        };
        let mut moved =
            TransferBytes { skipped_bytes: item.size_bytes(), ..TransferBytes::default() };
        if !in_place {
            moved = destination.put::<Stop>(&tree, &open, &skip, &tell).await?;
        }
        // Before the tags: a pull by tag then finds the signatures.
        let companions = self.copy_companions(item, known, &mut moved, &tell).await?;
        let pinned = item.tags.iter().filter(|step| step.tag.as_str() != FLOATING_TAG);
        self.write_tags(item, pinned, &tree, known).await?;
        Ok(Copied { tree, moved, companions })
    }

    /// Copies the image's companions, and returns the outcome of each.
    async fn copy_companions(
        &self,
        item: &Item,
        known: &KnownBlobs,
        moved: &mut TransferBytes,
        tell: &(dyn Fn(TransferStep<'_>) -> Result<(), Stop> + Sync),
    ) -> Result<Vec<Companion>, Stop> {
        let to = TransferDestination { registry: &self.to, repo: &item.destination, known };
        let copying = Copying { from: Arc::clone(&self.from), source: &item.source, to };
        let mut companions = item.companions.clone();
        for companion in companions.iter_mut().filter(|at| at.action == CompanionAction::Copy) {
            let Some((manifest, sent)) = copying.put(companion, tell).await? else {
                let reference = Reference::Digest(companion.digest);
                let url = self.from.manifest_url(&item.source, &reference);
                return Err(Stop::State(ImageState::Missing, format!("{url} is not there")));
            };
            moved.add(sent);
            companion.action = CompanionAction::Copied;
            let Some(tag) = companion.tag.clone() else { continue };
            let (digest, before) = (companion.digest, companion.before);
            let step = TagStep { tag, digest, before };
            if let Some(reason) = self.write_tag(item, &step, &manifest, known).await? {
                companion.action = CompanionAction::Left;
                companion.reason = reason;
            }
        }
        Ok(companions)
    }

    /// Checks the source's tags against the plan.
    async fn check_source(&self, item: &Item) -> Result<(), Stop> {
        for step in &item.tags {
            let reference = Reference::Tag(step.tag.clone());
            let url = || self.from.manifest_url(&item.source, &reference);
            match self.from.head_manifest(&item.source, &reference).await? {
                Some(found) if found.digest == step.digest => {}
                Some(found) => {
                    let (url, found, planned) = (url(), found.digest, step.digest);
                    let reason = format!("{url} points at {found}, the plan says {planned}");
                    return Err(Stop::State(ImageState::Refused, reason));
                }
                None => {
                    return Err(Stop::State(
                        ImageState::Missing,
                        format!("{} is not there", url()),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks the destination's tags against the plan, or against an earlier run of it. Returns
    /// whether every tag is in its final place.
    async fn check_destination(&self, item: &Item) -> Result<bool, Stop> {
        let mut all = true;
        for step in &item.tags {
            let reference = Reference::Tag(step.tag.clone());
            let found = self.to.head_manifest(&item.destination, &reference).await?;
            let found = found.map(|found| found.digest);
            if found == Some(step.digest) {
                continue;
            }
            all = false;
            if found != step.before {
                let reason = self.changed(item, &reference, found);
                return Err(Stop::State(ImageState::Refused, reason));
            }
        }
        Ok(all)
    }

    /// Fetches the manifests of the plan, by digest.
    async fn fetch(&self, item: &Item) -> Result<ManifestTree, Stop> {
        let mut roots: Vec<Digest> = Vec::new();
        for step in &item.tags {
            if !roots.contains(&step.digest) {
                roots.push(step.digest);
            }
        }
        match fetch_tree(&self.from, &item.source, &roots).await? {
            Fetched::Tree(tree) => Ok(tree),
            Fetched::Missing(url) => {
                Err(Stop::State(ImageState::Missing, format!("{url} is not there")))
            }
        }
    }

    async fn write_tags<'s>(
        &self,
        item: &Item,
        steps: impl Iterator<Item = &'s TagStep>,
        tree: &ManifestTree,
        known: &KnownBlobs,
    ) -> Result<(), Stop> {
        for step in steps {
            let Some(manifest) = tree.manifest(&step.digest) else { continue };
            if let Some(reason) = self.write_tag(item, step, manifest, known).await? {
                return Err(Stop::State(ImageState::Refused, reason));
            }
        }
        Ok(())
    }

    /// Points a tag at an existing manifest. A tag with another digest than in the plan is left
    /// alone, and the reason is returned.
    async fn write_tag(
        &self,
        item: &Item,
        step: &TagStep,
        manifest: &Manifest,
        known: &KnownBlobs,
    ) -> Result<Option<String>, Stop> {
        let reference = Reference::Tag(step.tag.clone());
        let found = self.to.head_manifest(&item.destination, &reference).await?;
        let before = found.map(|found| found.digest);
        if before == Some(step.digest) {
            return Ok(None);
        }
        if before != step.before {
            return Ok(Some(self.changed(item, &reference, before)));
        }
        let (plan, tag, after) = (item.plan.clone(), step.tag.clone(), step.digest);
        self.ledger.append(Event::Tagging {
            plan: plan.clone(),
            tag: tag.clone(),
            before,
            after,
        })?;
        let destination =
            TransferDestination { registry: &self.to, repo: &item.destination, known };
        destination.tag(&tag, manifest).await?;
        self.ledger.append(Event::Tagged { plan, tag })?;
        Ok(None)
    }

    /// The reason for a changed tag: the destination has another digest than the plan.
    fn changed(&self, item: &Item, reference: &Reference, now: Option<Digest>) -> String {
        let url = self.to.manifest_url(&item.destination, reference);
        let now = now.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        format!("{url} points at {now}, which is not what the plan saw")
    }
}

fn outcome(item: &Item, state: ImageState, reason: String) -> ImageOutcome {
    ImageOutcome {
        plan: item.plan.clone(),
        destination: item.destination.to_string(),
        state,
        reason,
        digest: item.tags.last().map(|step| step.digest),
        moved: TransferBytes {
            skipped_bytes: if state == ImageState::UpToDate { item.size_bytes() } else { 0 },
            ..TransferBytes::default()
        },
        companions: match state {
            ImageState::UpToDate => item.companions.iter().map(Companion::in_place).collect(),
            _ => Vec::new(),
        },
        failure: None,
    }
}
