//! The login kept by `docker login` or a credential helper for a registry.
//!
//! Invariant: the file is read and the helper is run again for each look-up, because their logins
//! may be short-lived; their secrets appear in no error.

use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use wharf_oci::{DockerConfig, Login, StoredLogin, parse_helper_answer};

use crate::ClientError;
use crate::limits::{DOCKER_CONFIG_BYTES_MAX, PROGRAM_TIMEOUT};
use crate::programs;

/// The file and the `HOST[:PORT]` to look up.
pub(crate) struct DockerLogins {
    pub(super) path: PathBuf,
    pub(super) host: String,
}

impl DockerLogins {
    /// The current login, which the helper or the file gives.
    pub(crate) async fn look_up(&self) -> Result<Login, ClientError> {
        let refuse = |reason: String| ClientError::LoginFailed {
            reason: format!("{}: {reason}", self.path.display()),
        };
        let bytes = self.read().await.map_err(|error| refuse(error.to_string()))?;
        let config = DockerConfig::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
        match config.look_up(&self.host).map_err(|error| refuse(error.to_string()))? {
            StoredLogin::Here(login) => Ok(login),
            StoredLogin::Helper(name) => self.ask_helper(name).await,
            StoredLogin::Nowhere => Err(refuse(format!("it has no login for {}", self.host))),
        }
    }

    async fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(&self.path).await?;
        file.take(DOCKER_CONFIG_BYTES_MAX).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn ask_helper(&self, name: &str) -> Result<Login, ClientError> {
        let failed = |reason: String| ClientError::LoginFailed {
            reason: format!("docker-credential-{name} {reason}"),
        };
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(failed("is not the name of a program".to_owned()));
        }
        let mut command = Command::new(format!("docker-credential-{name}"));
        let ended = programs::run(command.arg("get"), self.host.as_bytes(), PROGRAM_TIMEOUT).await;
        let ended = ended.map_err(failed)?;
        if !ended.status.success() {
            return Err(failed(format!(
                "has no login for {host} ({}); run `echo {host} | docker-credential-{name} get`",
                ended.status,
                host = self.host,
            )));
        }
        let login =
            parse_helper_answer(&ended.stdout).map_err(|error| failed(error.to_string()))?;
        login.ok_or_else(|| failed(format!("has no secret for {}", self.host)))
    }
}
