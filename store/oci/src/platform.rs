//! `Platform`: operating system and architecture of an image, in an index and on a command line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ParseError, excerpt};

/// Operating system, architecture and variant (image-spec, "Image Index", `platform`).
///
/// Parses and displays as `os/architecture[/variant]`; `os.version` and `os.features` exist only
/// in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, or `unknown` for attestations.
    pub os: String,
    /// `amd64`, `arm64`, … as Go names them.
    pub architecture: String,
    /// `v8` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The exact version of Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Required features of the operating system.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

impl Platform {
    /// Whether this stands for an attestation (`BuildKit` writes `unknown/unknown`).
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let word = |part: &str| {
            !part.is_empty()
                && part.len() <= 64
                && part.bytes().all(|c| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-')
                })
        };
        let parts: Vec<&str> = text.split('/').take(4).collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => {
                return Err(ParseError::Platform { text: excerpt(text) });
            }
        };
        if !word(os) || !word(architecture) || variant.is_some_and(|variant| !word(variant)) {
            return Err(ParseError::Platform { text: excerpt(text) });
        }
        Ok(Self {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant: variant.map(|variant| (*variant).to_owned()),
            os_version: None,
            os_features: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parse_undoes_display(text in "[a-z0-9]{1,9}/[a-z0-9]{1,9}(/[a-z0-9]{1,5})?") {
            prop_assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "\\PC{0,60}") {
            if let Ok(platform) = text.parse::<Platform>() {
                prop_assert_eq!(platform.to_string(), text);
            }
        }
    }

    #[test]
    fn texts_that_are_no_platform_are_refused() {
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/", "linux/amd64/v8/x", "Linux/x"]
        {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }
}
