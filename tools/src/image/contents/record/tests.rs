#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::time::UNIX_EPOCH;

use super::*;

fn digests(byte: u8) -> FileDigests {
    FileDigests { sha256: [byte; 32], sha1: [byte; 20] }
}

/// A file with times in the past, and its stamp.
fn old_file(path: &Path) -> Stamp {
    fs::write(path, "content").unwrap();
    let mut stamp = Stamp::of_metadata(&fs::metadata(path).unwrap());
    stamp.mtime.0 -= 100;
    stamp.ctime.0 -= 100;
    stamp
}

#[test]
fn what_was_recorded_is_found_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let stamp = old_file(&path);
    let record = ContentsRecord::open(&folder.path().join("w"));
    record.add(&path, stamp, digests(1));
    record.save();
    let again = ContentsRecord::open(&folder.path().join("w"));
    assert_eq!(again.find(&path, &stamp), Some(digests(1)));
    assert_eq!(again.find(&folder.path().join("b"), &stamp), None);
}

#[test]
fn any_part_of_a_stamp_that_differs_makes_it_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let stamp = old_file(&path);
    let record = ContentsRecord::unkept();
    record.add(&path, stamp, digests(1));
    let others = [
        Stamp { size_bytes: stamp.size_bytes + 1, ..stamp },
        Stamp { mtime: (stamp.mtime.0, stamp.mtime.1 + 1), ..stamp },
        Stamp { mtime: (stamp.mtime.0 + 1, stamp.mtime.1), ..stamp },
        Stamp { ctime: (stamp.ctime.0, stamp.ctime.1 + 1), ..stamp },
        Stamp { ctime: (stamp.ctime.0 + 1, stamp.ctime.1), ..stamp },
        Stamp { inode: stamp.inode + 1, ..stamp },
    ];
    for other in others {
        assert_eq!(record.find(&path, &other), None, "{other:?}");
    }
    assert_eq!(record.find(&path, &stamp), Some(digests(1)));
}

#[test]
fn a_file_that_just_changed_is_not_recorded() {
    let record = ContentsRecord::unkept();
    let path = Path::new("/x");
    let now = record.began.duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(now.as_secs()).unwrap();
    let at = |seconds: i64, nanos: i64| Stamp {
        device: 1,
        inode: 1,
        mode: 0o10_0644,
        size_bytes: 1,
        mtime: (0, 1),
        ctime: (seconds, nanos),
    };
    let fresh = [
        at(seconds, i64::from(now.subsec_nanos())),
        at(seconds + 1000, 5),
        at(seconds - 1, 0),
        Stamp { mtime: (seconds + 1, 1), ..at(0, 1) },
    ];
    for stamp in fresh {
        record.add(path, stamp, digests(1));
        assert_eq!(record.find(path, &stamp), None, "{stamp:?}");
    }
    let settled = [at(seconds - 2, 1), at(seconds - 60, 0), at(-5, 7)];
    for stamp in settled {
        record.add(path, stamp, digests(1));
        assert_eq!(record.find(path, &stamp), Some(digests(1)), "{stamp:?}");
    }
}

#[test]
fn a_damaged_record_is_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let stamp = old_file(&path);
    let record = ContentsRecord::open(folder.path());
    record.add(&path, stamp, digests(1));
    record.save();
    let file = folder.path().join(FILE);
    let whole = fs::read(&file).unwrap();
    for at in [0, MAGIC.len(), MAGIC.len() + 20, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(ContentsRecord::open(folder.path()).find(&path, &stamp), None, "byte {at}");
    }
    fs::write(&file, &whole[..whole.len() - 40]).unwrap();
    assert_eq!(ContentsRecord::open(folder.path()).find(&path, &stamp), None);
    fs::write(&file, &whole).unwrap();
    assert!(ContentsRecord::open(folder.path()).find(&path, &stamp).is_some());
}

#[test]
fn a_record_that_cannot_be_written_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let stamp = old_file(&path);
    let record = ContentsRecord::open(&path);
    record.add(&path, stamp, digests(1));
    record.save();
    assert_eq!(fs::read(&path).unwrap(), b"content");
}
