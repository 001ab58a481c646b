//! The ACR double itself, in front of Debian's `docker-registry`: each habit, each fault, and real
//! clients. No part of the product takes part here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod astray;
mod broken;
mod clients;
mod credentials;
mod delays;
mod faults;
mod habits;
mod heads;
mod locks;
mod outages;
mod program;
mod quotas;
mod reads;
mod replicas;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use wharf_double::{Account, AcrDouble, DoubleConfig, Fault, FaultRule, Habits, Kind};
use wharf_testkit::http::{Answer, BrokenBody, Client};
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

const USER: &str = "publisher";
const PASSWORD: &str = "a secret";
const REPOSITORY: &str = "acme/web";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An empty registry with a double before it.
struct Stage {
    registry: Registry,
    double: AcrDouble,
    client: Client,
}

impl Stage {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    async fn start() -> Option<Self> {
        Self::start_with(|config| config).await
    }

    async fn start_with(change: impl FnOnce(DoubleConfig) -> DoubleConfig) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let config = DoubleConfig::new(registry.url()).account(Account::admin(USER, PASSWORD));
        let double = AcrDouble::start(change(config)).await.unwrap();
        Some(Self { registry, double, client: Client::new() })
    }

    async fn with_habits(change: impl FnOnce(&mut Habits)) -> Option<Self> {
        Self::start_with(|mut config| {
            change(&mut config.habits);
            config
        })
        .await
    }

    fn url(&self, target: &str) -> String {
        format!("{}{target}", self.double.url())
    }

    /// Pushes a manifest without layers, with this word as its annotation.
    async fn push_manifest(&self, token: &str, reference: &str, word: &str) -> Answer {
        let config = self.plant(b"{}").await;
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
            "annotations": { "word": word },
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config,
                "size": 2,
            },
        });
        let put = self.client.put(self.manifest_url(reference)).bearer(token);
        let put = put.header("content-type", MANIFEST_TYPE);
        put.bytes(manifest.to_string()).send().await.unwrap()
    }

    fn manifest_url(&self, reference: &str) -> String {
        self.url(&format!("/v2/{REPOSITORY}/manifests/{reference}"))
    }

    async fn manifest(&self, token: &str, reference: &str) -> Answer {
        let call = self.client.get(self.manifest_url(reference)).bearer(token);
        call.header("accept", MANIFEST_TYPE).send().await.unwrap()
    }

    /// Starts an upload; where its first chunk goes.
    async fn start_upload(&self, token: &str) -> Answer {
        let url = self.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
        self.client.post(url).bearer(token).send().await.unwrap()
    }

    fn host(&self) -> String {
        self.double.addr().to_string()
    }

    /// An access token for these scopes, by Basic credentials.
    async fn token(&self, scopes: &[&str]) -> String {
        let answer = self.token_answer(USER, PASSWORD, scopes).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        field(&answer, "access_token")
    }

    async fn token_answer(&self, user: &str, password: &str, scopes: &[&str]) -> Answer {
        let target = self.token_target(scopes);
        self.client.get(self.url(&target)).basic(user, password).send().await.unwrap()
    }

    fn token_target(&self, scopes: &[&str]) -> String {
        let mut target = format!("/oauth2/token?service={}", self.host());
        for scope in scopes {
            target.push_str("&scope=");
            target.push_str(scope);
        }
        target
    }

    async fn pull_token(&self) -> String {
        self.token(&[&format!("repository:{REPOSITORY}:pull")]).await
    }

    async fn push_token(&self) -> String {
        self.token(&[&format!("repository:{REPOSITORY}:pull,push")]).await
    }

    /// Puts a blob into the backing registry, past the double.
    async fn plant(&self, content: &'static [u8]) -> String {
        let digest = sha256(content);
        let start = format!("{}/v2/{REPOSITORY}/blobs/uploads/", self.registry.url());
        let started = self.client.post(start).send().await.unwrap();
        assert_eq!(started.status, 202, "{}", started.text());
        let end = format!("{}&digest={digest}", started.header("location"));
        let ended = self.client.put(end).bytes(content).send().await.unwrap();
        assert_eq!(ended.status, 201, "{}", ended.text());
        digest
    }

    /// The storage's address of a blob, as the facade gives it out.
    async fn link(&self, token: &str, digest: &str) -> String {
        let url = self.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
        let answer = self.client.get(url).bearer(token).send().await.unwrap();
        assert_eq!(answer.status, 307, "{}", answer.text());
        answer.header("location").to_owned()
    }

    /// A blob, read as a client reads it.
    async fn fetch(&self, token: &str, digest: &str) -> anyhow::Result<Answer> {
        let link = self.link(token, digest).await;
        self.client.get(link).send().await
    }

    /// A blob, past the double.
    async fn planted(&self, digest: &str) -> Option<Bytes> {
        let url = format!("{}/v2/{REPOSITORY}/blobs/{digest}", self.registry.url());
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status == 200).then_some(answer.body)
    }
}

/// A blob with one fault on its way, and a client's means to read it.
struct Trap {
    stage: Stage,
    token: String,
    digest: String,
    content: &'static [u8],
}

impl Trap {
    /// `None` when `docker-registry` is missing.
    async fn with(content: &'static [u8]) -> Option<Self> {
        let stage = Stage::start().await?;
        let digest = stage.plant(content).await;
        let token = stage.pull_token().await;
        Some(Self { stage, token, digest, content })
    }

    /// Orders a fault for the next request of this kind with this blob.
    fn set(&self, kind: Kind, fault: Fault) {
        self.stage.double.set_fault(FaultRule::next(kind, fault).of_digest(&self.digest));
    }

    async fn link(&self) -> String {
        self.stage.link(&self.token, &self.digest).await
    }

    /// The blob's address at the registry.
    fn url(&self) -> String {
        self.stage.url(&format!("/v2/{REPOSITORY}/blobs/{}", self.digest))
    }

    async fn fetch(&self) -> anyhow::Result<Answer> {
        self.stage.fetch(&self.token, &self.digest).await
    }

    /// A part of the blob, by its Range.
    async fn part(&self, range: &str) -> anyhow::Result<Answer> {
        let link = self.link().await;
        self.stage.client.get(link).header("range", range).send().await
    }

    /// After its fault the double tells the truth again.
    async fn is_over(&self) {
        assert!(self.stage.double.waiting_faults().is_empty(), "the fault was not met");
        let answer = self.fetch().await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, self.content));
    }
}

/// Waits until the double holds so many bodies or answers.
async fn held(double: &AcrDouble, count: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while double.held() != count {
        assert!(Instant::now() < deadline, "waited in vain for {count} held answers");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The received part of a broken body.
fn broken(result: anyhow::Result<Answer>) -> Bytes {
    let error = result.expect_err("the body must break");
    error.downcast::<BrokenBody>().expect("a head must have come").received
}

fn field(answer: &Answer, name: &str) -> String {
    answer.json().unwrap()[name].as_str().unwrap_or_default().to_owned()
}

/// The code of the first error in a registry's answer.
fn code(answer: &Answer) -> String {
    answer.json().unwrap()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
}
