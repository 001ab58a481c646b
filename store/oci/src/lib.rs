//! The words of the OCI registry protocol, as types: one file per word.
//!
//! Text is parsed once, at the edge. Past the edge every digest, repository name and range is well
//! formed. The crate does no IO, is not async and knows no HTTP, so both ends of the protocol (the
//! proxy, its upstream client, the command line) share one grammar.
//!
//! | word | type |
//! | --- | --- |
//! | content address | [`Digest`], [`Algorithm`], proven by [`Digester`] |
//! | repository, tag, tag-or-digest | [`RepoName`], [`Tag`], [`Reference`] |
//! | descriptor and its fields | [`MediaType`], [`Descriptor`], [`Platform`] |
//! | manifest of an image, an index, an artifact | [`Manifest`] |
//! | list of referrers of a manifest | [`ReferrerList`], [`Referrer`] |
//! | part of a blob, part of an upload | [`ByteRange`], [`ContentRange`], [`ChunkRange`] |
//! | URL of each endpoint | [`Endpoint`], [`UploadId`] |
//! | moment, day | [`Timestamp`], [`Day`] |
//! | error body | [`ErrorCode`], [`ErrorBody`] |
//! | login, as Docker keeps it | [`Login`], [`Secret`], [`DockerConfig`] |

#![warn(missing_docs)]

mod descriptor;
mod digest;
mod error;
mod error_code;
mod limits;
mod login;
mod manifest;
mod media_type;
mod members;
mod name;
mod page_query;
mod path;
mod platform;
mod range;
mod reference;
mod referrers;
mod timestamp;
mod verify;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest};
pub use error::ParseError;
pub use error_code::{ErrorBody, ErrorCode, ErrorEntry};
pub use limits::{MANIFEST_SIZE_BYTES_MAX, REFERRER_BYTES_MAX};
pub use login::{DockerConfig, Login, Secret, StoredLogin, parse_helper_answer};
pub use manifest::{Manifest, ManifestKind};
pub use media_type::MediaType;
pub use name::{RepoName, Tag};
pub use page_query::PageQuery;
pub use path::{Endpoint, UploadId};
pub use platform::Platform;
pub use range::{ByteRange, ChunkRange, ContentRange, Span};
pub use reference::Reference;
pub use referrers::{Referrer, ReferrerList};
pub use timestamp::{Day, DayError, Timestamp, TimestampError};
pub use verify::{Digester, HashResult, HashState, Mismatch};
