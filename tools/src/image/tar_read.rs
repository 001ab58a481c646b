//! Brings a whole tar past a visitor.

use std::io::{self, Read};

use super::tar_walk::{TarFault, TarWalk, Visit};

/// How much is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why a tar was not shown to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// Its bytes cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is none.
    #[error(transparent)]
    Fault(#[from] TarFault),
    /// It has more bytes than it may have.
    #[error("it has more bytes than are read")]
    TooLarge,
}

/// Shows a tar, and reads the bytes behind its end too, so all of its source was proven. A finished
/// visitor ends the read early.
pub fn show_all<V: Visit>(
    source: &mut dyn Read,
    limit_bytes: u64,
    visit: &mut V,
    is_done: impl Fn(&V) -> bool,
) -> Result<(), ShowError> {
    let mut walk = TarWalk::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = limit_bytes;
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => {
                visit.ended(walk.ending());
                return Ok(walk.finish()?);
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        left = left.checked_sub(length as u64).ok_or(ShowError::TooLarge)?;
        walk.show(buffer.get(..length).unwrap_or_default(), visit)?;
        if is_done(visit) {
            return Ok(());
        }
    }
}
