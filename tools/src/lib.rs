//! `wharf` as a library: from an offer file and build folders to checked, pushed and promoted
//! images, and to the payload that the marketplace takes.

pub mod bases;
pub mod characters;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod credentials;
pub mod diff;
pub mod exit;
pub mod explain;
pub mod image;
pub mod input;
pub mod logins;
pub mod marketplace;
pub mod moves;
pub mod offer;
pub mod output;
pub mod output_file;
pub mod pictures;
pub mod progress;
pub mod promote;
pub mod push;
pub mod registry;
pub mod registry_state;
pub mod report;
pub mod rules;
pub mod scans;
pub mod secret_patterns;
pub mod shown;
pub mod source;
pub mod temporary;
pub mod transfer;
pub mod usage;
pub mod verify;
pub mod waivers;
