//! Two layers side by side: the layout's, inflated, and the new one, during its making.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::entries::TarEntries;
use super::header::{ComparedEntry, first_other};
use super::inflate::{BlobCompression, Inflated};
use crate::image::build::BuildError;
use crate::image::files::clean;

/// What writes go to that are only counted or compared.
pub type Out<'a> = &'a mut (dyn Write + Send);

/// Writes the tar of a layer, by the places of its platform and its own, from 0.
pub type Rebuild<'a> = dyn Fn(usize, usize, Out<'_>) -> Result<(), BuildError> + Sync + 'a;

/// How many pieces of the new tar wait for the comparison.
const DEPTH: usize = 8;

/// How large a piece is.
const PIECE_BYTES: usize = 64 * 1024;

/// How two layers differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TarDifference {
    pub(super) path: Option<String>,
    pub(super) what: String,
}

impl TarDifference {
    fn at(path: String, what: impl Into<String>) -> Self {
        Self { path: Some(path), what: what.into() }
    }
}

/// The result: the packing of the layout's layer, and the difference of the tars.
pub(super) struct Compared {
    pub(super) codec: Option<BlobCompression>,
    pub(super) difference: Option<TarDifference>,
}

/// Compares the layer in `blob` with the new one.
pub(super) fn compare(
    blob: impl Read,
    rebuild: &Rebuild<'_>,
    platform: usize,
    layer: usize,
) -> Result<Compared, BuildError> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(DEPTH);
        let making = scope.spawn(move || {
            let piece = Vec::with_capacity(PIECE_BYTES);
            let mut out = Pieces { sender, piece, is_refused: false };
            let made = rebuild(platform, layer, &mut out);
            let sent = out.send();
            // After a difference the comparison does not need the rest.
            if out.is_refused || sent.is_err() { Ok(()) } else { made }
        });
        let mut made = TarEntries::new(Arriving { receiver, piece: Vec::new(), looked: 0 });
        let (codec, found) = match Inflated::new(blob) {
            Ok(inflated) => {
                let codec = inflated.codec();
                (Some(codec), side_by_side(&mut made, &mut TarEntries::new(inflated)))
            }
            Err(error) => (None, Err(Stopped::layout(None, &error))),
        };
        drop(made);
        let ended = making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A tar with an early end for its own reason looks like a shorter layer.
        ended?;
        let difference = match found {
            Ok(difference) => difference,
            Err(Stopped::Layout(difference)) => Some(difference),
            Err(Stopped::Made) => {
                let what = "the layer that is made now could not be read".to_owned();
                Some(TarDifference { path: None, what })
            }
        };
        Ok(Compared { codec, difference })
    })
}

/// Why there is no comparing on.
enum Stopped {
    /// The layout's layer cannot be read; this is a difference.
    Layout(TarDifference),
    /// The new layer failed; its maker has the reason.
    Made,
}

impl Stopped {
    fn layout(after: Option<&str>, error: &io::Error) -> Self {
        let what = match after {
            Some(path) => format!("the layout's layer is damaged after {path}: {error}"),
            None => format!("the layout's layer is damaged: {error}"),
        };
        Self::Layout(TarDifference { path: None, what })
    }
}

fn side_by_side<M: Read, T: Read>(
    made: &mut TarEntries<M>,
    layout: &mut TarEntries<T>,
) -> Result<Option<TarDifference>, Stopped> {
    let mut last: Option<String> = None;
    loop {
        let now = made.entry().map_err(|_| Stopped::Made)?;
        let was = layout.entry().map_err(|error| Stopped::layout(last.as_deref(), &error))?;
        let (now, was) = match (now, was) {
            (None, None) => return end(made, layout),
            (Some(now), None) => return Ok(Some(TarDifference::at(now.shown(), NOT_THERE))),
            (None, Some(was)) => return Ok(Some(TarDifference::at(was.shown(), ONLY_THERE))),
            (Some(now), Some(was)) => (now, was),
        };
        if clean(&now.path) != clean(&was.path) {
            return Ok(Some(order(made, layout, &now, &was)));
        }
        let path = now.shown();
        if let Some(what) = now.differs(&was) {
            return Ok(Some(TarDifference::at(path, what)));
        }
        if let Some(at) = content(made, layout, &path)? {
            let what = format!("content differs at byte {at}");
            return Ok(Some(TarDifference::at(path, what)));
        }
        last = Some(path);
    }
}

const NOT_THERE: &str = "not in the layout";
const ONLY_THERE: &str = "only in the layout";

/// Where the contents of two entries of one size differ first.
fn content<M: Read, T: Read>(
    made: &mut TarEntries<M>,
    layout: &mut TarEntries<T>,
    path: &str,
) -> Result<Option<u64>, Stopped> {
    let mut at = 0;
    loop {
        let now = made.content().map_err(|_| Stopped::Made)?;
        let was = layout.content().map_err(|error| Stopped::layout(Some(path), &error))?;
        let length = now.len().min(was.len());
        let (now, was) =
            (now.get(..length).unwrap_or_default(), was.get(..length).unwrap_or_default());
        if now != was {
            return Ok(Some(at + first_other(now, was) as u64));
        }
        if length == 0 {
            return Ok(None);
        }
        at += length as u64;
        made.consume(length);
        layout.consume(length);
    }
}

/// Two different entries stand at one place: finds the one missing in the other tar.
fn order<M: Read, T: Read>(
    made: &mut TarEntries<M>,
    layout: &mut TarEntries<T>,
    now: &ComparedEntry,
    was: &ComparedEntry,
) -> TarDifference {
    let is_made = comes(made, was);
    let is_in_layout = comes(layout, now);
    match (is_made, is_in_layout) {
        (_, false) => TarDifference::at(now.shown(), NOT_THERE),
        (false, true) => TarDifference::at(was.shown(), ONLY_THERE),
        (true, true) => TarDifference::at(
            now.shown(),
            format!("stands where the layout has {}: another order", was.shown()),
        ),
    }
}

/// Whether a path comes later. An unreadable tar does not have it.
fn comes<R: Read>(entries: &mut TarEntries<R>, wanted: &ComparedEntry) -> bool {
    while let Ok(Some(entry)) = entries.entry() {
        if clean(&entry.path) == clean(&wanted.path) {
            return true;
        }
    }
    false
}

/// All entries are the same; the bytes behind them may still differ.
fn end<M: Read, T: Read>(
    made: &mut TarEntries<M>,
    layout: &mut TarEntries<T>,
) -> Result<Option<TarDifference>, Stopped> {
    let now = made.length().map_err(|_| Stopped::Made)?;
    let was = layout.length().map_err(|error| Stopped::layout(None, &error))?;
    let what = format!("the tar has {now} bytes, had {was}, with the same entries");
    Ok((now != was).then_some(TarDifference { path: None, what }))
}

/// The new tar, on its way to the comparison.
struct Pieces {
    sender: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    /// Whether the comparison had ended before a piece was sent.
    is_refused: bool,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.sender.send(piece).map_err(|_| {
            self.is_refused = true;
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.piece.len());
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The receiving end of the pieces.
struct Arriving {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    looked: usize,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.looked >= self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            (self.piece, self.looked) = (piece, 0);
        }
        let left = self.piece.get(self.looked..).unwrap_or_default();
        let length = left.len().min(buffer.len());
        let (target, _) = buffer.split_at_mut(length);
        target.copy_from_slice(left.get(..length).unwrap_or_default());
        self.looked += length;
        Ok(length)
    }
}
