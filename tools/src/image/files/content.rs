//! The content of a file: its kind by its first bytes, and the texts for rules.

use bytes::Bytes;

/// The facts of a file's content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileContent {
    pub magic: Magic,
    /// All of it, for a text rules read.
    pub text: Option<Bytes>,
}

/// The kind of a file by its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Magic {
    /// None of the others, or the bytes were not looked at.
    #[default]
    Other,
    /// It has no bytes.
    Empty,
    /// A program or a library.
    Elf(Box<Elf>),
    /// A script, with the line after `#!`, without the blanks around it.
    Script(Box<[u8]>),
    /// A private key, with the name of its form.
    PrivateKey(&'static str),
    /// The test file every scanner of malware reports.
    Eicar,
}

/// The head of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    pub machine: Machine,
    /// Whether addresses have 64 bits.
    pub is_64: bool,
    /// Whether the greater byte comes first.
    pub big_endian: bool,
    /// Program, library or neither.
    pub kind: ElfKind,
    /// The path of its dynamic loader (`PT_INTERP`).
    pub interpreter: Option<Box<[u8]>>,
    /// The libraries it names (`DT_NEEDED`); `None` if they were not looked at.
    pub needed: Option<Vec<Box<[u8]>>>,
    /// Where it wants them to be looked for (`DT_RUNPATH`, else `DT_RPATH`), one folder each.
    pub runpath: Vec<Box<[u8]>>,
}

/// The kind of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfKind {
    /// A program at a fixed address.
    Executable,
    /// A library, or a program at any address.
    Shared,
    /// An object file, a core dump.
    Other,
}

/// `e_machine` of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(pub u16);

impl Machine {
    /// 32-bit x86.
    pub const X86: Self = Self(3);
    /// 32-bit ARM.
    pub const ARM: Self = Self(40);
    /// IBM Z.
    pub const S390: Self = Self(22);
    /// 64-bit POWER.
    pub const PPC64: Self = Self(21);
    /// 64-bit x86.
    pub const X86_64: Self = Self(62);
    /// 64-bit ARM.
    pub const AARCH64: Self = Self(183);
    /// RISC-V of any width.
    pub const RISCV: Self = Self(243);
    /// MIPS of any width.
    pub const MIPS: Self = Self(8);
    /// `LoongArch`.
    pub const LOONGARCH: Self = Self(258);

    /// Its usual name; `None` for a machine no platform of images has.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::X86 => "386",
            Self::ARM => "arm",
            Self::S390 => "s390x",
            Self::PPC64 => "ppc64",
            Self::X86_64 => "amd64",
            Self::AARCH64 => "arm64",
            Self::RISCV => "riscv64",
            Self::MIPS => "mips",
            Self::LOONGARCH => "loong64",
            _ => return None,
        })
    }
}

/// The content of a file without known facts.
pub(super) static OTHER: FileContent = FileContent { magic: Magic::Other, text: None };
/// A file without bytes.
pub(super) static EMPTY: FileContent = FileContent { magic: Magic::Empty, text: None };

impl FileContent {
    /// Of a file without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self { magic: Magic::Empty, text: None }
    }

    /// The content of a text for rules.
    #[must_use]
    pub fn of_text(text: impl Into<Bytes>) -> Self {
        Self { magic: Magic::Other, text: Some(text.into()) }
    }

    /// About how many bytes it takes in memory, besides its entry.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let magic = match &self.magic {
            Magic::Other | Magic::Empty if self.text.is_none() => return 0,
            Magic::Other | Magic::Empty | Magic::PrivateKey(_) | Magic::Eicar => 0,
            Magic::Script(line) => line.len(),
            Magic::Elf(elf) => {
                let names = elf.needed.iter().flatten().chain(&elf.runpath).chain(&elf.interpreter);
                size_of::<Elf>() + names.map(|name| name.len() + 32).sum::<usize>()
            }
        };
        size_of::<Self>() + magic + self.text.as_ref().map_or(0, Bytes::len)
    }
}
