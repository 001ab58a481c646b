//! A token of Entra ID for registries, from Azure's command line with its current login.
//!
//! Invariant: neither the token nor the program's other output is in an error.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use super::CredentialsError;
use crate::offer::secrets::SecretValue;

/// The program; `WHARF_AZ` names another.
const PROGRAM: &str = "az";

/// The audience of tokens for registries.
const SCOPE: &str = "https://containerregistry.azure.net/.default";

/// How long it may take; it logs in anew now and then.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
}

/// The token; `variable` looks up the environment.
pub(super) async fn token(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<SecretValue, CredentialsError> {
    let program = variable("WHARF_AZ").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| PROGRAM.to_owned());
    let failed = |reason: String| CredentialsError::Entra { program: program.clone(), reason };
    let child = tokio::process::Command::new(&program)
        .args(["account", "get-access-token", "-o", "json", "--scope", SCOPE])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| failed("it did not end within a minute".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("{}; log in with `az login`", output.status)));
    }
    let answer: Option<Answer> = serde_json::from_slice(&output.stdout).ok();
    let token = answer.map(|answer| answer.access_token).filter(|token| !token.is_empty());
    token.map(SecretValue::new).ok_or_else(|| failed("its answer has no token".to_owned()))
}
