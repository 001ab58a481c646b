//! `wharfd`: a registry, and a registry proxy in front of Azure Container Registry.
//!
//! The rooms, from the top; imports point down this list (`tests/e2e/layering.rs` has each module's rank):
//!
//! - `ops`: the server as a whole, the reload of its configuration, its drain.
//! - `http`: connections, admission, [`Route`], handlers, answers, the record of each request.
//! - `maintenance`: commands of an operator on the store of a running server; readiness.
//! - `push`: upload sessions, transfer upstream, mounts, the outbox of staged pushes, locks for changes.
//! - `pull`: hit, join, fill, bypass.
//! - `context`: one request: caller, configuration, target.
//! - `config`: the whole configuration, its changes, the one in force.
//! - `access`: who the caller is, and what is permitted.
//! - `registries`: from a repository's name to its upstream.
//! - `upstream`: one upstream: its client (`wharf-client`) and its configuration.
//! - `observe`: log, audit log, metrics, traces.
//! - `settings`: the sections of the configuration, one file each.
//! - `runtime`: threads, memory, queues, shares, bodies.
//! - `bound`, `error`, `limits`: leaves.

mod access;
mod bound;
mod config;
mod context;
mod error;
mod http;
pub mod limits;
pub mod maintenance;
pub mod observe;
mod ops;
mod pull;
mod push;
mod registries;
mod runtime;
mod settings;
mod upstream;

pub use access::{HashKind, new_token, password_line, read_login_words};
pub use config::{Config, ConfigSource, LoadedConfig, Overrides};
pub use error::{Error, ErrorResponse, Fault};
pub use http::route::{
    Cursor, Route, UploadStart, parse as parse_route, read_upload_words, render as render_route,
};
pub use ops::serve::{ServeError, Server, Signals};
pub use settings::address::{Address, AddressError};
pub use settings::error::ConfigError;
pub use settings::listen::{Listen, ListenError};
pub use settings::telemetry::TelemetryConfig;
pub use settings::units::{ByteSize, Period, QuantityError};
pub use settings::upstream::{PushMode, UpstreamConfig};
