//! How large a trial is. A trial lets chance, load or kills work on the programs for a while: in
//! `make test` with a small constant, in `make trials` (`WHARF_TRIALS=1`) at its whole size.

/// The size of a trial: of times, clients, or bytes.
pub fn size<T>(in_test: T, in_trials: T) -> T {
    if std::env::var_os("WHARF_TRIALS").is_some() { in_trials } else { in_test }
}
