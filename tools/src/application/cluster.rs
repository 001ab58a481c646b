//! Which clusters an application runs on.

use schemars::JsonSchema;
use serde::Deserialize;

/// A kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cluster {
    /// Managed by Azure (`managedClusters`).
    Aks,
    /// Anywhere, connected to Azure (`connectedClusters`).
    Arc,
}
