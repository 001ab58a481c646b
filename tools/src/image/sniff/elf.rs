//! The head of ELF files: their machine, their dynamic loader, their libraries.
//!
//! Names of libraries lie near the start of a file, the list of them near its end. So the reader
//! holds the start, and the two parts of the rest the head points at. No header makes it hold or
//! look at more.

use object::elf;
use object::endian::Endianness;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};

use crate::image::files::{Elf, ElfKind, Machine};

/// How much of the start of an ELF file is held.
pub(super) const PREFIX_BYTES_MAX: usize = 4 << 20;

/// Largest dynamic section, and name of an interpreter, read behind the prefix.
const PART_BYTES_MAX: u64 = 64 << 10;

/// How many libraries one file may name, and how long a name may be.
const NEEDED_MAX: usize = 512;
const NAME_BYTES_MAX: usize = 1024;

const CLASS_32: u8 = elf::ELFCLASS32.0;
const CLASS_64: u8 = elf::ELFCLASS64.0;

/// Reads one file while its bytes pass.
#[derive(Debug)]
pub(super) struct ElfReader {
    prefix: Vec<u8>,
    /// Parts the head points at.
    parts: Vec<Part>,
    offset: u64,
    is_static: bool,
}

#[derive(Debug)]
struct Part {
    from: u64,
    size_bytes: u64,
    bytes: Vec<u8>,
}

impl ElfReader {
    /// A reader with the first bytes, if they are those of an ELF file.
    pub(super) fn begin(head: &[u8], size_bytes: u64) -> Option<Self> {
        if !head.starts_with(&elf::ELFMAG) {
            return None;
        }
        let parts = match head.get(4).copied() {
            Some(CLASS_32) => parts::<elf::FileHeader32<Endianness>>(head)?,
            Some(CLASS_64) => parts::<elf::FileHeader64<Endianness>>(head)?,
            _ => return None,
        };
        let (is_static, parts) = match parts {
            Parts::Known(parts) => (parts.is_empty(), parts),
            Parts::Unknown => (false, Vec::new()),
        };
        let behind = |part: &Part| part.from + part.size_bytes > PREFIX_BYTES_MAX as u64;
        let parts = parts.into_iter().filter(behind).collect();
        let capacity = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(PREFIX_BYTES_MAX);
        let mut prefix = Vec::new();
        if !is_static {
            // The size comes from the tar, so the tar has to bring the bytes before they cost
            // memory.
            prefix.reserve(capacity.min(head.len() * 16));
        }
        let mut reader = Self { prefix, parts, offset: 0, is_static };
        reader.take(head, true);
        Some(reader)
    }

    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.take(bytes, !self.is_static);
    }

    fn take(&mut self, bytes: &[u8], is_held: bool) {
        if is_held {
            let room = PREFIX_BYTES_MAX - self.prefix.len().min(PREFIX_BYTES_MAX);
            self.prefix.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        let (from, to) = (self.offset, self.offset + bytes.len() as u64);
        for part in &mut self.parts {
            let end = part.from + part.size_bytes;
            let (first, last) = (part.from.max(from), end.min(to));
            if first < last {
                let place = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
                let piece = bytes.get(place(first)..place(last)).unwrap_or_default();
                part.bytes.extend_from_slice(piece);
            }
        }
        self.offset = to;
    }

    /// The facts of the file; `None` if it is no ELF file after all.
    pub(super) fn finish(self) -> Option<Elf> {
        match self.prefix.get(4).copied() {
            Some(CLASS_32) => self.read::<elf::FileHeader32<Endianness>>(),
            _ => self.read::<elf::FileHeader64<Endianness>>(),
        }
    }

    /// Bytes of the file, as far as they are held.
    fn bytes(&self, from: u64, size_bytes: u64) -> Option<&[u8]> {
        let start = usize::try_from(from).ok()?;
        let length = usize::try_from(size_bytes).ok()?;
        if let Some(bytes) = self.prefix.get(start..start.checked_add(length)?) {
            return Some(bytes);
        }
        let part = self.parts.iter().find(|part| part.from == from)?;
        part.bytes.get(..length)
    }

    fn read<H: FileHeader<Endian = Endianness>>(&self) -> Option<Elf> {
        let header = H::parse(self.prefix.as_slice()).ok()?;
        let endian = header.endian().ok()?;
        let mut found = Elf {
            machine: Machine(header.e_machine(endian).0),
            is_64: header.is_type_64(),
            big_endian: endian == Endianness::Big,
            kind: match header.e_type(endian) {
                elf::ET_EXEC => ElfKind::Executable,
                elf::ET_DYN => ElfKind::Shared,
                _ => ElfKind::Other,
            },
            interpreter: None,
            needed: None,
            runpath: Vec::new(),
        };
        let Ok(headers) = header.program_headers(endian, self.prefix.as_slice()) else {
            return Some(found);
        };
        let of_type = |wanted| headers.iter().find(move |at| at.p_type(endian) == wanted);
        if let Some(at) = of_type(elf::PT_INTERP) {
            let path = self.bytes(at.p_offset(endian).into(), at.p_filesz(endian).into());
            let path = path.and_then(|path| path.split(|byte| *byte == 0).next());
            found.interpreter = path.filter(|path| path.len() <= NAME_BYTES_MAX).map(Into::into);
        }
        let Some(dynamic) = of_type(elf::PT_DYNAMIC) else {
            found.needed = Some(Vec::new());
            return Some(found);
        };
        let bytes = self.bytes(dynamic.p_offset(endian).into(), dynamic.p_filesz(endian).into());
        if let Some(names) = bytes.and_then(|bytes| self.names::<H>(endian, headers, bytes)) {
            found.runpath = names.runpath;
            found.needed = Some(names.needed);
        }
        Some(found)
    }

    /// The names in a dynamic section; `None` when one of them is not held.
    fn names<H: FileHeader<Endian = Endianness>>(
        &self,
        endian: Endianness,
        headers: &[H::ProgramHeader],
        dynamic: &[u8],
    ) -> Option<Names> {
        let whole = dynamic.len() / size_of::<H::Dyn>() * size_of::<H::Dyn>();
        let entries = object::pod::slice_from_all_bytes::<H::Dyn>(dynamic.get(..whole)?).ok()?;
        let mut table = None;
        let (mut needed, mut runpath, mut rpath) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let value: u64 = entry.d_val(endian).into();
            match entry.d_tag(endian) {
                elf::DT_NULL => break,
                elf::DT_STRTAB => table = Some(value),
                elf::DT_NEEDED if needed.len() < NEEDED_MAX => needed.push(value),
                elf::DT_NEEDED => return None,
                elf::DT_RUNPATH => runpath.push(value),
                elf::DT_RPATH => rpath.push(value),
                _ => {}
            }
        }
        if needed.is_empty() && runpath.is_empty() && rpath.is_empty() {
            return Some(Names { needed: Vec::new(), runpath: Vec::new() });
        }
        let address = table?;
        let table = headers.iter().find_map(|at| {
            let start: u64 = at.p_vaddr(endian).into();
            let inside = address.checked_sub(start)?;
            let is_in = at.p_type(endian) == elf::PT_LOAD && inside < at.p_filesz(endian).into();
            is_in.then(|| at.p_offset(endian).into()).and_then(|from: u64| from.checked_add(inside))
        })?;
        let name = |place: &u64| {
            let from = usize::try_from(table.checked_add(*place)?).ok()?;
            let rest = self.prefix.get(from..)?;
            let rest = rest.get(..NAME_BYTES_MAX).unwrap_or(rest);
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest.get(..end)
        };
        let needed: Option<Vec<Box<[u8]>>> =
            needed.iter().map(|place| name(place).map(Into::into)).collect();
        let folders = if runpath.is_empty() { rpath } else { runpath };
        let mut runpath = Vec::new();
        for place in folders.iter().take(1) {
            let folders = name(place)?.split(|byte| *byte == b':');
            runpath.extend(folders.filter(|at| !at.is_empty()).map(Box::from));
        }
        Some(Names { needed: needed?, runpath })
    }
}

struct Names {
    needed: Vec<Box<[u8]>>,
    runpath: Vec<Box<[u8]>>,
}

/// The parts of a file a loader reads names in.
enum Parts {
    /// None of a static program.
    Known(Vec<Part>),
    /// The first bytes do not say.
    Unknown,
}

/// Where a loader reads names; `None` when the bytes are no ELF header.
fn parts<H: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<Parts> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let Ok(headers) = header.program_headers(endian, head) else { return Some(Parts::Unknown) };
    let mut parts = Vec::new();
    for at in headers {
        if !matches!(at.p_type(endian), elf::PT_INTERP | elf::PT_DYNAMIC) || parts.len() == 2 {
            continue;
        }
        let (from, size_bytes): (u64, u64) =
            (at.p_offset(endian).into(), at.p_filesz(endian).into());
        let size_bytes = size_bytes.min(PART_BYTES_MAX);
        if from.checked_add(size_bytes).is_none() {
            return Some(Parts::Unknown);
        }
        parts.push(Part { from, size_bytes, bytes: Vec::new() });
    }
    Some(Parts::Known(parts))
}
