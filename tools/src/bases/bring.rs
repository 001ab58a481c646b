//! A layer on its way into a layout: from a near copy, or from its source; hashed, and looked into
//! if its files are needed, in one pass.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::sync::Arc;

use wharf_oci::{Descriptor, Digest, Digester};

use crate::image::facts::Weight;
use crate::image::files::LayerFiles;
use crate::source::Source;
use crate::verify::{Limits, ReadBudget, read_layer};

/// How much is copied at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// The layer to bring.
pub(super) struct Job<'a> {
    pub(super) source: &'a Source,
    pub(super) layer: &'a Descriptor,
    pub(super) diff_id: &'a Digest,
    /// The memory budget of its files; `None` skips the look into them.
    pub(super) room: Option<&'a ReadBudget>,
}

/// Why a layer was not brought.
pub(super) enum BringError {
    /// It cannot be written here.
    Write(io::Error),
    /// It cannot be read, or has another digest.
    Wrong(Box<dyn Error + Send + Sync>),
}

impl Job<'_> {
    /// Tries the copy first. A fault of the copy is no error: the source has the layer too.
    pub(super) fn run(
        &self,
        copy: Option<File>,
        mut out: Option<&mut File>,
    ) -> Result<Option<Arc<LayerFiles>>, BringError> {
        if let Some(mut copy) = copy {
            match self.pass(&mut copy, out.as_deref_mut()) {
                Err(BringError::Wrong(_)) => {}
                done => return done,
            }
            if let Some(out) = out.as_deref_mut() {
                out.set_len(0).and_then(|()| out.rewind()).map_err(BringError::Write)?;
            }
        }
        let mut blob =
            self.source.open_blob(self.layer).map_err(|error| BringError::Wrong(error.into()))?;
        self.pass(&mut blob, out)
    }

    fn pass(
        &self,
        blob: &mut (dyn Read + Send),
        out: Option<&mut File>,
    ) -> Result<Option<Arc<LayerFiles>>, BringError> {
        // One byte more than there should be is enough to know.
        let mut tee = Tee { from: blob.take(self.layer.size.saturating_add(1)), out, failed: None };
        let read = match self.room {
            Some(room) => self.look(&mut tee, room).map(Some),
            None => self.hash(&mut tee).map(|()| None),
        };
        match tee.failed {
            Some(error) => Err(BringError::Write(error)),
            None => read.map_err(BringError::Wrong),
        }
    }

    fn look(
        &self,
        blob: &mut (dyn Read + Send),
        room: &ReadBudget,
    ) -> Result<Arc<LayerFiles>, Box<dyn Error + Send + Sync>> {
        let read = read_layer(blob, self.layer, Limits::default(), room)?;
        let is_wrong = |weight: Weight| weight == Weight::Damage || weight == Weight::Unproven;
        if let Some(fault) = read.faults.iter().find(|fault| is_wrong(fault.kind.weight())) {
            return Err(fault.message.clone().into());
        }
        match read.diff_id {
            None => Err(format!("{} is not looked into here", self.layer.media_type).into()),
            Some(actual) if actual != *self.diff_id => {
                Err(format!("it inflates to {actual}, its diffID is {}", self.diff_id).into())
            }
            Some(_) => Ok(read.files),
        }
    }

    fn hash(&self, blob: &mut dyn Read) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut digester = Digester::new(self.layer.digest.algorithm());
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let length = match blob.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if length == 0 {
                break;
            }
            digester.update(buffer.get(..length).unwrap_or_default());
        }
        let hashed = digester.finish();
        if hashed.size_bytes != self.layer.size {
            return Err(
                format!("it has not {} bytes, as its descriptor says", self.layer.size).into()
            );
        }
        Ok(hashed.expect(&self.layer.digest)?)
    }
}

/// Writes the read bytes to a file. Errors of the file are kept apart from those of the reader.
struct Tee<'a, R> {
    from: R,
    out: Option<&'a mut File>,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(bytes)
        {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        Ok(length)
    }
}
