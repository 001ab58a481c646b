//! The sources of a registry's login: the offer, then the files and helpers of `docker login` and
//! `podman login`.
//!
//! Invariant: a login is looked up by the exact host, and never shows in `Debug` or in an error.

mod entra;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use tokio::process::Command;
use wharf_client::programs;
use wharf_oci::{DockerConfig, StoredLogin};

use crate::input;
use crate::offer::model::Credentials;
use crate::offer::secrets::{SecretError, SecretValue};

/// Largest credentials file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long a credential helper may take; some ask the user.
const HELPER_PATIENCE: Duration = Duration::from_mins(2);

/// How to log in to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Basic { username: String, password: SecretValue },
    /// A token to exchange for access tokens.
    IdentityToken(SecretValue),
}

impl From<wharf_oci::Login> for Login {
    fn from(login: wharf_oci::Login) -> Self {
        let hidden = |secret: wharf_oci::Secret| SecretValue::new(secret.expose().to_owned());
        match login {
            wharf_oci::Login::Basic { username, password } => {
                Self::Basic { username, password: hidden(password) }
            }
            wharf_oci::Login::IdentityToken(token) => Self::IdentityToken(hidden(token)),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username:?}, …)"),
            Self::IdentityToken(_) => f.write_str("IdentityToken(…)"),
        }
    }
}

/// Why no login could be looked up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file is there but cannot be used.
    #[error("cannot use the credentials file {path}: {reason}")]
    File {
        path: PathBuf,
        /// Why not; never a part of its content.
        reason: String,
    },
    /// A helper failed.
    #[error("the credential helper docker-credential-{helper} failed: {reason}")]
    Helper { helper: String, reason: String },
    /// Azure's command line gave no token.
    #[error("`{program} account get-access-token` gave no token of Entra ID: {reason}")]
    Entra {
        /// Azure's command line.
        program: String,
        /// Why not; never a part of its output.
        reason: String,
    },
    /// The secrets of the offer cannot be read.
    #[error("cannot read the credentials of registry {registry}")]
    Offer {
        /// Its name in the offer.
        registry: String,
        source: SecretError,
    },
}

/// Longest password, and a line break.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// The password in the first line of a file or of stdin.
pub fn password_of(reader: &mut dyn io::Read) -> io::Result<SecretValue> {
    let mut text = String::new();
    reader.take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretValue::new(line.to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "its first line has no password")),
    }
}

/// Where to look.
pub struct Keyring<'a> {
    /// The file named on the command line; it has to exist.
    pub authfile: Option<&'a Path>,
    /// Looks up the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// A login, and the advice for its failure.
#[derive(Debug, Clone, Default)]
pub struct LoginLookup {
    /// The login; `None` means anonymous.
    pub login: Option<Login>,
    /// The offer's unset variables.
    pub unset: Vec<String>,
}

impl Keyring<'_> {
    /// The login of an offer's registry: its own credentials when both are there, else the files.
    pub async fn of_offer(
        &self,
        registry: &str,
        given: Option<&Credentials>,
        offer_folder: &Path,
        host: &str,
    ) -> Result<LoginLookup, CredentialsError> {
        let mut unset = Vec::new();
        if let Some(given) = given {
            let mut resolve = |secret: &crate::offer::secrets::Secret| match secret
                .resolve(offer_folder, self.variable)
            {
                Ok(value) => Ok(Some(value)),
                Err(SecretError::Unset(name)) => {
                    unset.push(name);
                    Ok(None)
                }
                Err(source) => {
                    Err(CredentialsError::Offer { registry: registry.to_owned(), source })
                }
            };
            let (username, password) = (resolve(&given.username)?, resolve(&given.password)?);
            if let (Some(username), Some(password)) = (username, password) {
                let username = username.expose().to_owned();
                return Ok(LoginLookup { login: Some(Login::Basic { username, password }), unset });
            }
        }
        Ok(LoginLookup { login: self.of_host(host).await?, unset })
    }

    /// The login of a host from the first file with one.
    pub async fn of_host(&self, host: &str) -> Result<Option<Login>, CredentialsError> {
        if let Some(path) = self.authfile {
            let file = read_config(path)?.ok_or_else(|| CredentialsError::File {
                path: path.to_owned(),
                reason: "it does not exist".to_owned(),
            })?;
            if let Some(login) = login_of(&file, path, host).await? {
                return Ok(Some(login));
            }
        }
        for path in self.files() {
            if let Some(file) = read_config(&path)?
                && let Some(login) = login_of(&file, &path, host).await?
            {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// A token of Entra ID, to be exchanged by the registry.
    pub async fn of_entra(&self) -> Result<SecretValue, CredentialsError> {
        entra::token(self.variable).await
    }

    /// The usual files, in the order of other tools.
    fn files(&self) -> Vec<PathBuf> {
        let folder =
            |name: &str| (self.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        let docker =
            folder("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let config =
            folder("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        [
            folder("REGISTRY_AUTH_FILE"),
            docker.map(|folder| folder.join("config.json")),
            folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn read_config(path: &Path) -> Result<Option<DockerConfig>, CredentialsError> {
    let refuse = |reason: String| CredentialsError::File { path: path.to_owned(), reason };
    let file = match input::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    DockerConfig::parse(&bytes).map(Some).map_err(|error| refuse(error.to_string()))
}

/// The login a file has of a host, itself or through a helper.
async fn login_of(
    config: &DockerConfig,
    path: &Path,
    host: &str,
) -> Result<Option<Login>, CredentialsError> {
    let kept = config.look_up(host).map_err(|error| CredentialsError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    match kept {
        StoredLogin::Here(login) => Ok(Some(login.into())),
        StoredLogin::Helper(helper) => ask_helper(helper, host).await,
        StoredLogin::Nowhere => Ok(None),
    }
}

/// Runs `docker-credential-HELPER get`. A helper reports an unknown host by an exit code; the code
/// is not an error.
async fn ask_helper(helper: &str, host: &str) -> Result<Option<Login>, CredentialsError> {
    let failed = |reason: String| CredentialsError::Helper { helper: helper.to_owned(), reason };
    if helper.is_empty() || helper.contains(['/', '\\']) {
        return Err(failed("its name is not the name of a program".to_owned()));
    }
    let mut command = Command::new(format!("docker-credential-{helper}"));
    let exited = programs::run(command.arg("get"), host.as_bytes(), HELPER_PATIENCE).await;
    let exited = exited.map_err(failed)?;
    if !exited.status.success() {
        return Ok(None);
    }
    let answer = wharf_oci::parse_helper_answer(&exited.stdout);
    Ok(answer.map_err(|error| failed(error.to_string()))?.map(Login::from))
}

#[cfg(test)]
mod tests;
