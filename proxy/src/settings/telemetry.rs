//! The address for traces (`[telemetry]`), and OpenTelemetry's variables for it.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;
use wharf_client::outbound::proxies::OutboundProxies;

use super::address::{Address, AddressError};
use crate::settings::error::ConfigError;

/// Where traces go when only a base address is given.
const TRACES_PATH: &str = "v1/traces";

/// Traces. None is made or sent without an endpoint; `OTEL_SDK_DISABLED=true` turns them off.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector (OTLP, protobuf over HTTP), such as `http://127.0.0.1:4318`; `/v1/traces` is added.
    /// When not given, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` of the
    /// environment.
    #[serde(default)]
    otlp_endpoint: Option<Address>,
    /// Share of requests that is traced, 0 to 1, unless a trusted `traceparent` has decided.
    #[serde(default)]
    sample_ratio: Option<f64>,
    /// Tell upstreams the trace (`traceparent`).
    #[serde(default)]
    propagate: bool,
    /// Which proxy leads there; of the environment.
    #[serde(skip)]
    egress: Arc<OutboundProxies>,
}

impl TelemetryConfig {
    /// The address for traces: of the file, or of the environment; `None` when there is none, or
    /// `OTEL_SDK_DISABLED` says so.
    pub(crate) fn endpoint(&self) -> Result<Option<Url>, ConfigError> {
        self.endpoint_with(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn endpoint_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Url>, ConfigError> {
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let parse = |text: String, name: &str| {
            let refused =
                |error: AddressError| ConfigError::Telemetry { reason: format!("{name}: {error}") };
            text.parse::<Address>().map_err(refused)
        };
        if let Some(base) = &self.otlp_endpoint {
            return checked(below(base)).map(Some);
        }
        let exact = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        if let Some(text) = variable(exact) {
            return checked(parse(text, exact)?.to_url()).map(Some);
        }
        let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let found = variable(base).map(|text| parse(text, base)).transpose()?;
        found.map(|found| checked(below(&found))).transpose()
    }

    /// The share of traced requests.
    pub(crate) fn sample_ratio(&self) -> f64 {
        self.sample_ratio.unwrap_or(1.0)
    }

    /// Whether requests to upstreams carry the trace's id.
    pub(crate) const fn propagates(&self) -> bool {
        self.propagate
    }

    /// The outbound proxies for the exporter.
    pub(crate) const fn egress(&self) -> &Arc<OutboundProxies> {
        &self.egress
    }

    /// It is reached as the environment says.
    pub(crate) fn through(self, egress: &Arc<OutboundProxies>) -> Self {
        Self { egress: Arc::clone(egress), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.sample_ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            let reason = "sample_ratio is a share, from 0 to 1".to_owned();
            return Err(ConfigError::Telemetry { reason });
        }
        self.endpoint().map(|_| ())
    }
}

/// The address for traces below a base address.
fn below(base: &Url) -> Url {
    let path = base.path().trim_end_matches('/');
    if path.ends_with(TRACES_PATH) {
        return base.clone();
    }
    let mut below = base.clone();
    below.set_path(&format!("{path}/{TRACES_PATH}"));
    below
}

/// A query may hold a key, and the exporter would show it.
fn checked(url: Url) -> Result<Url, ConfigError> {
    if url.query().is_some() {
        let reason = "an endpoint has no query; what the collector wants to be shown goes into \
             OTEL_EXPORTER_OTLP_HEADERS";
        return Err(ConfigError::Telemetry { reason: reason.to_owned() });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(file: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let config: TelemetryConfig = toml::from_str(file).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = config.endpoint_with(variable).map_err(|error| error.to_string())?;
        Ok(found.map(|url| url.to_string()))
    }

    #[test]
    fn the_endpoint_is_of_the_file_or_of_the_environment_or_none() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/otlp/");
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://exact/here");
        let file = "otlp_endpoint = \"http://file:4318\"";
        let is = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(endpoint("", &[]), Ok(None));
        assert_eq!(endpoint(file, &[base, exact]), is("http://file:4318/v1/traces"));
        assert_eq!(endpoint("", &[base, exact]), is("http://exact/here"));
        assert_eq!(endpoint("", &[base]), is("http://base:4318/otlp/v1/traces"));
        assert_eq!(endpoint(file, &[("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let whole = "otlp_endpoint = \"http://file:4318/v1/traces\"";
        assert_eq!(endpoint(whole, &[]), is("http://file:4318/v1/traces"));
    }

    #[test]
    fn an_endpoint_that_cannot_be_used_is_refused() {
        let refused = |url: &str| endpoint(&format!("otlp_endpoint = \"{url}\""), &[]).unwrap_err();
        assert!(refused("http://h?key=hunter2").contains("OTEL_EXPORTER_OTLP_HEADERS"));
        let of_variable = |url| endpoint("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).unwrap_err();
        assert!(of_variable("grpc://h:4317").contains("http://HOST:PORT"));
        let login = of_variable("http://u:hunter2@h");
        assert!(login.contains("OTEL_EXPORTER_OTLP_HEADERS") && !login.contains("hunter2"));
        assert!(toml::from_str::<TelemetryConfig>("otlp_endpoint = \"grpc://h:4317\"").is_err());
        let ratio: TelemetryConfig = toml::from_str("sample_ratio = 1.5").unwrap();
        assert!(ratio.check().is_err());
    }
}
