//! Asks a registry whether it knows a login not yet proven, or not recently, where access is
//! `passthrough`.
//!
//! Invariant: such a check has one short try, bypasses the windows and the breaker of known logins,
//! and leaves no trace in the registry's state: however many guesses hang or fail, no other request
//! waits for them.

use std::time::Duration;

use tokio::time::timeout;

use crate::ClientError;
use crate::caller_login::CallerLogin;
use crate::client::Client;
use crate::client::rights::{ProbedRight, RequestedRight};
use crate::error::failed;
use crate::limits::STRANGER_TIME_MAX;

const ASKING: &str = "asking whether it knows a login";

impl Client {
    /// Whether the registry knows this login, and then for how long at most that holds.
    pub async fn knows(&self, login: &CallerLogin) -> Result<Option<Duration>, ClientError> {
        let asked = self.as_stranger(login);
        let longest = STRANGER_TIME_MAX.min(self.wire.patience().answer);
        match timeout(longest, asked.permit(&RequestedRight::Login)).await {
            Ok(Ok((permit, life))) => Ok((permit == ProbedRight::Granted).then_some(life)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(failed(ASKING, "no answer in time")),
        }
    }
}
