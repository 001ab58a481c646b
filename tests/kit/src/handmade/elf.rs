//! Programs of a few hundred bytes: true ELF headers, an interpreter and needed libraries where a
//! test wants them, and no code.

const HEADER_BYTES: u64 = 64;
const SEGMENT_BYTES: u64 = 56;
/// Where the file lies in memory.
const ADDRESS: u64 = 0x40_0000;

/// The number of a machine in an ELF header.
pub const X86_64: u16 = 62;
/// The same for arm64.
pub const AARCH64: u16 = 183;

/// The headers of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The number of its machine.
    pub machine: u16,
    /// The loader of a dynamically linked program.
    pub interpreter: Option<&'static str>,
    /// The needed libraries.
    pub needed: Vec<&'static str>,
}

impl Program {
    /// A program without needed libraries.
    pub const fn of(machine: u16) -> Self {
        Self { machine, interpreter: None, needed: Vec::new() }
    }

    /// The ELF file.
    pub fn bytes(&self) -> Vec<u8> {
        let count = 1 + u64::from(self.interpreter.is_some()) + u64::from(!self.needed.is_empty());
        let mut tail = Vec::new();
        let start = HEADER_BYTES + count * SEGMENT_BYTES;
        let mut segments = Vec::new();
        if let Some(interpreter) = self.interpreter {
            let at = start + tail.len() as u64;
            tail.extend(interpreter.bytes().chain([0]));
            segments.push((3_u32, at, interpreter.len() as u64 + 1));
        }
        if !self.needed.is_empty() {
            let strings = start + tail.len() as u64;
            let mut table = vec![0_u8];
            let mut dynamic: Vec<(u64, u64)> = Vec::new();
            for name in &self.needed {
                dynamic.push((1, table.len() as u64));
                table.extend(name.bytes().chain([0]));
            }
            dynamic.extend([(5, ADDRESS + strings), (10, table.len() as u64), (0, 0)]);
            tail.extend(table);
            tail.resize(tail.len().next_multiple_of(8), 0);
            let at = start + tail.len() as u64;
            for (tag, value) in &dynamic {
                tail.extend(tag.to_le_bytes().into_iter().chain(value.to_le_bytes()));
            }
            segments.push((2, at, dynamic.len() as u64 * 16));
        }
        segments.insert(0, (1, 0, start + tail.len() as u64));
        let mut file = self.header(count);
        for (kind, offset, size) in segments {
            file.extend(kind.to_le_bytes().into_iter().chain(5_u32.to_le_bytes()));
            for word in [offset, ADDRESS + offset, ADDRESS + offset, size, size, 0x1000] {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(tail);
        file
    }

    fn header(&self, segments: u64) -> Vec<u8> {
        let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(2_u16.to_le_bytes().into_iter().chain(self.machine.to_le_bytes()));
        header.extend(1_u32.to_le_bytes());
        for word in [ADDRESS, HEADER_BYTES, 0] {
            header.extend(word.to_le_bytes());
        }
        header.extend(0_u32.to_le_bytes());
        let segments = u16::try_from(segments).unwrap_or_default();
        for half in [64_u16, 56, segments, 64, 0, 0] {
            header.extend(half.to_le_bytes());
        }
        header
    }
}
