//! The descriptions of an offer's words for editors: each with its pattern and an example, beside
//! the parser with the last word on it. The shapes of mappings come from their types.
//!
//! A pattern accepts every value the parser accepts, and perhaps more.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use wharf_oci::{Digest, Platform, RepoName, Tag};

use super::globs::Glob;
use super::layers::{Destination, FileMode, Layer, RawLayer};
use super::origin::ImageSource;
use super::patterns::{PathPattern, PathPatterns};
use super::secrets::Secret;
use super::tags::{TagTemplate, TagTemplates};
use super::texts::{Terms, Text};
use super::values::{
    EnvName, ExposedPort, ImageName, ImagePath, ImageVersion, KeyVaultSecret, LoginServer, Owner,
    PlanId, RegistryName, RelativePath,
};

/// A word: one value with a rule of its own.
#[derive(Debug)]
pub(super) struct Word {
    /// What it is called in the schema.
    pub(super) name: &'static str,
    /// What it must look like.
    pub(super) pattern: &'static str,
    /// One that fits.
    pub(super) example: &'static str,
    /// Says what is wrong with a text.
    pub(super) check: fn(&str) -> Result<(), String>,
}

fn check<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

/// The word of this name.
pub(super) fn word(name: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name)
}

/// The word with this pattern.
pub(super) fn word_of_pattern(pattern: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.pattern == pattern)
}

/// Stands for a type of another package where a schema is asked for.
macro_rules! stand_ins {
    ($($name:ident for $kind:ty,)*) => {$(
        #[doc = concat!("How `", stringify!($kind), "` stands in an offer.")]
        #[derive(Debug)]
        pub(crate) struct $name;

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                check::<$kind>(text).map(|()| Self)
            }
        }
    )*};
}
stand_ins! {
    RepoNameText for RepoName,
    TagText for Tag,
    DigestText for Digest,
    PlatformText for Platform,
    Timestamp for wharf_oci::Timestamp,
}

macro_rules! words {
    ($($kind:ident $type:literal $pattern:literal $example:literal $description:literal;)*) => {
        $(impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({
                    "type": "string",
                    "description": $description,
                    "pattern": $pattern,
                    "examples": [$example],
                });
                if $type == "or a number" {
                    schema.insert("type".to_owned(), ["string", "integer"].as_slice().into());
                }
                schema
            }
        })*

        /// All of them.
        pub(super) const WORDS: &[Word] = &[$(Word {
            name: stringify!($kind),
            pattern: $pattern,
            example: $example,
            check: check::<$kind>,
        }),*];
    };
}
words! {
    PlanId "text" "^[a-z0-9][a-z0-9_-]{0,99}$" "cache-server"
        "The ID of a plan: lowercase letters, digits, `-` and `_`.";
    ImageName "text" "^[A-Za-z][A-Za-z0-9_-]{0,62}$" "web"
        "The name of an image under `global.azure.images` of a chart.";
    KeyVaultSecret "text" "^[A-Za-z][A-Za-z0-9-]{2,23}/[A-Za-z0-9-]{1,127}$" "quayline-vault/acr-password"
        "A secret of a key vault: VAULT/NAME.";
    RegistryName "text" "^[a-z][a-z0-9-]{0,31}$" "production"
        "The name of a registry: lowercase letters, digits and `-`.";
    LoginServer "text" "^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$" "quayline.azurecr.io"
        "Where a registry listens: host or host:port, without https:// and without a path.";
    RelativePath "text" "^([^/\\\\]|[^/\\\\][^:\\\\][^\\\\]*)$" "pictures/logo-large.png"
        "A path that starts at the folder of the offer file, with `/` between its parts.";
    ImagePath "text" "^(/|(/[^/]+)+)$" "/srv/data"
        "A path inside the image: absolute, without `.`, `..` and without a `/` at its end.";
    Destination "text" "^(/|(/[^/]+)+/?)$" "/etc/tidepool/"
        "Where a file goes in the image; with a `/` at its end it is the folder for it.";
    EnvName "text" "^[^=\\s]+$" "CACHE_PORT"
        "The name of an environment variable.";
    ImageVersion "text" "^[0-9]+\\.[0-9]+(\\.[0-9]+)?$" "1.4.0"
        "A version: X.Y or X.Y.Z with whole numbers, in quotes.";
    Owner "text" "^[0-9]+:[0-9]+$" "999:999"
        "Who owns files: UID:GID as numbers, in quotes.";
    ExposedPort "or a number" "^[0-9]{1,5}(/(tcp|udp))?$" "8080/tcp"
        "A port: PORT, PORT/tcp or PORT/udp, from 1 to 65535.";
    FileMode "or a number" "^[0-7]{3,4}$" "0755"
        "Permission bits: three or four octal digits, in quotes.";
    Timestamp "text" "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$" "2026-11-01T00:00:00Z"
        "A moment in UTC, from 1970 on.";
    Glob "text" "^.+$" "usr/share/doc/**"
        "A pattern of paths below the folder: `*`, `?` and `**`.";
    PathPattern "text" "^[^/\\\\].*$" "debs/*.deb"
        "A path of the offer, or a pattern of paths.";
    TagTemplate "text" "^[^{}]*(\\{(version|os|arch|platform)\\}[^{}]*)*$" "{version}-{platform}"
        "A tag, which may hold {version}, {os}, {arch} and {platform}.";
    RepoNameText "text" "^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$" "tidepool/cache-server"
        "A repository: lowercase parts with `/` between them.";
    TagText "text" "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" "1.3.0"
        "A tag.";
    DigestText "text" "^[a-z0-9+._-]+:[A-Za-z0-9=_-]+$" "sha256:4bc453b53cb3d914b45f4b250294236adba2c0e09ff6f03793949e7e39fd4cc1"
        "A digest.";
    PlatformText "text" "^[^/]+/[^/]+(/[^/]+)?$" "linux/amd64"
        "A platform: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.";
}

/// Values whose words are read by themselves: a number without quotes is no text there.
pub(super) const QUOTED: &[&str] =
    &["Text", "Terms", "ImageSource", "TagTemplates", "PathPatterns", "QuotedText"];

/// A text that YAML must not take for a number.
#[derive(Debug)]
pub(crate) struct QuotedText;

/// Something that is a text or has another form.
macro_rules! forms {
    ($($kind:ident: |$generator:ident| $schema:expr;)*) => {$(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}
forms! {
    QuotedText: |_generator| json_schema!({
        "type": "string",
        "description": "A text; in quotes where YAML would take it for a number or a truth value.",
        "examples": ["6379"],
    });
    Text: |generator| json_schema!({
        "description": "A text, or `file` with the path of a file that holds it (UTF-8, at most 64 KiB).",
        "anyOf": [
            { "type": "string" },
            one_of(&[("file", "The file that holds the text.", generator.subschema_for::<RelativePath>())]),
        ],
        "examples": [{ "file": "listing/description.html" }],
    });
    Terms: |generator| json_schema!({
        "description": "The terms themselves, `file` with the path of their file, or `url` with their address.",
        "anyOf": [
            { "type": "string" },
            one_of(&[
                ("file", "The file that holds the terms.", generator.subschema_for::<RelativePath>()),
                ("url", "Where the terms are published.", generator.subschema_for::<String>()),
            ]),
        ],
        "examples": [{ "file": "legal/terms.txt" }],
    });
    Secret: |generator| {
        let mut schema = one_of(&[
            ("env", "The environment variable that holds it.", json_schema!({
                "type": "string", "pattern": VARIABLE_PATTERN, "examples": ["QUAY_PASSWORD"]
            })),
            ("file", "The file whose first line it is.", generator.subschema_for::<RelativePath>()),
            ("keyVault", "The key vault that holds it: VAULT/NAME, asked of `az`.",
                generator.subschema_for::<KeyVaultSecret>()),
        ]);
        let description = "Where a secret is; the secret itself never stands in the file (TEC-005).";
        schema.insert("description".to_owned(), description.into());
        schema.insert("examples".to_owned(), serde_json::json!([{ "env": "QUAY_PASSWORD" }]));
        schema
    };
    TagTemplates: |generator| json_schema!({
        "description": "`auto` for `[latest, \"{version}\", \"{version}-{platform}\"]`, or a list of tags.",
        "anyOf": [
            { "type": "string", "const": "auto" },
            { "type": "array", "items": generator.subschema_for::<TagTemplate>() },
        ],
        "examples": [["latest", "{version}-all", "{version}-{platform}"]],
    });
    PathPatterns: |generator| json_schema!({
        "description": "A path or pattern, or a list of them.",
        "anyOf": [
            generator.subschema_for::<PathPattern>(),
            { "type": "array", "minItems": 1, "items": generator.subschema_for::<PathPattern>() },
        ],
        "examples": [["debs/*.deb"]],
    });
    ImageSource: |generator| json_schema!({
        "description": "An image as `wharf verify` takes it: REGISTRY/REPOSITORY:TAG, a path, or one with \
             `oci:`, `oci-archive:` or `docker-archive:`; `scratch` at a platform for none.",
        "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "object",
                "properties": {
                    "image": { "type": "string", "description": "The image.", "minLength": 1,
                        "examples": ["build/app.tar"] },
                    "digest": described("The digest that it must have.",
                        generator.subschema_for::<Option<DigestText>>()),
                },
                "required": ["image"],
                "additionalProperties": false,
            },
        ],
        "examples": ["build/app.tar"],
    });
    Layer: |generator| {
        let mut schema = RawLayer::json_schema(generator);
        schema.insert("description".to_owned(), LAYER.into());
        schema
    };
}

const LAYER: &str = "A layer: one of `dir`, `file`, `tar` and `deb` with the keys that go with it, or `inputs` with a list of such.";

/// What a variable of the environment is called.
const VARIABLE_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// A mapping of exactly one of these keys.
fn one_of(keys: &[(&str, &str, Schema)]) -> Schema {
    let mut properties = serde_json::Map::new();
    for (key, description, schema) in keys {
        properties.insert((*key).to_owned(), described(description, schema.clone()).to_value());
    }
    json_schema!({
        "type": "object",
        "properties": properties,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    })
}

fn described(description: &str, mut schema: Schema) -> Schema {
    schema.insert("description".to_owned(), description.into());
    schema
}
