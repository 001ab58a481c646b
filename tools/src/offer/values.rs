//! The small words of an offer file as types: names, versions, times, paths, owners, ports. Each
//! parses from its text and displays as it; none does IO.
//!
//! Invariant: an existing value keeps the format rule of its key in the offer reference, so that it
//! can become a folder name, a header or a field of an image without another check.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::logins::{self, ADVICE};

/// Texts by their keys.
pub type Annotations = BTreeMap<String, String>;

/// Why a text does not fit its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It breaks the word's rule.
    #[error("`{text}` is not {what}: {rule}")]
    Rule {
        /// The key's kind of word.
        what: &'static str,
        /// The text, shortened.
        text: String,
        rule: &'static str,
    },
    /// It has an `@`, and the part before it may be a password.
    #[error("this is not {what}, and is not shown because it may hold a password; {ADVICE}")]
    Login {
        /// The key's kind of word.
        what: &'static str,
    },
}

fn refuse<T>(what: &'static str, text: &str, rule: &'static str) -> Result<T, ValueError> {
    if logins::may_hold(text) {
        return Err(ValueError::Login { what });
    }
    let mut shown: String =
        text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    Err(ValueError::Rule { what, text: shown, rule })
}

/// Reads a word from its text; the error of the word becomes the error of the file.
pub(crate) fn from_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

macro_rules! serde_as_text {
    ($($word:ident),*) => {$(
        impl Serialize for $word {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    )*};
}
serde_as_text!(
    PlanId,
    ImageName,
    ImageId,
    KeyVaultSecret,
    RegistryName,
    LoginServer,
    RelativePath,
    ImagePath,
    EnvName,
    ImageVersion,
    Owner,
    ExposedPort
);

macro_rules! text_word {
    ($($(#[$doc:meta])* $word:ident: $what:literal, $accept:expr, $rule:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $word(Box<str>);

        impl $word {
            /// The word as it stands in the file.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $word {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                let accept: fn(&str) -> bool = $accept;
                if accept(text) { Ok(Self(text.into())) } else { refuse($what, text, $rule) }
            }
        }

        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_word! {
    /// The name of a plan. It is also the name of the plan's folder.
    ///
    /// - `^[a-z0-9][a-z0-9_-]{0,99}$`
    PlanId: "a plan ID", |text| {
        text.len() <= 100
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_')
            })
    }, "use 1 to 100 lowercase letters, digits, `-` and `_`, starting with a letter or digit";

    /// The name of an image under `global.azure.images` of a chart.
    ///
    /// - `^[A-Za-z][A-Za-z0-9_-]{0,62}$`
    ImageName: "the name of an image in a chart", |text| {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    }, "use 1 to 63 letters, digits, `-` and `_`, starting with a letter";

    /// An image of an offer: its plan's ID, and in a Kubernetes plan a dot and its name. It is also
    /// the name of the folder of its layout.
    ImageId: "an image of an offer", |text| match text.split_once('.') {
        None => text.parse::<PlanId>().is_ok(),
        Some((plan, name)) => plan.parse::<PlanId>().is_ok() && name.parse::<ImageName>().is_ok(),
    }, "write the ID of a plan, or PLAN.NAME for an image of a chart";

    /// A secret in a key vault: `VAULT/NAME`.
    ///
    /// - A vault has 3 to 24 letters, digits and `-`; a secret 1 to 127.
    KeyVaultSecret: "a secret of a key vault", |text| {
        let is_word = |word: &str| word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        text.split_once('/').is_some_and(|(vault, name)| {
            (3..=24).contains(&vault.len()) && is_word(vault) && (1..=127).contains(&name.len())
                && vault.starts_with(|c: char| c.is_ascii_alphabetic()) && is_word(name)
        })
    }, "write VAULT/NAME, each of letters, digits and `-`";

    /// The name of a registry in an offer and on the command line.
    ///
    /// - `^[a-z][a-z0-9-]{0,31}$`
    RegistryName: "a registry name", |text| {
        text.len() <= 32
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    }, "use 1 to 32 lowercase letters, digits and `-`, starting with a letter";

    /// Where a registry listens: `host[:port]`.
    ///
    /// - No scheme, no path, no credentials; `[…]` around an IPv6 address.
    LoginServer: "a login server", is_login_server,
        "write host or host:port, without https:// and without a path";

    /// A path below or beside the folder of the offer file.
    ///
    /// - Not empty, not absolute, `/` between its parts, no NUL; `..` is allowed.
    RelativePath: "a path of this offer", |text| {
        !text.is_empty() && !text.starts_with('/') && !text.contains(['\\', '\0'])
            && text.as_bytes().get(1) != Some(&b':')
    }, "write it relative to the folder of the offer file, with `/` between the parts";

    /// A path inside the image.
    ///
    /// - Absolute and normal: no `.`, no `..`, no empty part, no `/` at the end but for the root.
    ImagePath: "a path inside an image", |text| {
        text == "/"
            || (text.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            }) && !text.contains('\0'))
    }, "write an absolute path without `.`, `..`, `//` and without a `/` at the end";

    /// The name of an environment variable.
    ///
    /// - Not empty, without `=`, NUL and white space.
    EnvName: "the name of an environment variable", |text| {
        !text.is_empty() && !text.contains(|c: char| c == '=' || c == '\0' || c.is_whitespace())
    }, "it must not be empty and must not contain `=`, NUL or white space";
}

fn is_login_server(text: &str) -> bool {
    let name = |host: &str| {
        !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
            && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
    };
    let port = |port: &str| {
        port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (after.is_empty() || after.strip_prefix(':').is_some_and(port));
    }
    match text.split_once(':') {
        Some((host, number)) => name(host) && port(number),
        None => name(text),
    }
}

impl ImageId {
    /// The one image of a plan.
    #[must_use]
    pub fn of_plan(plan: &PlanId) -> Self {
        Self(plan.0.clone())
    }

    /// An image of a chart.
    #[must_use]
    pub fn of_chart(plan: &PlanId, name: &ImageName) -> Self {
        Self(format!("{plan}.{name}").into())
    }

    /// The ID of its plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(plan, _)| plan)
    }
}

impl KeyVaultSecret {
    /// The vault and the name in it.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

impl ImagePath {
    /// The root of the image.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Whether this is the root of the image.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }
}

impl RegistryName {
    /// The environment variable for the login server: `WHARF_REGISTRY_<NAME>`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("WHARF_REGISTRY_{}", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

/// The version of an image: `X.Y` or `X.Y.Z` with whole numbers.
///
/// - Displays as it was written, so `1.10` never becomes `1.1`.
/// - Ordered by its numbers; a missing third number counts as 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageVersion {
    text: Box<str>,
    numbers: [u64; 3],
}

impl ImageVersion {
    /// The version as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its three numbers.
    #[must_use]
    pub const fn numbers(&self) -> [u64; 3] {
        self.numbers
    }
}

impl FromStr for ImageVersion {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const RULE: &str = "write X.Y or X.Y.Z with whole numbers, in quotes";
        let mut numbers = [0; 3];
        let parts: Vec<&str> = text.split('.').take(4).collect();
        if !matches!(parts.len(), 2 | 3) {
            return refuse("a version", text, RULE);
        }
        for (slot, part) in numbers.iter_mut().zip(parts) {
            let digits = !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
            match part.parse() {
                Ok(number) if digits => *slot = number,
                _ => return refuse("a version", text, RULE),
            }
        }
        Ok(Self { text: text.into(), numbers })
    }
}

impl fmt::Display for ImageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The owner of a layer's files, by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl FromStr for Owner {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = |part: &str| {
            (!part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()))
                .then(|| part.parse().ok())
                .flatten()
        };
        match text.split_once(':').map(|(uid, gid)| (number(uid), number(gid))) {
            Some((Some(uid), Some(gid))) => Ok(Self { uid, gid }),
            _ => refuse("an owner", text, "write UID:GID as numbers, in quotes"),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// How a port is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `tcp`, also when nothing is said.
    Tcp,
    Udp,
}

/// A listening port of the image; displays as `6379/tcp`.
///
/// - The number is 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExposedPort {
    pub number: u16,
    pub protocol: Protocol,
}

impl FromStr for ExposedPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const RULE: &str = "write PORT, PORT/tcp or PORT/udp with a port from 1 to 65535";
        let (number, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((number, "tcp")) => (number, Protocol::Tcp),
            Some((number, "udp")) => (number, Protocol::Udp),
            Some(_) => return refuse("a port", text, RULE),
        };
        match number.parse() {
            Ok(port) if port > 0 && number.bytes().all(|c| c.is_ascii_digit()) => {
                Ok(Self { number: port, protocol })
            }
            _ => refuse("a port", text, RULE),
        }
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn login_servers_are_host_and_port_only() {
        for good in ["a.azurecr.io", "localhost:5000", "127.0.0.1:5055", "[::1]:5000", "[::1]"] {
            assert_eq!(good.parse::<LoginServer>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "https://a.io",
            "a.io/b",
            "a.io:",
            "a.io:0",
            "a.io:70000",
            "u@a.io",
            "[::1",
            "::1",
            "a..b",
            ".a",
            "-a.io",
            "a:+5",
        ] {
            assert!(bad.parse::<LoginServer>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_login_before_a_host_is_not_repeated() {
        for text in ["bob:s3cret@a.io", "https://bob:s3cret@a.io", "bob:s3/cret@a.io", "s3cret@a"] {
            let said = text.parse::<LoginServer>().unwrap_err().to_string();
            assert!(!said.contains("cret") && !said.contains("bob"), "{said}");
            assert!(said.contains("not shown") && said.contains("docker login"), "{said}");
        }
    }

    #[test]
    fn versions_keep_their_text_and_compare_by_number() {
        let ten: ImageVersion = "1.10".parse().unwrap();
        assert_eq!(ten.to_string(), "1.10");
        assert_eq!(ten.numbers(), [1, 10, 0]);
        for bad in ["1", "1.2.3.4", "1.x", "v1.2", "1.", ".1", "+1.2", "1.2-rc1", ""] {
            assert!(bad.parse::<ImageVersion>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_inside_an_image_are_absolute_and_normal() {
        for good in ["/", "/data", "/usr/share"] {
            assert_eq!(good.parse::<ImagePath>().unwrap().as_str(), good);
        }
        for bad in ["", "data", "//", "/a//b", "/a/", "/a/../b", "/.", "/a/."] {
            assert!(bad.parse::<ImagePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_of_an_offer_are_relative() {
        for good in ["a", "../a/b.html", "./x"] {
            assert!(good.parse::<RelativePath>().is_ok(), "{good:?}");
        }
        for bad in ["", "/etc/passwd", "a\\b", "C:/x"] {
            assert!(bad.parse::<RelativePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn owners_and_ports_are_numbers_in_range() {
        assert_eq!("7:8".parse::<Owner>().unwrap(), Owner { uid: 7, gid: 8 });
        for bad in ["", "0", "0:", "root:root", "-1:0", "4294967296:0", "+1:1"] {
            assert!(bad.parse::<Owner>().is_err(), "{bad:?}");
        }
        assert_eq!("53/udp".parse::<ExposedPort>().unwrap().to_string(), "53/udp");
        assert_eq!("80".parse::<ExposedPort>().unwrap().to_string(), "80/tcp");
        for bad in ["", "0", "65536", "80/sctp", "80/", "-1", "+80", "80-90"] {
            assert!(bad.parse::<ExposedPort>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_become_folders_and_variables_are_plain() {
        assert!("a_b-1".parse::<PlanId>().is_ok());
        for bad in ["", "-a", "..", "a/b", "A", &"a".repeat(101)] {
            assert!(bad.parse::<PlanId>().is_err(), "{bad:?}");
        }
        let name: RegistryName = "west-2".parse().unwrap();
        assert_eq!(name.variable(), "WHARF_REGISTRY_WEST_2");
        assert!("2west".parse::<RegistryName>().is_err());
    }
}
