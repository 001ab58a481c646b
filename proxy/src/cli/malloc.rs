//! How the C library's allocator keeps memory for a server with many threads: few arenas, because
//! each keeps its freed memory, and whole bodies outside of them, so that their memory goes back to
//! the system.
//!
//! The allocator reads its settings from the environment before `main`, and it takes no later ones
//! without `unsafe`. So the program starts itself once more, in the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use wharf_proxy::limits::{ARENAS_MAX, MAPPED_BYTES_MIN, TRIMMED_BYTES_MIN};

/// Set when the operator or this program has decided.
const VARIABLE: &str = "MALLOC_ARENA_MAX";

/// Returns in a process that was started with a bound, ours or the operator's.
pub(crate) fn bound() {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut words = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    let variables = [
        (VARIABLE, u64::from(ARENAS_MAX)),
        ("MALLOC_MMAP_THRESHOLD_", MAPPED_BYTES_MIN),
        ("MALLOC_TRIM_THRESHOLD_", TRIMMED_BYTES_MIN),
    ];
    let variables = variables.map(|(name, value)| (name, value.to_string()));
    // Comes back only after a failure: then more memory is taken, and no other behaviour differs.
    let error = again.args(words).envs(variables).exec();
    tracing::warn!(%error, "the allocator takes as much as it likes");
}
