//! The process with the lock of a store, from the kernel's list of locks (`proc_locks(5)`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Readings of the list.
const READINGS: usize = 4;

/// The process with a lock on this file; `None` when the system does not tell it, as for a process
/// in another container.
pub(super) fn of(lock: &Path) -> Option<u32> {
    let about = fs::metadata(lock).ok()?;
    let device = about.dev();
    let file = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        about.ino()
    );
    // While others take and give back locks, one reading may miss a line.
    (0..READINGS).find_map(|_| {
        let list = fs::read_to_string("/proc/locks").ok()?;
        list.lines().find_map(|line| holder(line, &file))
    })
}

/// `1: POSIX  ADVISORY  WRITE 4711 fe:01:131074 0 EOF`; a line with `->` is a waiting process.
fn holder(line: &str, file: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let (_kind, _how, _what) = (words.next()?, words.next()?, words.next()?);
    let id = words.next()?.parse().ok()?;
    (words.next()? == file).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_read_from_the_line_of_the_file() {
        let line = "12: POSIX  ADVISORY  WRITE 4711 fe:01:131074 0 EOF";
        assert_eq!(holder(line, "fe:01:131074"), Some(4711));
        assert_eq!(holder(line, "fe:01:13107"), None);
        assert_eq!(
            holder("12: -> POSIX  ADVISORY  WRITE 4711 fe:01:131074 0 EOF", "fe:01:131074"),
            None
        );
        assert_eq!(
            holder("12: POSIX  ADVISORY  WRITE -1 fe:01:131074 0 EOF", "fe:01:131074"),
            None
        );
        assert_eq!(holder("nonsense", "fe:01:1"), None);
    }
}
