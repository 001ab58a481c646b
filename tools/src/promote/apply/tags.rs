//! The tags of an apply: looked at once more, their old digests on the disk, then written in order.

use std::sync::atomic::AtomicU64;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wharf_oci::{Digest, Manifest, Reference};

use super::super::ImageState;
use super::super::ledger::Event;
use super::super::plan::{Item, TagStep};
use super::{Between, Run, Stop};
use crate::moves::FLOATING_TAG;
use crate::registry::RegistryError;
use crate::transfer::{ManifestTree, is_incomplete};

/// How many tags are looked at or written at once.
const AT_ONCE: usize = 32;

impl Run<'_> {
    /// Writes tags of one image, in their order. When one of them has another digest than in the
    /// plan, none is written.
    pub(super) async fn write_tags(
        &self,
        item: &Item,
        steps: Vec<&TagStep>,
        tree: &ManifestTree,
    ) -> Result<(), Stop> {
        let looks = stream::iter(steps)
            .map(|step| async move { Ok::<_, Stop>((step, self.now(item, step).await?)) });
        let looked: Vec<(&TagStep, Option<Digest>)> = looks.buffered(AT_ONCE).try_collect().await?;
        let mut due = Vec::new();
        for (step, now) in looked {
            if now == Some(step.digest) {
                continue;
            }
            if now != step.before {
                return Err(Stop::State(ImageState::Refused, self.changed(item, step, now)));
            }
            due.push(step);
        }
        self.announce(item, &due).await?;
        for step in due {
            let Some(manifest) = tree.manifest(&step.digest) else { continue };
            self.write(item, step, manifest, tree).await?;
        }
        Ok(())
    }

    /// Writes `latest` of the images whose content is in place.
    pub(super) async fn write_latest(&self, between: &mut [Option<Between>]) {
        let items = &self.apply.content.items;
        let writes = items.iter().zip(between.iter_mut()).map(|(item, between)| async move {
            let floating = item.tags.iter().filter(|step| step.tag.as_str() == FLOATING_TAG);
            if let Some(Ok(copied)) = between
                && let Err(stop) = self.write_tags(item, floating.collect(), &copied.tree).await
            {
                *between = Some(Err(stop));
            }
        });
        stream::iter(writes).for_each_concurrent(AT_ONCE, |write| write).await;
    }

    /// The same for a companion's tag, whose manifest is there. A tag with another digest than in
    /// the plan is left alone, and the reason is returned.
    pub(super) async fn write_companion_tag(
        &self,
        item: &Item,
        step: &TagStep,
        manifest: &Manifest,
    ) -> Result<Option<String>, Stop> {
        let now = self.now(item, step).await?;
        if now == Some(step.digest) {
            return Ok(None);
        }
        if now != step.before {
            return Ok(Some(self.changed(item, step, now)));
        }
        self.announce(item, &[step]).await?;
        self.destination(item).tag(&step.tag, manifest).await?;
        let (plan, tag) = (item.plan.clone(), step.tag.clone());
        self.apply.ledger.append(Event::Tagged { plan, tag })?;
        Ok(None)
    }

    /// Writes down what tags are about to be written over.
    async fn announce(&self, item: &Item, steps: &[&TagStep]) -> Result<(), Stop> {
        if steps.is_empty() {
            return Ok(());
        }
        for step in steps {
            self.apply.ledger.append(Event::Tagging {
                plan: item.plan.clone(),
                tag: step.tag.clone(),
                before: step.before,
                after: step.digest,
            })?;
        }
        Ok(self.apply.ledger.sync().await?)
    }

    /// Puts a manifest under its tag. A registry that misses a part of it is given everything once
    /// more.
    async fn write(
        &self,
        item: &Item,
        step: &TagStep,
        manifest: &Manifest,
        tree: &ManifestTree,
    ) -> Result<(), Stop> {
        let (to, reference) = (&self.apply.to, Reference::Tag(step.tag.clone()));
        match to.put_manifest(&item.destination, &reference, manifest).await {
            Err(error) if is_incomplete(&error) => {
                self.put_content(item, tree, &AtomicU64::new(0), false).await?;
                to.put_manifest(&item.destination, &reference, manifest).await?;
            }
            put => put?,
        }
        let (plan, tag) = (item.plan.clone(), step.tag.clone());
        self.apply.ledger.append(Event::Tagged { plan, tag })?;
        Ok(())
    }

    /// Where a tag points now.
    pub(super) async fn now(
        &self,
        item: &Item,
        step: &TagStep,
    ) -> Result<Option<Digest>, RegistryError> {
        let reference = Reference::Tag(step.tag.clone());
        let found = self.apply.to.head_manifest(&item.destination, &reference).await?;
        Ok(found.map(|found| found.digest))
    }

    /// The reason for a changed tag: the destination has another digest than the plan.
    pub(super) fn changed(&self, item: &Item, step: &TagStep, now: Option<Digest>) -> String {
        let url = self.apply.to.manifest_url(&item.destination, &Reference::Tag(step.tag.clone()));
        let now = now.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        format!("{url} points at {now}, which is not what the plan saw")
    }
}
