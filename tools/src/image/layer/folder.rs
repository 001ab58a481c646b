//! A folder on its way into a layer.
//!
//! Invariant: the entries follow from names, permission bits, contents, links, owner and time, and
//! from the layers below in the image; their order is that of the path bytes. Neither umask nor the
//! order of the folder's own entries goes in.

mod found;
mod ignore_file;
mod selection;
mod told;
mod walk;

use std::collections::HashMap;

use self::found::FolderEntryKind;
use self::selection::Selection;
use self::walk::Walk;
use super::beneath::Beneath;
use super::entries::{Folder, FolderClaim, LayerEntries, put_parents};
use super::from_disk::{EntrySource, FromDisk, mode_of};
use super::{LayerError, Setting};
use crate::image::files::{FileKind, NewFile};
use crate::offer::layers::{DirInput, Modes};

/// Reads names and attributes below a folder.
pub(super) fn prepare(
    setting: &Setting<'_>,
    input: &DirInput,
    entries: &mut LayerEntries<'_>,
) -> Result<FromDisk, LayerError> {
    let root = setting.offer_folder.join(input.path.as_str());
    let failed = |source| LayerError::Read { path: root.clone(), source };
    let opened = Beneath::open(&root).map_err(failed)?;
    let stat = opened.stat().map_err(failed)?;
    let output = setting.output_identity();
    if setting.is_output(&root) {
        return Err(LayerError::IsOutput { path: root });
    }
    let into = entries.resolve(input.into.as_str().as_bytes())?;
    let selection = Selection::of(input, setting.offer_folder)?;
    let first = entries.len();
    let owner = (input.owner.uid, input.owner.gid);
    put_parents(entries, &into, mode_of(&stat, input.modes).into(), owner)?;
    let before = entries.len() - first;
    let mut walk = Walk::new(opened, &root, input, selection, entries, output);
    walk.run(&into)?;
    walk.tell();
    let Walk { found, prefixes, newest_change, .. } = walk;
    let mut prepared = FromDisk {
        root: root.clone(),
        mtime: setting.created.unix_seconds(),
        first,
        sources: (0..before).map(|_| EntrySource { stamp: None, prefix: 0 }).collect(),
        prefixes,
        attributes: HashMap::new(),
        newest_change,
        is_one_file: false,
    };
    add(&mut prepared, found, input, entries)?;
    Ok(prepared)
}

/// Adds the found paths to the layer, sorted, second names of a file as hard links.
fn add(
    prepared: &mut FromDisk,
    mut found: found::FolderEntryList,
    input: &DirInput,
    entries: &mut LayerEntries<'_>,
) -> Result<(), LayerError> {
    found.sort();
    let owner = (input.owner.uid, input.owner.gid);
    let claim = match input.modes {
        Modes::Normal => FolderClaim::Listed,
        Modes::Kept => FolderClaim::Exact,
    };
    // The number of the entry with the content, by device and inode.
    let mut first_names: HashMap<(u64, u64), usize> = HashMap::new();
    for one in found.iter() {
        let path = found.path(one);
        let mode = u32::from(one.mode);
        let mut stamp = None;
        match one.kind {
            FolderEntryKind::Folder | FolderEntryKind::Parent => {
                let folder = match one.kind {
                    FolderEntryKind::Parent => {
                        Folder { path, mode, owner: (0, 0), claim: FolderClaim::Needed }
                    }
                    _ => Folder { path, mode, owner, claim },
                };
                if !entries.add_folder(&folder)? {
                    continue;
                }
            }
            FolderEntryKind::Symlink => {
                let link = found.link(one);
                let kind = FileKind::Symlink;
                entries.add(&NewFile { path, kind, mode, owner, size_bytes: 0, link })?;
            }
            FolderEntryKind::File => {
                let names = found.names(one);
                let target = names.and_then(|names| first_names.get(&names));
                let target = target.and_then(|at| entries.get(*at));
                if let Some(target) = target {
                    let link = target.path().to_vec();
                    let kind = FileKind::HardLink;
                    let (size_bytes, link) = (0, link.as_slice());
                    entries.add(&NewFile { path, kind, mode, owner, size_bytes, link })?;
                } else {
                    if let Some(names) = names {
                        first_names.insert(names, entries.len());
                    }
                    if let Some(attribute) = found.attribute(one) {
                        prepared.attributes.insert(prepared.sources.len(), attribute.clone());
                    }
                    stamp = one.stamp;
                    let (kind, size_bytes) = (FileKind::File, one.size_bytes);
                    let link = b"".as_slice();
                    entries.add(&NewFile { path, kind, mode, owner, size_bytes, link })?;
                }
            }
        }
        prepared.sources.push(EntrySource { stamp, prefix: one.prefix });
    }
    Ok(())
}
