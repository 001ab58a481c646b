//! Debian packages (deb(5), format 2): an `ar` archive of `debian-binary`, `control.tar` and
//! `data.tar`, the tars compressed or not.
//!
//! The reader accepts the packages of `dpkg-deb`, but for members by bzip2 and lzma; Debian has not
//! written those for ten years. Invariant: a package streams; the reader holds only the control
//! file, the list of checksums and one buffer.

mod control;

use std::io::{self, Cursor, Read};
use std::ops::ControlFlow;

use wharf_oci::Platform;

pub use self::control::{Control, ControlError};
use super::ar::{ArError, ArMember, Archive};
use super::files::clean;
use super::tar_read::{ShowError, show_all};
use super::tar_walk::{TarEntry, TarEntryKind, TarFault, Visit};
use super::unpack::CompressionFormat;

/// Largest `control.tar`, decompressed. The largest of Debian has 8 MiB, nearly all of it checksums.
const CONTROL_TAR_BYTES_MAX: u64 = 64 << 20;

/// Largest control file; the largest of Debian has 100 KiB.
const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Longest list of checksums in bytes, for 100,000 files.
const MD5SUMS_BYTES_MAX: usize = 16 << 20;

/// How many bytes of the format member are read.
const FORMAT_BYTES_MAX: u64 = 100;

/// Why bytes are no Debian package.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// The outer archive.
    #[error("it is not a Debian package: {0}")]
    Archive(ArError),
    /// The first member is another than `debian-binary`.
    #[error("it is not a Debian package: it begins with `{0}`, not with `debian-binary`")]
    NotAPackage(String),
    /// Of another format than 2.
    #[error("it has the format `{0}`; only 2.0 and its successors 2.x are read")]
    Format(String),
    /// A member where another one must be.
    #[error("it has `{found}` where `{wanted}` must be")]
    Unexpected { found: String, wanted: &'static str },
    /// No more members.
    #[error("it ends before `{0}`")]
    Missing(&'static str),
    /// A member with an unknown compression.
    #[error("its `{0}` is compressed in a way that is not read; build it with gzip, xz or zstd")]
    Compression(String),
    /// A member with damaged compressed bytes.
    #[error("its `{member}` cannot be unpacked")]
    Inflate { member: String, source: io::Error },
    /// A member without a valid tar.
    #[error("its `{member}` is no tar: {fault}")]
    Tar { member: String, fault: TarFault },
    /// A member, or a file in it, beyond the size of any package's.
    #[error("its `{member}` has more than {limit_bytes} bytes")]
    TooLarge { member: String, limit_bytes: u64 },
    /// A control file with missing or malformed fields.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A package up to its files.
pub struct DebPackage<R> {
    archive: Archive<R>,
    data: Begun,
    /// The fields of its control file.
    pub control: Control,
    /// The control file.
    pub control_text: Box<[u8]>,
    /// The checksums of its files, as they stand in it.
    pub md5sums: Option<Box<[u8]>>,
}

impl<R: Read> DebPackage<R> {
    /// Reads all members before the files.
    pub fn open(source: R) -> Result<Self, DebianError> {
        let mut archive = Archive::open(source).map_err(DebianError::Archive)?;
        check_format(&mut archive)?;
        let member = next_part(&mut archive, "control.tar")?;
        let member = begin(&mut archive, member)?;
        let found = read_control(&mut archive, member)?;
        let control_text = found.control.ok_or(DebianError::Missing("control"))?;
        let control = Control::parse(&control_text)?;
        let data = next_part(&mut archive, "data.tar")?;
        let data = begin(&mut archive, data)?;
        let md5sums = found.md5sums.map(Vec::into_boxed_slice);
        let control_text = control_text.into_boxed_slice();
        Ok(Self { archive, data, control, control_text, md5sums })
    }

    /// Shows the files of the package, at most so many bytes of their tar, until the visitor wants no
    /// more. To be called once.
    pub fn show<V: Visit>(
        &mut self,
        limit_bytes: u64,
        visit: &mut V,
        is_done: impl Fn(&V) -> bool,
    ) -> Result<(), DebianError> {
        walk(&mut self.archive, &mut self.data, limit_bytes, visit, is_done)
    }

    /// The source of the package, at its present position.
    pub fn into_source(self) -> R {
        self.archive.into_source()
    }
}

/// Whether a package of an architecture, as Debian names it, runs on a platform.
#[must_use]
pub fn runs_on(architecture: &str, platform: &Platform) -> bool {
    let variant = platform.variant.as_deref();
    match architecture {
        "all" => true,
        "armhf" => platform.architecture == "arm" && matches!(variant, None | Some("v7" | "v8")),
        "armel" => platform.architecture == "arm",
        "i386" => platform.architecture == "386",
        "ppc64el" => platform.architecture == "ppc64le",
        "mips64el" => platform.architecture == "mips64le",
        // The others have one name.
        other => platform.architecture == other,
    }
}

/// Reads the format member.
fn check_format<R: Read>(archive: &mut Archive<R>) -> Result<(), DebianError> {
    let first = archive.next_member().map_err(DebianError::Archive)?;
    let first = first.ok_or(DebianError::Missing("debian-binary"))?;
    if first.name != "debian-binary" {
        return Err(DebianError::NotAPackage(first.name));
    }
    let mut text = Vec::new();
    let read = archive.take(FORMAT_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|source| DebianError::Archive(source.into()))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let minor = line.strip_prefix(b"2.").unwrap_or_default();
    if minor.is_empty() || !minor.iter().all(u8::is_ascii_digit) {
        return Err(DebianError::Format(line.escape_ascii().to_string()));
    }
    Ok(())
}

/// Goes on to a member with a tar. Members with names in `_` may stand anywhere before it.
fn next_part<R: Read>(
    archive: &mut Archive<R>,
    wanted: &'static str,
) -> Result<ArMember, DebianError> {
    loop {
        let member = archive.next_member().map_err(DebianError::Archive)?;
        let member = member.ok_or(DebianError::Missing(wanted))?;
        match member.name.strip_prefix(wanted) {
            Some("" | ".gz" | ".xz" | ".zst") => return Ok(member),
            Some(end) if end.starts_with('.') => {
                return Err(DebianError::Compression(member.name));
            }
            _ if member.name.starts_with('_') => {}
            _ => return Err(DebianError::Unexpected { found: member.name, wanted }),
        }
    }
}

/// A member with its first bytes read: they tell its compression, and its name does not.
struct Begun {
    name: String,
    head: Vec<u8>,
    compression: CompressionFormat,
}

fn begin<R: Read>(archive: &mut Archive<R>, member: ArMember) -> Result<Begun, DebianError> {
    let mut head = Vec::new();
    let read = archive.take(CompressionFormat::HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|source| DebianError::Archive(source.into()))?;
    match CompressionFormat::of(&head) {
        CompressionFormat::Bzip2 => Err(DebianError::Compression(member.name)),
        compression => Ok(Begun { name: member.name, head, compression }),
    }
}

/// Inflates a member and walks its tar.
fn walk<R: Read, V: Visit>(
    archive: &mut Archive<R>,
    member: &mut Begun,
    limit_bytes: u64,
    visit: &mut V,
    is_done: impl Fn(&V) -> bool,
) -> Result<(), DebianError> {
    let head = std::mem::take(&mut member.head);
    let member_name = || member.name.clone();
    let inflate = |source| DebianError::Inflate { member: member_name(), source };
    let packed = Cursor::new(head).chain(&mut *archive);
    let mut tar = member.compression.reader(packed).map_err(inflate)?;
    let shown = show_all(&mut tar, limit_bytes, visit, &is_done);
    drop(tar);
    if !is_done(visit) {
        // Missing bytes of the member explain every other fault in it.
        archive.check_cut().map_err(DebianError::Archive)?;
    }
    shown.map_err(|error| match error {
        ShowError::Read(source) => inflate(source),
        ShowError::Fault(fault) => DebianError::Tar { member: member_name(), fault },
        ShowError::TooLarge => DebianError::TooLarge { member: member_name(), limit_bytes },
    })
}

/// The kept parts of a `control.tar`.
#[derive(Default)]
struct Found {
    control: Option<Vec<u8>>,
    md5sums: Option<Vec<u8>>,
    passes: Option<(&'static str, usize)>,
    too_large: Option<(&'static str, usize)>,
}

fn read_control<R: Read>(
    archive: &mut Archive<R>,
    mut member: Begun,
) -> Result<Found, DebianError> {
    let mut found = Found::default();
    let limit = CONTROL_TAR_BYTES_MAX;
    walk(archive, &mut member, limit, &mut found, |found| found.too_large.is_some())?;
    match found.too_large {
        None => Ok(found),
        Some((name, limit)) => {
            Err(DebianError::TooLarge { member: name.to_owned(), limit_bytes: limit as u64 })
        }
    }
}

impl Found {
    fn kept(&mut self, name: &str) -> &mut Option<Vec<u8>> {
        if name == "control" { &mut self.control } else { &mut self.md5sums }
    }
}

impl Visit for Found {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.passes = match clean(entry.path).as_ref() {
            _ if entry.kind != TarEntryKind::File || entry.sparse_bytes.is_some() => None,
            b"control" => Some(("control", CONTROL_BYTES_MAX)),
            b"md5sums" => Some(("md5sums", MD5SUMS_BYTES_MAX)),
            _ => None,
        };
        if let Some((name, limit)) = self.passes {
            *self.kept(name) = Some(Vec::new());
            if entry.size_bytes > limit as u64 {
                self.too_large = Some((name, limit));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn content(&mut self, bytes: &[u8]) {
        if let Some((name, _)) = self.passes
            && let Some(kept) = self.kept(name)
        {
            kept.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
