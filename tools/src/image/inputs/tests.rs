#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::offer::fixture::{OFFER, changed, parse};

fn digest(text: &str) -> Digest {
    digest_of(&parse(text).unwrap().offer.plans[0].images()[0].image)
}

#[test]
fn whatever_changes_a_byte_changes_the_digest() {
    let before = digest(OFFER);
    assert_eq!(digest(OFFER), before);
    let image = "      repository: tidepool/server\n";
    let with = |more: &str| format!("{image}      {more}\n");
    let pinned = format!("base: {{ image: b.tar, digest: \"sha256:{}\" }}", "1".repeat(64));
    let changes = [
        ("version: \"1.4.0\"\n      created", "version: \"1.4.1\"\n      created".to_owned()),
        ("created: \"2026-11-01T00:00:00Z\"", "created: \"2026-11-02T00:00:00Z\"".to_owned()),
        ("{version}-test", "{version}-stable".to_owned()),
        ("{ dir: rootfs/amd64 }", "{ dir: rootfs/amd65 }".to_owned()),
        ("{ dir: rootfs/amd64 }", "{ dir: rootfs/amd64, comment: x }".to_owned()),
        ("owner: \"7:8\"", "owner: \"7:9\"".to_owned()),
        ("platform: linux/arm64", "platform: linux/arm64/v8".to_owned()),
        ("name: Server", "name: Servers".to_owned()),
        ("publisher: quayline", "publisher: quaylines".to_owned()),
        (image, with("source: https://quayline.dev/source")),
        (image, with("revision: abc")),
        (image, with("licences: MIT")),
        (image, with("base: b.tar")),
        (image, with(&pinned)),
        (image, with("annotations: { a: b }")),
    ];
    let mut seen = vec![before];
    for (from, to) in &changes {
        let after = digest(&changed(&[(from, to)]));
        assert!(!seen.contains(&after), "{to} changes nothing");
        seen.push(after);
    }
}

#[test]
fn what_changes_no_byte_does_not_change_the_digest() {
    let before = digest(OFFER);
    let image = "      repository: tidepool/server\n";
    for (from, to) in [
        (image, "      repository: tidepool/other\n"),
        (image, "      repository: tidepool/server\n      publishedTags: [1.3.0-all]\n"),
        ("{version}-test", "1.4.0-test"),
        ("title: Tidepool Cache", "title: Another"),
        ("summary: The server.", "summary: That server."),
        ("licence: byol", "licence: free"),
        ("alias: Tidepool", "alias: Tide"),
        ("loginServer: quaylinestaging.azurecr.io", "loginServer: quayother.azurecr.io"),
    ] {
        assert_eq!(digest(&changed(&[(from, to)])), before, "{to}");
    }
}

#[test]
fn a_text_that_the_offer_says_otherwise_is_not_what_is_filled_in() {
    let title = "org.opencontainers.image.title";
    let image = "      repository: tidepool/server\n";
    let env = "        env: { TZ: Etc/UTC }\n";
    let said = format!("{image}      annotations: {{ {title}: Mine }}\n");
    let only_annotation = [(image, said.as_str())];
    let named = |more: &[(&str, &str)]| {
        let mut all = more.to_vec();
        all.push(("name: Server", "name: Servers"));
        digest(&changed(&all))
    };
    // The label still has the plan's name.
    assert_ne!(named(&only_annotation), digest(&changed(&only_annotation)));
    let with_label = format!("{env}        labels: {{ {title}: Mine }}\n");
    let both = [(image, said.as_str()), (env, with_label.as_str())];
    assert_eq!(named(&both), digest(&changed(&both)));
}

#[test]
fn a_layout_of_somebody_else_is_not_known_to_be_stale() {
    let image = parse(OFFER).unwrap().offer.plans[0].images()[0].image.clone();
    let descriptor = || {
        let digest = Digester::digest(Algorithm::Sha256, b"x");
        Descriptor::new(wharf_oci::MediaType::OCI_INDEX, digest, 1)
    };
    let with = |text: &str| {
        let mut root = descriptor();
        root.annotations.insert(INPUTS.to_owned(), text.to_owned());
        [root]
    };
    assert!(!is_stale(&[descriptor()], &image));
    assert!(!is_stale(&with(&digest_of(&image).to_string()), &image));
    assert!(is_stale(&with(&descriptor().digest.to_string()), &image));
}
