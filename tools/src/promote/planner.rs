//! Finds the steps of a promotion by reading both sides once, all images at once.
//!
//! Whether an image is in place is decided by one look at each of its tags on each side. Nothing
//! else is asked then, unless companions that came later are wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wharf_oci::{Digest, Manifest, Reference, RepoName, Tag};

use super::companions::{CompanionAction, RegistryPair, TagLists};
use super::manifests::{Fetched, Manifests};
use super::plan::{Item, ManifestTexts, PlanAction, SourceName, TagStep, decide, reference_of};
use crate::registry::{Registry, RegistryError};

/// How many images are looked at at once.
const IMAGES_AT_ONCE: usize = 64;

/// How many tags of one image are looked at at once.
const TAGS_AT_ONCE: usize = 16;

/// A tag to be written, and what the source calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTag {
    pub tag: Tag,
    pub source: Option<SourceName>,
}

impl WantedTag {
    /// What the source calls it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        reference_of(self.source.as_ref(), &self.tag)
    }
}

impl From<Tag> for WantedTag {
    fn from(tag: Tag) -> Self {
        Self { tag, source: None }
    }
}

/// The request to plan one image.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The plan of the offer.
    pub plan: String,
    /// The repository it is in.
    pub source: RepoName,
    /// The repository it goes to.
    pub destination: RepoName,
    /// The tags in the order of writing.
    pub tags: Vec<WantedTag>,
}

/// Plans images.
pub struct Planner {
    from: Manifests,
    source_tags: TagLists,
    to: Arc<Registry>,
    /// Whether tags other than `latest` may be moved.
    allow_tag_move: bool,
    /// Whether companions of images in place are looked for too.
    late_companions: bool,
}

/// The two sides of one tag.
struct Looked {
    step: TagStep,
    manifest: Manifest,
}

impl Planner {
    /// A planner between two registries.
    #[must_use]
    pub fn new(
        from: Arc<Registry>,
        to: Arc<Registry>,
        allow_tag_move: bool,
        late_companions: bool,
    ) -> Self {
        let source_tags = TagLists::new(Arc::clone(&from));
        Self { from: Manifests::new(from), source_tags, to, allow_tag_move, late_companions }
    }

    /// The lists of tags of the source.
    #[must_use]
    pub const fn source_tags(&self) -> &TagLists {
        &self.source_tags
    }

    /// Plans images, in their order. The first one goes alone: a registry that cannot be reached is
    /// met once, not by all of them.
    pub async fn plan(
        &self,
        requests: &[PlanRequest],
        note: &dyn Fn(&PlanRequest),
    ) -> Result<(Vec<Item>, ManifestTexts), RegistryError> {
        let mut items = Vec::new();
        let (first, others) = requests.split_at(requests.len().min(1));
        for request in first {
            note(request);
            items.push(self.item(request).await?);
        }
        let planned = stream::iter(others).map(|request| {
            note(request);
            self.item(request)
        });
        items.extend(planned.buffered(IMAGES_AT_ONCE).try_collect::<Vec<_>>().await?);
        let mut texts = ManifestTexts::default();
        for (item, manifests) in &items {
            if item.action == PlanAction::Copy {
                for manifest in manifests {
                    texts.add(manifest);
                }
            }
        }
        let mut items = items.into_iter().map(|(item, _)| item).collect::<Vec<_>>();
        self.find_conflicts(&mut items);
        Ok((items, texts))
    }

    async fn item(&self, request: &PlanRequest) -> Result<(Item, Vec<Manifest>), RegistryError> {
        let mut item = Item::new(request);
        let looks = stream::iter(&request.tags).map(|wanted| self.look(request, wanted));
        let looked: Vec<Result<Looked, String>> =
            looks.buffered(TAGS_AT_ONCE).try_collect().await?;
        let mut roots: Vec<Manifest> = Vec::new();
        for looked in looked {
            match looked {
                Err(missing) => return Ok((item.missing(&missing), Vec::new())),
                Ok(Looked { step, manifest }) => {
                    if !roots.iter().any(|root| root.digest() == manifest.digest()) {
                        roots.push(manifest);
                    }
                    item.tags.push(step);
                }
            }
        }
        let place = format!("{}/{}", self.to.host(), request.destination);
        (item.action, item.reason) = decide(&item.tags, &place, self.allow_tag_move);
        let is_looked_into = match item.action {
            PlanAction::Copy => true,
            PlanAction::UpToDate => self.late_companions,
            PlanAction::Refused | PlanAction::Conflict | PlanAction::Missing => false,
        };
        if !is_looked_into {
            return Ok((item, Vec::new()));
        }
        let roots: Vec<Digest> = roots.iter().map(Manifest::digest).collect();
        let tree = match self.from.tree(&request.source, &roots).await? {
            Fetched::Tree(tree) => tree,
            Fetched::Missing(url) => return Ok((item.missing(&url), Vec::new())),
        };
        item.manifests = tree.manifests.iter().map(Manifest::descriptor).collect();
        item.blobs = tree.blobs;
        self.add_companions(&mut item).await?;
        if item.action == PlanAction::Copy && item.tags.iter().all(|step| step.before.is_none()) {
            item.new_repository = self.to.has_repository(&item.destination).await? == Some(false);
        }
        Ok((item, tree.manifests))
    }

    /// Looks at a tag on both sides; the address of a missing one otherwise.
    async fn look(
        &self,
        request: &PlanRequest,
        wanted: &WantedTag,
    ) -> Result<Result<Looked, String>, RegistryError> {
        let reference = wanted.reference();
        let there = async {
            match &reference {
                Reference::Tag(tag) => self.from.by_tag(&request.source, tag).await,
                Reference::Digest(digest) => self.from.by_digest(&request.source, *digest).await,
            }
        };
        let destination = Reference::Tag(wanted.tag.clone());
        let here = self.to.head_manifest(&request.destination, &destination);
        let (there, here) = tokio::try_join!(there, here)?;
        let Some(manifest) = there else {
            return Ok(Err(self.from.registry().manifest_url(&request.source, &reference)));
        };
        let WantedTag { tag, source } = wanted.clone();
        let (digest, before) = (manifest.digest(), here.map(|found| found.digest));
        Ok(Ok(Looked { step: TagStep { tag, source, digest, before }, manifest }))
    }

    async fn add_companions(&self, item: &mut Item) -> Result<(), RegistryError> {
        let sides = RegistryPair {
            from: &self.from,
            tags: &self.source_tags,
            source: &item.source,
            to: &self.to,
            destination: &item.destination,
        };
        item.companions = sides.find(&item.manifests).await?;
        let left = item.companions.iter().filter(|at| at.action == CompanionAction::Left);
        item.left_behind = left.map(|companion| companion.digest).collect();
        if item.action == PlanAction::UpToDate && item.companions_to_copy().next().is_some() {
            item.action = PlanAction::Copy;
        }
        Ok(())
    }

    /// Two digests for one tag: which of them is meant is not for us to say.
    fn find_conflicts(&self, items: &mut [Item]) {
        let mut writers: BTreeMap<(RepoName, Tag), Vec<(usize, Digest)>> = BTreeMap::new();
        for (place, item) in items.iter().enumerate() {
            for step in &item.tags {
                let key = (item.destination.clone(), step.tag.clone());
                writers.entry(key).or_default().push((place, step.digest));
            }
        }
        for ((repo, tag), wanted) in writers {
            let first = wanted.first().map(|(_, digest)| *digest);
            if wanted.iter().all(|(_, digest)| Some(*digest) == first) {
                continue;
            }
            let names: Vec<String> = wanted
                .iter()
                .filter_map(|(place, digest)| Some((items.get(*place)?, digest)))
                .map(|(item, digest)| format!("{} ({})", item.plan, digest.short()))
                .collect();
            let names = names.join(" and ");
            for (place, _) in wanted {
                let Some(item) = items.get_mut(place) else { continue };
                item.action = PlanAction::Conflict;
                item.reason = format!("{}/{repo}:{tag} is written by {names}", self.to.host());
            }
        }
    }
}

impl Item {
    fn new(request: &PlanRequest) -> Self {
        Self {
            plan: request.plan.clone(),
            source: request.source.clone(),
            destination: request.destination.clone(),
            new_repository: false,
            action: PlanAction::UpToDate,
            reason: String::new(),
            tags: Vec::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            companions: Vec::new(),
            left_behind: Vec::new(),
        }
    }

    fn missing(self, url: &str) -> Self {
        Self { action: PlanAction::Missing, reason: format!("{url} is not there"), ..self }
    }
}
