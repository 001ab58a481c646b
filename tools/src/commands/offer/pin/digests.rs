//! The sources of a pin's digests: layouts, the ledger of a promotion, the result of a push, or the
//! command line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use wharf_oci::{Digest, RepoName, Tag};

use crate::cli::{NamedDigest, PinArgs};
use crate::image::inputs;
use crate::input;
use crate::offer::OfferFile;
use crate::offer::model::{PlanImage, Registry};
use crate::offer::tags::TagTarget;
use crate::promote::ledger::{self, LedgerHistory};
use crate::push::image_for;
use crate::source::Source;

/// Largest result of a push.
const PUSHED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The digests at hand.
pub(super) struct Digests {
    named: Vec<NamedDigest>,
    /// The digests with an image so far.
    used: RefCell<BTreeSet<usize>>,
    origin: Origin,
    /// Where the offer is published from.
    registry: Registry,
}

enum Origin {
    /// Only the digests from the command line.
    Named,
    Layouts(PathBuf),
    Promoted(PathBuf, Box<LedgerHistory>),
    Pushed(PathBuf, BTreeMap<String, PushedImage>),
}

/// The image's place after a push, and the target of its tag there.
struct PushedImage {
    repository: RepoName,
    digest: Digest,
}

/// The output of `wharf push --output-format json`, as far as this command needs it.
#[derive(Deserialize)]
struct Envelope {
    command: String,
    result: PushResult,
}

#[derive(Deserialize)]
struct PushResult {
    registry: String,
    items: Vec<PushItem>,
}

#[derive(Deserialize)]
struct PushItem {
    plan: Option<String>,
    repository: RepoName,
    #[serde(default)]
    tags: Vec<PushTag>,
}

#[derive(Deserialize)]
struct PushTag {
    tag: Tag,
    digest: Digest,
}

impl Digests {
    /// Reads the sources on the command line.
    pub(super) fn read(
        args: &PinArgs,
        file: &OfferFile,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let origin = if let Some(path) = &args.promoted {
            let history = ledger::open(path)?;
            let (to, wanted) = (&history.to.login_server, &registry.login_server);
            ensure!(
                to == wanted,
                "{} is of a promotion to {to}, and the offer is published from {wanted}",
                path.display()
            );
            Origin::Promoted(path.clone(), Box::new(history))
        } else if let Some(path) = &args.pushed {
            Origin::Pushed(path.clone(), pushed(path, file, registry)?)
        } else if args.images.is_empty() || args.layouts.is_some() {
            let layouts = args.layouts.clone().unwrap_or_else(|| file.folder().join("out"));
            Origin::Layouts(layouts)
        } else {
            Origin::Named
        };
        let (named, registry) = (args.images.clone(), registry.clone());
        Ok(Self { named, used: RefCell::default(), origin, registry })
    }

    /// The digest of an image; none when only others are asked for.
    pub(super) fn of(&self, image: &PlanImage) -> anyhow::Result<Option<Digest>> {
        let id = image.id.to_string();
        let name = image.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let named =
            self.named.iter().enumerate().filter(|(_, at)| at.name == id || at.name == name);
        let mut found = None;
        for (place, at) in named {
            ensure!(
                found.is_none_or(|digest| digest == at.digest),
                "the image {id} is given two digests"
            );
            self.used.borrow_mut().insert(place);
            found = Some(at.digest);
        }
        if found.is_some() {
            return Ok(found);
        }
        match &self.origin {
            Origin::Named => Ok(None),
            Origin::Layouts(folder) => layout(folder, image).map(Some),
            Origin::Promoted(path, history) => {
                let repository = published(&self.registry, image)?;
                promoted(path, history, image, &repository).map(Some)
            }
            Origin::Pushed(path, digests) => {
                let advice = || format!("{} does not say that {id} was pushed", path.display());
                let pushed = digests.get(&id).with_context(advice)?;
                let repository = published(&self.registry, image)?;
                is_there(path, image, &pushed.repository, &repository)?;
                Ok(Some(pushed.digest))
            }
        }
    }

    /// Refuses an image that no plan has: the command line must have meant another one.
    pub(super) fn all_used(&self) -> anyhow::Result<()> {
        let used = self.used.borrow();
        match self.named.iter().enumerate().find(|(place, _)| !used.contains(place)) {
            Some((_, at)) => bail!("no selected plan has an image `{}` in its chart", at.name),
            None => Ok(()),
        }
    }
}

/// The tag of the whole image, for the look-up of its digest.
fn tag_of(image: &PlanImage) -> anyhow::Result<&Tag> {
    let tags = &image.image.expanded_tags;
    let whole = tags.iter().find(|at| at.target == TagTarget::Index).or(tags.first());
    Ok(&whole.with_context(|| format!("the image {} has no tag", image.id))?.tag)
}

fn layout(folder: &Path, image: &PlanImage) -> anyhow::Result<Digest> {
    let path = folder.join(image.id.as_str());
    let source = Source::open_path(&path)
        .with_context(|| format!("there is no layout of {}; run `wharf package`", image.id))?;
    ensure!(
        !inputs::is_stale(source.roots(), &image.image),
        "{} was not made from what the offer says now of this image; run `wharf package`",
        path.display()
    );
    Ok(image_for(&source, Some(tag_of(image)?))?.digest)
}

/// The repository of the published image, for a chart.
pub(super) fn published(registry: &Registry, image: &PlanImage) -> anyhow::Result<RepoName> {
    let repository = &image.image.repository;
    Ok(match &registry.prefix {
        Some(prefix) => repository.under(prefix)?,
        None => repository.clone(),
    })
}

/// One login server may hold several registries of an offer, each with a prefix of its own: an
/// image in one of them is not in the others.
fn is_there(
    path: &Path,
    image: &PlanImage,
    found: &RepoName,
    wanted: &RepoName,
) -> anyhow::Result<()> {
    ensure!(
        found == wanted,
        "by {} the image {} went to {found}, and the offer is published from {wanted}; bring it \
         there first",
        path.display(),
        image.id
    );
    Ok(())
}

fn promoted(
    path: &Path,
    history: &LedgerHistory,
    image: &PlanImage,
    repository: &RepoName,
) -> anyhow::Result<Digest> {
    let id = &image.id;
    let item = history.item(id.as_str());
    let item = item.with_context(|| format!("{} is not about the image {id}", path.display()))?;
    is_there(path, image, &item.destination, repository)?;
    let is_done = item.state.as_ref().is_some_and(|(state, _)| state.is_done());
    ensure!(
        is_done && !item.is_undone,
        "by {} the image {id} was not promoted, or it was undone",
        path.display()
    );
    let tag = tag_of(image)?;
    item.target(tag).with_context(|| {
        format!("{} does not say what the tag {tag} of {id} points at", path.display())
    })
}

fn pushed(
    path: &Path,
    file: &OfferFile,
    registry: &Registry,
) -> anyhow::Result<BTreeMap<String, PushedImage>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let opened = input::open(path).with_context(cannot)?;
    opened.take(PUSHED_BYTES_MAX).read_to_end(&mut bytes).with_context(cannot)?;
    let envelope: Envelope = serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is not what `wharf push --output-format json` says", path.display())
    })?;
    let (to, wanted) = (&envelope.result.registry, &registry.login_server);
    ensure!(
        envelope.command == "push" && *to == wanted.to_string(),
        "{} is of `{}` to {to}, and the offer is published from {wanted}",
        path.display(),
        envelope.command
    );
    let mut digests = BTreeMap::new();
    for image in file.offer.images() {
        let tag = tag_of(image)?;
        let item = envelope
            .result
            .items
            .iter()
            .find(|item| item.plan.as_deref() == Some(image.id.as_str()));
        let Some(item) = item else { continue };
        let found = item.tags.iter().find(|at| at.tag == *tag).map(|at| at.digest);
        let pushed = |digest| PushedImage { repository: item.repository.clone(), digest };
        digests.extend(found.map(|digest| (image.id.to_string(), pushed(digest))));
    }
    Ok(digests)
}
