//! The contents of files on this disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::digesting::Hasher;
use super::record::ContentsRecord;
use super::texts::wanted_bytes;
use super::{ContentsError, InputContents, LayerContents, read_error};
use crate::image::attest::description::{FileDigests, hex};
use crate::image::attest::provenance::InputDigest;
use crate::image::files::clean;
use crate::image::layer::DiskFiles;
use crate::image::stamp::{ShortStamp, Stamp};

/// How many files are looked at together: enough for every thread, few enough to be held.
const BATCH: usize = 1024;

/// How much of a file is read at once.
const READ_BYTES: usize = 128 * 1024;

/// From this size on both digests are made at the same time, by two threads.
const LARGE_BYTES: u64 = 32 << 20;

/// A file to hash.
struct Wanted {
    in_image: Vec<u8>,
    path: PathBuf,
    /// Its stamp at the time its layer was written.
    stamp: ShortStamp,
}

/// A folder: every file, and the digest of all (in-toto's `dirHash`: the SHA-256 of lines
/// `SHA-256  NAME`, sorted by name).
pub(super) fn folder(
    folder: DiskFiles<'_>,
    record: &ContentsRecord,
    jobs: NonZeroUsize,
    contents: &mut LayerContents,
) -> Result<InputContents, ContentsError> {
    let mut summary = Sha256::new();
    let mut files = 0;
    let mut batch = Vec::new();
    let mut hash = |batch: &mut Vec<Wanted>| -> Result<(), ContentsError> {
        let digests = all(batch, record, jobs)?;
        for (wanted, digests) in batch.drain(..).zip(digests) {
            let name = wanted.path.strip_prefix(folder.root()).unwrap_or(&wanted.path);
            summary.update(hex(&digests.sha256));
            summary.update(b"  ");
            summary.update(name.as_os_str().as_bytes());
            summary.update(b"\n");
            files += 1;
            take_text(&wanted, contents)?;
            contents.push(&wanted.in_image, digests);
        }
        Ok(())
    };
    let mut failed = None;
    folder.each(&mut |in_image, path, stamp| {
        batch.push(Wanted { in_image: in_image.to_vec(), path: path.to_owned(), stamp });
        if batch.len() == BATCH
            && failed.is_none()
            && let Err(error) = hash(&mut batch)
        {
            failed = Some(error);
        }
        if failed.is_some() {
            batch.clear();
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    hash(&mut batch)?;
    let digest = InputDigest::Folder(summary.finalize().into());
    Ok(InputContents { digest, files: Some(files) })
}

/// Several files: the digest of all, as of one folder with them.
pub(super) fn several(
    paths: &[&Path],
    record: &ContentsRecord,
) -> Result<InputContents, ContentsError> {
    let mut lines = Vec::new();
    for path in paths {
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        lines.push((name, hex(&file(path, None, record)?.sha256)));
    }
    lines.sort();
    let mut summary = Sha256::new();
    for (name, digest) in &lines {
        summary.update(digest);
        summary.update(b"  ");
        summary.update(name);
        summary.update(b"\n");
    }
    let digest = InputDigest::Folder(summary.finalize().into());
    Ok(InputContents { digest, files: Some(lines.len() as u64) })
}

/// A single file of an input.
pub(super) fn one(
    origin: DiskFiles<'_>,
    record: &ContentsRecord,
    contents: &mut LayerContents,
) -> Result<InputContents, ContentsError> {
    let mut found = None;
    origin.each(&mut |in_image, path, stamp| {
        found = Some(Wanted { in_image: in_image.to_vec(), path: path.to_owned(), stamp });
    })?;
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let wanted = found.ok_or_else(|| read_error(origin.root())(gone()))?;
    let digests = file(&wanted.path, Some(wanted.stamp), record)?;
    take_text(&wanted, contents)?;
    contents.push(&wanted.in_image, digests);
    Ok(InputContents { digest: InputDigest::File(digests), files: None })
}

/// The digests of a file, from the record if its stamp proves them. A file changed since its layer
/// was written is an error: the list would name bytes the image does not hold.
pub(super) fn file(
    path: &Path,
    was: Option<ShortStamp>,
    record: &ContentsRecord,
) -> Result<FileDigests, ContentsError> {
    let read = read_error(path);
    let stamp = Stamp::of_metadata(&fs::metadata(path).map_err(&read)?);
    if was.is_some_and(|was| was != stamp.short()) {
        return Err(read(changed()));
    }
    if let Some(known) = record.find(path, &stamp) {
        return Ok(known);
    }
    let digests = hash(path, &stamp).map_err(&read)?;
    record.add(path, stamp, digests);
    Ok(digests)
}

/// The digests of several files, in their order.
fn all(
    wanted: &[Wanted],
    record: &ContentsRecord,
    jobs: NonZeroUsize,
) -> Result<Vec<FileDigests>, ContentsError> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(wanted.len()));
    let work = || -> Result<(), ContentsError> {
        let mut mine = Vec::new();
        while let Some((place, one)) = claim(&next, wanted) {
            mine.push((place, file(&one.path, Some(one.stamp), record)?));
        }
        found.lock().unwrap_or_else(PoisonError::into_inner).append(&mut mine);
        Ok(())
    };
    let threads = jobs.get().min(wanted.len());
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(ended);
        }
        result
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, digests)| digests).collect())
}

fn claim<'w>(next: &AtomicUsize, wanted: &'w [Wanted]) -> Option<(usize, &'w Wanted)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    wanted.get(place).map(|one| (place, one))
}

/// Reads and hashes a file, and checks its stamp before and after.
fn hash(path: &Path, stamp: &Stamp) -> io::Result<FileDigests> {
    let open = || {
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        if Stamp::of_metadata(&file.metadata()?) == *stamp { Ok(file) } else { Err(changed()) }
    };
    let mut file = open()?;
    let digests = if stamp.size_bytes >= LARGE_BYTES {
        let again = open()?;
        thread::scope(|scope| {
            let older = scope.spawn(move || pass::<Sha1>(again));
            let sha256 = pass::<Sha256>(&mut file)?;
            let sha1 = older.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, io::Error>(FileDigests { sha256: sha256.into(), sha1: sha1.into() })
        })?
    } else {
        let mut hasher = Hasher::default();
        each_piece(&mut file, |bytes| hasher.update(bytes))?;
        hasher.finish()
    };
    if Stamp::of_metadata(&file.metadata()?) == *stamp { Ok(digests) } else { Err(changed()) }
}

fn pass<H: sha2::Digest>(mut file: impl Read) -> io::Result<sha2::digest::Output<H>> {
    let mut hasher = H::new();
    each_piece(&mut file, |bytes| hasher.update(bytes))?;
    Ok(hasher.finalize())
}

fn each_piece(file: &mut impl Read, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0_u8; READ_BYTES];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        see(buffer.get(..length).unwrap_or_default());
    }
}

/// Keeps the text of a package list.
fn take_text(wanted: &Wanted, contents: &mut LayerContents) -> Result<(), ContentsError> {
    let in_image = clean(&wanted.in_image);
    let limit = wanted_bytes(&in_image);
    if limit == 0 {
        return Ok(());
    }
    let read = read_error(&wanted.path);
    let file = File::open(&wanted.path).map_err(&read)?;
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text).map_err(&read)?;
    if text.len() as u64 <= limit {
        contents.texts.take(&in_image, text);
    }
    Ok(())
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it changed while it was read")
}
