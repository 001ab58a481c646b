//! The targets of a command line, opened: files and folders of this disk, standard input, and
//! images on registries, each registry logged in once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;

use super::Context;
use super::remote::{self, Endpoint};
use crate::offer::OfferFile;
use crate::registry::{ImageRef, Registry};
use crate::source::{Source, Target};

/// Opens targets, with their common state.
pub(super) struct Opener<'a> {
    context: &'a Context,
    /// The offer, for its registries and their logins.
    offer: Option<&'a OfferFile>,
    registries: BTreeMap<String, Arc<Registry>>,
    /// Whether standard input was read: it comes only once.
    stdin_is_read: bool,
}

/// Opens every image of one target, in the words of `wharf verify`: a layout, an archive of any
/// form, `-`, `REGISTRY/REPOSITORY:TAG` or `@DIGEST`, with or without a prefix of skopeo; of a
/// folder of layouts, each.
///
/// It waits for registries, so the caller is outside of async code, and so is every reader of the
/// sources. The exit code of an error is `Exit::of` it.
pub(super) fn open(text: &OsStr, context: &Context) -> anyhow::Result<Vec<Source>> {
    let mut opener = Opener::new(context);
    let targets = Target::parse(text)?.expand();
    targets.iter().map(|target| opener.open(target)).collect()
}

impl<'a> Opener<'a> {
    pub(super) const fn new(context: &'a Context) -> Self {
        Self { context, offer: None, registries: BTreeMap::new(), stdin_is_read: false }
    }

    /// The same for targets an offer names: its registries are logged in to as it says.
    pub(super) const fn of_offer(context: &'a Context, offer: &'a OfferFile) -> Self {
        Self { context, offer: Some(offer), registries: BTreeMap::new(), stdin_is_read: false }
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
        let known = self.offer.and_then(|file| {
            let mut registries = file.offer.registries.iter();
            let (name, known) = registries.find(|(_, at)| at.login_server == image.registry)?;
            Some((file, name, known))
        });
        let endpoint = match known {
            Some((file, name, known)) => Endpoint {
                name: name.as_str(),
                host: &image.registry,
                plain_http: known.plain_http,
                credentials: known.credentials.as_ref(),
                folder: file.folder(),
            },
            None => Endpoint {
                name: host,
                host: &image.registry,
                plain_http: false,
                credentials: None,
                folder: Path::new("."),
            },
        };
        let registry = runtime.block_on(remote::open(&endpoint, self.context))?;
        self.registries.insert(host.to_owned(), Arc::clone(&registry));
        Ok(Source::open_image(registry, image, &runtime)?)
    }
}
