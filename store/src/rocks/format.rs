//! The marker: the file of a store with its format.
//!
//! Invariant: the marker is written in one step, durably, after everything else of the format.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::private;
use super::schema::{FORMAT, MARKER};
use crate::{Result, StoreError};

const MARKER_WORDS: &str = "wharf store format ";

/// The format of the store in `folder`. An empty folder becomes a store of the newest format; a
/// foreign folder is an error, and nothing is written into it.
pub(super) fn claim(folder: &Path) -> Result<u32> {
    if let Some(found) = found_format(folder)? {
        return Ok(found);
    }
    private::make(folder)?;
    let mut entries =
        fs::read_dir(folder).map_err(|error| StoreError::io("reading", folder, error))?;
    // An interrupted claim leaves its unfinished marker, and no other file.
    let unfinished = format!("{MARKER}.new");
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != unfinished.as_str())) {
        return Err(StoreError::NotAStore { path: folder.to_owned() });
    }
    mark(folder)?;
    Ok(FORMAT)
}

/// The format of the store in `folder`; `None` when it has no marker.
pub(super) fn found_format(folder: &Path) -> Result<Option<u32>> {
    let marker = folder.join(MARKER);
    let text = match fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("reading", marker, error)),
    };
    let format = text.trim_end().strip_prefix(MARKER_WORDS).and_then(|found| found.parse().ok());
    match format {
        Some(found) if found > FORMAT => {
            Err(StoreError::NewerFormat { path: folder.to_owned(), found, known: FORMAT })
        }
        Some(found) if found > 0 => Ok(Some(found)),
        _ => Err(StoreError::NotAStore { path: folder.to_owned() }),
    }
}

/// Writes the marker of this format, durably and in one step.
pub(super) fn mark(folder: &Path) -> Result<()> {
    let partial = folder.join(format!("{MARKER}.new"));
    write_synced(&partial, format!("{MARKER_WORDS}{FORMAT}\n").as_bytes())
        .map_err(|error| StoreError::io("writing", &partial, error))?;
    fs::rename(&partial, folder.join(MARKER))
        .map_err(|error| StoreError::io("renaming", &partial, error))?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StoreError::io("syncing", folder, error))
}

/// Writes a new file: the rest of an interrupted write is removed, and a link is not followed.
fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_folder_is_refused_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("diary.txt"), "dear diary").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NotAStore { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_format_is_refused_and_a_known_one_taken() {
        let folder = tempfile::tempdir().unwrap();
        claim(folder.path()).unwrap();
        claim(folder.path()).unwrap();
        fs::write(folder.path().join(MARKER), "wharf store format 5\n").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NewerFormat { found: 5, .. })));
        fs::write(folder.path().join(MARKER), "something else\n").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NotAStore { .. })));
    }
}
