//! One image with known faults, made by buildah and handed over by every available client.

use super::{Client, Output, PathBuf, Registry, TempDir, clients};

/// The clients' images.
pub(super) struct Forms {
    folder: TempDir,
    pub(super) registry: Registry,
    /// Names in the folder, and references, in the words of `wharf verify`.
    made: Vec<String>,
}

const NAME: &str = "localhost/app:1.0";

/// The image in buildah's own storage.
struct Buildah {
    builder: Client,
    podman: Client,
    storage: [String; 5],
}

impl Buildah {
    async fn run(&self, client: &Client, words: &[&str]) -> Output {
        let here = self.storage.iter().map(String::as_str);
        client.run_ok(here.chain(words.iter().copied())).await.unwrap()
    }

    /// An invalid port, root, a secret: three findings, under any further rules.
    async fn build(&self, root: &str, more: &str) {
        let from = self.run(&self.builder, &["from", "scratch"]).await;
        let container = from.stdout.trim();
        self.run(&self.builder, &["copy", container, root, "/"]).await;
        self.run(&self.builder, &["commit", "--quiet", container, "localhost/base:1.0"]).await;
        let from = self.run(&self.builder, &["from", "localhost/base:1.0"]).await;
        let container = from.stdout.trim();
        self.run(&self.builder, &["copy", container, more, "/app"]).await;
        let config = [
            "config",
            "--entrypoint",
            "[\"/app/run\"]",
            "--port",
            "70000",
            "--env",
            "AWS_SECRET_ACCESS_KEY=not-a-real-one",
            "--arch",
            "amd64",
            container,
        ];
        self.run(&self.builder, &config).await;
        self.run(&self.builder, &["commit", "--quiet", container, NAME]).await;
    }
}

impl Forms {
    /// `None`, with a loud word, where a client is missing.
    pub(super) async fn make() -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let folder = TempDir::with_prefix("forms-").unwrap();
        let mut forms = Self { folder, registry, made: Vec::new() };
        let buildah = Buildah {
            builder: clients::require("buildah")?,
            podman: clients::require("podman")?,
            storage: [
                format!("--root={}", forms.path("storage")),
                format!("--runroot={}", forms.path("run")),
                "--storage-driver=vfs".to_owned(),
                "--log-level=error".to_owned(),
                format!("--registries-conf={}", forms.path("registries.conf")),
            ],
        };
        forms.write("registries.conf", b"");
        forms.write("root/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
        forms.write("more/run", b"#!/bin/sh\necho hello\n");
        buildah.build(&forms.path("root"), &forms.path("more")).await;
        forms.by_buildah(&buildah).await;
        forms.by_skopeo(&clients::require("skopeo")?).await;
        forms.by_umoci(&clients::require("umoci")?).await;
        forms.by_crane(&clients::require("crane")?).await;
        forms.by_regctl(&clients::require("regctl")?).await;
        forms.packed(&clients::require("gzip")?, &clients::require("zstd")?).await;
        forms.by_nix();
        Some(forms)
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Every target of the clients.
    pub(super) fn targets(&self) -> Vec<String> {
        self.made.clone()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = PathBuf::from(self.path(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The path for a new form.
    fn form(&mut self, name: &str) -> String {
        let path = self.path(name);
        self.made.push(path.clone());
        path
    }

    async fn by_buildah(&mut self, made: &Buildah) {
        let layout = format!("oci:{}:1.0", self.form("layout"));
        self.made.push(layout.clone());
        let oci = format!("oci-archive:{}:1.0", self.form("oci.tar"));
        self.made.push(oci.clone());
        let docker = format!("docker-archive:{}:{NAME}", self.form("docker.tar"));
        self.made.push(docker.clone());
        let (remote, tls) = (self.reference("app:1.0"), "--tls-verify=false");
        for to in [layout, oci, docker, format!("docker://{remote}")] {
            made.run(&made.builder, &["push", "--quiet", tls, NAME, &to]).await;
        }
        self.made.push(format!("docker://{remote}"));
        self.made.push(remote);
        let podman = self.form("podman.tar");
        made.run(&made.podman, &["save", "--quiet", "--output", &podman, NAME]).await;
        let podman_oci = self.form("podman-oci.tar");
        let save = ["save", "--quiet", "--format=oci-archive", "--output", &podman_oci, NAME];
        made.run(&made.podman, &save).await;
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/forms/{name}", self.registry.addr())
    }

    async fn by_skopeo(&mut self, skopeo: &Client) {
        let from = format!("docker://{}", self.reference("app:1.0"));
        let copies = [
            format!("oci:{}:1.0", self.form("skopeo-layout")),
            format!("oci-archive:{}:r.example/app:1.0", self.form("skopeo-oci.tar")),
            format!("docker-archive:{}:r.example/app:1.0", self.form("skopeo-docker.tar")),
        ];
        for to in copies {
            skopeo.run_ok(["copy", "--quiet", "--src-tls-verify=false", &from, &to]).await.unwrap();
        }
        let docker = format!("docker://{}", self.reference("docker:1.0"));
        let copy = ["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let copy = [&copy[..], &["--format=v2s2", &from, &docker]].concat();
        skopeo.run_ok(copy).await.unwrap();
        self.made.push(self.reference("docker:1.0"));
    }

    async fn by_umoci(&mut self, umoci: &Client) {
        // It writes a second name beside the first.
        let layout = self.form("umoci-layout");
        let from = PathBuf::from(self.path("layout"));
        copy_folder(&from, &PathBuf::from(&layout));
        umoci.run_ok(["tag", "--image", &format!("{layout}:1.0"), "2.0"]).await.unwrap();
        umoci.run_ok(["gc", "--layout", &layout]).await.unwrap();
    }

    async fn by_crane(&mut self, crane: &Client) {
        let from = self.reference("app:1.0");
        for (format, name) in
            [("legacy", "crane-legacy.tar"), ("tarball", "crane.tar"), ("oci", "crane-layout")]
        {
            let to = self.form(name);
            let format = format!("--format={format}");
            crane.run_ok(["pull", "--insecure", &format, &from, &to]).await.unwrap();
        }
    }

    async fn by_regctl(&mut self, regctl: &Client) {
        let (from, host) = (self.reference("app:1.0"), self.registry.addr());
        let host = format!("reg={host},tls=disabled");
        let export = self.form("regctl.tar");
        regctl.run_ok(["--host", &host, "image", "export", &from, &export]).await.unwrap();
        let layout = self.form("regctl-layout");
        let to = format!("ocidir://{layout}:1.0");
        regctl.run_ok(["--host", &host, "image", "copy", &from, &to]).await.unwrap();
        self.made.push(to);
    }

    async fn packed(&mut self, gzip: &Client, zstd: &Client) {
        for name in ["docker.tar", "podman.tar", "oci.tar", "crane.tar"] {
            let from = self.path(name);
            gzip.run_ok(["-k", &from]).await.unwrap();
            zstd.run_ok(["-q", &from]).await.unwrap();
            self.form(&format!("{name}.gz"));
            self.form(&format!("{name}.zst"));
        }
    }

    /// Nix's form of an image: `HASH/layer.tar`, `HASH.json`, `manifest.json`, `./` before each.
    fn by_nix(&mut self) {
        let mut archive = tar::Archive::new(std::fs::File::open(self.path("docker.tar")).unwrap());
        let mut files = std::collections::BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            files.insert(name, bytes);
        }
        let list: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let config = list[0]["Config"].as_str().unwrap().to_owned();
        let mut names = Vec::new();
        let mut nix = tar::Builder::new(std::fs::File::create(self.form("nix.tar")).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o444);
            nix.append_data(&mut header, format!("./{name}"), bytes).unwrap();
        };
        for layer in list[0]["Layers"].as_array().unwrap() {
            let layer = layer.as_str().unwrap();
            let name = format!("{}/layer.tar", layer.trim_end_matches(".tar"));
            add(&name, &files[layer]);
            names.push(name);
        }
        add(&config, &files[&config]);
        let list = serde_json::json!([{"Config": config, "RepoTags": [NAME], "Layers": names}]);
        add("manifest.json", list.to_string().as_bytes());
        nix.finish().unwrap();
    }
}

fn copy_folder(from: &PathBuf, to: &PathBuf) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
