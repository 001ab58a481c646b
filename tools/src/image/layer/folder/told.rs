//! Remarks for a person about the paths of a folder.

use std::collections::HashSet;

use crate::image::layer::from_disk::joined;
use crate::image::layer::notes::Tally;

/// The paths to remark on.
#[derive(Debug, Default)]
pub(super) struct NotedPaths {
    pub(super) special_bits: Tally,
    pub(super) through_links: Tally,
    pub(super) of_namespace: Tally,
    not_utf8: Tally,
    only_case: Tally,
}

impl NotedPaths {
    /// Looks for names outside UTF-8, and for names with a difference in case alone.
    pub(super) fn of_names(&mut self, folder: &[u8], names: &[Vec<u8>]) {
        let mut seen = HashSet::with_capacity(names.len());
        for name in names {
            match std::str::from_utf8(name) {
                Err(_) => self.not_utf8.add(&joined(folder, name)),
                Ok(name) if !seen.insert(name.to_lowercase()) => {
                    self.only_case.add(&joined(folder, name.as_bytes()));
                }
                Ok(_) => {}
            }
        }
    }

    /// One sentence for each kind there is.
    pub(super) fn messages(&self) -> Vec<String> {
        let with = |tally: &Tally, text: fn(String) -> String| tally.told().map(text);
        [
            with(&self.special_bits, |paths| {
                format!("{paths} without setuid, setgid and sticky; `modes: kept` keeps them")
            }),
            with(&self.not_utf8, |paths| {
                format!("names that are not UTF-8 go in as they are: {paths}")
            }),
            with(&self.only_case, |paths| {
                format!("names that differ from others only in case: {paths}")
            }),
            with(&self.through_links, |paths| {
                format!("the image has links in place of folders, and they are followed: {paths}")
            }),
            with(&self.of_namespace, |paths| {
                format!("capabilities of a user namespace become those of the image: {paths}")
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
