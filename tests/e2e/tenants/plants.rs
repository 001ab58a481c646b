//! The preparations of a pool before its siege: content for the hostile two, and an upstream with
//! the needed slowness.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use super::content::{self, AT_ONCE, LARGE_AT_ONCE, letters, many, put};
use super::ground::{HOSTILE, Scene};
use super::line::Party;
use super::pools::Pool;
use crate::fixture::{Api, noise};

const HOUR: Duration = Duration::from_hours(1);
/// The repository read by both, with every response unread.
pub(super) const SHARED: &str = "bob/big";
/// Almost the largest possible manifest.
pub(super) const BIG_BYTES: usize = 4_000_000;
pub(super) const BIG_MANIFESTS: usize = 32;
const BIG_BLOB_BYTES: usize = 16 * 1024 * 1024;
const TAGS: usize = 1_000;
const REPOS: usize = 200;
/// Together five megabytes: the upstream, in this program, makes a list of them each time.
const REFERRERS: usize = 20;
const REFERRER_BYTES: usize = 256 * 1024;
/// Slow blobs of one party, and their pace: above the floor, so they are not given up.
pub(super) const SLOW_BLOBS: usize = 128;
const SLOW_BLOB_BYTES: usize = 512 * 1024;
const SLOW_BYTES_PER_S: u64 = 6 * 1024;

impl Pool {
    /// Plants the content for the hostile two, and slows the upstream as needed.
    pub(super) async fn plant(self, scene: &Scene, origin: &Api, registry: &Registry) {
        let fault = |kinds: &[Kind], fault| {
            for (kind, name) in kinds.iter().flat_map(|kind| HOSTILE.map(|name| (*kind, name))) {
                let rule = FaultRule::next(kind, fault).in_repos(format!("{name}/"));
                scene.double.set_fault(rule.during(HOUR));
            }
        };
        match self {
            Self::Manifest => big_manifests(scene, origin, 1).await,
            Self::Manifests => big_manifests(scene, origin, BIG_MANIFESTS).await,
            Self::Blob => drop(origin.push_blob(SHARED, big_blob()).await),
            Self::Tags => plant_tags(origin, registry).await,
            Self::Catalog => plant_repos(&scene.hostile[0], scene).await,
            Self::Referrers => plant_referrers(&scene.hostile[0], scene).await,
            Self::Fills => {
                for name in HOSTILE {
                    plant_blobs(origin, &format!("{name}/slow")).await;
                }
                fault(&[Kind::StorageGet], Fault::Slow { bytes_per_s: SLOW_BYTES_PER_S });
            }
            Self::Questions => fault(&[Kind::ManifestGet, Kind::ManifestHead], Fault::Hang),
            Self::ManyTags | Self::OneTag => fault(&[Kind::ManifestPut], Fault::Hang),
            Self::Refused => {
                fault(&[Kind::UploadPost], Fault::Status { code: 403, retry_after_s: None });
            }
            Self::Undelivered => fault(&[Kind::UploadPatch], Fault::Stall { after: 1 }),
            Self::Logins => fault(&[Kind::Token], Fault::Hang),
            _ => {}
        }
    }
}

pub(super) fn big_blob() -> Vec<u8> {
    noise(2, BIG_BLOB_BYTES)
}

fn big_manifest(number: usize) -> String {
    content::index(&[("n", &letters(number as u64, BIG_BYTES))])
}

pub(super) fn big_digest(number: usize) -> String {
    static DIGESTS: Mutex<BTreeMap<usize, String>> = Mutex::new(BTreeMap::new());
    let mut digests = DIGESTS.lock().unwrap();
    let digest = || sha256(big_manifest(number).as_bytes());
    digests.entry(number).or_insert_with(digest).clone()
}

/// They are cached before the siege, because the siege is about held responses and not about
/// downloads.
async fn big_manifests(scene: &Scene, origin: &Api, count: usize) {
    let api = api(&scene.hostile[0], scene);
    many(count, LARGE_AT_ONCE, |number| {
        let (origin, api) = (origin.clone(), api.clone());
        async move {
            let digest = big_digest(number);
            if origin.head_manifest(SHARED, &digest).await.status != 200 {
                put(&origin, SHARED, &digest, &big_manifest(number)).await;
            }
            assert_eq!(api.get_manifest(SHARED, &digest).await.status, 200);
        }
    })
    .await;
}

async fn plant_tags(origin: &Api, registry: &Registry) {
    let manifest = content::index(&[]);
    put(origin, "bob/tags", "first", &manifest).await;
    let name = |number| format!("t{number}-{}", letters(number as u64, 100));
    let names = (0..TAGS).map(name).collect();
    content::tag_often(registry, "bob/tags", &sha256(manifest.as_bytes()), names);
}

/// The way of a party through `wharfd`, past the sieges.
fn api(party: &Party, scene: &Scene) -> Api {
    let login = party.login.as_ref();
    let api = scene.wharfd.api.clone();
    login.map_or_else(|| api.clone(), |(user, password)| api.with_password(user, password))
}

async fn plant_repos(party: &Party, scene: &Scene) {
    let (api, name) = (api(party, scene), party.name.clone());
    let cell = scene.number;
    many(REPOS, AT_ONCE, |number| {
        let (api, long) = (api.clone(), letters(number as u64, 200));
        let repo = format!("{name}/r{cell}-{number}-{long}");
        async move { put(&api, &repo, "v1", &content::index(&[])).await }
    })
    .await;
}

pub(super) fn referred(scene: &Scene) -> String {
    format!("bob/referred{}", scene.number)
}

pub(super) fn subject_digest() -> String {
    sha256(content::index(&[("subject", "")]).as_bytes())
}

async fn plant_referrers(party: &Party, scene: &Scene) {
    let (api, repo) = (api(party, scene), referred(scene));
    put(&api, &repo, "v1", &content::index(&[("subject", "")])).await;
    many(REFERRERS, LARGE_AT_ONCE, |number| {
        let (api, repo) = (api.clone(), repo.clone());
        async move {
            let manifest =
                content::referrer(&subject_digest(), &letters(number as u64, REFERRER_BYTES));
            put(&api, &repo, &sha256(manifest.as_bytes()), &manifest).await;
        }
    })
    .await;
}

pub(super) fn slow_blob(repo: &str, number: usize) -> Vec<u8> {
    let seed = (repo.len() * 1_000 + number) as u64;
    noise(seed, SLOW_BLOB_BYTES)
}

async fn plant_blobs(origin: &Api, repo: &str) {
    many(SLOW_BLOBS, AT_ONCE, |number| {
        let (origin, repo) = (origin.clone(), repo.to_owned());
        async move { drop(origin.push_blob(&repo, slow_blob(&repo, number)).await) }
    })
    .await;
}
