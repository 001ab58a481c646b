//! Where the login of a registry comes from.
//!
//! Invariant: `Debug` hides every secret.

use std::path::PathBuf;

use url::Url;
use wharf_oci::{Login, Secret};

/// The scope of Entra tokens for any registry of the public cloud.
pub const ENTRA_SCOPE: &str = "https://containerregistry.azure.net/.default";

/// Where the login of a registry comes from. A constant secret was read already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// No login is sent.
    Anonymous,
    /// A constant login.
    Password(Login),
    /// `config.json` of Docker, with its credential helpers.
    Docker {
        /// The file's path.
        path: PathBuf,
        /// `HOST[:PORT]` of the registry.
        host: String,
    },
    /// An Entra identity.
    Entra(Entra),
}

/// An Entra identity, with every part that its kind needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// The identity.
    pub identity: EntraIdentity,
    /// The tenant, sent to the registry when it is known.
    pub tenant: Option<String>,
    /// The scope of the Entra token.
    pub scope: String,
}

/// An identity, and its kind of proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntraIdentity {
    /// An application with a secret.
    ClientSecret {
        /// The application, and its authority.
        application: Application,
        /// The client secret.
        secret: Secret,
    },
    /// A Kubernetes service account.
    Workload {
        /// The application, and its authority.
        application: Application,
        /// The token of the service account; read again from time to time.
        token_file: PathBuf,
    },
    /// The identity of the machine or of the app service.
    Managed {
        /// The user-assigned one with this client id; the system's own when not given.
        client_id: Option<String>,
    },
    /// The user who ran `az login`.
    AzureCli,
}

/// An application of Entra ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The tenant's id.
    pub tenant: String,
    /// Its client id.
    pub client_id: String,
    /// The authority that issues tokens; the public cloud, or `AZURE_AUTHORITY_HOST`, when not given.
    pub authority: Option<Url>,
}
