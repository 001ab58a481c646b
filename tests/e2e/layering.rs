//! The layers, held by machine: which package may use which, and which file may use what.

mod imports;
mod ranks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

use imports::Crate;

/// What each package may import of ours, outside its tests.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("wharf-oci", &[]),
    ("wharf-store", &["wharf-oci"]),
    ("wharf-client", &["wharf-oci"]),
    ("wharf-proxy", &["wharf-oci", "wharf-store", "wharf-client"]),
    ("wharf-tools", &["wharf-oci", "wharf-client"]),
    ("wharf-testkit", &["wharf-oci"]),
    ("wharf-double", &["wharf-oci", "wharf-testkit"]),
    ("wharf-e2e", &["wharf-oci", "wharf-testkit", "wharf-double"]),
    ("wharf-benches", &["wharf-oci", "wharf-store"]),
];

/// Which of our packages may use a dependency that must not spread.
const HELD: [(&str, &str); 4] = [
    ("rocksdb", "wharf-store"),
    ("oci-client", "wharf-e2e"),
    ("azure_core", "wharf-client"),
    ("azure_identity", "wharf-client"),
];

/// A text that may stand only in files whose path starts so.
const ONLY_IN: [(&str, &str, &[&str]); 6] = [
    ("client/src", "azure_core", &["client/src/credentials/entra.rs"]),
    ("client/src", "azure_identity", &["client/src/credentials/entra.rs"]),
    // Whoever connects in another way goes past the proxy of the network.
    ("client/src", "HttpsConnectorBuilder", &["client/src/outbound.rs"]),
    ("proxy/src", "spawn_blocking(", &["proxy/src/runtime/blocking.rs"]),
    ("store/src", "use rocksdb", &["store/src/rocks"]),
    (
        "tests/e2e",
        "oci_client::",
        &["tests/e2e/clients/oci_client.rs", "tests/e2e/patience/", "tests/e2e/layering.rs"],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file under a folder, with its path from there.
fn sources_below(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{} has no sources", folder.display());
    found
}

/// Every Rust file under a folder of the repository, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let found = sources_below(&root().join(folder)).into_iter();
    found.map(|(name, source)| (format!("{folder}/{name}"), source)).collect()
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

/// Crates whose files are without circles; the rank list of the proxy stands beside.
const CRATES: [(&str, &str); 4] = [
    ("client/src", "wharf_client"),
    ("proxy/src", "wharf_proxy"),
    ("tests/kit/src", "wharf_testkit"),
    ("benches/table", "table"),
];

/// A child that names its parent, or what stands above that in the same family.
fn is_own_parent(module: &str, target: &str) -> bool {
    module.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn modules_of_the_proxy_import_only_lower_ranks() {
    let proxy = Crate::read(&root().join("proxy/src"), "wharf_proxy");
    let ranks: BTreeMap<&str, usize> =
        ranks::PROXY.iter().enumerate().map(|(rank, module)| (*module, rank)).collect();
    assert_eq!(ranks.len(), ranks::PROXY.len(), "a module has two ranks");
    let modules: BTreeSet<&str> =
        proxy.modules.iter().map(String::as_str).filter(|module| !module.is_empty()).collect();
    let listed: BTreeSet<&str> = ranks.keys().copied().collect();
    let differences: Vec<_> = modules.symmetric_difference(&listed).collect();
    assert!(differences.is_empty(), "without a rank, or with one and gone: {differences:?}");
    let mut families = BTreeSet::new();
    for (module, targets) in proxy.imports.iter().filter(|(module, _)| !module.is_empty()) {
        for (target, names) in targets.iter().filter(|(target, _)| !target.is_empty()) {
            if is_own_parent(module, target) {
                families.insert(target.as_str());
                continue;
            }
            assert!(
                ranks[target.as_str()] < ranks[module.as_str()],
                "{module} must not import {names:?} of {target}, which stands above it"
            );
        }
    }
    let listed: BTreeSet<&str> = ranks::FAMILIES.iter().copied().collect();
    assert_eq!(families, listed, "parents whose children name them");
}

#[test]
fn files_have_no_circles_besides_parents_with_their_children() {
    for (folder, name) in CRATES {
        let circles = Crate::read(&root().join(folder), name).circles(|module, target| {
            !module.is_empty() && !target.is_empty() && !is_own_parent(module, target)
        });
        assert!(circles.is_empty(), "{folder}: {circles:#?}");
    }
}

#[test]
fn every_way_to_name_a_module_is_seen_and_tests_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("lib.rs", "mod a; mod b; pub use a::deep::Named;");
    file(
        "a.rs",
        "mod deep; pub(crate) use deep::Named; #[cfg(test)] mod tests { use crate::b::X; }",
    );
    file(
        "a/deep.rs",
        "pub(crate) struct Named; #[cfg(test)] use crate::b::Y; fn f() { super::g(); }",
    );
    file("b.rs", "use crate::{a::{self, Named}, c}; fn f() { a::call(); trace!(crate::c::MAX); }");
    file(
        "c.rs",
        "mod inner { use super::X; use super::super::b::Z; } use std::fmt; fn g(_: d::E) {}",
    );
    file("c/d.rs", "#[cfg(test)] mod tests;");
    file("c/d/tests.rs", "use crate::b::No;");
    let read = Crate::read(folder.path(), "own");
    let modules: Vec<_> = read.modules.iter().map(String::as_str).collect();
    assert_eq!(modules, ["", "a", "a/deep", "b", "c", "c/d"]);
    let targets = |module: &str| -> Vec<&str> {
        read.imports
            .get(module)
            .map(|to| to.keys().map(String::as_str).collect())
            .unwrap_or_default()
    };
    assert_eq!(targets("a/deep"), ["a"]);
    assert_eq!(targets("b"), ["a", "a/deep", "c"]);
    assert_eq!(targets("c"), ["b", "c/d"]);
    assert_eq!(read.circles(|_, _| true), [BTreeSet::from(["b".to_owned(), "c".to_owned()])]);
    assert!(read.circles(|module, _| module != "c").is_empty());
}
