//! How the C library's allocator keeps memory for a server with many threads: few arenas, because each
//! keeps what was freed in it.
//!
//! The allocator reads this from the environment before `main`, and it cannot be told later without
//! `unsafe`. So the program starts itself once more, in the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use wharf_proxy::limits::ARENAS_MAX;

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
    // Comes back only when it failed: then more memory is taken, and nothing else is different.
    let error = again.args(words).env(VARIABLE, ARENAS_MAX.to_string()).exec();
    tracing::warn!(%error, "the allocator takes as much as it likes");
}
