//! The error codes of the distribution specification ("Error Codes") and their JSON body. The proxy
//! maps codes to statuses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::shortened;

/// Longest repeated message of an upstream, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The fault, in the words of the specification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it stands in a body.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// code-1: blob unknown to registry.
    BlobUnknown = "BLOB_UNKNOWN";
    /// code-2: blob upload invalid.
    BlobUploadInvalid = "BLOB_UPLOAD_INVALID";
    /// code-3: blob upload unknown to registry.
    BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN";
    /// code-4: provided digest did not match uploaded content.
    DigestInvalid = "DIGEST_INVALID";
    /// code-5: manifest references a manifest or blob unknown to registry.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN";
    /// code-6: manifest invalid.
    ManifestInvalid = "MANIFEST_INVALID";
    /// code-7: manifest unknown to registry.
    ManifestUnknown = "MANIFEST_UNKNOWN";
    /// code-8: invalid repository name.
    NameInvalid = "NAME_INVALID";
    /// code-9: repository name not known to registry.
    NameUnknown = "NAME_UNKNOWN";
    /// code-10: provided length did not match content length.
    SizeInvalid = "SIZE_INVALID";
    /// code-11: authentication required.
    Unauthorized = "UNAUTHORIZED";
    /// code-12: requested access to the resource is denied.
    Denied = "DENIED";
    /// code-13: the operation is unsupported.
    Unsupported = "UNSUPPORTED";
    /// code-14: too many requests.
    TooManyRequests = "TOOMANYREQUESTS";
    /// Not of the specification: the content to replace has changed (RFC 9110 §13.1).
    PreconditionFailed = "PRECONDITION_FAILED";
    /// Not of the specification: registries send it for their own faults.
    Unknown = "UNKNOWN";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

/// The body of an error answer, read leniently: registries leave fields out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The errors, most often one.
    #[serde(default)]
    pub errors: Vec<ErrorEntry>,
}

/// One entry of an [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// A code, perhaps not one of the specification.
    #[serde(default)]
    pub code: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// Any JSON value.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

impl ErrorBody {
    /// A body with one entry.
    #[must_use]
    pub fn one(code: ErrorCode, message: impl Into<String>, detail: serde_json::Value) -> Self {
        let entry = ErrorEntry { code: code.as_str().to_owned(), message: message.into(), detail };
        Self { errors: vec![entry] }
    }

    /// Reads the body of an answer; `None` when it is no error body. Messages are shortened, and
    /// lose every character able to forge a line of a log.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut body: Self = serde_json::from_slice(bytes).ok()?;
        for entry in &mut body.errors {
            entry.message = shortened(&entry.message, MESSAGE_CHARS_MAX);
        }
        Some(body).filter(|body| !body.errors.is_empty())
    }

    /// The body as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and JSON values always serialise")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_code_survives_its_text() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse::<ErrorCode>(), Ok(*code));
        }
        assert!("NOPE".parse::<ErrorCode>().is_err());
    }

    #[test]
    fn a_body_survives_json_and_foreign_bodies_are_no_error_body() {
        let body = ErrorBody::one(ErrorCode::DigestInvalid, "no", serde_json::json!({"a": 1}));
        assert_eq!(ErrorBody::parse(body.to_json().as_bytes()), Some(body));
        let forged = format!("a\nb\u{2028}{}", "c".repeat(5_000));
        let body = ErrorBody::one(ErrorCode::Unknown, forged, serde_json::Value::Null);
        let message = &ErrorBody::parse(body.to_json().as_bytes()).unwrap().errors[0].message;
        assert!(message.starts_with("a\u{fffd}b\u{fffd}c") && message.chars().count() == 1_001);
        assert!(ErrorBody::parse(b"<html>").is_none());
        assert!(ErrorBody::parse(b"{}").is_none());
        assert!(ErrorBody::parse(b"{\"errors\":[{}]}").is_some());
    }
}
