//! Looks at the content of files while their bytes pass: their kind by their first bytes, and the
//! whole of the texts for rules.
//!
//! Invariant: of a file at most its first [`HEAD_BYTES`] are held, of an ELF file
//! [`elf::PREFIX_BYTES_MAX`] more, of a text for rules all, up to its bound.

mod elf;
mod kept;
mod keys;

use std::sync::LazyLock;

use wharf_oci::{Algorithm, Digest, Digester};

use self::elf::ElfReader;
use super::files::{FileContent, Magic};

/// How much of each file is looked at. Keys begin within it; headers of programs lie within it.
const HEAD_BYTES: usize = 4096;

/// Longest first line of a script, as the kernel reads it.
const SCRIPT_BYTES_MAX: usize = 256;

/// The test file of malware scanners has 68 bytes, and blanks up to 128.
const EICAR_BYTES: usize = 68;
const EICAR_FILE_BYTES_MAX: u64 = 128;
/// Its digest: the text itself would make every scanner report this program.
const EICAR_SHA256: &str =
    "sha256:275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

static EICAR: LazyLock<Option<Digest>> = LazyLock::new(|| EICAR_SHA256.parse().ok());

/// Looks at one file after the other; its buffers are used again.
#[derive(Debug, Default)]
pub struct Sniffer {
    head: Vec<u8>,
    elf: Option<ElfReader>,
    /// The text to keep, and its final length.
    text: Option<Vec<u8>>,
    size_bytes: u64,
    is_running: bool,
}

impl Sniffer {
    /// A file begins; the path is the one in the image's root.
    pub fn begin(&mut self, path: &[u8], size_bytes: u64) {
        self.head.clear();
        self.elf = None;
        self.size_bytes = size_bytes;
        self.is_running = true;
        let bytes_max = kept::bytes_max(path);
        self.text = (bytes_max > 0 && size_bytes <= bytes_max).then(Vec::new);
    }

    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        if !self.is_running {
            return;
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(bytes);
        }
        if let Some(elf) = &mut self.elf {
            return elf.update(bytes);
        }
        let missing = HEAD_BYTES - self.head.len();
        if missing == 0 {
            return;
        }
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.head.extend_from_slice(head);
        if self.head.len() == HEAD_BYTES
            && let Some(mut elf) = ElfReader::begin(&self.head, self.size_bytes)
        {
            elf.update(rest);
            self.elf = Some(elf);
        }
    }

    /// The file ends; `None` when none began.
    pub fn finish(&mut self) -> Option<FileContent> {
        if !std::mem::take(&mut self.is_running) {
            return None;
        }
        let text = self.text.take().map(Into::into);
        let elf = match self.elf.take() {
            Some(elf) => elf.finish(),
            None => ElfReader::begin(&self.head, self.size_bytes).and_then(ElfReader::finish),
        };
        let magic = match elf {
            Some(elf) => Magic::Elf(Box::new(elf)),
            None => self.magic(),
        };
        Some(FileContent { magic, text })
    }

    fn magic(&self) -> Magic {
        if self.size_bytes == 0 {
            return Magic::Empty;
        }
        if let Some(rest) = self.head.strip_prefix(b"#!") {
            let rest = rest.get(..SCRIPT_BYTES_MAX).unwrap_or(rest);
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            // A carriage return stays: to the kernel it is part of the name.
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let start = line.iter().take_while(|byte| is_blank(byte)).count();
            let end = line.iter().rev().take_while(|byte| is_blank(byte)).count();
            let line = line.get(start..line.len() - end).unwrap_or_default();
            return Magic::Script(line.into());
        }
        if let Some(form) = keys::form(&self.head) {
            return Magic::PrivateKey(form);
        }
        if self.is_eicar() { Magic::Eicar } else { Magic::Other }
    }

    fn is_eicar(&self) -> bool {
        if self.size_bytes > EICAR_FILE_BYTES_MAX {
            return false;
        }
        let Some(start) = self.head.get(..EICAR_BYTES) else { return false };
        *EICAR == Some(Digester::digest(Algorithm::Sha256, start))
    }
}

#[cfg(test)]
mod tests;
