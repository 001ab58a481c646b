//! The tags of an `image` plan, solved: from a version, its platforms and the published tags, the
//! exact list for the technical configuration, and the tags without a place in it. The rules
//! TEC-009 to TEC-023 judge the offer's tags; this module proposes them.
//!
//! Invariant: a plan has 1 to 16 tags, all different, `latest` and one tag per platform among them. A
//! published tag stands in it as it is, or is left out with a reason; it is never written again.
//!
//! The order of claims on the room: `latest` and the platforms' tags, the offer's other tags,
//! published versions from the newest on, and last the pages' advice.

mod published;
mod reasons;
mod room;

use wharf_oci::{Platform, Tag};

use crate::moves::FLOATING_TAG;
use crate::offer::model::Image;
use crate::offer::tag_forms::{
    TAG_CHARS_MAX, TAGS_MAX, is_test_tag, names_a_platform, version_of, wrong_words,
};
use crate::offer::tags::{ExpandedTag, TagError, TagTarget, TagTemplate, TagTemplates};
use crate::offer::values::ImageVersion;
use crate::rules::Profile;
pub use reasons::{LeftOut, LeftOutReason, NoPlan, TagOrigin};
use room::Room;

/// The input of a plan of tags.
#[derive(Debug, Clone)]
pub struct TagRequest<'a> {
    /// The next version to publish.
    pub version: &'a ImageVersion,
    pub platforms: Vec<Platform>,
    /// The tags as the offer writes them.
    pub templates: &'a TagTemplates,
    /// The tags of earlier versions.
    pub published: &'a [Tag],
}

impl<'a> TagRequest<'a> {
    /// The input from an image of an offer.
    #[must_use]
    pub fn of(image: &'a Image) -> Self {
        Self {
            version: &image.version,
            platforms: image.platforms.iter().map(|build| build.platform.clone()).collect(),
            templates: &image.tags,
            published: &image.published_tags,
        }
    }
}

/// The list for the technical configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPlan {
    /// The tags in the order of their creation: earlier versions from the oldest on, the platforms'
    /// tags, tags of the index, `latest` last.
    pub tags: Vec<PlannedTag>,
    /// The tags without a place: templates in the order of the file, then published tags from the
    /// newest on.
    pub left_out: Vec<LeftOut>,
    /// The value of the offer's `tags` for `package` to write exactly the new ones.
    pub templates: Vec<TagTemplate>,
}

/// A tag of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTag {
    pub tag: Tag,
    /// Its target; a published tag has only a text.
    pub target: Option<TagTarget>,
    pub state: TagOutcome,
}

/// The action on a tag of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagOutcome {
    /// It is published and stays as it is.
    Published,
    /// It is published, and points at the new version from now on: `latest`.
    Moves,
    /// The offer writes it, and it is not published.
    New,
    /// The same, but the offer does not write it yet.
    Added,
}

/// A template of the list, its tags, and its place among the others.
struct Unit {
    template: TagTemplate,
    tags: Vec<ExpandedTag>,
    place: usize,
}

impl Unit {
    fn is_latest(&self) -> bool {
        self.tags.iter().any(|item| item.tag.as_str() == FLOATING_TAG)
    }

    fn is_of_index(&self) -> bool {
        !self.template.is_per_platform()
    }
}

/// Finds the list of an image.
pub fn solve(wanted: &TagRequest<'_>, profile: Profile) -> Result<TagPlan, NoPlan> {
    is_greater(wanted)?;
    if wanted.platforms.len() >= TAGS_MAX {
        return Err(NoPlan::Platforms(wanted.platforms.len()));
    }
    let mut solver = Solver { wanted, profile, room: Room::new(), left_out: Vec::new() };
    let mut units = solver.required()?;
    solver.own(&mut units)?;
    let kept = published::keep(wanted.published, profile, &mut solver.room);
    solver.advised(&mut units)?;
    let Solver { mut left_out, .. } = solver;
    left_out.extend(kept.left_out);
    units.sort_by_key(|unit| unit.place);
    let templates: Vec<TagTemplate> = units.into_iter().map(|unit| unit.template).collect();
    let written = templates.iter().cloned().collect::<TagTemplates>();
    let written = written.expand(wanted.version, &wanted.platforms).map_err(NoPlan::Alike)?;
    let own = wanted.templates.as_slice();
    let state = |item: &ExpandedTag| {
        let is_own = templates.get(item.template).is_some_and(|template| own.contains(template));
        match item.tag.as_str() {
            FLOATING_TAG if !wanted.published.is_empty() => TagOutcome::Moves,
            _ if is_own => TagOutcome::New,
            _ => TagOutcome::Added,
        }
    };
    let new = written.iter().map(|item| PlannedTag {
        tag: item.tag.clone(),
        target: Some(item.target),
        state: state(item),
    });
    let old = kept.tags.into_iter().map(|tag| PlannedTag {
        tag,
        target: None,
        state: TagOutcome::Published,
    });
    Ok(TagPlan { tags: old.chain(new).collect(), left_out, templates })
}

/// Versions only grow, and a published version is never written again.
fn is_greater(wanted: &TagRequest<'_>) -> Result<(), NoPlan> {
    let versions =
        wanted.published.iter().filter_map(|tag| Some((version_of(tag.as_str())?.0, tag)));
    let highest = versions.max_by_key(|(version, _)| version.numbers());
    match highest {
        Some((published, tag)) if wanted.version.numbers() <= published.numbers() => {
            Err(NoPlan::NotGreater { version: wanted.version.clone(), published, tag: tag.clone() })
        }
        _ => Ok(()),
    }
}

struct Solver<'a> {
    wanted: &'a TagRequest<'a>,
    profile: Profile,
    room: Room,
    left_out: Vec<LeftOut>,
}

impl Solver<'_> {
    /// `latest` and a tag for each platform, as the offer writes them or as they should be.
    fn required(&mut self) -> Result<Vec<Unit>, NoPlan> {
        let own = self.written()?;
        let mut units = Vec::new();
        for (is_it, made) in [
            (Unit::is_latest as fn(&Unit) -> bool, FLOATING_TAG),
            (|unit| !unit.is_of_index(), "{version}-{platform}"),
        ] {
            let fits = |unit: &&Unit| is_it(unit) && self.fault(unit).is_none();
            let unit = match own.iter().find(fits) {
                Some(unit) => self.unit(unit.template.as_str(), unit.place)?,
                None => self.unit(made, if made == FLOATING_TAG { 0 } else { usize::MAX })?,
            };
            let refused = self.fault(&unit).or_else(|| self.room.take(&unit.tags).err());
            if let Some(reason) = refused {
                let tag = unit.tags.into_iter().next().map(|item| item.tag);
                return Err(
                    tag.map_or(NoPlan::Alike(TagError::Empty), |tag| NoPlan::Unfit { tag, reason })
                );
            }
            units.push(unit);
        }
        Ok(units)
    }

    /// The offer's other tags. A bare version the profile does not take gets a word after it.
    fn own(&mut self, units: &mut Vec<Unit>) -> Result<(), NoPlan> {
        let own = self.written()?;
        let mut bare = None;
        for unit in own {
            if units.iter().any(|taken| taken.template == unit.template) {
                continue;
            }
            let refused = self.fault(&unit).or_else(|| self.room.take(&unit.tags).err());
            match refused {
                None => units.push(unit),
                Some(reason) => {
                    if reason == LeftOutReason::Bare {
                        bare.get_or_insert(unit.place);
                    }
                    self.left_out.push(LeftOut {
                        origin: TagOrigin::Template(unit.template.as_str().to_owned()),
                        tags: unit.tags.into_iter().map(|item| item.tag).collect(),
                        reason,
                    });
                }
            }
        }
        match bare {
            Some(place) if !has_index_version(units) => self.add("{version}-all", place, units),
            _ => Ok(()),
        }
    }

    /// The pages' advice, where there is room: a tag to stay on for all platforms, and one to know
    /// the image by during its test.
    fn advised(&mut self, units: &mut Vec<Unit>) -> Result<(), NoPlan> {
        if self.wanted.platforms.len() > 1 && !has_index_version(units) {
            let name = if self.profile == Profile::Strict { "{version}-all" } else { "{version}" };
            self.add(name, usize::MAX, units)?;
        }
        let is_test = |unit: &Unit| unit.tags.iter().any(|item| is_test_tag(item.tag.as_str()));
        if units.iter().any(is_test) {
            return Ok(());
        }
        self.add("{version}-test", usize::MAX, units)
    }

    /// Adds a template of ours where it may stand and there is room.
    fn add(&mut self, text: &str, place: usize, units: &mut Vec<Unit>) -> Result<(), NoPlan> {
        let unit = self.unit(text, place)?;
        if self.fault(&unit).is_some() {
            return Ok(());
        }
        match self.room.take(&unit.tags) {
            Ok(()) => units.push(unit),
            // A tag that has a place in another way is not missing.
            Err(LeftOutReason::Twice(_)) => {}
            Err(reason) => self.left_out.push(LeftOut {
                origin: TagOrigin::Advised(text.to_owned()),
                tags: unit.tags.into_iter().map(|item| item.tag).collect(),
                reason,
            }),
        }
        Ok(())
    }

    fn written(&self) -> Result<Vec<Unit>, NoPlan> {
        let templates = self.wanted.templates.as_slice().iter().enumerate();
        templates.map(|(place, template)| self.unit(template.as_str(), place + 1)).collect()
    }

    fn unit(&self, text: &str, place: usize) -> Result<Unit, NoPlan> {
        let template: TagTemplate = text.parse().map_err(NoPlan::Alike)?;
        let alone = std::iter::once(template.clone()).collect::<TagTemplates>();
        let TagRequest { version, platforms, .. } = self.wanted;
        let tags = alone.expand(version, platforms).map_err(NoPlan::Alike)?;
        Ok(Unit { template, tags, place })
    }

    /// Why a template may not stand in the list, independent of the others.
    fn fault(&self, unit: &Unit) -> Option<LeftOutReason> {
        unit.tags.iter().find_map(|item| {
            let platform = match item.target {
                TagTarget::Index => None,
                TagTarget::Platform(place) => self.wanted.platforms.get(place),
            };
            let tag = &item.tag;
            if tag.as_str() == FLOATING_TAG {
                return platform.map(|_| LeftOutReason::NoVersion);
            }
            let wrong = || wrong_words(tag.as_str(), platform).next().map(LeftOutReason::WrongWord);
            form_fault(tag, self.profile).or_else(|| self.version_fault(tag)).or_else(wrong)
        })
    }

    /// Why a tag is not one of this version: a template may hold another one in letters. `X.Y` of
    /// `X.Y.Z` is a tag some publishers move along, so it may be written once.
    fn version_fault(&self, tag: &Tag) -> Option<LeftOutReason> {
        let same = |other: &Tag| other.as_str().eq_ignore_ascii_case(tag.as_str());
        if self.wanted.published.iter().any(same) {
            return Some(LeftOutReason::Published);
        }
        let (version, _) = version_of(tag.as_str())?;
        let [major, minor, _] = self.wanted.version.numbers();
        let is_rolling = version.as_str() == format!("{major}.{minor}");
        let is_this = is_rolling || version.numbers() == self.wanted.version.numbers();
        (!is_this).then_some(LeftOutReason::OtherVersion(version))
    }
}

/// Why a tag other than `latest` has not the form of one.
fn form_fault(tag: &Tag, profile: Profile) -> Option<LeftOutReason> {
    let Some((_, rest)) = version_of(tag.as_str()) else { return Some(LeftOutReason::NoVersion) };
    match rest {
        "-" => Some(LeftOutReason::NoVersion),
        "" if profile == Profile::Strict => Some(LeftOutReason::Bare),
        _ if tag.as_str().len() > TAG_CHARS_MAX => Some(LeftOutReason::TooLong(tag.clone())),
        _ => None,
    }
}

/// Whether a customer can stay on this version without saying a platform.
fn has_index_version(units: &[Unit]) -> bool {
    let stays = |tag: &Tag| tag.as_str() != FLOATING_TAG && !is_test_tag(tag.as_str());
    units.iter().any(|unit| unit.is_of_index() && unit.tags.iter().any(|item| stays(&item.tag)))
}

#[cfg(test)]
mod tests;
