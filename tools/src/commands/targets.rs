//! What the targets of a command line lead to, opened: files and folders of this disk, standard
//! input, and images on registries, each registry logged in once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;

use super::Context;
use super::remote::{self, Endpoint};
use crate::registry::{ImageRef, Registry};
use crate::source::{Source, Target};

/// Opens targets, with what they share.
pub(super) struct Opener<'a> {
    context: &'a Context,
    registries: BTreeMap<String, Arc<Registry>>,
    /// Whether standard input was read: it comes only once.
    stdin_is_read: bool,
}

impl<'a> Opener<'a> {
    pub(super) const fn new(context: &'a Context) -> Self {
        Self { context, registries: BTreeMap::new(), stdin_is_read: false }
    }

    /// Opens a target.
    pub(super) fn open(&mut self, target: &Target) -> anyhow::Result<Source> {
        match target {
            Target::Stdin => {
                anyhow::ensure!(!self.stdin_is_read, "standard input was read before");
                self.stdin_is_read = true;
                Ok(Source::open_stdin()?)
            }
            Target::Path { path, form, name } => {
                Ok(Source::open_local(path, *form, name.as_deref())?)
            }
            Target::Image(image) => self.image(image),
        }
    }

    fn image(&mut self, image: &ImageRef) -> anyhow::Result<Source> {
        let runtime = Handle::try_current().context("a registry is read without a runtime")?;
        let host = image.registry.as_str();
        if let Some(registry) = self.registries.get(host) {
            return Ok(Source::open_image(Arc::clone(registry), image, &runtime)?);
        }
        let endpoint = Endpoint {
            name: host,
            host: &image.registry,
            plain_http: false,
            credentials: None,
            folder: Path::new("."),
        };
        let registry = runtime.block_on(remote::open(&endpoint, self.context))?;
        self.registries.insert(host.to_owned(), Arc::clone(&registry));
        Ok(Source::open_image(registry, image, &runtime)?)
    }
}
