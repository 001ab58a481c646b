//! Keys, logins and traces left in layers; all of them are useless.

use wharf_testkit::handmade::{Entry, Handmade, Layer};
use wharf_testkit::secrets::{openssh_pem, pkcs8_pem};

use super::files::add_layer;
use super::{Case, Error, Make, Warning, image};

pub(super) const CASES: &[Case] = &[
    image("IMG-018", Error, "a layer holds a private key", |image| {
        add(image, "srv/tide/tls.key", pkcs8_pem());
    }),
    image("IMG-018", Error, "a layer holds a private key of SSH under another name", |image| {
        add(image, "srv/tide/notes.txt", openssh_pem());
    }),
    image("IMG-018", Error, "an upper layer hides a private key", |image| {
        add(image, "srv/tide/tls.key", pkcs8_pem());
        add_layer(image, Layer::new(vec![Entry::file("srv/tide/.wh.tls.key", "")]));
    }),
    image("IMG-018", Error, "a layer holds a login of a registry", |image| {
        add(
            image,
            "srv/tide/.docker/config.json",
            "{\"auths\":{\"a\":{\"auth\":\"dGlkZTp0aWRl\"}}}",
        );
    }),
    image("IMG-018", Warning, "a layer holds the history of a shell", |image| {
        add(image, "srv/tide/.bash_history", "make tides\n");
    }),
    image("IMG-018", Warning, "a layer holds a whole Git repository", |image| {
        add(image, "srv/tide/.git/HEAD", "ref: refs/heads/main\n");
    }),
    image("IMG-018", Warning, "a layer holds a file of settings", |image| {
        add(image, "srv/tide/.env", "TIDE_LEVEL=3\n");
    }),
    image("IMG-019", Warning, "somebody may log in with a known password", |image| {
        let base = image.platforms[0].base();
        base.entry("etc/passwd").content =
            b"root:x:0:0:root:/root:/usr/bin/tided\nskipper:x:1200:1200::/srv/tide:/sbin/nologin\n"
                .to_vec();
        let hash = format!("$6$tide${}", "t".repeat(86));
        let shadow = Entry::file("etc/shadow", format!("root:{hash}:20000:0:99999:7:::\n"));
        base.entries.push(shadow.with_mode(0o640));
        base.entries.push(Entry::program("usr/bin/tided", [0x7f, b'E', b'L', b'F']));
    }),
    image("IMG-025", Error, "a layer holds the test file of virus scanners", |image| {
        // In two pieces, so no scanner finds it in this text.
        let text = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];
        add(image, "srv/tide/virus.txt", text.concat());
    }),
];

/// Texts with the look of a secret.
pub(super) const HEALTHY: &[(&str, Make)] = &[
    (
        "a certificate",
        Make::Image(|image| {
            add(image, "srv/tide/ca.pem", wharf_testkit::secrets::framed("CERTIFICATE", &[7; 90]));
        }),
    ),
    (
        "a public key",
        Make::Image(|image| {
            add(image, "srv/tide/tls.pub", wharf_testkit::secrets::framed("PUBLIC KEY", &[7; 44]));
        }),
    ),
    (
        "a model of settings",
        Make::Image(|image| {
            add(image, "srv/tide/.env.example", "TIDE_PASSWORD=\n");
        }),
    ),
    (
        "a password that is locked",
        Make::Image(|image| {
            let base = image.platforms[0].base();
            base.entries.push(Entry::file("etc/shadow", "root:*:20000:0:99999:7:::\n"));
        }),
    ),
];

fn add(image: &mut Handmade, path: &str, content: impl AsRef<[u8]>) {
    image.platforms[0].app().entries.push(Entry::file(path, content));
}
