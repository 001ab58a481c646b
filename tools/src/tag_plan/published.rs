//! The published versions with a place. A version stays whole, or without its test tags, or goes
//! whole: an index without the tags of its platforms would point into nothing.

use std::collections::BTreeMap;

use wharf_oci::Tag;

use super::room::Room;
use super::{
    LeftOut, LeftOutReason, TagOrigin, form_fault, is_test_tag, names_a_platform, version_of,
};
use crate::moves::FLOATING_TAG;
use crate::offer::values::ImageVersion;
use crate::rules::Profile;

/// The result for the published tags.
#[derive(Default)]
pub(super) struct Kept {
    /// From the oldest version on, within a version as the offer lists them.
    pub(super) tags: Vec<Tag>,
    /// From the newest version on.
    pub(super) left_out: Vec<LeftOut>,
}

/// A published version.
struct Group {
    version: ImageVersion,
    tags: Vec<Tag>,
}

/// Gives places to versions from the newest on, as many as there are.
pub(super) fn keep(published: &[Tag], profile: Profile, room: &mut Room) -> Kept {
    let mut kept = Kept::default();
    let mut versions = Vec::new();
    for group in groups(published, &mut kept.left_out) {
        let Group { version, tags } = group;
        let Some(tags) = fitting(&version, tags, profile, &mut kept.left_out) else { continue };
        let (tests, others): (Vec<Tag>, Vec<Tag>) =
            tags.iter().cloned().partition(|tag| is_test_tag(tag.as_str()));
        match room.take_tags(&tags) {
            Ok(()) => versions.push(tags),
            Err(reason) => {
                // Tags for tests alone go before tags customers stay on.
                let sheds = !tests.is_empty() && !others.is_empty();
                if sheds && room.take_tags(&others).is_ok() {
                    versions.push(others);
                    let reason = LeftOutReason::Tested;
                    kept.left_out.push(LeftOut {
                        origin: TagOrigin::Published,
                        tags: tests,
                        reason,
                    });
                } else {
                    kept.left_out.push(LeftOut {
                        origin: TagOrigin::Version(version),
                        tags,
                        reason,
                    });
                }
            }
        }
    }
    kept.tags = versions.into_iter().rev().flatten().collect();
    kept
}

/// The versions from the newest on. Tags without one have no place, but for `latest` with its own.
fn groups(published: &[Tag], left_out: &mut Vec<LeftOut>) -> Vec<Group> {
    let mut groups: BTreeMap<[u64; 3], Group> = BTreeMap::new();
    for tag in published {
        match version_of(tag.as_str()) {
            Some((version, _)) => {
                let new = || Group { version: version.clone(), tags: Vec::new() };
                let group = groups.entry(version.numbers()).or_insert_with(new);
                // A repeated tag is one tag.
                if !group.tags.contains(tag) {
                    group.tags.push(tag.clone());
                }
            }
            None if tag.as_str() == FLOATING_TAG => {}
            None => left_out.push(single(tag, LeftOutReason::NoVersion)),
        }
    }
    groups.into_values().rev().collect()
}

/// The tags of a version in the form of one; `None` when its platforms' tags have another form.
fn fitting(
    version: &ImageVersion,
    tags: Vec<Tag>,
    profile: Profile,
    left_out: &mut Vec<LeftOut>,
) -> Option<Vec<Tag>> {
    let mut fitting: Vec<Tag> = Vec::new();
    let mut unfit = Vec::new();
    for tag in &tags {
        let same = |other: &&Tag| other.as_str().eq_ignore_ascii_case(tag.as_str());
        let twice = || fitting.iter().find(same).cloned().map(LeftOutReason::Twice);
        match form_fault(tag, profile).or_else(twice) {
            None => fitting.push(tag.clone()),
            Some(reason) => unfit.push(single(tag, reason)),
        }
    }
    let names_one = |item: &LeftOut| item.tags.iter().any(|tag| names_a_platform(tag.as_str()));
    let child = unfit.iter().find(|item| names_one(item)).map(|item| item.reason.clone());
    if let Some(reason) = child {
        left_out.push(LeftOut { origin: TagOrigin::Version(version.clone()), tags, reason });
        return None;
    }
    left_out.append(&mut unfit);
    (!fitting.is_empty()).then_some(fitting)
}

fn single(tag: &Tag, reason: LeftOutReason) -> LeftOut {
    LeftOut { origin: TagOrigin::Published, tags: vec![tag.clone()], reason }
}
