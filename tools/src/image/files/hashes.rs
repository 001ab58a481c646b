//! Hashes of contents, for the comparison of images alone. A file has no link, so its hash stands
//! in the place of a link.

use super::{File, FileKind, LayerFilesBuilder};

/// Length of a hash in bytes: half of SHA-256, by which no two files are equal by chance or intent.
pub const CONTENT_HASH_BYTES: usize = 16;

impl LayerFilesBuilder {
    /// Sets the content hash of the last entry; only files with bytes have one.
    pub fn content_hash(&mut self, hash: [u8; CONTENT_HASH_BYTES]) {
        let files = self.files_mut();
        let end = files.names.len();
        let Some(entry) = files.entries.last_mut().filter(|entry| entry.kind == FileKind::File)
        else {
            return;
        };
        let is_last = entry.name_at as usize + entry.path_bytes as usize == end;
        let has_room = u32::try_from(end + CONTENT_HASH_BYTES).is_ok();
        if let (true, true, Ok(length)) = (is_last, has_room, u32::try_from(CONTENT_HASH_BYTES)) {
            entry.link_bytes = length;
            files.names.extend_from_slice(&hash);
        }
    }
}

impl File<'_> {
    /// The hash of its content, if the reader made hashes.
    #[must_use]
    pub fn content_hash(&self) -> Option<[u8; CONTENT_HASH_BYTES]> {
        self.link.try_into().ok().filter(|_| self.kind() == FileKind::File)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::super::{FileView, NewFile};
    use super::*;

    #[test]
    fn a_hash_belongs_to_its_file_and_is_no_link() {
        let mut layer = LayerFilesBuilder::new();
        layer.push(&NewFile { path: b"a", size_bytes: 3, ..NewFile::default() });
        layer.content_hash([7; 16]);
        layer.push(&NewFile { path: b"b", size_bytes: 3, ..NewFile::default() });
        let link = NewFile { path: b"c", kind: FileKind::Symlink, ..NewFile::default() };
        layer.push(&NewFile { link: b"sixteen-letters-", ..link });
        layer.content_hash([8; 16]);
        layer.push(&NewFile {
            path: b"d",
            kind: FileKind::HardLink,
            link: b"a",
            ..NewFile::default()
        });
        let view = FileView::merge(&[Arc::new(layer.finish())]);
        assert_eq!(view.get(b"a").unwrap().content_hash(), Some([7; 16]));
        assert_eq!(view.get(b"a").unwrap().link(), b"");
        assert_eq!(view.get(b"b").unwrap().content_hash(), None);
        assert_eq!(view.get(b"c").unwrap().content_hash(), None);
        assert_eq!(view.get(b"c").unwrap().link(), b"sixteen-letters-");
        assert_eq!(view.get(b"d").unwrap().content_hash(), Some([7; 16]));
    }
}
