//! The blocks of a layer in their order: hashed on both sides, and written.
//!
//! While a layer equals a known one, block by block, this thread writes and hashes nothing: the
//! known layer's record has the hashes behind every block. At the first difference the thread
//! copies the blocks before it, and the hashes go on from there.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use flate2::Crc;
use wharf_oci::{Algorithm, Digester, HashResult};

use super::pool::{Block, Packed};
use crate::image::codec::Codec;
use crate::image::known_blocks::{
    BlockName, KnownBlock, KnownBlocks, KnownLayer, SavedHash, TrackedBlock,
};

/// A block on its way through the pool.
pub(super) struct Ordered {
    /// Held until the block is written, because it counts as long as it is held.
    pub(super) block: Arc<Block>,
    pub(super) reply: Receiver<io::Result<Packed>>,
}

/// A message to the thread that hashes the input.
pub(super) enum Hashing {
    /// The input so far was known; this is its hash.
    Resume(Digester),
    /// The next block.
    Block(Arc<Block>),
}

/// The input, hashed.
pub(super) struct HashedInput {
    pub(super) hashed: HashResult,
    /// The hash behind each hashed block.
    pub(super) states: Vec<SavedHash>,
}

/// Hashes the blocks in their order, and passes them on.
pub(super) fn hash_in_order(
    work: &Receiver<Hashing>,
    mut input: Option<&mut (dyn Write + Send)>,
) -> io::Result<HashedInput> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut states = Vec::new();
    for work in work {
        let block = match work {
            Hashing::Resume(known) => {
                digester = known;
                continue;
            }
            Hashing::Block(block) => block,
        };
        digester.update(block.bytes());
        states.extend(SavedHash::of(&digester));
        if let Some(input) = &mut input {
            input.write_all(block.bytes())?;
        }
    }
    Ok(HashedInput { hashed: digester.finish(), states })
}

/// A finished layer.
pub(super) struct Written {
    pub(super) hashed: HashResult,
    pub(super) same_as: Option<KnownLayer>,
    /// The blocks of a known layer it begins with.
    led: Vec<TrackedBlock>,
    /// The others, with the hash of the output behind each.
    rest: Vec<(KnownBlock, SavedHash)>,
}

impl Written {
    /// All blocks; `inputs` are the hashes behind the hashed ones.
    pub(super) fn blocks(&self, inputs: Vec<SavedHash>) -> Vec<TrackedBlock> {
        let rest = self.rest.iter().zip(inputs);
        let rest = rest.map(|((block, output), input)| TrackedBlock {
            block: *block,
            input,
            output: *output,
        });
        self.led.iter().copied().chain(rest).collect()
    }
}

/// Puts blocks in order.
pub(super) struct Writer<'w> {
    codec: Codec,
    known: Option<&'w KnownBlocks>,
    out: &'w mut (dyn Write + Send),
    hash: Sender<Hashing>,
    stage: Stage,
    /// Where the next block starts in the output.
    end: u64,
    led: Vec<TrackedBlock>,
    rest: Vec<(KnownBlock, SavedHash)>,
}

/// How far the output is.
enum Stage {
    /// Nothing came yet.
    Begun,
    /// So far the layer equals the beginning of a known layer; these are all blocks of the known
    /// one.
    Led(KnownLayer, std::vec::IntoIter<TrackedBlock>),
    /// It is written.
    Written(Digester),
}

impl<'w> Writer<'w> {
    pub(super) fn new(
        codec: Codec,
        known: Option<&'w KnownBlocks>,
        out: &'w mut (dyn Write + Send),
        hash: Sender<Hashing>,
    ) -> Self {
        let end = codec.header().len() as u64;
        let (led, rest) = (Vec::new(), Vec::new());
        Self { codec, known, out, hash, stage: Stage::Begun, end, led, rest }
    }

    /// Writes all blocks.
    pub(super) fn write(mut self, order: &Receiver<Ordered>) -> io::Result<Written> {
        let (mut crc, mut blocks) = (Crc::new(), 0);
        for Ordered { block, reply } in order {
            let packed = reply
                .recv()
                .map_err(|_| io::Error::other("a compressing thread has stopped"))??;
            crc.combine(&packed.crc);
            blocks += 1;
            self.block(block, &packed)?;
        }
        let trailer = self.codec.trailer(blocks, &crc);
        self.finish(&trailer)
    }

    fn block(&mut self, block: Arc<Block>, packed: &Packed) -> io::Result<()> {
        let start = self.end;
        let length = u32::try_from(packed.bytes.len()).map_err(io::Error::other)?;
        if let Some(led) = self.next_led(packed) {
            self.led.push(led);
        } else {
            let digester = self.leave()?;
            digester.update(&packed.bytes);
            let output = SavedHash::of(digester);
            self.out.write_all(&packed.bytes)?;
            let name: Option<BlockName> = packed.name;
            if let Some((name, output)) = name.zip(output) {
                self.rest.push((KnownBlock { name, at: start, length }, output));
            }
            self.hash.send(Hashing::Block(block)).map_err(|_| stopped())?;
        }
        self.end += u64::from(length);
        Ok(())
    }

    /// The next block of the known layer this one is so far, when it is the same.
    fn next_led(&mut self, packed: &Packed) -> Option<TrackedBlock> {
        let from = packed.taken.filter(|from| from.at == self.end)?;
        if let Stage::Begun = self.stage {
            let record = self.known?.record(from.layer, self.codec.header())?;
            self.stage = Stage::Led(from.layer, record.into_iter());
        }
        let Stage::Led(layer, blocks) = &mut self.stage else { return None };
        let next = blocks.as_slice().first().copied();
        let is_same = |next: &TrackedBlock| {
            *layer == from.layer
                && next.block.at == self.end
                && Some(next.block.name) == packed.name
        };
        let next = next.filter(is_same)?;
        blocks.next();
        Some(next)
    }

    /// Writes from here on; gives the hash of the output so far.
    fn leave(&mut self) -> io::Result<&mut Digester> {
        let digester = match &self.stage {
            Stage::Written(_) => None,
            Stage::Led(layer, _) if !self.led.is_empty() => {
                let (input, output) = self.states()?;
                self.hash.send(Hashing::Resume(input)).map_err(|_| stopped())?;
                let known = self.known.ok_or_else(stopped)?;
                known.copy(*layer, self.end, self.out)?;
                Some(output)
            }
            Stage::Begun | Stage::Led(..) => {
                let mut digester = Digester::new(Algorithm::Sha256);
                digester.update(self.codec.header());
                self.out.write_all(self.codec.header())?;
                Some(digester)
            }
        };
        if let Some(digester) = digester {
            self.stage = Stage::Written(digester);
        }
        match &mut self.stage {
            Stage::Written(digester) => Ok(digester),
            Stage::Begun | Stage::Led(..) => Err(stopped()),
        }
    }

    /// The hashes of input and output behind the last led block.
    fn states(&self) -> io::Result<(Digester, Digester)> {
        let last = self.led.last();
        last.and_then(|last| last.input.restore().zip(last.output.restore()))
            .ok_or_else(|| io::Error::other("a record has a hash of another form"))
    }

    fn finish(mut self, trailer: &[u8]) -> io::Result<Written> {
        let (end, known) = (self.end, self.known);
        if let Stage::Led(layer, _) = self.stage
            && known.is_some_and(|known| known.ends_with(layer, end, trailer))
            && let Ok((input, mut output)) = self.states()
        {
            self.hash.send(Hashing::Resume(input)).map_err(|_| stopped())?;
            output.update(trailer);
            let (led, rest) = (self.led, self.rest);
            return Ok(Written { hashed: output.finish(), same_as: Some(layer), led, rest });
        }
        let digester = self.leave()?;
        digester.update(trailer);
        let hashed = digester.clone().finish();
        self.out.write_all(trailer)?;
        self.out.flush()?;
        Ok(Written { hashed, same_as: None, led: self.led, rest: self.rest })
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "who hashes the input has stopped")
}
