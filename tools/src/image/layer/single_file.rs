//! One file on its way into a layer.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, fstat};

use super::beneath::Beneath;
use super::entries::{LayerEntries, put_parents};
use super::from_disk::{EntrySource, FromDisk, Prefix, joined, mode_of};
use super::xattrs::{Capabilities, Xattrs};
use super::{LayerError, Setting};
use crate::image::files::{FileKind, NewFile, shown};
use crate::image::stamp::{ShortStamp, Stamp};
use crate::offer::layers::{FileInput, FileMode, Modes};

/// Looks at a file. For a link in the offer it takes the link's target.
pub(super) fn prepare(
    setting: &Setting<'_>,
    input: &FileInput,
    entries: &mut LayerEntries<'_>,
) -> Result<FromDisk, LayerError> {
    let named = setting.offer_folder.join(input.path.as_str());
    let failed = |source| LayerError::Read { path: named.clone(), source };
    let path = fs::canonicalize(&named).map_err(failed)?;
    let root = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    let file = Beneath::open(root).and_then(|root| root.file(&name)).map_err(failed)?;
    let stat = fstat(&file).map_err(|error| failed(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(LayerError::WrongKind { what: "file", path: named });
    }
    let mut xattrs = Xattrs::new();
    let capabilities = xattrs.of_file(&file, &name).map_err(failed)?;
    let first = entries.len();
    let image = put_place(input, entries)?;
    let at = entries.len() - first;
    let mut sources: Vec<EntrySource> =
        (0..at).map(|_| EntrySource { stamp: None, prefix: 0 }).collect();
    sources.push(EntrySource { stamp: Some(ShortStamp::of(&stat)), prefix: 0 });
    let mode = input.mode.map_or_else(|| mode_of(&stat, Modes::Normal).into(), FileMode::bits);
    entries.add(&NewFile {
        path: &image,
        kind: FileKind::File,
        mode,
        owner: (input.owner.uid, input.owner.gid),
        size_bytes: u64::try_from(stat.st_size).unwrap_or_default(),
        link: b"",
    })?;
    let mut attributes = HashMap::new();
    match capabilities {
        None => {}
        Some(Capabilities::Everywhere(attribute) | Capabilities::OfNamespace(attribute, _)) => {
            attributes.insert(at, attribute);
        }
        Some(Capabilities::Unknown) => return Err(LayerError::Capabilities { path: named }),
    }
    for attribute in xattrs.left_out.keys() {
        let message = format!("the extended attribute `{}` stays out", shown(attribute));
        entries.note(input.path.as_str(), message);
    }
    Ok(FromDisk {
        root: root.to_owned(),
        mtime: setting.created.unix_seconds(),
        first,
        sources,
        prefixes: vec![Prefix { source: name, image }],
        attributes,
        newest_change: Stamp::of(&stat).changed_at(),
        is_one_file: true,
    })
}

/// Adds the folders a file goes into, and says where it goes.
fn put_place(input: &FileInput, entries: &mut LayerEntries<'_>) -> Result<Vec<u8>, LayerError> {
    let into = input.into.path.as_str().as_bytes();
    let (folder, name) = if input.into.is_folder {
        let name = Path::new(input.path.as_str()).file_name().map(OsStrExt::as_bytes);
        (into, name.unwrap_or_default())
    } else {
        let slash = into.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
        let (folder, name) = into.split_at(slash);
        (folder, name.get(1..).unwrap_or_default())
    };
    let folder = entries.resolve(folder)?;
    put_parents(entries, &folder, 0o755, (0, 0))?;
    Ok(joined(&folder, name))
}
