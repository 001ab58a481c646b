#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::image::tar_walk::{TarWalk, Visit};

/// A path and its content.
type Named = (Vec<u8>, Vec<u8>);

/// Every file of a tar as it would be on a disk.
#[derive(Default)]
struct Files {
    found: Vec<Named>,
    expander: Option<Expander>,
    fault: Option<SparseFault>,
}

impl Files {
    fn end(&mut self) {
        if let (Some(mut expander), Some((_, content))) =
            (self.expander.take(), self.found.last_mut())
        {
            let done = expander.finish(&mut |piece| put(content, piece));
            self.fault = self.fault.or(done.err());
        }
    }
}

fn put(content: &mut Vec<u8>, piece: SparsePiece<'_>) {
    match piece {
        SparsePiece::Data(bytes) => content.extend_from_slice(bytes),
        SparsePiece::Zeros(count) => {
            content.resize(content.len() + usize::try_from(count).unwrap(), 0);
        }
    }
}

impl Visit for Files {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.end();
        self.found.push((entry.path.to_vec(), Vec::new()));
        self.expander = Expander::new(entry);
        ControlFlow::Continue(())
    }

    fn part(&mut self, part: SparsePart) {
        let done = self.expander.as_mut().unwrap().part(part);
        self.fault = self.fault.or(done.err());
    }

    fn content(&mut self, bytes: &[u8]) {
        let (_, content) = self.found.last_mut().unwrap();
        let Some(expander) = &mut self.expander else { return content.extend_from_slice(bytes) };
        let done = expander.content(bytes, &mut |piece| put(content, piece));
        self.fault = self.fault.or(done.err());
    }
}

fn read(tar: &[u8], step: usize) -> Result<Vec<Named>, SparseFault> {
    let mut files = Files::default();
    let mut walk = TarWalk::new();
    for piece in tar.chunks(step) {
        walk.show(piece, &mut files).unwrap();
        if let Some(fault) = files.fault {
            return Err(fault);
        }
    }
    walk.finish().unwrap();
    files.end();
    files.fault.map_or(Ok(files.found), Err)
}

/// A file with holes of this many bytes between data, written by seeking.
fn with_holes(path: &Path, blocks: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    const STEP: usize = 64 * 1024;
    let file = std::fs::File::create(path).unwrap();
    let mut content = vec![0; blocks * STEP + 5000];
    for block in 0..blocks {
        let at = block * STEP + 4096 * (block % 3);
        let data = vec![b'a' + u8::try_from(block % 20).unwrap(); 4096];
        file.write_all_at(&data, at as u64).unwrap();
        content[at..at + data.len()].copy_from_slice(&data);
    }
    file.set_len(content.len() as u64).unwrap();
    content
}

#[test]
fn what_gnu_tar_packs_in_every_form_is_expanded() {
    let folder = tempfile::tempdir().unwrap();
    let (few, many) = (folder.path().join("few"), folder.path().join("many"));
    let expected = [with_holes(&few, 3), with_holes(&many, 60), vec![0; 1 << 20]];
    std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
    let forms = [
        ["--format=gnu", "--sparse"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ];
    for form in forms {
        let tar = Command::new("tar")
            .args(form)
            .args(["--sparse", "-cf", "-", "few", "many", "hole"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(tar.status.success(), "{form:?}");
        if tar.stdout.len() > 1 << 20 {
            skipped();
            return;
        }
        for step in [1, 511, 4096, tar.stdout.len()] {
            let files = read(&tar.stdout, step).unwrap();
            assert_eq!(files.len(), 3, "{form:?}");
            for ((name, content), (wanted, expected)) in
                files.iter().zip(["few", "many", "hole"].iter().zip(&expected))
            {
                assert_eq!(name, wanted.as_bytes(), "{form:?}");
                assert!(content == expected, "{form:?} {wanted}");
            }
        }
    }
}

#[allow(clippy::print_stderr)]
fn skipped() {
    eprintln!("SKIPPED: this file system keeps no holes");
}

fn expander(size_bytes: u64, map_in_content: bool) -> Expander {
    let map = map_in_content.then(Map::default);
    Expander { size_bytes, parts: Vec::new(), listed_to: 0, part: 0, filled: 0, made: 0, map }
}

/// Makes a file of parts and content.
fn make(size: u64, parts: &[(u64, u64)], content: &[u8]) -> Result<Vec<u8>, SparseFault> {
    let mut expander = expander(size, false);
    for (offset, size_bytes) in parts {
        expander.part(SparsePart { offset: *offset, size_bytes: *size_bytes })?;
    }
    let mut made = Vec::new();
    expander.content(content, &mut |piece| put(&mut made, piece))?;
    expander.finish(&mut |piece| put(&mut made, piece))?;
    Ok(made)
}

#[test]
fn parts_that_lie_are_told() {
    assert_eq!(make(6, &[(1, 2), (4, 1), (6, 0)], b"abc").unwrap(), b"\0ab\0c\0");
    assert_eq!(make(3, &[], b"").unwrap(), [0; 3]);
    assert_eq!(make(9, &[(1, 2), (2, 1)], b"abc"), Err(SparseFault::Parts));
    assert_eq!(make(9, &[(4, 1), (1, 2)], b"abc"), Err(SparseFault::Parts));
    assert_eq!(make(9, &[(8, 2)], b"ab"), Err(SparseFault::Parts));
    assert_eq!(make(9, &[(u64::MAX, 2)], b"ab"), Err(SparseFault::Parts));
    assert_eq!(make(9, &[(1, 2)], b"a"), Err(SparseFault::Content));
    assert_eq!(make(9, &[(1, 2)], b"abc"), Err(SparseFault::Content));
    let many: Vec<(u64, u64)> = (0..=PARTS_MAX as u64).map(|at| (at, 0)).collect();
    assert_eq!(make(1 << 30, &many, b""), Err(SparseFault::TooMany));
}

#[test]
fn a_map_in_the_content_that_lies_is_told() {
    let map = |text: &str| {
        let mut expander = expander(100, true);
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        expander.content(&bytes, &mut |_| ()).and_then(|()| expander.finish(&mut |_| ()))
    };
    assert_eq!(map("1\n0\n0\n"), Ok(()));
    assert_eq!(map("0\n"), Ok(()));
    assert_eq!(map("1\n0\n"), Err(SparseFault::Map));
    assert_eq!(map("1\n0\nx\n"), Err(SparseFault::Map));
    assert_eq!(map("\n"), Err(SparseFault::Map));
    assert_eq!(map("1\n0\n200\n"), Err(SparseFault::Parts));
    assert_eq!(map("99999999\n"), Err(SparseFault::TooMany));
    assert_eq!(map(&"9".repeat(400)), Err(SparseFault::Map));
    let mut cut = expander(100, true);
    cut.content(b"1\n0\n4\n", &mut |_| ()).unwrap();
    assert_eq!(cut.finish(&mut |_| ()), Err(SparseFault::Map));
}

proptest! {
    #[test]
    fn any_file_comes_back_from_its_parts(
        holes in prop::collection::vec((0_u64..50, 0_usize..50), 0..20), end in 0_u64..50,
        step in 1_usize..40, in_content: bool,
    ) {
        let (mut file, mut parts, mut packed) = (Vec::new(), Vec::new(), Vec::new());
        for (hole, length) in holes {
            put(&mut file, SparsePiece::Zeros(hole));
            parts.push((file.len(), length));
            let data = vec![b'x'; length];
            file.extend_from_slice(&data);
            packed.extend(data);
        }
        put(&mut file, SparsePiece::Zeros(end));
        let mut expander = expander(file.len() as u64, in_content);
        if in_content {
            let lines = parts.iter().map(|(offset, length)| format!("{offset}\n{length}\n"));
            let mut map = format!("{}\n{}", parts.len(), lines.collect::<String>()).into_bytes();
            map.resize(map.len().next_multiple_of(512), 0);
            packed = [map, packed].concat();
        } else {
            for (offset, length) in parts {
                expander.part(SparsePart { offset: offset as u64, size_bytes: length as u64 }).unwrap();
            }
        }
        let mut made = Vec::new();
        for piece in packed.chunks(step) {
            expander.content(piece, &mut |piece| put(&mut made, piece)).unwrap();
        }
        expander.finish(&mut |piece| put(&mut made, piece)).unwrap();
        prop_assert!(made == file);
    }
}
