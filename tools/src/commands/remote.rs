//! The common part of `push` and `promote`: registries opened by the offer, the options and the
//! environment, and one exit code for many items.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use wharf_client::outbound::proxies::OutboundProxies;

use super::{Context, variable};
use crate::credentials::{Keyring, Login, LoginLookup};
use crate::exit::Exit;
use crate::offer::model::Credentials;
use crate::offer::values::LoginServer;
use crate::registry::{Notice, Options, Quota, Registry};

/// Where a registry is, and how to log in.
pub(super) struct Endpoint<'a> {
    /// Its name in the offer, for messages.
    pub(super) name: &'a str,
    pub(super) host: &'a LoginServer,
    pub(super) plain_http: bool,
    /// The credentials in the offer, and the folder of their files.
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) folder: &'a Path,
}

/// Opens a registry.
pub(super) async fn open(
    endpoint: &Endpoint<'_>,
    context: &Context,
) -> anyhow::Result<Arc<Registry>> {
    open_within(endpoint, Quota::default(), context).await
}

/// Opens a registry of a known quota.
pub(super) async fn open_within(
    endpoint: &Endpoint<'_>,
    quota: Quota,
    context: &Context,
) -> anyhow::Result<Arc<Registry>> {
    let login = if context.global.entra.contains(endpoint.host) {
        Some(entra(endpoint, context).await?)
    } else {
        look_up(endpoint, context).await?
    };
    open_with(endpoint, login, quota, context)
}

/// The login of an offer's registry, or of the files of other programs.
async fn look_up(endpoint: &Endpoint<'_>, context: &Context) -> anyhow::Result<Option<Login>> {
    let host = endpoint.host.as_str();
    let LoginLookup { login, unset } = keyring(context)
        .of_offer(endpoint.name, endpoint.credentials, endpoint.folder, host)
        .await?;
    if !unset.is_empty() {
        let unset = unset.join(" and ");
        let without = if login.is_some() { "another login is used" } else { "no login is used" };
        context.output.warning(&format!("{unset} not set: {without} for {host}"));
    }
    Ok(login)
}

fn keyring(context: &Context) -> Keyring<'_> {
    Keyring { authfile: context.global.authfile.as_deref(), variable: &variable }
}

/// The login of `az` as one of the registry.
async fn entra(endpoint: &Endpoint<'_>, context: &Context) -> anyhow::Result<Login> {
    let token = keyring(context).of_entra().await?;
    let stranger = open_with(endpoint, None, Quota::default(), context)?;
    Ok(Login::IdentityToken(stranger.exchange(&token).await?))
}

/// Opens a registry with this login, within a quota.
pub(super) fn open_with(
    endpoint: &Endpoint<'_>,
    login: Option<Login>,
    quota: Quota,
    context: &Context,
) -> anyhow::Result<Arc<Registry>> {
    let plain_http = endpoint.plain_http || context.global.plain_http;
    let output = context.output.clone();
    let options = Options {
        ca_file: context.global.ca_file.clone(),
        proxies: OutboundProxies::of(variable).map(Arc::new)?,
        quota,
        notice: Notice::new(move |message| output.note(message)),
        ..Options::default()
    };
    Ok(Arc::new(Registry::new(endpoint.host.clone(), plain_http, login, options)?))
}

/// The exit code of a run in which some items failed: a cause common to all of them decides.
pub(super) fn exit_of<'a>(
    all: usize,
    errors: impl IntoIterator<Item = &'a (dyn std::error::Error + 'static)>,
) -> Exit {
    let exits: Vec<Exit> = errors.into_iter().map(Exit::of).collect();
    match exits.first() {
        None => Exit::Ok,
        Some(first) if exits.len() == all && exits.iter().all(|exit| exit == first) => *first,
        Some(_) => Exit::Partial,
    }
}

/// How many threads check layouts.
pub(super) fn jobs() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// An error with its causes, on one line.
pub(super) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = inner.source();
    }
    line
}
