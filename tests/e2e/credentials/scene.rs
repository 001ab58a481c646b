//! The stage of the login tests: `wharfd` before the gate before the double, and the files and
//! programs with its logins.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::processes::Process;
use wharf_testkit::registry::Registry;

use super::EXCHANGE;
use super::gate::{Authority, Gate, Trust};
use crate::fixture::{Api, START, address_after, code, command};

pub(super) const REPO: &str = "acme/web";
pub(super) const USER: &str = "publisher";
pub(super) const PASSWORD: &str = "planted-password-5f1c";
pub(super) const ENTRA_TOKEN: &str = "planted-entra-token-77aa";
pub(super) const ENTRA_PROOF: &str = "planted-client-proof-91e0";
pub(super) const CONFIG_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A double with content behind the gate, and a folder for files and programs.
pub(super) struct Scene {
    pub(super) gate: Gate,
    pub(super) double: AcrDouble,
    pub(super) folder: TempDir,
    _registry: Registry,
}

impl Scene {
    pub(super) async fn set() -> Option<Self> {
        Self::set_with(|config| config).await
    }

    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(super) async fn set_with(
        change: impl FnOnce(DoubleConfig) -> DoubleConfig,
    ) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let origin = Api::new(registry.url(), Client::new());
        let config = origin.push_blob(REPO, "{}").await;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{CONFIG_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
        );
        let answer = origin.put_manifest(REPO, "v1", CONFIG_TYPE, manifest).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let mut setup = DoubleConfig::new(registry.url()).account(Account::admin(USER, PASSWORD));
        setup.aad_token = Some(ENTRA_TOKEN.to_owned());
        let double = AcrDouble::start(change(setup)).await.unwrap();
        let gate = Gate::before(double.addr()).await;
        let folder = TempDir::with_prefix("logins-").unwrap();
        Some(Self { gate, double, folder, _registry: registry })
    }

    /// A file in the folder.
    pub(super) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A shell script on the PATH of `wharfd`.
    pub(super) fn program(&self, name: &str, script: &str) {
        let path = self.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `wharfd` before the gate with these lines about its login.
    pub(super) async fn wharfd(&self, login: &str, environment: &[(&str, &str)]) -> Daemon {
        let folder = TempDir::with_prefix("wharfd-").unwrap();
        let config = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{}\"\n[[upstream]]\n\
             url = \"{}\"\ntag_ttl_seconds = 0\n{login}\n",
            folder.path().join("store").display(),
            self.gate.url()
        );
        let path = folder.path().join("wharfd.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = command(["serve", "--config"]);
        let programs = self.folder.path().join("bin");
        command
            .arg(&path)
            .env("WHARFD_LOG", "trace")
            .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
        command.envs(environment.iter().copied());
        let mut process = Process::spawn("wharfd", &mut command, folder.path()).unwrap();
        let listening = process.wait_for_line(START, |line| address_after(line, "listening on "));
        let api = Api::new(format!("http://{}", listening.await.unwrap()), Client::new());
        let admin = process.wait_for_line(START, |line| address_after(line, "admin on ")).await;
        let admin = format!("http://{}/metrics", admin.unwrap());
        Daemon { api, process, admin, _folder: folder }
    }

    /// Configuration lines for an identity known to the authority, by its kind.
    pub(super) fn entra(&self, authority: &Authority, kind: &str) -> String {
        let ca_file = self.file("authority.pem", &authority.certificate);
        let mut lines =
            format!("ca_file = \"{}\"\n[upstream.entra]\nkind = \"{kind}\"\n", ca_file.display());
        let place = self.file("proof", &format!("{ENTRA_PROOF}\n"));
        let token = self.file("service-account", ENTRA_PROOF);
        let application = format!(
            "tenant = \"contoso\"\nclient_id = \"c-1\"\nauthority = \"{}\"",
            authority.url()
        );
        let _ = match kind {
            "client-secret" => {
                write!(lines, "{application}\nclient_secret_file = \"{}\"", place.display())
            }
            "workload-identity" => {
                write!(lines, "{application}\ntoken_file = \"{}\"", token.display())
            }
            _ => Ok(()),
        };
        lines
    }

    /// `docker_config` with this content.
    pub(super) fn docker(&self, content: &serde_json::Value) -> String {
        let path = self.file("config.json", &content.to_string());
        format!("docker_config = \"{}\"", path.display())
    }

    /// A `docker_config` whose helper for this upstream runs this script.
    pub(super) fn helper(&self, script: &str) -> String {
        self.program("docker-credential-planted", script);
        self.docker(&serde_json::json!({ "credHelpers": { self.gate.host(): "planted" } }))
    }

    pub(super) fn exchanges(&self) -> usize {
        self.gate.forms(EXCHANGE).len()
    }
}

/// A running `wharfd`.
pub(super) struct Daemon {
    pub(super) api: Api,
    pub(super) process: Process,
    pub(super) admin: String,
    _folder: TempDir,
}

impl Daemon {
    pub(super) async fn pull(&self) -> Answer {
        self.api.get_manifest(REPO, "v1").await
    }

    pub(super) async fn assert_pulls(&self) {
        let answer = self.pull().await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.process.stderr());
        assert_eq!(answer.header("wharf-cache"), "fill");
    }

    pub(super) async fn assert_pulls_again(&self) {
        let answer = self.pull().await;
        assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "hit"));
    }

    pub(super) async fn assert_denied(&self) {
        let answer = self.pull().await;
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (403, "DENIED"));
    }
}

pub(super) fn helper_answer(username: &str, secret: &str) -> String {
    format!("read host\necho '{{\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}'")
}

pub(super) fn trust() -> Trust {
    Trust { proof: ENTRA_PROOF.to_owned(), token: ENTRA_TOKEN.to_owned() }
}

/// A refresh token of the double, as `az acr login` leaves it with Docker.
pub(super) async fn identity_token(scene: &Scene) -> String {
    let host = scene.gate.host();
    let client = Client::new();
    let form =
        [("grant_type", "access_token"), ("service", host.as_str()), ("access_token", ENTRA_TOKEN)];
    let call = client.post(format!("http://{}{EXCHANGE}", scene.double.addr()));
    let answer = call.header("host", &host).form(&form).send().await.unwrap();
    answer.json().unwrap()["refresh_token"].as_str().unwrap().to_owned()
}
