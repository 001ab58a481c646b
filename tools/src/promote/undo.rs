//! Puts the tags of an apply back to their old digests. Content stays: other tags and other images
//! may use it.
//!
//! Invariant: a tag moved since the apply is left alone, and a tag without an old digest is
//! reported, because registries cannot be asked to forget a tag without risking its manifest.

use serde::Serialize;
use wharf_oci::{Digest, Reference};

use super::ledger::{Event, ItemHistory, Ledger, LedgerError, LedgerHistory, TagHistory};
use crate::registry::{Registry, RegistryError};
use crate::transfer::{KnownBlobs, TransferDestination};

/// The outcome for a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UndoState {
    /// It points where it pointed before.
    Restored,
    /// It did, already.
    #[serde(rename = "already")]
    UpToDate,
    /// It was not there before the apply; it is left.
    WasNew,
    /// It has another digest than the apply wrote; it is left.
    MovedSince,
    /// Its old manifest is gone.
    Gone,
    /// An error kept it from being restored.
    Failed,
}

/// A tag after an undo.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undone {
    /// The plan of the offer.
    pub plan: String,
    /// The whole name of the tag.
    pub name: String,
    pub state: UndoState,
    /// Its digest, if it was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip)]
    pub failure: Option<RegistryError>,
}

/// Undoes everything the ledger says, last tag first. An error means the ledger cannot be
/// written.
pub async fn undo(
    history: &LedgerHistory,
    registry: &Registry,
    ledger: &Ledger,
) -> Result<Vec<Undone>, LedgerError> {
    let mut all = Vec::new();
    for item in history.items.iter().rev() {
        for tag in item.tags.iter().rev() {
            let name = format!("{}/{}:{}", registry.host(), item.destination, tag.tag);
            let (state, digest, failure) = match restore(item, tag, registry).await {
                Ok((state, digest)) => (state, digest, None),
                Err(error) => (UndoState::Failed, None, Some(error)),
            };
            if let (UndoState::Restored | UndoState::UpToDate, Some(restored)) = (state, tag.before)
            {
                let (plan, tag) = (item.plan.clone(), tag.tag.clone());
                ledger.append(Event::Untagged { plan, tag, restored })?;
            }
            let reason = failure.as_ref().map(ToString::to_string).unwrap_or_default();
            all.push(Undone { plan: item.plan.clone(), name, state, digest, reason, failure });
        }
    }
    ledger.append(Event::End)?;
    ledger.sync().await?;
    Ok(all)
}

async fn restore(
    item: &ItemHistory,
    tag: &TagHistory,
    registry: &Registry,
) -> Result<(UndoState, Option<Digest>), RegistryError> {
    let repo = &item.destination;
    let reference = Reference::Tag(tag.tag.clone());
    let found = registry.head_manifest(repo, &reference).await?.map(|found| found.digest);
    let Some(before) = tag.before else {
        return Ok((UndoState::WasNew, found));
    };
    if found == Some(before) {
        return Ok((UndoState::UpToDate, found));
    }
    if found != Some(tag.after) {
        return Ok((UndoState::MovedSince, found));
    }
    let Some(manifest) = registry.manifest(repo, &Reference::Digest(before)).await? else {
        return Ok((UndoState::Gone, found));
    };
    let known = KnownBlobs::default();
    TransferDestination { registry, repo, known: &known }.tag(&tag.tag, &manifest).await?;
    Ok((UndoState::Restored, Some(before)))
}
