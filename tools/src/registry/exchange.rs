//! ACR's `/oauth2/exchange`: an Entra token becomes an identity token of the registry, which is good
//! for three hours.
//!
//! Invariant: the text of the answer is never repeated, because it may hold the token.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use wharf_oci::Endpoint;

use super::Registry;
use super::auth::TokenScope;
use super::error::RegistryError;
use super::transport::shown;
use crate::offer::secrets::SecretValue;

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What messages call the right that is asked for.
const LOGIN: &str = "a login with Entra ID";

#[derive(Deserialize)]
struct Answer {
    refresh_token: String,
}

impl Registry {
    /// Exchanges an Entra token for an identity token.
    pub async fn exchange(&self, entra: &SecretValue) -> Result<SecretValue, RegistryError> {
        let scope = TokenScope::none();
        let mut call = self.new_call(Method::POST, &Endpoint::Base, &scope)?;
        let address = format!("{}://{}/oauth2/exchange", self.scheme, self.host);
        call.uri = address.parse().map_err(|_| RegistryError::Protocol {
            url: address.clone(),
            reason: "this is not an address".to_owned(),
        })?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.headers.insert(CONTENT_TYPE, form);
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (service, token) = (encoded(self.host.as_str()), encoded(entra.expose()));
        let form = format!("grant_type=access_token&service={service}&access_token={token}");
        call.body = Bytes::from(form);
        let mut response = self.call(&call).await?;
        let refused = |message: String| RegistryError::Unauthorized {
            registry: self.host.to_string(),
            scope: LOGIN.to_owned(),
            message,
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                return Err(refused("it takes no Entra ID; only Azure's registries do".to_owned()));
            }
            status => return Err(refused(format!("it answered {status}"))),
        }
        let body = self.transport.whole(&call.uri, response.body_mut(), ANSWER_BYTES_MAX).await?;
        let answer = body.and_then(|body| serde_json::from_slice::<Answer>(&body).ok());
        let answer = answer.filter(|answer| !answer.refresh_token.is_empty());
        answer.map(|answer| SecretValue::new(answer.refresh_token)).ok_or_else(|| {
            RegistryError::Protocol {
                url: shown(&call.uri),
                reason: "it gives out no token".to_owned(),
            }
        })
    }
}
