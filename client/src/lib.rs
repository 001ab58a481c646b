//! The client of one OCI registry, for the server `wharfd` and the command line `wharf`.
//!
//! Typed requests, unverified answers: an answer is the registry's claim, and its reader verifies it. Bodies
//! stream in both directions; no chunk of an upload is in memory, because its source makes it again as often
//! as it is needed.
//!
//! - [`Client`]: manifests, blobs, uploads, tags, referrers, locks, rights.
//! - Below it: one request with its login, retries, circuit breaker and concurrency windows; the egress
//!   policy; connections, through the network's proxies ([`outbound`]).
//! - [`runtime`]: mechanisms without a word of the protocol, which the server uses too.
//!
//! A program gives [`Settings`], a [`MemoryBudget`] for whole answers, and an [`Offload`] for parsing.
#![warn(missing_docs)]

mod accept;
mod auth;
mod breaker;
pub mod caller_login;
mod cancellations;
pub mod challenge;
mod chunks;
mod client;
mod concurrency;
mod conditions;
mod connect;
mod credentials;
mod download;
mod egress;
mod error;
mod headers;
pub mod limits;
mod memory;
mod offload;
pub mod outbound;
mod payload;
pub mod programs;
mod redirects;
pub mod retry;
pub mod runtime;
mod scope;
mod settings;
mod state;
mod tokens;
pub mod traces;
mod transport;

pub use accept::Accept;
pub use breaker::BreakerState;
pub use client::referrers::{ReferrersApi, ReferrersPage, ReferrersReader};
pub use client::rights::{ProbedRight, RequestedRight};
pub use client::tag_state::{BlobState, TagState};
pub use client::upload_session::{StartedUpload, UploadSession};
pub use client::{AcceptedManifest, Client, FetchedManifest, ListingPage, Urgency};
pub use concurrency::WindowState;
pub use conditions::{Conditions, MalformedCondition};
pub use credentials::{Application, CredentialSource, ENTRA_SCOPE, Entra, EntraIdentity};
pub use download::Download;
pub use error::{ClientBound, ClientError, chain};
pub use memory::{
    CollectedBytes, MemoryBudget, MemoryFull, MemoryOwner, MemoryReservation, Unbounded,
};
pub use offload::{InPlace, Offload};
pub use outbound::BoxError;
pub use scope::{Scope, ScopeAction, lifetime as token_lifetime};
pub use settings::{HostList, Settings, Timeouts, UnusableLogin};
pub use state::{Arrival, ClientState, CounterSnapshot, TokenResult};
