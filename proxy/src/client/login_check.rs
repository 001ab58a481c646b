//! Whether an upstream knows a login that it was never shown, or not lately, where access is `passthrough`.
//!
//! Invariant: such a question has one try and not much time, goes beside the windows and the breaker of
//! those whom the upstream knows, and leaves nothing behind: however many guesses hang or fail, nobody
//! else waits for them, and they say nothing of the upstream.

use std::time::Duration;

use tokio::time::timeout;

use super::rights::{ProbedRight, RequestedRight};
use super::{CallerLogin, Upstream, failed};
use crate::Error;
use crate::limits::STRANGER_TIME_MAX;

const ASKING: &str = "asking whether it knows a login";

impl Upstream {
    /// Whether it knows this login, and then how long that can be believed at most.
    pub(crate) async fn knows(&self, login: &CallerLogin) -> Result<Option<Duration>, Error> {
        let asked = self.as_stranger(login);
        let longest = STRANGER_TIME_MAX.min(self.wire.patience().answer);
        match timeout(longest, asked.permit(&RequestedRight::Login)).await {
            Ok(Ok((permit, life))) => Ok((permit == ProbedRight::Granted).then_some(life)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(failed(ASKING, "no answer in time")),
        }
    }
}
