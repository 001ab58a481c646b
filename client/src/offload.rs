//! Where long documents are parsed: off the async threads, in a program that serves others on them.

/// A program's place for parsing.
pub trait Offload: Sync {
    /// Runs a job over a document of this many bytes.
    fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// Parses where it stands, in a program without other requests on its threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct InPlace;

impl Offload for InPlace {
    async fn read<T: Send + 'static>(
        &self,
        _bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        job()
    }
}
