//! The state of a registry from Azure: the output of `az acr show -o json`, or the list of
//! `az acr list`, or the form of Azure Resource Manager (with `properties`).
//!
//! Invariant: only the fields for rules are kept, and they are short.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

/// Largest file, in bytes; one registry has 4 KiB.
pub const STATE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many registries of one file are looked at.
const REGISTRIES_MAX: usize = 1000;

/// A registry as Azure has it. An unstated field has Azure's default, and is in `unstated` where a
/// rule decides by it.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the registry")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryState {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The keys it does not have, or has as `null`.
    pub unstated: Vec<&'static str>,
    pub name: String,
    pub login_server: String,
    /// The subscription, where the file says it.
    pub subscription: Option<String>,
    /// The resource group, where the file says it.
    pub resource_group: Option<String>,
    pub tier: Tier,
    /// How far Azure came with its last change: `Succeeded`.
    pub provisioning: Option<String>,
    /// Whether the admin user may log in.
    pub has_admin_user: bool,
    /// Whether roles of repositories count instead of those of the registry.
    pub uses_abac: bool,
    pub network: Network,
    /// Whether images are hidden until an approval.
    pub has_quarantine: bool,
    /// After how many days untagged manifests are deleted.
    pub retention_days: Option<u64>,
    /// For how many days deleted ones are kept.
    pub soft_delete_days: Option<u64>,
    /// Whether content may be copied out of it.
    pub may_export: bool,
    /// Whether Docker's content trust is on.
    pub has_content_trust: bool,
    /// Whether it is encrypted with a key of the customer.
    pub has_own_key: bool,
    /// Whether it has endpoints of its own for blobs.
    pub has_data_endpoint: bool,
    /// Whether a pull needs no login.
    pub is_anonymous: bool,
}

/// A tier of ACR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tier {
    Basic,
    Standard,
    Premium,
    /// An unknown or unstated one.
    #[default]
    Unknown,
}

/// The clients with access to a registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// All clients.
    #[default]
    Open,
    /// Only some addresses, private endpoints, and trusted services of Azure.
    Trusted,
    /// Only some addresses and private endpoints.
    Closed,
}

/// Why a file is no state of the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is no JSON.
    #[error("{} is no JSON; write it with `az acr show --name NAME --output json`", file.display())]
    NoJson { file: PathBuf, source: serde_json::Error },
    /// It is JSON of another kind.
    #[error("{} is JSON, but not the state of a registry; write it with `az acr show --name NAME --output json`", file.display())]
    NoRegistry { file: PathBuf },
    /// It has a value outside the form of such a state.
    #[error("{} is the state of a registry and cannot be read", file.display())]
    Content { file: PathBuf, source: serde_json::Error },
    /// It is the state of other registries.
    #[error("{} has the state of {found}, and the offer publishes from `{wanted}`; give the state of that one", file.display())]
    Other {
        file: PathBuf,
        found: String,
        /// The registry of the offer.
        wanted: String,
    },
}

impl RegistryState {
    /// Reads a file of one registry or of a list; `file` is for messages.
    pub fn read_all(file: &Path, bytes: &[u8]) -> Result<Vec<Self>, StateError> {
        let file = file.to_owned();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|source| StateError::NoJson { file: file.clone(), source })?;
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        let states = values.into_iter().take(REGISTRIES_MAX).map(|value| {
            if !is_registry(&value) {
                return Err(StateError::NoRegistry { file: file.clone() });
            }
            let written: Written = serde_json::from_value(flat(value))
                .map_err(|source| StateError::Content { file: file.clone(), source })?;
            Ok(written.into_state(&file))
        });
        let states: Vec<Self> = states.collect::<Result<_, _>>()?;
        if states.is_empty() { Err(StateError::NoRegistry { file }) } else { Ok(states) }
    }

    /// The state of the registry with this name or login server.
    pub fn choose(
        file: &Path,
        states: Vec<Self>,
        name: Option<&str>,
        login_server: &str,
    ) -> Result<Self, StateError> {
        let names: Vec<String> = states.iter().map(|at| format!("`{}`", at.name)).collect();
        let is_it = |at: &Self| match name {
            Some(name) => at.name.eq_ignore_ascii_case(name),
            None => at.login_server.eq_ignore_ascii_case(login_server),
        };
        states.into_iter().find(is_it).ok_or_else(|| StateError::Other {
            file: file.to_owned(),
            found: names.iter().take(5).cloned().collect::<Vec<_>>().join(", "),
            wanted: name.unwrap_or(login_server).to_owned(),
        })
    }
}

impl Tier {
    /// Its name in Azure.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Standard => "Standard",
            Self::Premium => "Premium",
            Self::Unknown => "an unknown tier",
        }
    }
}

/// By its type, or by keys of registries alone.
fn is_registry(value: &Value) -> bool {
    let Value::Object(members) = value else { return false };
    match members.get("type").and_then(Value::as_str) {
        Some(kind) => kind.eq_ignore_ascii_case("Microsoft.ContainerRegistry/registries"),
        None => members.contains_key("loginServer"),
    }
}

/// Azure Resource Manager keeps most of it one level deeper.
fn flat(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut()
        && let Some(Value::Object(properties)) = members.remove("properties")
    {
        for (name, value) in properties {
            members.entry(name).or_insert(value);
        }
    }
    value
}

/// The JSON as it is written. `null` is as not stated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    login_server: String,
    resource_group: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    sku: Sku,
    provisioning_state: Option<String>,
    admin_user_enabled: Option<bool>,
    anonymous_pull_enabled: Option<bool>,
    role_assignment_mode: Option<String>,
    public_network_access: Option<String>,
    network_rule_bypass_options: Option<String>,
    network_rule_set: Option<RuleSet>,
    policies: Option<Policies>,
    encryption: Option<Switch>,
    data_endpoint_enabled: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Sku {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleSet {
    default_action: Option<String>,
}

#[expect(clippy::struct_field_names, reason = "as Azure names them")]
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Policies {
    quarantine_policy: Option<Switch>,
    trust_policy: Option<Switch>,
    retention_policy: Option<Switch>,
    soft_delete_policy: Option<Switch>,
    export_policy: Option<Switch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Switch {
    status: Option<String>,
    days: Option<u64>,
    retention_days: Option<u64>,
}

impl Switch {
    fn is_on(&self) -> bool {
        is(self.status.as_deref(), "enabled")
    }
}

fn is(value: Option<&str>, word: &str) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case(word))
}

fn or_default<'de, T, D>(reader: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

impl Written {
    fn into_state(self, file: &Path) -> RegistryState {
        let on = |switch: &Option<Switch>| switch.as_ref().is_some_and(Switch::is_on);
        let off = |switch: &Option<Switch>| {
            switch.as_ref().is_some_and(|at| is(at.status.as_deref(), "disabled"))
        };
        let segment = |after: &str| {
            let mut parts = self.id.split('/');
            parts.by_ref().find(|part| part.eq_ignore_ascii_case(after))?;
            parts.next().map(short)
        };
        let policies = self.policies.as_ref();
        let policy = |get: fn(&Policies) -> &Option<Switch>| policies.map_or(&None, get);
        let days = |switch: &Option<Switch>| {
            let switch = switch.as_ref().filter(|at| at.is_on())?;
            Some(switch.days.or(switch.retention_days).unwrap_or(7))
        };
        RegistryState {
            file: file.to_owned(),
            unstated: self.unstated(),
            name: short(&self.name),
            login_server: short(&self.login_server),
            subscription: segment("subscriptions"),
            resource_group: segment("resourceGroups")
                .or_else(|| self.resource_group.as_deref().map(short)),
            tier: self.tier(),
            provisioning: self.provisioning_state.as_deref().map(short),
            has_admin_user: self.admin_user_enabled.unwrap_or(false),
            uses_abac: is(self.role_assignment_mode.as_deref(), "AbacRepositoryPermissions")
                || is(self.role_assignment_mode.as_deref(), "rbac-abac"),
            network: self.network(),
            has_quarantine: on(policy(|at| &at.quarantine_policy)),
            retention_days: days(policy(|at| &at.retention_policy)),
            soft_delete_days: days(policy(|at| &at.soft_delete_policy)),
            may_export: !off(policy(|at| &at.export_policy)),
            has_content_trust: on(policy(|at| &at.trust_policy)),
            has_own_key: self.encryption.as_ref().is_some_and(Switch::is_on),
            has_data_endpoint: self.data_endpoint_enabled.unwrap_or(false),
            is_anonymous: self.anonymous_pull_enabled.unwrap_or(false),
        }
    }

    fn unstated(&self) -> Vec<&'static str> {
        let reach = self.public_network_access.is_some() || self.network_rule_set.is_some();
        let keys = [
            ("adminUserEnabled", self.admin_user_enabled.is_some()),
            ("publicNetworkAccess", reach),
            ("policies", self.policies.is_some()),
            ("sku", self.sku.name.is_some()),
        ];
        keys.into_iter().filter(|(_, is_stated)| !is_stated).map(|(key, _)| key).collect()
    }

    fn tier(&self) -> Tier {
        let name = self.sku.name.as_deref();
        [Tier::Basic, Tier::Standard, Tier::Premium]
            .into_iter()
            .find(|tier| is(name, tier.as_str()))
            .unwrap_or_default()
    }

    fn network(&self) -> Network {
        let rules = self.network_rule_set.as_ref().and_then(|at| at.default_action.as_deref());
        if !is(self.public_network_access.as_deref(), "disabled") && !is(rules, "deny") {
            Network::Open
        } else if is(self.network_rule_bypass_options.as_deref(), "none") {
            Network::Closed
        } else {
            Network::Trusted
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
