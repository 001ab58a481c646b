//! The messages about refused offers: each bad input names its line.
#![allow(clippy::unwrap_used)]

use super::fixture::{APPLICATION, Folder, OFFER, changed, parse, with_application};
use super::*;
use crate::offer::plans::Cluster;

/// The messages about a refused offer.
fn refusals(text: &str) -> Vec<Diagnostic> {
    match parse(text) {
        Err(OfferError::Invalid(diagnostics)) => diagnostics,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Where the first plan describes its image.
const IMAGE: &str = "image:\n      repository: tidepool/server\n";

/// Every bad piece: the original text, its replacement, the reported line by its content, and a
/// part of the message.
const BAD: &[(&str, &str, &str, &str)] = &[
    // Keys.
    ("  alias: Tidepool", "  alais: Tidepool", "alais: …", "`alais` is not known here"),
    (
        "publisher: quayline",
        "publisher: q\npublisher: r",
        "publisher: r",
        "`publisher` stands twice",
    ),
    ("        cmd: [/bin/probe]", "        command: [/bin/probe]", "command:", "`command` is not"),
    ("      registryName: quayline\n", "", "azure:", "`registryName` is missing"),
    (
        "version: 1\n",
        "version: 2\n",
        "version: 2",
        "offer format 2 is not known, this wharf reads 1",
    ),
    // Types.
    ("version: 1\n", "version: one\n", "version: one", ""),
    ("keywords: [cache]", "keywords: cache", "keywords: cache", ""),
    ("cpu: 1,", "cpu: much,", "cpu: much", ""),
    ("env: { TZ: Etc/UTC }", "env: { PORT: 6379 }", "PORT: 6379", "put the value in quotes"),
    ("env: { TZ: Etc/UTC }", "env: { DEBUG: true }", "DEBUG: true", "put the value in quotes"),
    ("licence: byol", "licence: paid", "licence: paid", "`paid` is not known here"),
    ("alias: Tidepool", "alias: [a]", "alias: [a]", ""),
    // Words.
    ("registry: production", "registry: Production", "registry: Production", "a registry name"),
    ("registry: production", "registry: qa", "registry: qa", "there is no registry `qa`"),
    (
        "loginServer: quayline.azurecr.io",
        "loginServer: https://q.io",
        "https://q.io",
        "login server",
    ),
    ("repository: tidepool/server", "repository: Tidepool", "repository: Tidepool", "lowercase"),
    (
        "version: \"1.4.0\"\n      created",
        "version: \"1\"\n      created",
        "version: \"1\"",
        "a version",
    ),
    ("created: \"2026-11-01T00:00:00Z\"", "created: yesterday", "created: yesterday", "a time"),
    ("platform: linux/arm64", "platform: linux", "platform: linux", "a platform"),
    ("owner: \"7:8\"", "owner: \"root:root\"", "root:root", "UID:GID"),
    ("[6379/tcp]", "[70000]", "70000", "a port"),
    ("id: server", "id: ../server", "id: ../server", "a plan ID"),
    ("{ dir: rootfs/amd64 }", "{ dir: /rootfs }", "dir: /rootfs", "relative"),
    // Layers.
    ("{ dir: rootfs/amd64 }", "{ dir: a, tar: b }", "dir: a, tar: b", "exactly one"),
    ("{ dir: rootfs/amd64 }", "{ comment: x }", "comment: x", "exactly one"),
    // Valid images to start from, and invalid ones.
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      base: a.tar\n      adopt: b.tar\n",
        "adopt: b.tar",
        "stand together",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      adopt: a.tar\n",
        "layers:",
        "gets no layers",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      base: \"-\"\n",
        "base: \"-\"",
        "standard input",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      base: ci/Dockerfile\n",
        "ci/Dockerfile",
        "which wharf does not build",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      base: { image: a.tar, tag: b }\n",
        "tag: …",
        "`tag` is not known",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      base: { image: a.tar, digest: x }\n",
        "digest: x",
        "",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      dockerfile: Dockerfile\n",
        "dockerfile:",
        "does not build",
    ),
    (
        IMAGE,
        "image:\n      repository: tidepool/server\n      source: \"  \"\n",
        "source:",
        "`source` is empty",
    ),
    ("{ dir: rootfs/amd64 }", "{ build: . }", "build: …", "does not build"),
    ("{ dir: rootfs/amd64 }", "{ dir: app/Dockerfile }", "app/Dockerfile", "does not build"),
    (
        "          layers:\n            - { dir: rootfs/amd64 }",
        "          context: app",
        "context: …",
        "does not build",
    ),
    (
        "          layers:\n            - { dir: rootfs/amd64 }",
        "          layers: []",
        "layers: []",
        "there are 0 layers",
    ),
    ("{ tar: probe.tar }", "{ dir: a, mode: \"0644\" }", "mode: ", "`modes: kept`"),
    ("{ tar: probe.tar }", "{ dir: a, modes: all }", "modes: all", "not known"),
    ("{ tar: probe.tar }", "{ file: a, exclude: [b] }", "exclude: [b]", "not with `file`"),
    ("{ tar: probe.tar }", "{ file: a, mode: \"0888\" }", "mode: ", "octal digits, in quotes"),
    ("{ tar: probe.tar }", "{ file: a, mode: rw }", "mode: rw", "octal digits, in quotes"),
    ("{ tar: probe.tar }", "{ file: a, into: etc/ }", "into: etc/", "absolute path"),
    ("{ tar: probe.tar }", "{ inputs: [{ file: a }], dir: b }", "dir: b", "not both"),
    ("{ tar: probe.tar }", "{ tar: a, modes: kept }", "modes: kept", "do not go with `tar`"),
    ("{ tar: probe.tar }", "{ deb: a.deb, into: /b }", "into: /b", "with `deb` go `include`"),
    ("{ tar: probe.tar }", "{ tar: a, dpkgStatus: true }", "dpkgStatus", "goes with `deb`"),
    // Secrets.
    ("password: { env: QUAY_PASSWORD }", "password: hunter2", "password: …", "TEC-005"),
    ("password: { env: QUAY_PASSWORD }", "password: 12345", "password: …", "TEC-005"),
    (
        "password: { env: QUAY_PASSWORD }",
        "password: { env: 1X }",
        "env: …",
        "name of an environment",
    ),
    (
        "password: { env: QUAY_PASSWORD }",
        "password: { value: x }",
        "password: { …",
        "exactly one key",
    ),
    // Sets.
    ("id: probe", "id: server", "id: server", "stands twice"),
    ("platform: linux/arm64", "platform: linux/amd64", "platform: linux/amd64", "stands twice"),
    ("cpu: 1,", "cpu: 0,", "cpu: 0", "`cpu` is 0"),
    ("\"{version}-test\"", "\"{version}-all\"", "{version}-all", "comes out twice"),
    ("\"{version}-test\"", "\"{date}\"", "{date}", "a brace"),
    ("\"{version}-test\"", "\"a b\"", "a b", "does not give a tag"),
    // YAML itself.
    ("alias: Tidepool", "alias: &a Tidepool", "&a", "anchors"),
    ("keywords: [cache]", "keywords: [cache", "", ""),
    ("health check.</p>", "health check.</p>\n---\nx: 1", "", ""),
    ("legal:\n", "legal:\n\t", "", ""),
];

#[test]
fn every_bad_piece_names_its_line_and_says_what_is_wrong() {
    let mut wrong = Vec::new();
    for (from, to, line, words) in BAD {
        let text = changed(&[(from, to)]);
        let diagnostics = refusals(&text);
        let first = diagnostics.first().unwrap();
        if !first.line.contains(line) || !first.message.contains(words) {
            wrong.push(format!("{to:?} should say {words:?} at {line:?}:\n{first}"));
        }
        assert!(!first.to_string().contains("hunter2"), "a secret is repeated: {first}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_empty_value_that_would_keep_that_of_a_base_is_refused() {
    let base = (IMAGE, "image:\n      repository: tidepool/server\n      base: a.tar\n");
    let line = "        entrypoint: [/bin/server]\n";
    for (emptied, key) in [
        ("        entrypoint: []\n", "entrypoint"),
        ("        cmd: []\n", "cmd"),
        ("        entrypoint: [/x]\n        cmd: []\n", ""),
    ] {
        assert!(parse(&changed(&[(line, emptied)])).is_ok(), "without a base it says what it says");
        let parsed = parse(&changed(&[base, (line, emptied)]));
        if key.is_empty() {
            assert!(parsed.is_ok());
            continue;
        }
        let Err(OfferError::Invalid(found)) = parsed else { panic!("{emptied}") };
        assert!(found[0].message.contains(&format!("`{key}` is empty")), "{}", found[0]);
        assert!(found[0].line.contains(key), "{}", found[0]);
    }
    let user = (
        "        user: \"999:999\"\n        exposedPorts",
        "        user: \"\"\n        exposedPorts",
    );
    assert!(refusals(&changed(&[base, user]))[0].message.contains("`user` is empty"));
}

#[test]
fn an_empty_offer_is_refused_at_its_start() {
    for text in ["", "\n\n", "   \n", "\u{feff}"] {
        let diagnostics = refusals(text);
        let first = diagnostics.first().unwrap();
        assert_eq!(first.spot.line, 1);
        assert!(first.message.contains("is empty"), "{first}");
    }
    for text in ["# only a comment\n", "---\n# a\n\n", "---\n...\n"] {
        assert_eq!(refusals(text).first().unwrap().message, "the file is empty");
    }
}

#[test]
fn all_missing_files_are_named_together_with_the_lines_that_name_them() {
    let folder = Folder::new();
    for name in ["description.html", "terms.txt", "medium.png", "video.png"] {
        folder.remove(name);
    }
    let Err(OfferError::Invalid(found)) = folder.load(OFFER) else { panic!("not refused") };
    let lines: Vec<&str> = found.iter().map(|fault| fault.line.trim()).collect();
    let expected = [
        "description: { file: description.html }",
        "medium: medium.png",
        "- { title: Tour, url: https://vimeo.com/1, thumbnail: video.png }",
        "terms: { file: terms.txt }",
    ];
    assert_eq!(lines, expected);
    assert!(found.iter().all(|fault| fault.message.contains("does not exist")), "{found:?}");
}

#[test]
fn a_text_file_that_is_no_text_is_named_with_its_line() {
    let folder = Folder::new();
    folder.write("terms.txt", b"caf\xe9");
    let error = folder.load(OFFER).unwrap_err().to_string();
    assert!(error.contains("terms: { file: terms.txt }") && error.contains("not UTF-8"), "{error}");
}

#[test]
fn an_offer_that_is_not_utf_8_is_refused_with_its_line() {
    let bytes = b"version: 1\npublisher: caf\xe9\n".to_vec();
    let error = OfferFile::parse(Path::new("o.yaml"), bytes).unwrap_err();
    assert_eq!(error.to_string(), "o.yaml:2: the offer is not UTF-8; save it as that");
}

#[test]
fn an_offer_of_two_mebibytes_is_refused_from_a_file_and_from_memory() {
    let folder = Folder::new();
    let large = format!("{OFFER}#{}\n", "x".repeat(2 * 1024 * 1024));
    folder.write("offer.yaml", large.as_bytes());
    assert!(matches!(OfferFile::open(&folder.path()), Err(OfferError::TooLarge(_))));
    assert!(matches!(parse(&large), Err(OfferError::TooLarge(_))));
}

#[test]
fn a_missing_offer_file_is_named() {
    let error = OfferFile::open(Path::new("none/offer.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the offer none/offer.yaml");
}

#[test]
fn the_test_offer_is_read_as_it_stands() {
    let file = parse(&format!("\u{feff}{OFFER}")).unwrap();
    let server = file.offer.plans.first().unwrap();
    assert_eq!(server.images()[0].image.version.as_str(), "1.4.0");
    let tags: Vec<&str> =
        server.images()[0].image.expanded_tags.iter().map(|at| at.tag.as_str()).collect();
    let expected = ["1.4.0-linux-amd64", "1.4.0-linux-arm64", "1.4.0-all", "1.4.0-test", "latest"];
    assert_eq!(tags, expected);
    assert_eq!(file.folder(), Path::new("."));
    assert_eq!(file.spot("plans[1].image.version").line, 84);
}

#[test]
fn versions_without_quotes_keep_their_zeros() {
    let text = changed(&[("version: \"1.4.0\"\n      created", "version: 1.10\n      created")]);
    let file = parse(&text).unwrap();
    assert_eq!(file.offer.plans.first().unwrap().images()[0].image.version.as_str(), "1.10");
}

#[test]
fn nesting_without_end_and_far_too_many_values_are_refused() {
    let deep = format!("version: {}\n", "[".repeat(100));
    assert!(!refusals(&deep).is_empty());
    let many = format!("publisher: [{}]\n", "1,".repeat(120_000));
    assert!(!refusals(&many).is_empty());
}

#[test]
fn too_many_plans_platforms_and_layers_are_counted() {
    let layers = "            - { dir: rootfs/amd64 }\n".repeat(128);
    let text = changed(&[("            - { dir: rootfs/amd64 }\n", &layers)]);
    let found = refusals(&text);
    assert!(found.first().unwrap().message.contains("there are 128 layers"), "{found:?}");
}

#[test]
fn plans_are_selected_by_id_and_unknown_ones_are_named() {
    let file = parse(OFFER).unwrap();
    let chosen = file.select(&["probe".parse().unwrap()]).unwrap();
    assert_eq!(chosen.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    assert_eq!(file.select(&[]).unwrap().len(), 2);
    let error = file.select(&["other".parse().unwrap()]).unwrap_err();
    assert!(error.to_string().contains("it has: server, probe"), "{error}");
}

#[test]
fn the_environment_replaces_the_login_server_and_nothing_else() {
    let file = parse(OFFER).unwrap();
    let name = "production".parse().unwrap();
    let replace = |variable: &str| {
        (variable == "WHARF_REGISTRY_PRODUCTION").then(|| "127.0.0.1:5055".to_owned())
    };
    let target = registries::target(&file, &name, &replace).unwrap();
    assert_eq!(target.login_server.as_str(), "127.0.0.1:5055");
    let repository = target.repository(&"tidepool/server".parse().unwrap());
    assert_eq!(repository.as_str(), "live/tidepool/server");
    assert!(target.credentials.is_some() && !target.plain_http);
    let wrong = |_: &str| Some("http://x".to_owned());
    let error = registries::target(&file, &name, &wrong).unwrap_err();
    assert!(error.to_string().contains("WHARF_REGISTRY_PRODUCTION"), "{error}");
    let none = |_: &str| None;
    let error = registries::target(&file, &"qa".parse().unwrap(), &none).unwrap_err();
    assert!(error.to_string().contains("it has: production, staging"), "{error}");
}

#[test]
fn a_login_of_an_image_is_not_shown() {
    for text in ["bob:s3cret@registry.example/a:1", "docker://bob:s3cret@registry.example/a:1"] {
        let image = format!("{IMAGE}      base: \"{text}\"\n");
        let said = refusals(&changed(&[(IMAGE, &image)])).first().unwrap().to_string();
        assert!(said.contains("docker login") && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_platform_wins_over_its_image_and_says_scratch_for_nothing() {
    use super::model::MadeFrom;
    let image = format!("{IMAGE}      base: a.tar\n");
    let own = "platform: linux/arm64\n          base: scratch";
    let file = parse(&changed(&[(IMAGE, &image), ("platform: linux/arm64", own)])).unwrap();
    let image = &file.offer.plans.first().unwrap().images()[0].image;
    let said: Vec<_> = image
        .platforms
        .iter()
        .map(|build| {
            MadeFrom::of(image, build).named().map(|(key, said)| (key, said.text.as_str()))
        })
        .collect();
    assert_eq!(said, [Some(("base", "a.tar")), None]);
}

#[test]
fn a_plan_is_an_image_or_a_kubernetes_application() {
    let file = parse(&with_application()).unwrap();
    let (place, _, plan) = file.offer.kubernetes_plans().next().unwrap();
    assert_eq!((plan.clusters.as_slice(), plan.images.len()), ([Cluster::Aks].as_slice(), 1));
    let image = file.offer.images().last().unwrap();
    assert_eq!(image.id.to_string(), "cluster.web");
    assert_eq!(image.key, format!("plans[{place}].images.web"));
    assert_eq!(
        (image.plan, image.written_image["repository"].as_str()),
        (place, Some("tidepool/web"))
    );
    assert!(file.spot(&image.key).line > file.spot(&format!("plans[{place}].chart")).line);
}

#[test]
fn a_plan_has_what_its_kind_needs_and_nothing_of_the_other() {
    let faults = [
        ("    kind: kubernetes\n", "", "the key `kind` is missing here"),
        ("    kind: kubernetes\n", "    kind: image\n", "an image plan has no `chart`"),
        ("    chart: chart\n", "", "a Kubernetes plan needs the key `chart`"),
        (
            "    chart: chart\n",
            "    chart: chart\n    resources: { cpu: 1, memoryGb: 1 }\n",
            "has no `resources`",
        ),
    ];
    for (old, new, message) in faults {
        let error = parse(&format!("{OFFER}{}", APPLICATION.replacen(old, new, 1))).unwrap_err();
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
    let error = parse(&OFFER.replacen("licence: byol", "licence: payAsYouGo", 1)).unwrap_err();
    assert!(error.to_string().contains("PLN-007"), "{error}");
}
