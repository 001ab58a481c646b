//! The testkit: real registries and clients, images, processes, and a small client.
//!
//! - [`registry`]: Debian's `docker-registry` on a port of the system's choice
//! - [`clients`]: real clients (`skopeo`, `podman`, …), and the policy for missing ones
//! - [`images`]: small deterministic images as OCI layouts
//! - [`handmade`]: images made entry by entry, healthy until a test breaks one thing
//! - [`offers`]: an offer without findings, until a test changes it
//! - [`secrets`]: private keys without a use
//! - [`processes`]: child processes with captured output and a certain end
//! - [`http`]: a client with an exact view of a server's response
//! - [`dice`]: repeatable chance
//! - [`http_proxy`]: an HTTP proxy on the way out
//! - [`relay`]: a TCP relay with a hold in the middle of a transfer
//! - [`trials`]: how large a trial is, in `make test` and in `make trials`

pub mod clients;
pub mod dice;
pub mod handmade;
pub mod http;
pub mod http_proxy;
pub mod images;
pub mod offers;
pub mod processes;
pub mod registry;
pub mod relay;
pub mod secrets;
pub mod trials;
