//! Where the last block of a deflate stream starts and ends (RFC 1951, section 3.2).
//!
//! The symbols of every block are read and dropped: nothing else says where a block ends.

// Numbers are masked to their significant bits before they are made smaller.
#![allow(clippy::cast_possible_truncation)]

/// How many bits of a code the table of literals and lengths is asked by.
const LITERAL_BITS: u32 = 11;

/// The same for the table of distances, and for that of the lengths of codes.
const DISTANCE_BITS: u32 = 9;

/// Longest code, in bits (RFC 1951, section 3.2.7).
const CODE_BITS_MAX: u32 = 15;

/// The symbol at the end of a block.
const END_OF_BLOCK: u16 = 256;

/// The order of the code lengths' own code lengths.
const LENGTHS_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The place of the last block, in bits from the start of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FinalBlock {
    /// The position of its first bit, the mark of the last block.
    pub(super) start: usize,
    /// The first bit behind it.
    pub(super) end: usize,
}

/// Finds the last block; `None` when the bytes are no deflate stream, or are cut.
pub(super) fn find(stream: &[u8]) -> Option<FinalBlock> {
    let mut bits = Bits { bytes: stream, at: 0, buffer: 0, count: 0 };
    loop {
        let start = bits.position();
        bits.refill();
        let is_final = bits.take(1) == 1;
        match bits.take(2) {
            0 => bits.skip_stored()?,
            1 => skip_symbols(&mut bits, &Codes::fixed())?,
            2 => {
                let codes = Codes::read(&mut bits)?;
                skip_symbols(&mut bits, &codes)?;
            }
            _ => return None,
        }
        let end = bits.position();
        if end > stream.len() * 8 {
            return None;
        }
        if is_final {
            return Some(FinalBlock { start, end });
        }
    }
}

/// Bits from the lowest of each byte to its highest.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to load.
    at: usize,
    buffer: u64,
    /// How many bits of the buffer count.
    count: u32,
}

impl Bits<'_> {
    /// Loads at least 56 bits. Behind the end the bits are zeros; `position` shows them.
    #[inline]
    fn refill(&mut self) {
        let next = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>());
        let bytes = next.map_or_else(|| self.tail(), |chunk| u64::from_le_bytes(*chunk));
        // The bits above `count` are those the next load brings again.
        self.buffer |= bytes << self.count;
        let loaded = (63 - self.count) >> 3;
        self.at += loaded as usize;
        self.count += loaded * 8;
    }

    #[cold]
    fn tail(&self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        rest.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    #[inline]
    fn drop_bits(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    /// The next of the loaded bits.
    #[inline]
    fn take(&mut self, count: u32) -> u32 {
        let bits = self.buffer & ((1 << count) - 1);
        self.drop_bits(count);
        bits as u32
    }

    const fn position(&self) -> usize {
        self.at * 8 - self.count as usize
    }

    fn skip_stored(&mut self) -> Option<()> {
        let start = self.position().div_ceil(8);
        let [low, high, ..] = *self.bytes.get(start..)?.first_chunk::<4>()?;
        self.at = start + 4 + usize::from(u16::from_le_bytes([low, high]));
        (self.buffer, self.count) = (0, 0);
        Some(())
    }
}

/// The element after a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A symbol follows.
    Symbol,
    /// A distance follows.
    Distance,
    /// The next block.
    Block,
    /// The code is longer than the table knows.
    Longer,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// How many bits the code and its extra bits take.
    bits: u8,
    next: Next,
}

const LONGER: Entry = Entry { bits: 0, next: Next::Longer };

/// The codes of a block.
struct Codes {
    literals: Code<{ 1 << LITERAL_BITS }>,
    distances: Code<{ 1 << DISTANCE_BITS }>,
}

impl Codes {
    fn fixed() -> Self {
        let mut lengths = [8_u8; 288];
        lengths.iter_mut().take(256).skip(144).for_each(|length| *length = 9);
        lengths.iter_mut().take(280).skip(256).for_each(|length| *length = 7);
        let literals = Code::new(&lengths, LITERAL_BITS, literal);
        Self { literals, distances: Code::new(&[5; 30], DISTANCE_BITS, distance) }
    }

    /// Reads the codes at the start of a block.
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let literals = bits.take(5) as usize + 257;
        let distances = bits.take(5) as usize + 1;
        let mut lengths = [0_u8; 19];
        for place in LENGTHS_ORDER.iter().take(bits.take(4) as usize + 4) {
            bits.refill();
            *lengths.get_mut(*place)? = bits.take(3) as u8;
        }
        let code: Code<{ 1 << DISTANCE_BITS }> = Code::new(&lengths, DISTANCE_BITS, plain);
        let mut lengths = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            bits.refill();
            let (taken, symbol) = code.symbol(bits.buffer)?;
            bits.drop_bits(taken);
            let (length, times) = match symbol {
                16 => (*lengths.last()?, 3 + bits.take(2)),
                17 => (0, 3 + bits.take(3)),
                18 => (0, 11 + bits.take(7)),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times as usize));
        }
        let (literals, rest) = lengths.split_at_checked(literals)?;
        let distances = rest.get(..distances)?;
        let literals = Code::new(literals, LITERAL_BITS, literal);
        Some(Self { literals, distances: Code::new(distances, DISTANCE_BITS, distance) })
    }
}

/// A symbol of the alphabet of literals and lengths: its extra bits, and the next element.
fn literal(symbol: u16) -> (u8, Next) {
    match symbol {
        0..END_OF_BLOCK => (0, Next::Symbol),
        END_OF_BLOCK => (0, Next::Block),
        257..=264 | 285.. => (0, Next::Distance),
        265..=284 => (((symbol - 261) / 4) as u8, Next::Distance),
    }
}

fn distance(symbol: u16) -> (u8, Next) {
    (symbol.saturating_sub(2) as u8 / 2, Next::Symbol)
}

fn plain(_: u16) -> (u8, Next) {
    (0, Next::Symbol)
}

/// A Huffman code: a table for short codes by their first bits, and the whole code for longer ones.
struct Code<const SIZE: usize> {
    table: [Entry; SIZE],
    /// How many codes there are of each length.
    counts: [u16; CODE_BITS_MAX as usize + 1],
    /// The symbols by length, then by value.
    symbols: Vec<u16>,
    meaning: fn(u16) -> (u8, Next),
}

impl<const SIZE: usize> Code<SIZE> {
    fn new(lengths: &[u8], table_bits: u32, meaning: fn(u16) -> (u8, Next)) -> Self {
        let mut counts = [0_u16; CODE_BITS_MAX as usize + 1];
        let mut symbols = Vec::with_capacity(lengths.len());
        let mut table = [LONGER; SIZE];
        let mut code = 0_u16;
        for (length, count) in (0_u32..).zip(&mut counts).skip(1) {
            code <<= 1;
            let of_length =
                (0_u16..).zip(lengths).filter(|(_, given)| u32::from(**given) == length);
            for (symbol, _) in of_length {
                if length <= table_bits {
                    let first = usize::from(code.reverse_bits() >> (16 - length));
                    let (extra, next) = meaning(symbol);
                    let entry = Entry { bits: length as u8 + extra, next };
                    let slots = table.iter_mut().skip(first).step_by(1 << length);
                    slots.for_each(|slot| *slot = entry);
                }
                symbols.push(symbol);
                *count += 1;
                code = code.wrapping_add(1);
            }
        }
        Self { table, counts, symbols, meaning }
    }

    #[inline]
    fn entry(&self, buffer: u64) -> Option<Entry> {
        let place = buffer as usize & (SIZE - 1);
        let entry = self.table.get(place).copied().unwrap_or(LONGER);
        if entry.next == Next::Longer { self.long_entry(buffer) } else { Some(entry) }
    }

    #[cold]
    fn long_entry(&self, buffer: u64) -> Option<Entry> {
        let (taken, symbol) = self.symbol(buffer)?;
        let (extra, next) = (self.meaning)(symbol);
        Some(Entry { bits: taken as u8 + extra, next })
    }

    /// The next symbol and how long its code is, one bit after another.
    fn symbol(&self, mut buffer: u64) -> Option<(u32, u16)> {
        let (mut code, mut first, mut place) = (0_usize, 0_usize, 0_usize);
        for (length, count) in (0_u32..).zip(&self.counts).skip(1) {
            code |= (buffer & 1) as usize;
            buffer >>= 1;
            let count = usize::from(*count);
            if let Some(nth) = code.checked_sub(first).filter(|nth| *nth < count) {
                return self.symbols.get(place + nth).map(|symbol| (length, *symbol));
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Reads symbols until one ends the block.
fn skip_symbols(bits: &mut Bits<'_>, codes: &Codes) -> Option<()> {
    let bits_max = bits.bytes.len() * 8;
    loop {
        bits.refill();
        let mut entry = codes.literals.entry(bits.buffer)?;
        bits.drop_bits(u32::from(entry.bits));
        if entry.next == Next::Symbol {
            // Two symbols of literals and lengths take at most 40 bits.
            entry = codes.literals.entry(bits.buffer)?;
            bits.drop_bits(u32::from(entry.bits));
        }
        match entry.next {
            Next::Symbol | Next::Longer => {}
            Next::Block => return Some(()),
            Next::Distance => {
                bits.refill();
                let entry = codes.distances.entry(bits.buffer)?;
                bits.drop_bits(u32::from(entry.bits));
            }
        }
        if bits.position() > bits_max {
            return None;
        }
    }
}
