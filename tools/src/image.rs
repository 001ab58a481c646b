//! Images on disk: layers made from folders, configurations, manifests and the OCI layout that
//! holds them. Nothing here knows a registry or the marketplace; what the rules judge about an
//! image is in `facts`.

pub mod accounts;
pub(crate) mod algorithms;
pub mod ar;
pub mod attest;
pub mod base;
pub mod build;
pub mod codec;
pub mod compress;
pub mod config;
pub mod contents;
pub mod debian;
pub mod facts;
pub mod files;
mod gzip;
pub mod inputs;
pub mod known_blocks;
pub mod layer;
pub mod layout;
pub mod layout_write;
pub mod packages;
pub mod platform;
pub mod progress;
pub mod sniff;
pub mod sparse;
pub mod stamp;
pub mod tar_read;
pub mod tar_rules;
pub mod tar_walk;
pub mod tar_write;
pub mod unpack;
pub mod zstd;
mod zstd_blocks;
