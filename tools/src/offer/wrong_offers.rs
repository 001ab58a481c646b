//! A table of wrong offers: what is changed in one that is well, and every fault that must be told of
//! it, in one run, at its line.
#![allow(clippy::unwrap_used)]

use super::fixture::{APPLICATION, OFFER, parse};
use super::*;

/// The original text and its replacement, and the faults: a part of the line, and of the message.
type Row = (&'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

const SECRET: &str = "hunter2";

/// The offer with a plan of each kind, with these pieces replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = format!("{OFFER}{APPLICATION}");
    for (from, to) in changes {
        assert!(text.contains(from), "the test offer does not hold {from:?}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn faults(text: &str) -> Vec<Diagnostic> {
    match parse(text) {
        Err(OfferError::Invalid(found)) => found,
        other => panic!("expected a refusal of\n{text}\ngot {other:?}"),
    }
}

/// A row's failure: a missing fault, or one too many.
fn compare(text: &str, expected: &[(&str, &str)]) -> Option<String> {
    let found = faults(text);
    let told = |(line, words): &(&str, &str)| {
        found.iter().any(|fault| {
            let said = format!("{} {}", fault.message, fault.help.as_deref().unwrap_or_default());
            fault.line.contains(line) && said.contains(words)
        })
    };
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let shown = shown.join("\n\n");
    assert!(!shown.contains(SECRET), "a secret is repeated:\n{shown}");
    assert!(
        found.is_sorted_by_key(|fault| fault.spot.line),
        "not in the order of the file:\n{shown}"
    );
    let fits = found.len() == expected.len() && expected.iter().all(told);
    (!fits).then(|| format!("expected {expected:?}, told\n{shown}"))
}

fn judge(rows: &[Row]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(changes, expected)| {
            let said = compare(&changed(changes), expected)?;
            Some(format!("{changes:?}: {said}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Keys: unknown, missing, twice.
#[rustfmt::skip]
const KEYS: &[Row] = &[
    (&[("  alias: Tidepool", "  alais: Tidepool")], &[("alais", "did you mean `alias`?")]),
    (&[("publisher: quayline\n", "")], &[("version: 1", "add `publisher: quayline`")]),
    (&[("  alias: Tidepool\n", "")], &[("offer:", "add `alias: Tidepool Cache`")]),
    (&[("    loginServer: quaylinestaging.azurecr.io\n", "    plainHttp: true\n")], &[("staging:", "`loginServer` is missing")]),
    (&[("      subscriptionId: 7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4\n", ""), ("      registryName: quayline\n", "")],
        &[("azure:", "`subscriptionId` is missing"), ("azure:", "`registryName` is missing")]),
    (&[("      username: { env: QUAY_USER }\n", "")], &[("credentials:", "add `username: { env: QUAY_USERNAME }`")]),
    (&[("  title: Tidepool Cache\n", ""), ("  privacyPolicy: https://quayline.dev/privacy\n", "")],
        &[("listing:", "`title` is missing"), ("listing:", "add `privacyPolicy: https://quayline.dev/privacy`")]),
    (&[(", url: https://quayline.dev/guide", "")], &[("title: Guide", "`url` is missing")]),
    (&[("support@quayline.dev, phone: \"+1 206 555 0142\"", "support@quayline.dev")],
        &[("support:", "add `phone: \"+1 206 555 0142\"`")]),
    (&[("    engineering: { name: Engineering, email: eng@quayline.dev, phone: \"+1 206 555 0143\" }\n", "")],
        &[("contacts:", "`engineering` is missing")]),
    (&[("    large: large.png\n", "")], &[("logos:", "add `large: pictures/logo-large.png`")]),
    (&[(", caption: One day", "")], &[("screen.png", "`caption` is missing")]),
    (&[(", thumbnail: video.png", "")], &[("vimeo", "`thumbnail` is missing")]),
    (&[("legal:\n  terms: { file: terms.txt }\n", "")], &[("version: 1", "`legal` is missing")]),
    (&[("  categories:\n    containers: [container-images]\n", "  tags: []\n")],
        &[("properties:", "`categories` is missing"), ("tags: …", "`tags` is not known")]),
    (&[("{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386, label: Test }", "{ label: Test }")], &[("label: Test", "`id` is missing")]),
    (&[("    summary: The server.\n", "")], &[("- id: server", "`summary` is missing")]),
    (&[("      repository: tidepool/server\n", "")], &[("image:", "add `repository: tidepool/cache-server`")]),
    (&[("        - platform: linux/amd64\n          layers", "        - osVersion: \"10\"\n          layers")],
        &[("osVersion", "`platform` is missing")]),
    (&[("{ cpu: 1, memoryGb: 1.5 }", "{ cpu: 1 }")], &[("cpu: 1", "`memoryGb` is missing")]),
    (&[("publisher: quayline\n", "publisher: a\npublisher: b\npublisher: c\n")],
        &[("publisher: b", "stands twice"), ("publisher: c", "stands twice")]),
    (&[("  title: Tidepool Cache\n", "  title: A\n  titel: B\n  title: C\n")],
        &[("titel: …", "did you mean `title`? as in `title: Tidepool Cache`"), ("title: C", "stands twice")]),
    (&[("{ TZ: Etc/UTC }", "{ TZ: Etc/UTC, TZ: Etc/GMT }")], &[("TZ: Etc/UTC, TZ", "`TZ` stands twice")]),
    (&[("  staging:\n", "  production:\n")], &[("production:", "`production` stands twice")]),
    (&[("version: 1\n", "version: 1\n? [a, b]\n: c\n")], &[("? [a, b]", "a key is one word")]),
    (&[("version: 1\n", "version: 1\nx-notes: none\n")], &[("x-notes", "known here: ")]),
];

/// Types and words.
#[rustfmt::skip]
const WORDS: &[Row] = &[
    (&[("version: 1\n", "version: one\n")], &[("version: one", "a whole number is expected")]),
    (&[("version: 1\n", "version: -1\n")], &[("version: -1", "a whole number is expected")]),
    (&[("version: 1\n", "version: 99999999999999999999\n")], &[("version: 9", "a whole number is expected")]),
    (&[("version: 1\n", "version: 1.5\n")], &[("version: 1.5", "this is a number, but a whole number")]),
    (&[("alias: Tidepool", "alias: [a]")], &[("alias: [a]", "this is a list, but a text is expected")]),
    (&[("alias: Tidepool", "alias:")], &[("alias:", "this is nothing, but a text is expected")]),
    (&[("keywords: [cache]", "keywords:"), ("exposedPorts: [6379/tcp]", "exposedPorts: ~"), ("alias:", "alais:")],
        &[("alais", "`alais` is not known"), ("keywords:", "this is nothing, but a list is expected"), ("exposedPorts: ~", "this is nothing, but a list")]),
    (&[("alias: Tidepool", "alias: { a: b }")], &[("alias:", "this is a mapping, but a text")]),
    (&[("keywords: [cache]", "keywords: cache")], &[("keywords: cache", "a list is expected")]),
    (&[("cpu: 1,", "cpu: much,")], &[("cpu: much", "a number is expected")]),
    (&[("    prefix: live\n", "    prefix: live\n    plainHttp: perhaps\n")], &[("plainHttp", "`true` or `false` is expected")]),
    (&[("description: { file: description.html }", "description: { url: x }")], &[("url: …", "`url` is not known")]),
    (&[("description: { file: description.html }", "description: { }")], &[("description", "exactly one key of: file")]),
    (&[("description: { file: description.html }", "description: 5")], &[("description: 5", "this is a number")]),
    (&[("terms: { file: terms.txt }", "terms: { file: terms.txt, url: https://a.example }")], &[("terms:", "exactly one key of: file, url")]),
    (&[("terms: { file: terms.txt }", "terms: [a]")], &[("terms: [a]", "this is a list")]),
    (&[("contacts:\n    support: {", "contacts:\n    support: x\n    csp: {")], &[("support: x", "a mapping of email, name, phone is expected")]),
    (&[("env: { TZ: Etc/UTC }", "env: { PORT: 6379, DEBUG: true }")],
        &[("PORT", "put the value in quotes"), ("DEBUG", "put the value in quotes")]),
    (&[("env: { TZ: Etc/UTC }", "env: { \"A B\": x }")], &[("A B", "the name of an environment variable")]),
    (&[("registry: production", "registry: Production")], &[("registry: Production", "a registry name")]),
    (&[("  staging:\n", "  Stage:\n")], &[("Stage:", "a registry name")]),
    (&[("loginServer: quayline.azurecr.io", "loginServer: https://q.io")], &[("https://q.io", "a login server")]),
    (&[("loginServer: quayline.azurecr.io", "loginServer: q.io:99999")], &[("q.io:99999", "a login server")]),
    (&[("repository: tidepool/server", "repository: Tidepool")], &[("repository: Tidepool", "lowercase")]),
    (&[("version: \"1.4.0\"\n      created", "version: v1\n      created")], &[("version: v1", "write it like \"1.4.0\"")]),
    (&[("created: \"2026-11-01T00:00:00Z\"", "created: \"2026-02-30T00:00:00Z\"")], &[("2026-02-30", "is not a time")]),
    (&[("platform: linux/arm64", "platform: linux")], &[("platform: linux", "a platform")]),
    (&[("owner: \"7:8\"", "owner: root")], &[("owner: root", "UID:GID")]),
    (&[("[6379/tcp]", "[6379/tcp, 0, 70000, 80/sctp]")], &[("0", "`0` is not a port"), ("70000", "`70000`"), ("sctp", "`80/sctp`")]),
    (&[("id: server", "id: Server!")], &[("id: Server!", "a plan ID")]),
    (&[("id: server", "id: ../server")], &[("id: ../server", "a plan ID")]),
    (&[("{ dir: rootfs/amd64 }", "{ dir: /rootfs }")], &[("dir: /rootfs", "relative")]),
    (&[("large: large.png", "large: C:/large.png")], &[("C:/large.png", "relative")]),
    (&[("    medium: medium.png", "    medium: a\\b.png")], &[("a\\b.png", "relative")]),
    (&[("{ dir: rootfs/amd64 }", "{ dir: a, into: srv/../x }")], &[("into: srv", "absolute path")]),
    (&[("{ dir: rootfs/amd64 }", "{ dir: a, include: [/x, \"a/**b\"] }")], &[("/x", "relative to `dir`"), ("a/**b", "")]),
    (&[("{ tar: probe.tar }", "{ file: a, mode: \"0888\" }")], &[("0888", "octal")]),
    (&[("\"{version}-test\"", "\"{date}\"")], &[("{date}", "a brace")]),
    (&[("      web: {", "      1web: {")], &[("1web", "the name of an image in a chart")]),
];

/// Keys with a choice of words.
#[rustfmt::skip]
const CHOICES: &[Row] = &[
    (&[("licence: byol", "licence: paid")], &[("licence: paid", "known here: free, byol, payAsYouGo")]),
    (&[("licence: free\n    visibility: hidden", "licence: fre\n    visibility: hiden")],
        &[("licence: fre", "did you mean `free`?"), ("visibility: hiden", "did you mean `hidden`?")]),
    (&[("    licence: byol\n", "    licence: byol\n    regions: [azureGlobal, mars]\n")], &[("mars", "`mars` is not known")]),
    (&[("kind: kubernetes", "kind: helm")], &[("kind: helm", "known here: image, kubernetes")]),
    (&[("unit: perCore", "unit: perMoon")], &[("perMoon", "`perMoon` is not known")]),
    (&[("    chart: chart\n", "    chart: chart\n    clusters: [aks, eks]\n    scope: global\n")],
        &[("eks", "did you mean `aks`?"), ("scope: global", "known here: cluster, namespace")]),
    (&[("preview:\n", "leads: { destination: fax }\npreview:\n")], &[("fax", "`fax` is not known")]),
    (&[("preview:\n", "resale: { channel: some }\npreview:\n")], &[("some", "`some` is not known")]),
    (&[("      tags: [latest", "      compression: lzma\n      attestations: [sbom, slsa]\n      tags: [latest")],
        &[("lzma", "known here: gzip, zstd"), ("slsa", "`slsa` is not known")]),
    (&[("{ dir: rootfs/amd64 }", "{ dir: a, modes: all }")], &[("modes: all", "`all` is not known")]),
];

/// Kinds of plans, layers, images to start from.
#[rustfmt::skip]
const KINDS: &[Row] = &[
    (&[("    chart: chart\n    manifest: manifest.yaml\n", "")],
        &[("- id: cluster", "needs the key `chart` add `chart: chart`"), ("- id: cluster", "needs the key `manifest`")]),
    (&[("    uiDefinition: createUiDefinition.json\n    armTemplate: mainTemplate.json\n", "    image: { }\n")],
        &[("- id: cluster", "needs the key `uiDefinition`"), ("- id: cluster", "needs the key `armTemplate`"),
          ("image: { }", "a Kubernetes plan has no `image`"), ("image: { }", "`repository` is missing"),
          ("image: { }", "`version` is missing"), ("image: { }", "`platforms` is missing")]),
    (&[("    extensionType: Quayline.Tidepool\n", "    resources: { cpu: 1, memoryGb: 1 }\n")],
        &[("- id: cluster", "add `extensionType: Quayline.Tidepool`"), ("resources", "has no `resources`")]),
    (&[("    kind: kubernetes\n", "")], &[("- id: cluster", "the key `kind` is missing here")]),
    (&[("    resources: { cpu: 1, memoryGb: 1.5 }\n", "    namespace: x\n    scope: cluster\n")],
        &[("namespace: x", "an image plan has no `namespace`"), ("scope: cluster", "an image plan has no `scope`")]),
    (&[("licence: byol", "licence: payAsYouGo")], &[("payAsYouGo", "PLN-007")]),
    (&[("{ dir: rootfs/amd64 }", "{ dir: a, tar: b }"), ("{ tar: probe.tar }", "{ comment: x }")],
        &[("dir: a, tar: b", "exactly one"), ("comment: x", "exactly one")]),
    (&[("            - { dir: rootfs/amd64 }\n", "            - dir: a\n              mode: \"0644\"\n")],
        &[("- dir: a", "`mode` goes with `file`")]),
    (&[("{ tar: probe.tar }", "{ inputs: [{ file: a, comment: b }] }")], &[("inputs", "stand at a layer")]),
    (&[("{ dir: rootfs/amd64 }", "{ build: . }")], &[("build: …", "does not build Dockerfiles")]),
    (&[("      repository: tidepool/server\n", "      repository: tidepool/server\n      base: { image: a.tar, tag: b }\n")],
        &[("tag: …", "`tag` is not known")]),
    (&[("      repository: tidepool/server\n", "      repository: tidepool/server\n      base: ci/Dockerfile\n      adopt: 5\n")],
        &[("ci/Dockerfile", "does not build"), ("adopt: 5", "this is a number")]),
];

/// Literal secrets in the file, in every form.
#[rustfmt::skip]
const SECRETS: &[Row] = &[
    (&[("password: { env: QUAY_PASSWORD }", "password: hunter2")], &[("password: …", "TEC-005")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: \"hunter2\"")], &[("password: …", "TEC-005")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: [hunter2]")], &[("…", "TEC-005")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: { value: hunter2 }")], &[("password: { …", "exactly one key")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: { env: \"hunter2 x\" }")], &[("env: …", "environment variable")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: { keyVault: hunter2 }")], &[("keyVault: …", "VAULT/NAME")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: { env: A, file: b }")], &[("env: A, file: b", "exactly one key")]),
    (&[("      username: { env: QUAY_USER }\n      password: { env: QUAY_PASSWORD }", "      { password: hunter2, usernme: hunter2 }")],
        &[("{ password: …", "TEC-005"), ("{ password: …", "`usernme` is not known")]),
    (&[("username: { env: QUAY_USER }", "username: hunter2"), ("password: { env: QUAY_PASSWORD }", "password: |\n        hunter2"), ("alias", "alais")],
        &[("alais", "did you mean `alias`?"), ("username: …", "TEC-005"), ("…", "TEC-005")]),
    (&[("preview:\n", "leads: { destination: azureTable, secret: hunter2 }\npreview:\n")], &[("secret: …", "TEC-005")]),
    // Beside its place, under an unknown key.
    (&[("    prefix: live\n", "    prefix: live\n    password: hunter2\n")], &[("password: …", "`password` is not known")]),
    (&[("  alias: Tidepool\n", "  alias: Tidepool\n  token:\n    - hunter2\n")], &[("token:", "`token` is not known")]),
    (&[("  alias: Tidepool\n", "  alias: Tidepool\n  pasword: hunter2\n")], &[("pasword: …", "`pasword` is not known")]),
    (&[("  alias: Tidepool\n", "  alias: Tidepool\n  kennwort: hunter2\n")], &[("kennwort: …", "`kennwort` is not known")]),
    // Another type than the secret's mapping.
    (&[("credentials:\n      username: { env: QUAY_USER }\n      password: { env: QUAY_PASSWORD }", "credentials: bob:hunter2")],
        &[("credentials: …", "this is a text, but a mapping of password, username")]),
    (&[("credentials:\n      username: { env: QUAY_USER }\n      password: { env: QUAY_PASSWORD }", "credentials: { \"bob:hunter2\" }")],
        &[("…", "it may be a secret"), ("", "`username` is missing"), ("", "`password` is missing")]),
    (&[("  staging:\n    loginServer: quaylinestaging.azurecr.io\n", "  staging: [a, hunter2]\n")], &[("…", "this is a list")]),
    // Behind a tag.
    (&[("password: { env: QUAY_PASSWORD }", "password: !vault hunter2")], &[("password: …", "tags are not read")]),
    (&[("password: { env: QUAY_PASSWORD }", "password: !x { env: hunter2! }")], &[("…", "tags are not read")]),
    (&[("credentials:\n", "credentials: !x\n"), ("{ env: QUAY_PASSWORD }", "hunter2")], &[("…", "tags are not read")]),
    // In a mapping of any keys.
    (&[("env: { TZ: Etc/UTC }", "env: { PASSWORD: [hunter2] }")], &[("PASSWORD: …", "this is a list")]),
    (&[("env: { TZ: Etc/UTC }", "env: { DB_PASSWORD: hunter2, X: 1 }")], &[("DB_PASSWORD: …", "in quotes")]),
    (&[("env: { TZ: Etc/UTC }", "env: { DB_PASSWORD:\n            [hunter2], X: 1 }")], &[("DB_PASSWORD:", "this is a list"), ("…", "in quotes")]),
];

/// YAML an offer has not.
#[rustfmt::skip]
const YAML: &[Row] = &[
    (&[("alias: Tidepool", "alias: &a Tidepool")], &[("&a", "anchors")]),
    (&[("alias: Tidepool", "alias: &a Tidepool"), ("title: Tidepool Cache", "titel: *a")],
        &[("&a", "anchors"), ("titel: …", "anchors"), ("titel", "did you mean `title`?")]),
    (&[("title: Tidepool Cache", "title: !!str Tidepool Cache")], &[("!!str", "tags are not read")]),
    (&[("cpu: 1,", "cpu: !!int 1,")], &[("!!int", "tags are not read")]),
    (&[("keywords: [cache]", "keywords: !!seq [cache]"), ("alias: Tidepool", "alias: !!binary VGlkZQ==")],
        &[("!!seq", "tags are not read"), ("!!binary", "tags are not read")]),
    (&[("  staging:\n", "  staging: &s\n"), ("    prefix: live\n", "    <<: *s\n    prefix: live\n")],
        &[("&s", "anchors"), ("<<: *s", "merge keys"), ("<<: *s", "anchors")]),
    (&[("alias: Tidepool", "alias: !vault Tidepool"), ("cpu: 1,", "cpu: x,")], &[("!vault", "tags are not read"), ("cpu: x", "a number")]),
    (&[("certificationNotes:", "---\ncertificationNotes:")], &[("version: 1", "`plans` is missing"), ("---", "one YAML document")]),
];

#[test]
fn wrong_keys_are_told_all_at_once() {
    judge(KEYS);
}

#[test]
fn wrong_words_are_told_all_at_once() {
    judge(WORDS);
    judge(CHOICES);
}

#[test]
fn what_does_not_go_together_is_told_all_at_once() {
    judge(KINDS);
}

#[test]
fn secrets_in_the_file_are_told_and_never_shown() {
    judge(SECRETS);
}

#[test]
fn yaml_that_an_offer_has_not_is_told_all_at_once() {
    judge(YAML);
}

#[test]
fn the_tables_have_at_least_eighty_rows() {
    let rows = [KEYS, WORDS, CHOICES, KINDS, SECRETS, YAML].iter().map(|rows| rows.len());
    assert!(rows.sum::<usize>() >= 80);
}

/// Text outside YAML: the change, the reported line, and the message.
#[rustfmt::skip]
const NO_YAML: &[(&str, &str, &str, &str)] = &[
    ("alias: Tidepool", "alias: \"Tidepool", "", "close every quote above"),
    ("keywords: [cache]", "keywords: [cache", "", "close every quote, `[` and `{` above"),
    ("legal:\n", "legal:\n\t", "", "a tab"),
    ("password: { env: QUAY_PASSWORD }", "password: \"hunter2\" x", "", ""),
    ("password: { env: QUAY_PASSWORD }", "password: {hunter2", "", ""),
    ("password: { env: QUAY_PASSWORD }", "password : `hunter2`", "…", "cannot begin like this"),
    ("password: { env: QUAY_PASSWORD }", "\"password\" : %hunter2", "…", "cannot begin like this"),
    ("password: { env: QUAY_PASSWORD }", "password:\n        @hunter2", "…", "cannot begin like this"),
    ("password: { env: QUAY_PASSWORD }", "password:\n        hunter2: @x", "…", "cannot begin like this"),
    ("password: { env: QUAY_PASSWORD }", "token: @hunter2", "…", "cannot begin like this"),
    ("password: { env: QUAY_PASSWORD }", "pasword: hunter2\n      x: \"", "", "close every quote above"),
    ("password: { env: QUAY_PASSWORD }", "password:\n        value: hunter2\n      x: @", "…", "cannot begin"),
    ("alias: Tidepool", "alias: a: b", "  alias: …", "a `:`"),
    ("alias: Tidepool", "alias: @x", "  alias: …", "cannot begin like this"),
    ("  registry: production", "   registry: production", "", "a `:`"),
    ("  id: tidepool\n", "   id: tidepool\n", "  alias: …", "begins at another column"),
    ("version: 1\n", "version: 1\nx: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[hunter2]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", "…", "nested deeper than the 24 levels"),
    ("alias: Tidepool", "alias: *nowhere", "", "anchors and aliases are not read"),
    ("alias: Tidepool", "alias: Tide\0pool", "", ""),
];

#[test]
fn text_that_is_no_yaml_is_refused_where_it_ends_and_shows_no_secret() {
    let mut wrong = Vec::new();
    for (from, to, line, words) in NO_YAML {
        // The types' first message names another fault than the changed place.
        for more in ["", "x-unknown: [1]\n"] {
            let text =
                changed(&[(from, to)]).replacen("publisher:", &format!("{more}publisher:"), 1);
            let found = faults(&text);
            let said = OfferError::Invalid(found.clone()).to_string();
            assert!(!said.contains(SECRET), "{said}");
            let [fault] = found.as_slice() else { panic!("{to}: {said}") };
            if !fault.to_string().contains(words) || !fault.line.contains(line) {
                wrong.push(format!("{to:?} is not {line:?}, {words:?}:\n{said}"));
            }
            for leaked in ["limits breached", "reference to", "Depth", "<block"] {
                assert!(!said.contains(leaked), "{said}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn other_encodings_are_named_and_marks_and_line_ends_of_windows_are_taken() {
    let of = |bytes: Vec<u8>| OfferFile::parse(Path::new("o.yaml"), bytes);
    let little: Vec<u8> = OFFER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = OFFER.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [
        little.clone(),
        big.clone(),
        [vec![0xff, 0xfe], little].concat(),
        [vec![0xfe, 0xff], big].concat(),
    ] {
        let error = of(bytes).unwrap_err().to_string();
        assert!(error.contains("UTF-16; save it as UTF-8"), "{error}");
    }
    let latin = OFFER.replacen("Tour", "Caf\u{e9}", 1);
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let line = OFFER.lines().position(|line| line.contains("Tour")).unwrap() + 1;
    assert_eq!(
        of(latin).unwrap_err().to_string(),
        format!("o.yaml:{line}: the offer is not UTF-8; save it as that")
    );
    assert!(parse(&format!("\u{feff}{}", OFFER.replace('\n', "\r\n"))).is_ok());
    let wrong = changed(&[("alias", "alais"), ("cpu: 1,", "cpu: x,")]).replace('\n', "\r\n");
    assert_eq!(compare(&wrong, &[("alais", "`alias`"), ("cpu: x", "a number")]), None);
}

#[test]
fn thousands_of_faults_are_told_in_part_and_fast() {
    let started = std::time::Instant::now();
    let tell = |what: &str, from: std::time::Instant| println!("{what} took {:?}", from.elapsed());
    let links = "    - { titel: a, url: [x] }\n".repeat(10_000);
    let text = changed(&[("    - { title: Guide, url: https://quayline.dev/guide }\n", &links)]);
    let found = faults(&text);
    assert_eq!(found.len(), error::FAULTS_MAX + 1);
    assert!(found.last().unwrap().message.contains("and 19900 more faults from here on"));
    tell("20,000 faults", started);
    let from = std::time::Instant::now();
    let keys: Vec<String> = (0..40_000).map(|number| format!("k{number}xxxxxxxxxx: 1\n")).collect();
    assert_eq!(faults(&format!("{OFFER}{}", keys.concat())).len(), error::FAULTS_MAX + 1);
    tell("40,000 unknown keys", from);
    let from = std::time::Instant::now();
    let head = OFFER.split_once("plans:").unwrap().0;
    let plans = "- { id: a, name: b, licence: free }\n".repeat(10_000);
    let found = faults(&format!("{head}plans:\n{plans}"));
    assert!(found[0].message.contains("there are 10000 plans"), "{}", found[0]);
    tell("10,000 plans", from);
    let from = std::time::Instant::now();
    let large = vec![b'#'; 10 * 1024 * 1024];
    assert!(matches!(OfferFile::parse(Path::new("o"), large), Err(OfferError::TooLarge(_))));
    tell("10 MiB", from);
    let passed = started.elapsed();
    println!("all of these took {passed:?}");
    // Four offers of a mebibyte, each in well under a second where the program is optimized.
    assert!(passed.as_secs() < 60, "{passed:?}");
}
