//! Opens sources: finds out the form of a source by its content, never by its name.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use tokio::runtime::Handle;
use wharf_oci::Descriptor;

use super::docker::{DockerArchive, MANIFEST_FILE};
use super::error::SourceError;
use super::layout::{Layout, LayoutFiles};
use super::members::{MemberTable, Members};
use super::remote::Remote;
use super::target::{self, PathForm};
use super::{Form, Source, named, reference_tag, spool};
use crate::image::layout::{INDEX_FILE, LAYOUT_FILE, REF_NAME};
use crate::image::tar_walk::TarWalk;
use crate::image::unpack::CompressionFormat;
use crate::image::zstd;
use crate::input;
use crate::registry::{ImageRef, Registry};

/// How much of a compressed archive is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many names a message lists.
const NAMES_TOLD: usize = 10;

impl Source {
    /// Opens a path of this disk: a layout, or an archive of any form, compressed or not.
    pub fn open_path(path: &Path) -> Result<Self, SourceError> {
        let location = path.display().to_string();
        let failed = |source| SourceError::Read { location: location.clone(), source };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let advice = target::advice(path);
                return Err(SourceError::Missing { location, advice });
            }
            Err(error) => return Err(failed(error)),
        };
        if metadata.is_dir() {
            if let (true, Some(is)) = (is_no_layout(path), named::folder(path)) {
                return Err(SourceError::NotAnImage { location, is });
            }
            let (layout, roots) = Layout::open(&location, LayoutFiles::Folder(path.to_owned()))?;
            return Ok(Self { location, form: Form::Layout(layout), roots });
        }
        let file = input::open(path).map_err(failed)?;
        Self::open_file(location, path.file_name(), file)
    }

    /// Reads an archive from standard input.
    pub fn open_stdin() -> Result<Self, SourceError> {
        let location = "-".to_owned();
        let failed = |source| SourceError::Read { location: location.clone(), source };
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let reason = "it is a terminal; let a program write an archive into it: docker save \
                          IMAGE | wharf verify -";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        let file = File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?);
        Self::open_stream(location, None, file)
    }

    /// Opens an image on a registry. Reading it waits for `runtime`, so it is done on other threads
    /// than its own.
    pub fn open_image(
        registry: Arc<Registry>,
        image: &ImageRef,
        runtime: &Handle,
    ) -> Result<Self, SourceError> {
        let (remote, root) = Remote::open(registry, image, runtime)?;
        Ok(Self { location: image.to_string(), form: Form::Remote(remote), roots: vec![root] })
    }

    /// Opens a target on this disk, and keeps only the named image.
    pub fn open_local(
        path: &Path,
        form: Option<PathForm>,
        name: Option<&str>,
    ) -> Result<Self, SourceError> {
        let mut source = Self::open_path(path)?;
        let fits = match (form, &source.form) {
            (None, _)
            | (Some(PathForm::Layout | PathForm::OciArchive), Form::Layout(_))
            | (Some(PathForm::DockerArchive), Form::DockerArchive(_)) => true,
            // docker writes both forms in one archive since version 25.
            (Some(PathForm::DockerArchive), Form::Layout(layout)) => layout.is_docker_archive(),
            _ => false,
        };
        if !fits {
            let (location, reason) = (source.location, "it is one of another form".to_owned());
            return Err(match form {
                Some(PathForm::DockerArchive) => {
                    SourceError::NotADockerArchive { location, reason }
                }
                _ => SourceError::NotALayout { location, reason },
            });
        }
        if let Some(name) = name {
            source.keep_only(name)?;
        }
        Ok(source)
    }

    /// Opens a file with random access; a compressed one is spooled.
    fn open_file(location: String, name: Option<&OsStr>, file: File) -> Result<Self, SourceError> {
        let mut head = vec![0_u8; named::HEAD_BYTES];
        let read = read_head(&file, &mut head);
        let length =
            read.map_err(|source| SourceError::Read { location: location.clone(), source })?;
        head.truncate(length);
        if is_compressed(&head) {
            return Self::open_stream(location, name, file);
        }
        if !is_tar(&head) {
            return Err(SourceError::NotAnImage { location, is: named::file(name, &head) });
        }
        let mut reader = Whole { file: &file, position: 0 };
        let table = MemberTable::read(&location, &mut reader, &mut |_| Ok(()))?;
        Self::open_members(location, Members::new(file, table))
    }

    /// Reads a stream to its end, decompressed, into a file without a name.
    fn open_stream(
        location: String,
        name: Option<&OsStr>,
        mut stream: impl Read,
    ) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { location: location.clone(), source };
        let head = take_head(&mut stream).map_err(failed)?;
        let mut whole: Box<dyn Read + '_> = Box::new(Cursor::new(head.clone()).chain(stream));
        let mut inside = head;
        if is_compressed(&inside) {
            let is_gzip = inside.starts_with(&GZIP_MAGIC);
            let buffered = io::BufReader::with_capacity(BUFFER_BYTES, whole);
            let decoder: Box<dyn Read + '_> = if is_gzip {
                Box::new(MultiGzDecoder::new(buffered))
            } else {
                CompressionFormat::Zstd.reader(buffered).map_err(failed)?
            };
            let mut decoder = Decompressed(decoder);
            inside = take_head(&mut decoder).map_err(failed)?;
            whole = Box::new(Cursor::new(inside.clone()).chain(decoder));
        }
        if !is_tar(&inside) {
            return Err(SourceError::NotAnImage { location, is: named::file(name, &inside) });
        }
        let members = spool::members(&location, &mut whole)?;
        drop(whole);
        Self::open_members(location, members)
    }

    /// Finds out the form of these members.
    fn open_members(location: String, members: Members) -> Result<Self, SourceError> {
        let table = members.table();
        if table.has_file(LAYOUT_FILE) || table.has_file(INDEX_FILE) {
            let (layout, roots) = Layout::open(&location, LayoutFiles::Archive(members))?;
            return Ok(Self { location, form: Form::Layout(layout), roots });
        }
        if table.has(MANIFEST_FILE) {
            let (archive, roots) = DockerArchive::open(&location, members)?;
            return Ok(Self { location, form: Form::DockerArchive(archive), roots });
        }
        Err(SourceError::NotAnImage { is: named::archive(table), location })
    }

    /// Leaves only the images of a name: a tag, a whole reference, or `@` and a place or digest.
    fn keep_only(&mut self, name: &str) -> Result<(), SourceError> {
        let place = name.strip_prefix('@');
        let is_meant = |(at, root): (usize, &Descriptor)| match place {
            Some(place) => place.parse() == Ok(at) || place.parse() == Ok(root.digest),
            None => root.annotations.get(REF_NAME).is_some_and(|full| {
                full == name || reference_tag(full).is_some_and(|tag| tag == name)
            }),
        };
        let meant: Vec<Descriptor> = self
            .roots
            .iter()
            .enumerate()
            .filter(|(at, root)| is_meant((*at, root)))
            .map(|(_, root)| root.clone())
            .collect();
        if meant.is_empty() {
            let names: Vec<&str> = self.names().map(|(name, _)| name).take(NAMES_TOLD).collect();
            let there =
                if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") };
            let (location, name) = (self.location.clone(), name.to_owned());
            return Err(SourceError::NoSuchName { location, name, there });
        }
        self.roots = meant;
        self.location = format!("{}:{name}", self.location);
        Ok(())
    }
}

/// Reads a file by offset, so that other readers of it are not disturbed.
struct Whole<'a> {
    file: &'a File,
    position: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// Whether nothing of a layout is in a folder.
fn is_no_layout(path: &Path) -> bool {
    !path.join(LAYOUT_FILE).exists() && !path.join(INDEX_FILE).exists()
}

fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&GZIP_MAGIC) || head.starts_with(&zstd::MAGIC) || zstd::is_skippable(head)
}

/// Whether a tar begins like this: with a header, or with the empty record of one without members.
fn is_tar(head: &[u8]) -> bool {
    let mut walk = TarWalk::new();
    let record = head.get(..512).unwrap_or_default();
    !record.is_empty() && walk.update(record, &mut |_| ControlFlow::Continue(())).is_ok()
}

/// The first bytes of a file.
fn read_head(file: &File, head: &mut [u8]) -> io::Result<usize> {
    let mut whole = Whole { file, position: 0 };
    fill(&mut whole, head)
}

/// The first bytes of a stream, taken from it.
fn take_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0_u8; named::HEAD_BYTES];
    let length = fill(stream, &mut head)?;
    head.truncate(length);
    Ok(head)
}

/// Reads until the buffer is full; fewer bytes come only at the end.
fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A decoder's output, with errors about the damage of the file.
struct Decompressed<R>(R);

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let reason = format!("it does not decompress: {error}; make or download it again");
            io::Error::new(error.kind(), reason)
        })
    }
}
