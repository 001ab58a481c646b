//! The layers, checked by machine: the permitted dependencies of each package, and the permitted
//! imports of each file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The first-party imports of each package, outside its tests.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("wharf-oci", &[]),
    ("wharf-store", &["wharf-oci"]),
    ("wharf-proxy", &["wharf-oci", "wharf-store"]),
    ("wharf-tools", &["wharf-oci"]),
    ("wharf-testkit", &["wharf-oci"]),
    ("wharf-double", &["wharf-oci", "wharf-testkit"]),
    ("wharf-e2e", &["wharf-oci", "wharf-testkit", "wharf-double"]),
    ("wharf-benches", &["wharf-oci", "wharf-store"]),
];

/// Dependencies bound to one package each, so they do not spread.
const HELD: [(&str, &str); 4] = [
    ("rocksdb", "wharf-store"),
    ("oci-client", "wharf-e2e"),
    ("azure_core", "wharf-proxy"),
    ("azure_identity", "wharf-proxy"),
];

/// Texts bound to files under these paths.
const ONLY_IN: [(&str, &str, &[&str]); 6] = [
    ("proxy/src", "azure_core", &["proxy/src/upstream/credentials/entra.rs"]),
    ("proxy/src", "azure_identity", &["proxy/src/upstream/credentials/entra.rs"]),
    // A connection made another way would bypass the network's proxy.
    ("proxy/src", "HttpsConnectorBuilder", &["proxy/src/egress.rs"]),
    ("proxy/src", "spawn_blocking(", &["proxy/src/bridge.rs"]),
    ("store/src", "use rocksdb", &["store/src/rocks"]),
    (
        "tests/e2e",
        "oci_client::",
        &["tests/e2e/clients/oci_client.rs", "tests/e2e/patience/", "tests/e2e/layering.rs"],
    ),
];

/// Layers inside the proxy: a file of the first must not import any of the second.
const INSIDE_PROXY: [(&str, &[&str]); 14] = [
    ("route", &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response"]),
    ("error", &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response"]),
    ("limits", &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response"]),
    (
        "min_rate",
        &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response", "config"],
    ),
    (
        "held",
        &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response", "config"],
    ),
    ("admission", &["handlers", "server", "cache", "uploads", "upstream", "bridge", "response"]),
    ("bridge", &["handlers", "server", "cache", "uploads", "upstream", "response", "route"]),
    ("body", &["handlers", "server", "cache", "uploads", "upstream", "response", "route"]),
    ("access", &["handlers", "server", "cache", "uploads", "response"]),
    ("egress", &["handlers", "server", "cache", "uploads", "upstream", "access", "response"]),
    ("upstream", &["handlers", "server", "cache", "uploads", "response", "route"]),
    ("cache", &["handlers", "server", "uploads", "response", "route"]),
    ("uploads", &["handlers", "server", "response", "route"]),
    ("upkeep", &["handlers", "server", "cache", "uploads", "upstream", "response", "route"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file under a folder, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

#[test]
fn imports_between_packages_point_down() {
    let metadata =
        MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "a package is missing from the list");
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let own =
                dependency.kind == DependencyKind::Development && name == package.name.as_str();
            let upward = ours.contains(name) && !own;
            assert!(
                !upward || allowed[package.name.as_str()].contains(&name),
                "{} must not import {name}",
                package.name
            );
            for (held, holder) in HELD {
                let elsewhere = name == held && package.name.as_str() != holder;
                assert!(!elsewhere, "{held} does not belong into {}", package.name);
            }
        }
    }
}

#[test]
fn what_belongs_into_one_place_is_there_only() {
    for (folder, text, places) in ONLY_IN {
        let mut seen = false;
        for (name, source) in sources(folder) {
            if source.contains(text) {
                seen = true;
                let here = places.iter().any(|place| name.starts_with(place));
                assert!(here, "{text} does not belong into {name}");
            }
        }
        assert!(seen, "{text} is nowhere in {folder}: this rule guards nothing");
    }
}

/// The modules of the crate named by a source, in imports or in the middle of its code.
fn named_modules(source: &str) -> BTreeSet<&str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut named = BTreeSet::new();
    for after in code.flat_map(|line| line.split("crate::").skip(1)) {
        let group = after.strip_prefix('{').map(|rest| rest.split('}').next().unwrap_or(rest));
        for path in group.unwrap_or(after).split(',') {
            let end = path.trim().find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let word = path.trim().get(..end.unwrap_or(path.trim().len()));
            named.extend(word.filter(|word| !word.is_empty()));
            if group.is_none() {
                break;
            }
        }
    }
    named
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let source = "use crate::cache::{Cache, Store};\nuse crate::{Error, route};\n// crate::no\n\
                  let x = crate::server::run(a, crate::limits::MAX);";
    let named: Vec<_> = named_modules(source).into_iter().collect();
    assert_eq!(named, ["Error", "cache", "limits", "route", "server"]);
}

#[test]
fn imports_inside_the_proxy_point_down() {
    let mut seen = BTreeSet::new();
    for (name, source) in sources("proxy/src") {
        let layer = name.trim_start_matches("proxy/src/");
        let layer = layer.split(['/', '.']).next().unwrap();
        let Some((known, above)) = INSIDE_PROXY.iter().find(|(known, _)| *known == layer) else {
            continue;
        };
        seen.insert(*known);
        // Tests beside the code may import more; their imports cannot reach production.
        let code = source.split("#[cfg(test)]").next().unwrap();
        for upper in named_modules(code) {
            assert!(!above.contains(&upper), "{name} must not import {upper}");
        }
    }
    assert_eq!(seen.len(), INSIDE_PROXY.len(), "a layer has no file: its rule guards nothing");
}
