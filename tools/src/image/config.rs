//! The configuration of an image (image-spec, "Image Configuration"): written strictly, read
//! leniently, because other tools leave fields out and write `null` for lists.

#![expect(clippy::zero_sized_map_values, reason = "the specification writes sets as maps to `{}`")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use wharf_oci::Digest;

/// The platform, the start of a container, and the digests of the layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `amd64`, …; empty when nothing stood there.
    #[serde(default)]
    pub architecture: String,
    /// `linux`, …; empty when nothing stood there.
    #[serde(default)]
    pub os: String,
    /// `v8` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The exact version of Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RuntimeConfig,
    /// The uncompressed layers.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How it came to be, one entry per step.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// How a container starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuntimeConfig {
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Where it listens: `PORT/PROTOCOL`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Its arguments, or the program.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Folders that outlive a container.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal to end it.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// How docker asks whether it is well; not in the specification of OCI, and never written.
    #[serde(deserialize_with = "null_is_default", skip_serializing)]
    pub healthcheck: Healthcheck,
}

/// How docker asks a container whether it is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`; `CMD` and the words of a command; `CMD-SHELL` and a line for a shell; or nothing.
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Nanoseconds between two questions; 0 means docker's 30 seconds.
    #[serde(deserialize_with = "other_is_zero")]
    pub interval: u64,
    /// Nanoseconds an answer may take; 0 means docker's 30 seconds.
    #[serde(deserialize_with = "other_is_zero")]
    pub timeout: u64,
    /// Nanoseconds in which failures do not count.
    #[serde(deserialize_with = "other_is_zero")]
    pub start_period: u64,
    /// After how many failures it is not well; 0 means docker's 3.
    #[serde(deserialize_with = "other_is_zero")]
    pub retries: u64,
}

/// The `{}` for a member of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The uncompressed layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A number docker would not read is no reason to read nothing of the configuration.
fn other_is_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nulls_and_missing_fields_are_read_as_empty() {
        let text = r#"{"os":"linux","architecture":"amd64","config":{"Env":null,"Cmd":["x"],
            "ExposedPorts":{"80/tcp":{}},"Unknown":1},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert!(config.config.env.is_empty() && config.rootfs.diff_ids.is_empty());
        assert_eq!(config.config.cmd, ["x"]);
        assert!(config.config.exposed_ports.contains_key("80/tcp"));
        assert!(serde_json::from_str::<ImageConfig>(r#"{"config":null}"#).is_ok());
    }

    #[test]
    fn times_of_a_health_check_that_are_none_are_read_as_zero() {
        let text = r#"{"Test":["CMD","x"],"Interval":5000000000,"Timeout":"30s","Retries":-1}"#;
        let health: Healthcheck = serde_json::from_str(text).unwrap();
        let times = (health.interval, health.timeout, health.start_period, health.retries);
        assert_eq!(times, (5_000_000_000, 0, 0, 0));
    }

    #[test]
    fn empty_fields_are_not_written() {
        let config = ImageConfig { os: "linux".to_owned(), ..ImageConfig::default() };
        assert_eq!(
            serde_json::to_string(&config).unwrap(),
            r#"{"architecture":"","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#
        );
    }
}
