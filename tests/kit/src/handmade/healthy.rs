//! The image without any finding: two platforms of two layers, with a program, a user, and the
//! metadata for customers and scanners.

use serde_json::json;

use super::{AARCH64, Attached, Entry, Handmade, Layer, Platform, Program, X86_64};

/// The time in the configuration.
const CREATED: &str = "2026-03-01T08:00:00Z";

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\n\
                          VERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nID=debian\n";

impl Handmade {
    /// An image for linux/amd64 and linux/arm64.
    pub fn healthy() -> Self {
        let bill = |platform| Attached {
            platform: Some(platform),
            artifact_type: "application/spdx+json",
            media_type: "application/spdx+json",
            content: "{\"spdxVersion\":\"SPDX-2.3\"}",
        };
        let signature = |platform| Attached {
            platform,
            artifact_type: "application/vnd.cncf.notary.signature",
            media_type: "application/jose+json",
            content: "{}",
        };
        Self {
            platforms: vec![
                Platform::healthy("amd64", X86_64),
                Platform::healthy("arm64", AARCH64),
            ],
            tags: vec!["1.4.0".to_owned()],
            platform_tags: Vec::new(),
            attached: vec![
                bill(0),
                bill(1),
                signature(None),
                signature(Some(0)),
                signature(Some(1)),
            ],
            on_index: |_| (),
            on_top: |_| (),
            on_folder: |_| Ok(()),
        }
    }

    /// The same without an index.
    pub fn healthy_alone() -> Self {
        let mut image = Self::healthy();
        image.platforms.truncate(1);
        image.attached.retain(|attached| attached.platform == Some(0));
        image
    }
}

impl Platform {
    fn healthy(architecture: &str, machine: u16) -> Self {
        let base = vec![
            Entry::folder("etc"),
            Entry::file(
                "etc/passwd",
                "root:x:0:0:root:/root:/sbin/nologin\nskipper:x:1200:1200::/srv/tide:/sbin/nologin\n",
            ),
            Entry::file("etc/group", "root:x:0:\nskipper:x:1200:\n"),
            Entry::folder("usr"),
            Entry::folder("usr/lib"),
            Entry::file("usr/lib/os-release", OS_RELEASE),
            Entry::symlink("etc/os-release", "../usr/lib/os-release"),
            Entry::folder("usr/bin"),
            Entry::symlink("bin", "usr/bin"),
            Entry::symlink("lib", "usr/lib"),
            Entry::folder("usr/share"),
            Entry::folder("usr/share/doc"),
            Entry::folder("usr/share/doc/tide"),
            Entry::file(
                "usr/share/doc/tide/copyright",
                "Copyright: the people of Tide. Apache-2.0.\n",
            ),
            Entry::folder("tmp").with_mode(0o1777),
        ];
        let app = vec![
            Entry::folder("srv"),
            Entry::folder("srv/tide").owned_by(1200, 1200),
            Entry::program("srv/tide/tided", Program::of(machine).bytes()),
            Entry::file("srv/tide/LICENSE", "Apache License 2.0\n"),
            Entry::file("srv/tide/NOTICE", "Tide\n"),
            Entry::file("srv/tide/tide.conf", "listen = 8080\n"),
        ];
        let labels = json!({
            "org.opencontainers.image.title": "Tide",
            "org.opencontainers.image.description": "Says when the water is high",
            "org.opencontainers.image.version": "1.4.0",
            "org.opencontainers.image.vendor": "Quayline",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.source": "https://code.quayline.dev/tide",
            "org.opencontainers.image.revision": "6f1d2c3b4a59687786950a1b2c3d4e5f60718293",
            "org.opencontainers.image.created": CREATED,
        });
        let step = |text: &str| json!({ "created": CREATED, "created_by": text });
        let config = json!({
            "created": CREATED, "os": "linux", "architecture": architecture,
            "config": {
                "User": "1200:1200",
                "Env": ["PATH=/usr/bin:/bin", "TIDE_LEVEL=3"],
                "Entrypoint": ["/srv/tide/tided"],
                "Cmd": ["--config", "/srv/tide/tide.conf"],
                "WorkingDir": "/srv/tide",
                "ExposedPorts": { "8080/tcp": {} },
                "Labels": labels,
            },
            "history": [step("COPY base /"), step("COPY tide /srv/tide")],
        });
        Self {
            stated: json!({ "os": "linux", "architecture": architecture }),
            config,
            layers: vec![Layer::new(base), Layer::new(app)],
            on_config: |_| (),
            on_manifest: |_| (),
        }
    }
}
