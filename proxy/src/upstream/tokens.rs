//! Fetching a token from wherever an upstream's challenge sends us.
//!
//! Invariant: one request for everyone who waits for the same scope.

use http::{HeaderValue, Method};

use super::auth::Scope;
use super::challenge::Challenge;
use super::collect;
use super::retry::{self, Verdict};
use super::wire::{Ask, Wire};
use crate::Error;

impl Wire {
    /// A token for this scope: one request for everyone who waits for the same.
    pub(super) async fn token(
        &self,
        challenge: Challenge,
        scope: &Scope,
    ) -> Result<HeaderValue, Error> {
        let (wire, wanted) = (self.clone(), scope.clone());
        let asked = self.token_flights.ask(scope.clone(), |promise| async move {
            promise.keep(wire.fetch_token(&challenge, &wanted).await);
        });
        asked.await.map(|(header, _)| header)
    }

    async fn fetch_token(
        &self,
        challenge: &Challenge,
        scope: &Scope,
    ) -> Result<HeaderValue, Error> {
        let operation = "asking for a token";
        let token_ask = self.auth.token_ask(&self.base, challenge, scope)?;
        let mut tries = 1;
        loop {
            let ask = Ask::new(Method::GET, token_ask.url.clone(), scope.clone());
            let response = self.once(&ask, token_ask.authorization.clone(), operation).await?;
            match retry::judge(response.status(), response.headers(), tries) {
                Verdict::Again(wait) => tokio::time::sleep(wait).await,
                Verdict::Busy { retry_after_seconds } => {
                    return Err(Error::UpstreamBusy { retry_after_seconds });
                }
                Verdict::Stands if response.status().is_success() => {
                    return self.auth.learn(scope, &collect(response, operation).await?);
                }
                Verdict::Stands => return Err(self.refusal(response, operation).await),
            }
            tries += 1;
        }
    }
}
