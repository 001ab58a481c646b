//! One layer at a time: hash the blob, inflate it, hash the tar, walk the tar, all in one pass.
//! Several layers run beside one another; each needs two buffers and one name, whatever it holds.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::bufread::MultiGzDecoder;
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, Hashed, MediaType};

use super::{explain, kind_of};
use crate::image::facts::{Fault, FaultKind, Refusal};
use crate::image::tar_rules::EntryRules;
use crate::image::tar_walk::{TarWalk, Walked};
use crate::image::zstd::{self, ZstdReader};
use crate::source::{Blob, Source};

/// How much is read, and inflated, at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// How many entries of one layer are named, for each way of being refused.
const ENTRIES_NAMED_MAX: usize = 10;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bounds on what a layer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest tar that is inflated; a larger one counts as a bomb.
    pub inflated_bytes_max: u64,
}

impl Default for Limits {
    /// 64 GiB, four times what the largest image for container instances may have.
    fn default() -> Self {
        Self { inflated_bytes_max: 64 << 30 }
    }
}

/// What a layer turned out to be.
#[derive(Debug, Clone)]
pub(super) struct CheckedLayer {
    /// As the manifest describes it.
    pub(super) descriptor: Descriptor,
    /// Digest of the uncompressed tar, when it could be inflated.
    pub(super) diff_id: Option<Digest>,
    /// Size of the uncompressed tar.
    pub(super) inflated_bytes: u64,
    /// Whether it is not in the layout, and need not be.
    pub(super) is_elsewhere: bool,
    /// What is wrong with it.
    pub(super) faults: Vec<Fault>,
}

/// Checks each layer once, on at most `jobs` threads.
pub(super) fn check_all(
    source: &Source,
    wanted: &[Descriptor],
    jobs: NonZeroUsize,
    limits: Limits,
) -> BTreeMap<Digest, CheckedLayer> {
    let next = AtomicUsize::new(0);
    let checked = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(wanted.len()) {
            scope.spawn(|| {
                while let Some(descriptor) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let layer = check_layer(source, descriptor, limits);
                    let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
                    checked.insert(descriptor.digest, layer);
                }
            });
        }
    });
    checked.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn check_layer(source: &Source, descriptor: &Descriptor, limits: Limits) -> CheckedLayer {
    let mut layer = CheckedLayer {
        descriptor: descriptor.clone(),
        diff_id: None,
        inflated_bytes: 0,
        is_elsewhere: false,
        faults: Vec::new(),
    };
    // Layers with `urls` may stay away: whoever pulls gets them elsewhere.
    let may_be_elsewhere = descriptor.media_type.is_nondistributable();
    let blob = match source.open_blob(descriptor) {
        Ok(blob) => blob,
        Err(_) if may_be_elsewhere => {
            layer.is_elsewhere = true;
            return layer;
        }
        Err(error) => {
            layer.fault(kind_of(&error), explain(&error));
            return layer;
        }
    };
    match layer.read(blob, limits) {
        Ok(hashed) => {
            if let Err(mismatch) = hashed.expect(&descriptor.digest) {
                // What else was found is a consequence.
                layer.faults.clear();
                layer.inflated_bytes = 0;
                layer.diff_id = None;
                layer.fault(FaultKind::Digest, mismatch.to_string());
            }
        }
        Err(error) => {
            // A registry that cannot be reached says nothing of the blob.
            let kind = if source.is_remote() { FaultKind::Unproven } else { FaultKind::Missing };
            layer.fault(kind, format!("the blob cannot be read: {error}"));
        }
    }
    layer
}

/// How the bytes of a layer are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// `None` for what is no tar, or an encrypted one.
    fn of_type(media_type: &MediaType) -> Option<Self> {
        let text = media_type.as_str();
        if !text.contains(".tar") || text.contains("+encrypted") {
            return None;
        }
        Some(match text.rsplit(['+', '.']).next() {
            Some("gzip") => Self::Gzip,
            Some("zstd") => Self::Zstd,
            _ => Self::Plain,
        })
    }

    fn of_bytes(start: &[u8]) -> Self {
        if start.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if start.starts_with(&zstd::MAGIC) || zstd::is_skippable(start) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    /// Who refuses bytes that are packed like this under a type that says something else.
    const fn refused_as(self, said: Self) -> Refusal {
        match (said, self) {
            // They look at the first bytes, whatever the type says.
            (Self::Gzip, Self::Plain) => Refusal::None,
            _ => Refusal::Some,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Whether two types, of OCI and of Docker perhaps, mean bytes that are packed alike.
pub(super) fn same_packing(one: &MediaType, other: &MediaType) -> bool {
    Packing::of_type(one) == Packing::of_type(other)
}

impl CheckedLayer {
    /// Whether its bytes are right, as far as anybody looked, and nobody looked inside.
    pub(super) fn is_unread(&self) -> bool {
        self.diff_id.is_none() && !self.is_elsewhere && self.faults.is_empty()
    }

    fn fault(&mut self, kind: FaultKind, message: String) {
        self.faults.push(Fault { digest: self.descriptor.digest, kind, message });
    }

    /// Reads the blob to its end and says what its bytes were; everything else that is wrong
    /// becomes a fault. An error means that the file could not be read.
    fn read(&mut self, mut blob: Blob, limits: Limits) -> io::Result<Hashed> {
        let mut start = [0_u8; 4];
        let length = fill(&mut blob, &mut start)?;
        let begun = start.get(..length).unwrap_or_default();
        let found = Packing::of_bytes(begun);
        let algorithm = self.descriptor.digest.algorithm();
        let blob = Cursor::new(begun.to_vec()).chain(blob);
        let hashing = HashingReader { blob, digester: Digester::new(algorithm), error: None };
        let mut source = BufReader::with_capacity(BUFFER_BYTES, hashing);
        let said = Packing::of_type(&self.descriptor.media_type);
        if let Some(said) = said {
            if said != found {
                let message = format!(
                    "its type {} says {}, its bytes are {}",
                    self.descriptor.media_type,
                    said.name(),
                    found.name()
                );
                self.fault(FaultKind::Packing(found.refused_as(said)), message);
            }
            if found == Packing::Zstd && zstd::is_skippable(&start) {
                let message = "it starts with a skippable frame, which docker and podman refuse";
                self.fault(FaultKind::Packing(Refusal::Some), message.to_owned());
            }
            match found {
                Packing::Plain => self.walk(&mut source, limits),
                Packing::Gzip => self.walk(&mut MultiGzDecoder::new(&mut source), limits),
                Packing::Zstd => self.walk(&mut ZstdReader::new(&mut source), limits),
            }
        }
        io::copy(&mut source, &mut io::sink())?;
        let HashingReader { digester, error, .. } = source.into_inner();
        error.map_or_else(|| Ok(digester.finish()), Err)
    }

    /// Hashes and walks the uncompressed tar.
    fn walk(&mut self, tar: &mut dyn Read, limits: Limits) {
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut walk = Some(TarWalk::new());
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        let mut entries = Entries::default();
        loop {
            let length = match tar.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    return self.fault(FaultKind::Unproven, error.to_string());
                }
                Err(error) => {
                    return self
                        .fault(FaultKind::Compression, format!("it does not inflate: {error}"));
                }
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            digester.update(bytes);
            if digester.size_bytes() > limits.inflated_bytes_max {
                let limit = limits.inflated_bytes_max;
                return self.fault(
                    FaultKind::Compression,
                    format!("it inflates to more than {limit} bytes"),
                );
            }
            let Some(running) = &mut walk else { continue };
            let walked = running.update(bytes, &mut |entry| {
                entries.look(entry);
                ControlFlow::Continue(())
            });
            if let Err(fault) = walked {
                self.fault(FaultKind::Tar, fault.to_string());
                walk = None;
            }
        }
        if let Some(Err(fault)) = walk.map(|walk| walk.finish()) {
            self.fault(FaultKind::Tar, fault.to_string());
        }
        for (refusal, message) in entries.finish() {
            self.fault(FaultKind::Entry(refusal), message);
        }
        let hashed = digester.finish();
        self.diff_id = Some(hashed.digest);
        self.inflated_bytes = hashed.size_bytes;
    }
}

/// What is wrong with the entries of a layer, as far as it is named.
#[derive(Default)]
struct Entries {
    rules: EntryRules,
    found: Vec<(Refusal, String)>,
}

impl Entries {
    fn look(&mut self, entry: &Walked<'_>) {
        let Some((refusal, reason)) = self.rules.judge(entry) else { return };
        let named = self.found.iter().filter(|(seen, _)| *seen == refusal).count();
        if named < ENTRIES_NAMED_MAX {
            self.found.push((refusal, format!("`{}` {reason}", entry.path.escape_ascii())));
        }
    }

    fn finish(mut self) -> Vec<(Refusal, String)> {
        if self.rules.is_full() {
            let message = "it has more names than are compared; the last were not";
            self.found.push((Refusal::None, message.to_owned()));
        }
        self.found
    }
}

/// Reads until the buffer is full; fewer bytes come only at the end.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Hashes what is read. A read error is kept, because the decoder above would report it as bad
/// compression.
struct HashingReader {
    blob: io::Chain<Cursor<Vec<u8>>, Blob>,
    digester: Digester,
    error: Option<io::Error>,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.blob.read(buffer) {
            Ok(length) => {
                self.digester.update(buffer.get(..length).unwrap_or_default());
                Ok(length)
            }
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.error.get_or_insert(error);
                Err(copy)
            }
        }
    }
}
