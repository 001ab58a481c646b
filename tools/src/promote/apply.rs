//! Applies a plan, all images at once, and writes each step down before the next.
//!
//! Order within an image: blobs, manifests from the inside out, companions, tags. `latest` of every
//! image comes after everything else of all of them, and what was written is read back at the end. A
//! failed image leaves the others alone; a failed write of the ledger ends the run.

mod image;
mod read_back;
mod tags;

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use tokio::sync::Semaphore;
use wharf_oci::Digest;

use self::image::{Checked, Copied};
use super::ImageState;
use super::companions::Companion;
use super::ledger::{Event, ItemHistory, Ledger, LedgerError, LedgerHistory};
use super::manifests::Manifests;
use super::plan::{Content, Item, PlanAction};
use super::watch::Watch;
use crate::registry::{Registry, RegistryError};
use crate::transfer::{KnownBlobs, TransferBytes};

/// How many images are under way at once. The registries' windows decide how many requests are.
const IMAGES_AT_ONCE: usize = 64;

/// How many blobs of all images are on their way at once: each has buffers on both sides.
const BLOBS_AT_ONCE: usize = 24;

/// A run of a plan.
pub struct Apply<'a> {
    /// The content of the plan.
    pub content: &'a Content,
    pub from: Arc<Registry>,
    pub to: Arc<Registry>,
    pub ledger: &'a Ledger,
    /// The history of an earlier run.
    pub history: Option<LedgerHistory>,
    /// Whether every manifest and blob is looked at in the end, not only the tags.
    pub read_back: bool,
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
        // The only thing that is asked for without being looked for is a blob of the source.
        if error.is_missing_blob() {
            return Self::State(ImageState::Missing, error.to_string());
        }
        Self::Registry(error)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// What all images of a run share.
struct Run<'a> {
    apply: &'a Apply<'a>,
    source: Manifests,
    known: KnownBlobs,
    slots: Semaphore,
    watch: &'a dyn Watch,
}

/// The place of the first image that has work, and its comparison with both sides.
type First = (usize, Result<Checked, Stop>);

/// An image between its steps.
type Between = Result<Copied, Stop>;

impl Apply<'_> {
    /// Runs the plan. An error means the ledger cannot be written.
    pub async fn run(&self, watch: &dyn Watch) -> Result<Vec<ImageOutcome>, LedgerError> {
        let run = Run::new(self, watch);
        let items = &self.content.items;
        let first = run.meet().await;
        let mut between: Vec<Option<Between>> = match first {
            Err(error) => items.iter().map(|item| run.unmet(item, &error)).collect(),
            Ok(mut first) => {
                let copies = items.iter().enumerate().map(|(place, item)| {
                    let checked = first.take_if(|(at, _)| *at == place);
                    let checked = checked.map(|(_, checked)| checked);
                    run.begin(item, checked)
                });
                let copies: Vec<_> = copies.collect();
                stream::iter(copies).buffered(IMAGES_AT_ONCE).collect().await
            }
        };
        run.write_latest(&mut between).await;
        run.read_back(&mut between).await;
        let mut outcomes = Vec::new();
        for (item, between) in items.iter().zip(between) {
            outcomes.push(run.outcome(item, between)?);
        }
        self.ledger.append(Event::End)?;
        self.ledger.sync().await?;
        Ok(outcomes)
    }

    fn before(&self, item: &Item) -> Option<&ItemHistory> {
        self.history.as_ref().and_then(|history| history.item(&item.plan))
    }

    /// Whether an earlier run brought it to its end.
    fn is_done(&self, item: &Item) -> bool {
        let state = self.before(item).and_then(|before| before.state.as_ref());
        state.is_some_and(|(state, _)| state.is_done())
    }
}

impl<'a> Run<'a> {
    fn new(apply: &'a Apply<'a>, watch: &'a dyn Watch) -> Self {
        let source = Manifests::new(Arc::clone(&apply.from));
        let known = KnownBlobs::default();
        let content = apply.content;
        for item in &content.items {
            let manifests = item.manifests.iter();
            manifests.filter_map(|at| content.manifests.manifest(at)).for_each(|at| source.add(at));
            if apply.from.host() == apply.to.host() {
                item.blobs.iter().for_each(|blob| known.add(blob.digest, &item.source));
            }
            for blob in apply.before(item).iter().flat_map(|before| &before.blobs) {
                known.add(*blob, &item.destination);
            }
        }
        Self { apply, source, known, slots: Semaphore::new(BLOBS_AT_ONCE), watch }
    }

    /// Checks the first image alone: a registry that cannot be reached is met once, not by all of
    /// them, and is the outer error.
    async fn meet(&self) -> Result<Option<First>, RegistryError> {
        let items = self.apply.content.items.iter().enumerate();
        let mut open = items.filter(|(_, item)| !self.apply.is_done(item) && item.has_work());
        let Some((place, item)) = open.next() else { return Ok(None) };
        match self.check(item).await {
            Err(Stop::Registry(error)) if error.is_unreachable() => Err(error),
            checked => Ok(Some((place, checked))),
        }
    }

    /// An image whose registries cannot be reached.
    fn unmet(&self, item: &Item, error: &RegistryError) -> Option<Between> {
        let stop = match item.planned_end() {
            _ if self.apply.is_done(item) => return None,
            Some((state, reason)) => Stop::State(state, reason),
            None => Stop::Registry(error.repeated()),
        };
        Some(Err(stop))
    }

    /// Copies an image up to its tags; nothing for one that an earlier run brought to its end.
    async fn begin(&self, item: &Item, checked: Option<Result<Checked, Stop>>) -> Option<Between> {
        if self.apply.is_done(item) {
            return None;
        }
        if let Some((state, reason)) = item.planned_end() {
            return Some(Err(Stop::State(state, reason)));
        }
        self.watch.begun(&item.plan);
        let copied = self.copy(item, checked).await;
        self.watch.ended(&item.plan);
        Some(copied)
    }

    /// Writes down how an image ended.
    fn outcome(&self, item: &Item, between: Option<Between>) -> Result<ImageOutcome, LedgerError> {
        let Some(between) = between else {
            return Ok(outcome(item, ImageState::UpToDate, "promoted before".to_owned()));
        };
        let outcome = match between {
            Ok(Copied { moved, companions, .. }) => {
                let promoted = outcome(item, ImageState::Promoted, String::new());
                ImageOutcome { moved, companions, ..promoted }
            }
            Err(Stop::State(state, reason)) => outcome(item, state, reason),
            Err(Stop::Registry(error)) => {
                let failed = outcome(item, ImageState::Failed, error.to_string());
                ImageOutcome { failure: Some(error), ..failed }
            }
            Err(Stop::Ledger(error)) => return Err(error),
        };
        let (plan, reason) = (item.plan.clone(), outcome.reason.clone());
        self.apply.ledger.append(Event::Item { plan, state: outcome.state, reason })?;
        Ok(outcome)
    }
}

impl Item {
    /// Whether anything is to be done.
    fn has_work(&self) -> bool {
        self.planned_end().is_none()
    }

    /// The end of an image that the plan leaves alone.
    fn planned_end(&self) -> Option<(ImageState, String)> {
        let state = match self.action {
            PlanAction::Copy => return None,
            PlanAction::UpToDate => ImageState::UpToDate,
            PlanAction::Refused | PlanAction::Conflict => ImageState::Refused,
            PlanAction::Missing => ImageState::Missing,
        };
        Some((state, self.reason.clone()))
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
