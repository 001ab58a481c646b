//! The login of the proxy at one upstream: the keys of the TOML table as types, so that an unusable
//! setting is refused when it is read.
//!
//! Invariant: only a resolved `CredentialSource` holds a secret, and its `Debug` hides it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use wharf_client::{Application, ENTRA_SCOPE, Entra, EntraIdentity};
use wharf_oci::{DockerConfig, Secret, StoredLogin};

use super::address::Address;

/// `docker_config`: `true` for the usual file, or the path of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected true, false or the path of a config.json")]
pub(crate) enum DockerConfigKey {
    /// Whether the usual file is read.
    Usual(bool),
    /// The file itself.
    At(PathBuf),
}

impl DockerConfigKey {
    /// The file to read, if any.
    pub(crate) fn path(&self) -> Result<Option<PathBuf>, String> {
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match self {
            Self::Usual(false) => Ok(None),
            Self::At(path) => Ok(Some(path.clone())),
            Self::Usual(true) => {
                let docker = folder("DOCKER_CONFIG").map(PathBuf::from);
                let home = || folder("HOME").map(|home| Path::new(&home).join(".docker"));
                let docker = docker.or_else(home).ok_or(
                    "docker_config = true needs DOCKER_CONFIG or HOME in the environment; or \
                     write the path of the file",
                )?;
                Ok(Some(docker.join("config.json")))
            }
        }
    }
}

/// Whether a file has a login or a helper for this host; refuses an unreadable file.
pub(crate) fn has_docker_login(path: &Path, host: &str) -> Result<bool, String> {
    let refuse = |reason: String| format!("docker_config {}: {reason}", path.display());
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let config = DockerConfig::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
    match config.look_up(host).map_err(|error| refuse(error.to_string()))? {
        StoredLogin::Here(_) | StoredLogin::Helper(_) => Ok(true),
        StoredLogin::Nowhere => Ok(false),
    }
}

/// A secret's place: exactly one of `…_env` and `…_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretPlace {
    /// An environment variable.
    Variable(String),
    /// The first line of a file.
    File(PathBuf),
}

impl SecretPlace {
    /// From two keys of which at most one may be given; `key` is their common beginning.
    pub(crate) fn from_keys(
        key: &str,
        variable: Option<String>,
        file: Option<PathBuf>,
    ) -> Result<Option<Self>, String> {
        match (variable, file) {
            (Some(_), Some(_)) => Err(format!("give {key}_env or {key}_file, not both")),
            (Some(name), None) => Ok(Some(Self::Variable(name))),
            (None, Some(path)) => Ok(Some(Self::File(path))),
            (None, None) => Ok(None),
        }
    }

    /// The secret, without the trailing line break of files and scripts.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Variable(name) => std::env::var(name)
                .map_err(|_| format!("environment has no {}", shown_variable(name)))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        };
        let secret = Secret::new(text.lines().next().unwrap_or_default());
        if secret.is_empty() {
            let place = match self {
                Self::Variable(name) => format!("environment variable {name}"),
                Self::File(path) => format!("the first line of {}", path.display()),
            };
            return Err(format!("{place} is empty"));
        }
        Ok(secret)
    }
}

/// The name of a variable, unless it seems to be the password itself.
fn shown_variable(name: &str) -> &str {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = !name.is_empty() && name.chars().all(allowed);
    let hidden = "variable of the name that is given (not shown, since it is not in capitals and may be \
                  the secret itself, which does not belong there)";
    if is_name { name } else { hidden }
}

/// The identity that logs in to Azure Container Registry. The table stands after the other keys of its
/// upstream, as TOML wants it. A kind refuses the keys of another kind; `scope` goes with all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "EntraKeys")]
pub(crate) struct EntraTable(EntraKeys);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// an application with a secret
    ClientSecret,
    /// a Kubernetes service account
    WorkloadIdentity,
    /// the identity of the machine or of the app service
    ManagedIdentity,
    /// the login of `az login`
    AzureCli,
}

/// The keys as they stand in the file. Secrets are fetched by `resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct EntraKeys {
    /// How the identity proves itself ([how](../how-to/upstream-login.md#an-entra-identity)).
    kind: Kind,
    /// Tenant, by id or domain. `AZURE_TENANT_ID` when not given, for `client-secret` and
    /// `workload-identity`.
    tenant: Option<String>,
    /// Client id of the application, or of a user-assigned identity. `AZURE_CLIENT_ID` when not given, for
    /// `client-secret` and `workload-identity`.
    client_id: Option<String>,
    /// Environment variable that holds the client secret (`client-secret`).
    client_secret_env: Option<String>,
    /// File whose first line is the client secret (`client-secret`).
    client_secret_file: Option<PathBuf>,
    /// File with the token of the service account (`workload-identity`). `AZURE_FEDERATED_TOKEN_FILE` when
    /// not given.
    token_file: Option<PathBuf>,
    /// `https://` address of another cloud's Entra ID, such as `https://login.microsoftonline.us`
    /// (`client-secret`, `workload-identity`).
    authority: Option<Address>,
    /// Scope of the Entra token, for registries of another cloud.
    scope: Option<String>,
}

impl TryFrom<EntraKeys> for EntraTable {
    type Error = String;

    fn try_from(keys: EntraKeys) -> Result<Self, String> {
        keys.check_kind()?;
        SecretPlace::from_keys(
            "client_secret",
            keys.client_secret_env.clone(),
            keys.client_secret_file.clone(),
        )?;
        if keys.authority.as_ref().is_some_and(|url| url.scheme() != "https") {
            return Err(
                "authority must be https://, such as https://login.microsoftonline.us".into()
            );
        }
        let word = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if keys.tenant.as_deref().is_some_and(|tenant| !word(tenant, ".-")) {
            return Err("tenant is the id of a tenant, or its domain".into());
        }
        if keys.client_id.as_deref().is_some_and(|id| !word(id, "-")) {
            return Err("client_id is the id of an application, or of an identity".into());
        }
        if keys.scope.as_deref().is_some_and(|scope| !word(scope, ".-_:/")) {
            return Err(format!("scope is an address such as {ENTRA_SCOPE}"));
        }
        Ok(Self(keys))
    }
}

impl EntraTable {
    /// The file with its secret, when it has one.
    pub(crate) const fn secret_file(&self) -> Option<&PathBuf> {
        self.0.client_secret_file.as_ref()
    }
}

impl EntraKeys {
    /// Refuses keys without a meaning for this kind.
    fn check_kind(&self) -> Result<(), String> {
        let (name, allowed): (_, &[&str]) = match self.kind {
            Kind::ClientSecret => (
                "client-secret",
                &["tenant", "client_id", "client_secret_env", "client_secret_file", "authority"],
            ),
            Kind::WorkloadIdentity => {
                ("workload-identity", &["tenant", "client_id", "token_file", "authority"])
            }
            Kind::ManagedIdentity => ("managed-identity", &["tenant", "client_id"]),
            Kind::AzureCli => ("azure-cli", &["tenant"]),
        };
        let given = [
            ("tenant", self.tenant.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret_env", self.client_secret_env.is_some()),
            ("client_secret_file", self.client_secret_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("authority", self.authority.is_some()),
        ];
        let stray = given.iter().find(|(key, given)| *given && !allowed.contains(key));
        match stray {
            Some((key, _)) => Err(format!(
                "kind = \"{name}\" takes no {key}; it takes {} and scope",
                allowed.join(", ")
            )),
            None => Ok(()),
        }
    }

    /// A key, or the environment variable that Kubernetes or a shell sets in its place.
    fn or_variable(given: Option<&String>, key: &str, variable: &str) -> Result<String, String> {
        let found = given.cloned().or_else(|| std::env::var(variable).ok());
        found
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("write {key} into [upstream.entra], or set {variable}"))
    }

    fn application(&self) -> Result<Application, String> {
        Ok(Application {
            tenant: Self::or_variable(self.tenant.as_ref(), "tenant", "AZURE_TENANT_ID")?,
            client_id: Self::or_variable(self.client_id.as_ref(), "client_id", "AZURE_CLIENT_ID")?,
            authority: self.authority.as_ref().map(Address::to_url),
        })
    }
}

impl EntraTable {
    /// The complete identity: its keys, the environment variables in their place, and the secret.
    pub(crate) fn resolve(&self) -> Result<Entra, String> {
        let keys = &self.0;
        let identity = match keys.kind {
            Kind::ClientSecret => {
                let (variable, file) = (&keys.client_secret_env, &keys.client_secret_file);
                let place =
                    SecretPlace::from_keys("client_secret", variable.clone(), file.clone())?;
                let place = place.ok_or(
                    "kind = \"client-secret\" needs client_secret_env or client_secret_file",
                )?;
                EntraIdentity::ClientSecret {
                    application: keys.application()?,
                    secret: place.read()?,
                }
            }
            Kind::WorkloadIdentity => {
                let given = keys.token_file.as_ref().map(|path| path.display().to_string());
                let variable = "AZURE_FEDERATED_TOKEN_FILE";
                let token_file =
                    PathBuf::from(EntraKeys::or_variable(given.as_ref(), "token_file", variable)?);
                SecretPlace::File(token_file.clone()).read()?;
                EntraIdentity::Workload { application: keys.application()?, token_file }
            }
            Kind::ManagedIdentity => EntraIdentity::Managed { client_id: keys.client_id.clone() },
            Kind::AzureCli => EntraIdentity::AzureCli,
        };
        let of_application = match &identity {
            EntraIdentity::ClientSecret { application, .. }
            | EntraIdentity::Workload { application, .. } => Some(application.tenant.clone()),
            EntraIdentity::Managed { .. } | EntraIdentity::AzureCli => None,
        };
        let tenant = of_application.or_else(|| keys.tenant.clone());
        let scope = keys.scope.clone().unwrap_or_else(|| ENTRA_SCOPE.to_owned());
        Ok(Entra { identity, tenant, scope })
    }
}

#[cfg(test)]
mod tests;
