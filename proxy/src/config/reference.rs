//! The reference page of `wharfd.toml`, from the types that read the file: a section for each
//! table, a row for each key in the order of its struct. `make reference` writes it.
//!
//! Invariant: defaults and ranges on the page are those of the program: the defaults are read back
//! here, the ranges are taken from its error messages.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharf_client::ENTRA_SCOPE;

use super::access::{AccessKeys, RuleKeys};
use super::{FileConfig, LISTEN_DEFAULT, needs_restart};
use crate::access::RuleSubject;
use crate::access::options::IssuerConfig;
use crate::limits::{
    ANSWER_TIMEOUT, BYTES_PER_SECOND_MIN, CONNECT_TIMEOUT, ISSUED_LIFETIME, NEGATIVE_TTL,
    SHUTDOWN_DEADLINE, SILENCE_TIMEOUT, STALL_TIMEOUT, TAG_TTL, UPSTREAM_READS_MAX,
    UPSTREAM_WRITES_MAX,
};
use crate::settings::address::Address;
use crate::settings::credentials::{DockerConfigKey, EntraTable};
use crate::settings::error::ConfigError;
use crate::settings::hosts::HostName;
use crate::settings::limits::{Limits, LimitsFile};
use crate::settings::listen::Listen;
use crate::settings::patterns::{HostPattern, RepoPattern, TagPattern, TagRule};
use crate::settings::telemetry::TelemetryConfig;
use crate::settings::tls::TlsConfig;
use crate::settings::trusted_proxies::TrustedProxies;
use crate::settings::units::ByteSize;
use crate::settings::upstream::{TagTtl, UpstreamConfig};

const HEAD: &str = r#"# `wharfd.toml`

Written by `make reference` from the types that read the file; a test holds the two together. `wharfd serve --config wharfd.toml` reads
one TOML file. Unknown keys are refused; `--check-config` only checks. Options of the command line win over the file
([commands](wharfd.md)).

```toml
listen = "127.0.0.1:5000"
admin = "127.0.0.1:5001"            # /healthz, /readyz, /metrics
store = "/var/lib/wharf"
store_limit = "50GiB"
scrub_rate = "10MiB"
trusted_proxies = ["10.0.0.0/8"]
audit_log = "/var/log/wharfd/audit.log"

[tls]
cert = "/etc/wharfd/tls.crt"
key = "/etc/wharfd/tls.key"

[limits]
connections = 2048

[[upstream]]
url = "https://contoso.azurecr.io"
username = "contoso"                # one login per upstream, or none for anonymous
password_env = "ACR_PASSWORD"
tag_ttl_seconds = 10
tag_ttl = [{ pattern = "v*", seconds = 86400 }]

[[upstream]]
prefix = "team"                     # team/app goes to app at this registry
url = "http://127.0.0.1:5005"
ca_file = "/etc/ssl/extra.pem"

[[upstream]]
url = "https://mirror.example.com"
namespaces = ["docker.io"]
default = true

[[upstream]]
url = "https://*"                   # any registry that fits, each as an upstream of its own
namespaces = ["*.azurecr.io"]

[telemetry]
otlp_endpoint = "http://127.0.0.1:4318"
```

A password stands in a file or in the environment, never in this file. No password or token is in a log, an error or a metric, at any
log level.
"#;

/// A table of the file.
struct Table {
    /// The heading on the page.
    heading: &'static str,
    /// The table's type.
    name: &'static str,
    /// Its keys in their order.
    keys: fn() -> Vec<String>,
}

const fn table<T: DeserializeOwned>(heading: &'static str, name: &'static str) -> Table {
    Table { heading, name, keys: keys::<T> }
}

const TABLES: [Table; 10] = [
    table::<FileConfig>("The process", "FileConfig"),
    table::<UpstreamConfig>("`[[upstream]]`", "UpstreamConfig"),
    table::<TagTtl>("`[[upstream.tag_ttl]]`", "TagTtl"),
    table::<EntraTable>("`[upstream.entra]`", "EntraTable"),
    table::<TlsConfig>("`[tls]`", "TlsConfig"),
    table::<AccessKeys>("`[access]`", "AccessKeys"),
    table::<RuleKeys>("`[[access.rule]]`", "RuleKeys"),
    table::<IssuerConfig>("`[[access.issuer]]`", "IssuerConfig"),
    table::<LimitsFile>("`[limits]`", "LimitsFile"),
    table::<TelemetryConfig>("`[telemetry]`", "TelemetryConfig"),
];

/// A key of no table.
const UNKNOWN: &str = "no-such-key";
/// The schema's section for named types.
const DEFINITIONS: &str = "$defs";

/// Types with a single text or number in the file: their name on the page, JSON type, and syntax.
macro_rules! values {
    ($($kind:ty: $name:literal, $json:tt, $says:literal;)*) => {
        $(impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $json, "description": $says })
            }
        })*

        /// Each with its name on the page.
        const VALUES: &[(&str, &str)] = &[$(($name, $says)),*];
    };
}

values! {
    ByteSize: "size", ["integer", "string"], "bytes, or a text with a unit: `KiB`, `MiB`, `GiB`, `TiB`, `kB`, \
        `MB`, `GB` or `TB`. `\"50G\"` is refused, because programs differ about it.";
    Address: "address", "string", "`http://` or `https://` with a host. One that holds a user or a password \
        is refused, and not repeated.";
    Listen: "host:port", "string", "`IP:PORT`, or `NAME:PORT` for every address of a name.";
    HostName: "host name", "string", "a name without a port, or a pattern: `registry.lan`, `*.svc`, `*`.";
    HostPattern: "host", "string", "a registry host as in image names, with its port, or a pattern: \
        `registry.example.com:5000`, `*.azurecr.io`. A pattern that begins with `*` fits no IP address and no \
        name without a dot.";
    RepoPattern: "repository", "string", "a repository name or a pattern: `team/app`, `team/*`. `*` matches \
        across `/`.";
    TagPattern: "tag", "string", "a tag or a pattern: `v*`.";
    TagRule: "tag rule", "string", "a tag or a pattern for all repositories (`v*`), or for some: \
        `team/*:release-*`.";
    RuleSubject: "caller", "string", "a name or a pattern (`alice`, `ci-*`); `*` is every caller that logged in, \
        `anonymous` a caller without credentials, `ISSUER:SUBJECT` a caller of an issuer.";
    DockerConfigKey: "Docker login", ["boolean", "string"], "`true` for `$DOCKER_CONFIG/config.json`, or \
        `~/.docker/config.json`; or the path of such a file.";
}

impl JsonSchema for TrustedProxies {
    fn schema_name() -> Cow<'static, str> {
        "networks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "description": NETWORKS })
    }
}

const NETWORKS: &str = "a list of addresses and networks: `[\"10.0.0.0/8\", \"2001:db8::1\"]`.";

/// The keys of a type in order, from the type's own error for an unknown key.
fn keys<T: DeserializeOwned>() -> Vec<String> {
    let refused = toml::from_str::<T>(&format!("{UNKNOWN} = 1\n")).err().unwrap();
    let expected = format!("unknown field `{UNKNOWN}`, expected ");
    let (_, names) = refused.message().split_once(&expected).unwrap();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The defaults of the keys, from the constants of the program.
fn defaults() -> Vec<(&'static str, &'static str, Value)> {
    let seconds = |duration: Duration| json!(duration.as_secs());
    let size = |bytes: u64| json!(shown_size(bytes));
    let limits = Limits::default();
    let of_limits = [
        ("connections", json!(limits.connections)),
        ("http2_streams", json!(limits.http2_streams)),
        ("header_bytes", size(limits.header_bytes as u64)),
        ("headers", json!(limits.headers)),
        ("url_bytes", size(limits.url_bytes as u64)),
        ("handshake_timeout_seconds", seconds(limits.handshake_timeout)),
        ("headers_timeout_seconds", seconds(limits.headers_timeout)),
        ("idle_timeout_seconds", seconds(limits.idle_timeout)),
        ("hold_seconds", seconds(limits.hold)),
        ("min_bytes_per_second", size(limits.min_rate.bytes_per_second)),
        ("slow_timeout_seconds", seconds(limits.min_rate.window)),
        ("manifest_bytes", size(limits.manifest_bytes)),
        ("blob_bytes", size(limits.blob_bytes)),
        ("form_bytes", size(limits.form_bytes)),
        ("uploads", json!(limits.uploads)),
        ("fills_per_user", json!(limits.fills_per_user)),
        ("bytes_in_flight", size(limits.bytes.most)),
        ("requests_per_second", json!(limits.user_requests.per_second)),
        ("address_requests_per_second", json!(limits.address_requests.per_second)),
        ("transfers_per_second", json!(limits.transfers.per_second)),
    ];
    let of_upstreams = [
        ("tag_ttl_seconds", seconds(TAG_TTL)),
        ("negative_ttl_seconds", seconds(NEGATIVE_TTL)),
        ("connect_timeout_seconds", seconds(CONNECT_TIMEOUT)),
        ("answer_timeout_seconds", seconds(ANSWER_TIMEOUT)),
        ("stall_timeout_seconds", seconds(STALL_TIMEOUT)),
        ("silence_timeout_seconds", seconds(SILENCE_TIMEOUT)),
        ("min_bytes_per_second", json!(BYTES_PER_SECOND_MIN)),
        ("max_reads", json!(UPSTREAM_READS_MAX)),
        ("max_writes", json!(UPSTREAM_WRITES_MAX)),
        ("http2", json!(true)),
        ("push", json!("through")),
    ];
    let others = [
        ("FileConfig", "listen", json!(LISTEN_DEFAULT)),
        ("FileConfig", "scrub_rate", json!(0)),
        ("FileConfig", "insecure_open", json!(false)),
        ("FileConfig", "insecure_http", json!(false)),
        ("FileConfig", "shutdown_deadline_seconds", seconds(SHUTDOWN_DEADLINE)),
        ("EntraTable", "scope", json!(ENTRA_SCOPE)),
        ("TlsConfig", "client_auth", json!("required")),
        ("AccessKeys", "kind", json!("open")),
        ("AccessKeys", "token_lifetime_seconds", seconds(ISSUED_LIFETIME)),
        ("TelemetryConfig", "sample_ratio", json!(1.0)),
    ];
    let of_limits = of_limits.map(|(key, value)| ("LimitsFile", key, value));
    let of_upstreams = of_upstreams.map(|(key, value)| ("UpstreamConfig", key, value));
    of_limits.into_iter().chain(of_upstreams).chain(others).collect()
}

/// A size in the largest unit without a remainder.
fn shown_size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = |power: &u32| bytes > 0 && bytes.trailing_zeros() >= *power;
    let unit = units.iter().find(|(_, power)| whole(power));
    unit.map_or_else(|| bytes.to_string(), |(name, power)| format!("{}{name}", bytes >> power))
}

/// The range of a key of `[limits]`, from the program's error for a value out of range.
fn range(key: &str, is_size: bool) -> Option<String> {
    let refused = |value: i64| {
        let file = toml::from_str::<LimitsFile>(&format!("{key} = {value}")).ok()?;
        match file.check() {
            Err(ConfigError::Limit { key: of, reason }) if of == key => Some(reason),
            _ => None,
        }
    };
    let reason = refused(0).or_else(|| refused(i64::MAX))?;
    let Some((least, most)) =
        reason.strip_prefix("give a number from ").and_then(|range| range.split_once(" to "))
    else {
        return reason.split_once(", ").map(|(_, range)| range.to_owned());
    };
    let number = |text: &str| text.parse::<u64>().unwrap();
    let shown = |number: u64| if is_size { shown_size(number) } else { number.to_string() };
    Some(match number(most) {
        u64::MAX => format!("at least {}", shown(number(least))),
        most => format!("{} to {}", shown(number(least)), shown(most)),
    })
}

/// The schema of the file.
fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<FileConfig>().to_value()
}

/// A type of the schema, by its name.
fn definition<'s>(schema: &'s Value, name: &str) -> &'s Value {
    if name == "FileConfig" { schema } else { &schema[DEFINITIONS][name] }
}

/// The description of a type or a key, on one line.
fn description(part: &Value) -> String {
    part["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The name of the type behind a schema reference.
fn referred(part: &Value) -> Option<String> {
    let name = part["$ref"].as_str()?.strip_prefix("#/$defs/")?;
    Some(name.replace("%20", " "))
}

/// The keywords for a value, each with its description.
fn choices(part: &Value) -> Option<Vec<(String, String)>> {
    let word = |one: &Value| Some((format!("`{}`", one.get("const")?), description(one)));
    part["oneOf"].as_array()?.iter().map(word).collect()
}

/// The type of a value, with links to its details.
fn kind(part: &Value, schema: &Value) -> String {
    if let Some(name) = referred(part) {
        if let Some(Table { heading, .. }) = TABLES.iter().find(|table| table.name == name) {
            return format!("table [{heading}](#{})", anchor(heading));
        }
        let Some(words) = choices(definition(schema, &name)) else {
            return format!("[{name}](#values)");
        };
        let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
        return words.join(" or ");
    }
    if let Some(several) = part["anyOf"].as_array() {
        let others: Vec<&Value> = several.iter().filter(|one| one["type"] != "null").collect();
        let kinds: Vec<String> = others.iter().map(|one| kind(one, schema)).collect();
        return kinds.join(" or ");
    }
    let name = part["type"].as_str().or_else(|| part["type"][0].as_str());
    match name {
        Some("array") => match kind(&part["items"], schema) {
            tables if tables.starts_with("table ") => tables.replacen("table", "tables", 1),
            items => format!("list of {items}"),
        },
        Some("object") => "table".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        // The schema has paths as plain text.
        _ if ["File ", "Folder "].iter().any(|word| description(part).starts_with(word)) => {
            "path".to_owned()
        }
        _ => "text".to_owned(),
    }
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric() || "_-".contains(*c)).collect()
}

/// A key: its type with the unit and the range, its default, its meaning.
fn row(table: &str, key: &str, schema: &Value) -> String {
    let part = definition(schema, table);
    let property = &part["properties"][key];
    let is_required = part["required"].as_array().is_some_and(|all| all.contains(&json!(key)));
    let written = defaults().into_iter().find(|(of, name, _)| (*of, *name) == (table, key));
    let default = written.map(|(_, _, value)| value).or_else(|| property.get("default").cloned());
    let default =
        default.filter(|value| !value.is_null() && *value != json!([]) && *value != json!({}));
    let default = match default {
        _ if is_required => "**required**".to_owned(),
        Some(value) => format!("`{value}`"),
        None => "–".to_owned(),
    };
    let mut kind = kind(property, schema);
    if kind == "number" {
        let unit = [("_bytes_per_second", "bytes a second"), ("seconds", "seconds")];
        let unit = unit.into_iter().find(|(end, _)| key.ends_with(end));
        kind = unit.map_or(kind, |(_, unit)| unit.to_owned());
    }
    let range = (table == "LimitsFile").then(|| range(key, kind.starts_with("[size]"))).flatten();
    if let Some(range) = range {
        let _ = write!(kind, ", {range}");
    }
    let mut meaning = description(property);
    let name =
        referred(property).or_else(|| property["anyOf"].as_array()?.iter().find_map(referred));
    let name = name.or_else(|| referred(&property["items"]));
    for (word, says) in name.and_then(|name| choices(definition(schema, &name))).unwrap_or_default()
    {
        let _ = write!(meaning, " {word}: {says}.");
    }
    format!("| `{key}` | {kind} | {default} | {} |\n", meaning.replace('|', "\\|"))
}

/// The whole page.
fn page() -> String {
    let schema = schema();
    let mut page = HEAD.to_owned();
    for Table { heading, name: table, keys } in TABLES {
        let _ = write!(page, "\n## {heading}\n\n{}\n", description(definition(&schema, table)));
        if table == "FileConfig" {
            let restart = keys().into_iter().filter(|key| needs_restart(key));
            let restart: Vec<String> = restart.map(|key| format!("`{key}`")).collect();
            let restart = restart.join(", ");
            let _ = write!(
                page,
                "[A reload](../how-to/operate.md#reload-it) applies all keys of the file but {restart}. \
                 Turning TLS on or off\nneeds a restart too.\n"
            );
        }
        page.push_str("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        for key in keys() {
            page.push_str(&row(table, &key, &schema));
        }
    }
    page.push_str("\n## Values\n\n");
    for (name, says) in VALUES.iter().chain([&("networks", NETWORKS)]) {
        let _ = writeln!(page, "- **{name}**: {says}");
    }
    page.push_str("\nNumbers are whole, except `sample_ratio`.\n");
    page
}

mod tests {
    use super::*;

    use crate::config::{Config, Overrides};

    #[test]
    fn the_reference_is_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/configuration.md");
        let page = page();
        if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let first = written.lines().zip(page.lines()).find(|(written, said)| written != said);
        assert!(
            written == page,
            "docs/reference/configuration.md is not what the types say; write it with `make reference`.\n{first:?}"
        );
    }

    #[test]
    fn every_table_is_on_the_page_and_every_key_is_described() {
        let schema = schema();
        let definitions = schema[DEFINITIONS].as_object().unwrap();
        for (name, part) in definitions.iter().filter(|(_, part)| part.get("properties").is_some())
        {
            assert!(TABLES.iter().any(|table| table.name == name), "{name}: {part}");
        }
        for Table { name: table, keys, .. } in TABLES {
            let part = definition(&schema, table);
            let mut keys = keys();
            for key in &keys {
                assert!(description(&part["properties"][key]).len() > 4, "{table}.{key}");
            }
            keys.sort();
            let known: Vec<&String> = part["properties"].as_object().unwrap().keys().collect();
            assert_eq!(known, keys.iter().collect::<Vec<_>>(), "{table}");
        }
    }

    /// The lines of a table with every key at its default.
    fn written(table: &str) -> String {
        let of_table = defaults().into_iter().filter(|(of, ..)| *of == table);
        of_table.map(|(_, key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn defaults_are_those_of_the_program() {
        let read = |lines: &str| toml::from_str::<LimitsFile>(lines).unwrap().check().unwrap();
        assert_eq!(read(&written("LimitsFile")), Limits::default());
        let url = "url = \"https://a\"\n";
        let upstream = |lines: &str| {
            let read = toml::from_str::<UpstreamConfig>(&format!("{url}{lines}")).unwrap();
            let ttl = (read.tag_ttl(&"v1".parse().unwrap()), read.negative_ttl(), read.push);
            format!("{:?} {ttl:?}", read.patience())
        };
        assert_eq!(upstream(&written("UpstreamConfig")), upstream(""));
        let telemetry =
            |lines: &str| toml::from_str::<TelemetryConfig>(lines).unwrap().sample_ratio();
        assert_eq!(telemetry(&written("TelemetryConfig")).to_bits(), telemetry("").to_bits());
        let file = |lines: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("wharfd.toml");
            std::fs::write(&path, format!("store = \"s\"\n{lines}")).unwrap();
            let read = Config::load(Some(&path), Overrides::default()).unwrap();
            (
                read.listen.addresses().to_vec(),
                read.scrub_rate,
                read.shutdown_deadline,
                read.may_be_plain,
            )
        };
        assert_eq!(file(&written("FileConfig")), file(""));
    }

    #[test]
    fn ranges_are_those_of_the_refusals() {
        let of = |key, is_size| range(key, is_size).unwrap_or_default();
        assert_eq!(of("connections", false), "1 to 65536");
        assert_eq!(of("manifest_bytes", true), "1KiB to 4MiB");
        assert_eq!(of("bytes_in_flight", true), "at least 1MiB");
        assert_eq!(of("hold_seconds", false), "0 to 600");
        assert_eq!(of("idle_timeout_seconds", false), "at least 1 and at most a day");
        assert_eq!(range("requests_per_second", false), None);
    }
}
