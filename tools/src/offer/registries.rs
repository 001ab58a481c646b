//! A registry of the offer as the command line uses it: the entry of the file, with its login
//! server replaced when the environment says so. Rendering never uses this: the marketplace gets
//! the file's own login server.

use std::collections::BTreeMap;
use std::path::Path;

use wharf_oci::RepoName;

use super::OfferFile;
use super::error::OfferError;
use super::model::{Credentials, Registry};
use super::values::{LoginServer, RegistryName};

/// Where `--to NAME` or `--from NAME` leads.
///
/// - `login_server` is the one of `WHARF_REGISTRY_<NAME>` when the variable is set; the other
///   fields are the file's.
#[derive(Debug, Clone)]
pub struct RegistryTarget {
    /// The name in the offer.
    pub name: RegistryName,
    /// Where it listens.
    pub login_server: LoginServer,
    /// The prefix of every repository.
    pub prefix: Option<RepoName>,
    /// Whether it speaks plain HTTP by the offer.
    pub plain_http: bool,
    /// Where its credentials are.
    pub credentials: Option<Credentials>,
}

/// The registry of this name; `variable` looks up the environment.
pub fn target(
    file: &OfferFile,
    name: &RegistryName,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<RegistryTarget, OfferError> {
    target_of(file.path(), &file.offer.registries, name, variable)
}

/// The same of the registries of another file.
pub fn target_of(
    path: &Path,
    registries: &BTreeMap<RegistryName, Registry>,
    name: &RegistryName,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<RegistryTarget, OfferError> {
    let Some(entry) = registries.get(name) else {
        let known: Vec<&str> = registries.keys().map(RegistryName::as_str).collect();
        return Err(OfferError::NoSuchRegistry {
            path: path.to_owned(),
            name: name.to_string(),
            known: known.join(", "),
        });
    };
    let login_server = match variable(&name.variable()) {
        None => entry.login_server.clone(),
        Some(text) => text.parse().map_err(|source| OfferError::Variable {
            variable: name.variable(),
            name: name.to_string(),
            source,
        })?,
    };
    Ok(RegistryTarget {
        name: name.clone(),
        login_server,
        prefix: entry.prefix.clone(),
        plain_http: entry.plain_http,
        credentials: entry.credentials.clone(),
    })
}

impl RegistryTarget {
    /// The repository of an image on this registry.
    #[must_use]
    pub fn repository(&self, image: &RepoName) -> RepoName {
        match &self.prefix {
            Some(prefix) => image
                .under(prefix)
                .expect("prefix and repository were joined when the offer was checked"),
            None => image.clone(),
        }
    }
}
