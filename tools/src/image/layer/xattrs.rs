//! Extended attributes of a layer's files: file capabilities are kept, others are only named.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::fs::{Mode, OFlags, fgetxattr, flistxattr, lgetxattr, llistxattr, openat};
use rustix::io::Errno;

use crate::image::tar_write::Attribute;

/// Most bytes of all names of one file, and of a value, as the kernel counts.
const LIST_BYTES_MAX: usize = 64 * 1024;

const CAPABILITY: &[u8] = b"security.capability";

/// Attributes file systems and kernels put on every file by themselves; an image does not need
/// them.
const SILENT: [&[u8]; 5] =
    [b"security.selinux", b"security.ima", b"security.evm", b"system.nfs4_acl", b"system.cifs_acl"];

/// Revision and size of `struct vfs_cap_data`, little endian (linux/capability.h).
const REVISION_MASK: u32 = 0xFF00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const BYTES_2: usize = 20;
const BYTES_3: usize = 24;

/// The file capabilities of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Capabilities {
    /// They count for every user of the file.
    Everywhere(Attribute),
    /// They counted in the user namespace of this root user; here written for every namespace.
    OfNamespace(Attribute, u32),
    /// In a form no kernel takes from an engine.
    Unknown,
}

/// Reads the attributes of files, and counts the left-out ones.
#[derive(Debug)]
pub(super) struct Xattrs {
    buffer: Vec<u8>,
    /// Left-out names, each with its number of files and the first of them.
    pub(super) left_out: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

/// Most names of attributes in memory.
const NAMES_MAX: usize = 100;

impl Xattrs {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; LIST_BYTES_MAX], left_out: BTreeMap::new() }
    }

    /// The capabilities of an entry of a folder; `path` is its name in remarks on other attributes.
    pub(super) fn of_entry(
        &mut self,
        folder: impl AsFd,
        name: &[u8],
        path: &[u8],
    ) -> io::Result<Option<Capabilities>> {
        // The kernel resolves a descriptor's own link, even after a change of the folder's name.
        let fd = folder.as_fd().as_raw_fd();
        let place = [format!("/proc/self/fd/{fd}/").as_bytes(), name].concat();
        let length = match llistxattr(&place, self.buffer.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(None),
            // There is no /proc here, perhaps.
            Err(Errno::NOENT) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                return self.of_file(openat(folder, name, flags, Mode::empty())?, path);
            }
            Err(error) => return Err(error.into()),
        };
        if !self.note(length, path) {
            return Ok(None);
        }
        let length = lgetxattr(&place, CAPABILITY, self.buffer.as_mut_slice())?;
        Ok(Some(parse(self.buffer.get(..length).unwrap_or_default())))
    }

    /// The capabilities of an open file.
    pub(super) fn of_file(
        &mut self,
        file: impl AsFd,
        path: &[u8],
    ) -> io::Result<Option<Capabilities>> {
        let length = match flistxattr(&file, self.buffer.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !self.note(length, path) {
            return Ok(None);
        }
        let length = fgetxattr(&file, CAPABILITY, self.buffer.as_mut_slice())?;
        Ok(Some(parse(self.buffer.get(..length).unwrap_or_default())))
    }

    /// Counts the names in the buffer; whether the capabilities are among them.
    fn note(&mut self, length: usize, path: &[u8]) -> bool {
        let names = self.buffer.get(..length).unwrap_or_default();
        let mut has_capability = false;
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if name == CAPABILITY {
                has_capability = true;
            } else if let Some((count, _)) = self.left_out.get_mut(name) {
                *count += 1;
            } else if !SILENT.contains(&name) && self.left_out.len() < NAMES_MAX {
                self.left_out.insert(name.to_vec(), (1, path.to_vec()));
            }
        }
        has_capability
    }
}

fn parse(value: &[u8]) -> Capabilities {
    let word = |at: usize| {
        let bytes = value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default())
    };
    let magic = word(0);
    let attribute = |value: Vec<u8>| Attribute { name: CAPABILITY.to_vec(), value };
    match (magic & REVISION_MASK, value.len()) {
        (REVISION_2, BYTES_2) => Capabilities::Everywhere(attribute(value.to_vec())),
        (REVISION_3, BYTES_3) => {
            let magic = (magic & !REVISION_MASK) | REVISION_2;
            let sets = value.get(4..BYTES_2).unwrap_or_default();
            let value = [magic.to_le_bytes().as_slice(), sets].concat();
            match word(BYTES_2) {
                0 => Capabilities::Everywhere(attribute(value)),
                root => Capabilities::OfNamespace(attribute(value), root),
            }
        }
        _ => Capabilities::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_a_namespace_lose_their_root_and_odd_ones_are_told_apart() {
        let sets = [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].as_slice();
        let second = [&[1, 0, 0, 2], sets].concat();
        let third = |root: u32| [&[1, 0, 0, 3], sets, &root.to_le_bytes()].concat();
        let attribute = Attribute { name: b"security.capability".to_vec(), value: second.clone() };
        assert_eq!(parse(&second), Capabilities::Everywhere(attribute.clone()));
        assert_eq!(parse(&third(0)), Capabilities::Everywhere(attribute.clone()));
        assert_eq!(parse(&third(100_000)), Capabilities::OfNamespace(attribute, 100_000));
        for odd in [b"".as_slice(), &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], &third(1)[..23]] {
            assert_eq!(parse(odd), Capabilities::Unknown);
        }
    }
}
