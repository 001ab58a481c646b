//! The login of a transport: the current proof for its registry, and a new one after a refusal.

use std::time::Duration;

use tokio::time::Instant;

use super::Transport;
use crate::ClientError;
use crate::credentials::{LoginProof, NumberedProof, Origin};
use crate::limits::{LOGIN_LIFETIME, REFRESH_LIFETIME, RENEW_PAUSE, TOKEN_MARGIN};
use crate::runtime::party::Party;
use crate::scope::lifetime;

impl Transport {
    /// The proof to send; after a refusal the current one, which may be the same.
    pub(crate) async fn proof(
        &self,
        refused: Option<&NumberedProof>,
    ) -> Result<NumberedProof, ClientError> {
        if let Origin::Fixed(proof) = &self.auth.credentials.origin {
            let proof = proof.clone();
            return Ok(NumberedProof { proof, number: 1, until: None, renewed: None });
        }
        let number = refused.map_or(0, |held| held.number);
        let wire = self.clone();
        let asked =
            self.auth.credentials.flights.ask(&Party::Ourselves, number, |promise| async move {
                promise.keep(wire.held_after(number).await);
            });
        asked.await.map(|(held, _)| held)
    }

    /// The held proof, if it is good and not the refused one; else a new one.
    async fn held_after(&self, refused: u64) -> Result<NumberedProof, ClientError> {
        let mut slot = self.auth.credentials.held.lock().await;
        let mut number = 1;
        let mut renewed = None;
        if let Some(held) = &*slot {
            let now = Instant::now();
            let is_good = held.until.is_none_or(|until| now < until);
            // A proof refused right after its renewal is refused for good, and a look-up is
            // expensive.
            let just_renewed = held.renewed.is_some_and(|at| now < at + RENEW_PAUSE);
            if is_good && (held.number != refused || just_renewed) {
                return Ok(held.clone());
            }
            number = held.number + 1;
            renewed = (held.number == refused).then_some(now);
        }
        let (proof, life) = self.look_up().await?;
        if let Some(held) = slot.as_ref().filter(|held| held.proof == proof) {
            number = held.number;
        }
        let until = Some(Instant::now() + life);
        let held = NumberedProof { proof, number, until, renewed };
        *slot = Some(held.clone());
        Ok(held)
    }

    /// A proof from its origin, and its lifetime.
    async fn look_up(&self) -> Result<(LoginProof, Duration), ClientError> {
        match &self.auth.credentials.origin {
            Origin::Fixed(proof) => Ok((proof.clone(), LOGIN_LIFETIME)),
            Origin::Docker(logins) => {
                tracing::debug!(upstream = self.address(), "looking up the login");
                Ok((LoginProof::of(logins.look_up().await?), LOGIN_LIFETIME))
            }
            Origin::Entra(login) => {
                tracing::debug!(upstream = self.address(), "exchanging an Entra token");
                let token = login.token().await?;
                let refresh = self.exchange(&token, login.tenant()).await?;
                let life = lifetime(refresh.expose()).unwrap_or(REFRESH_LIFETIME);
                Ok((LoginProof::Refresh(refresh), life.saturating_sub(TOKEN_MARGIN)))
            }
        }
    }
}
