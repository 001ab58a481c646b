//! Every pool and every body within reach of two parties, each with its siege: as many connections,
//! streams and bytes as made a trial fail.

use std::time::Duration;

use http::Method;
use wharf_testkit::images::sha256;

use super::asks::Ask;
use super::content::{self, INDEX_TYPE};
use super::ground::{Access, Protocol, Scene};
use super::hostile::Siege;
use super::line::Party;
use super::plants::{
    BIG_BYTES, BIG_MANIFESTS, SHARED, SLOW_BLOBS, big_blob, big_digest, referred, slow_blob,
    subject_digest,
};
use super::uploads;

const MIB: usize = 1024 * 1024;
/// One party's requests with unread responses: as many connections, or four of `STREAMS`.
const READERS: usize = 200;
const STREAMS: usize = 512;
/// For lists slow to make at the upstream there are fewer.
const REFERRER_READERS: usize = 4;
/// One party's connections: half of the limit.
const CONNECTIONS: usize = 1_024;
/// Each slow blob is left after this.
const LEFT_AFTER: Duration = Duration::from_millis(500);
/// Wrong logins of one party at once.
const GUESSES: usize = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    IdleConnections,
    HalfHeads,
    Manifest,
    Manifests,
    Blob,
    Tags,
    Catalog,
    Referrers,
    Tokens,
    ManifestPuts,
    UploadBodies,
    OpenUploads,
    Writers,
    Fills,
    Questions,
    ManyTags,
    OneTag,
    Refused,
    Undelivered,
    Logins,
}

impl Pool {
    pub(super) const ALL: [Self; 20] = [
        Self::IdleConnections,
        Self::HalfHeads,
        Self::Manifest,
        Self::Manifests,
        Self::Blob,
        Self::Tags,
        Self::Catalog,
        Self::Referrers,
        Self::Tokens,
        Self::ManifestPuts,
        Self::UploadBodies,
        Self::OpenUploads,
        Self::Writers,
        Self::Fills,
        Self::Questions,
        Self::ManyTags,
        Self::OneTag,
        Self::Refused,
        Self::Undelivered,
        Self::Logins,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IdleConnections => "connections: idle",
            Self::HalfHeads => "connections: half a head",
            Self::Manifest => "unread: one manifest of 4 MB",
            Self::Manifests => "unread: 32 manifests of 4 MB",
            Self::Blob => "unread: a blob",
            Self::Tags => "unread: tags",
            Self::Catalog => "unread: catalog",
            Self::Referrers => "unread: large referrers",
            Self::Tokens => "unread: tokens",
            Self::ManifestPuts => "hanging: manifest PUTs",
            Self::UploadBodies => "hanging: upload bodies",
            Self::OpenUploads => "uploads: opened and left",
            Self::Writers => "writers: trickling uploads",
            Self::Fills => "fills: slow blobs, left",
            Self::Questions => "questions: hanging manifests",
            Self::ManyTags => "turns: many tags",
            Self::OneTag => "turns: one tag",
            Self::Refused => "staged: refused blobs",
            Self::Undelivered => "staged: hanging deliveries",
            Self::Logins => "logins: wrong ones",
        }
    }

    /// Whether there is such a pool, and parties can be told apart in it.
    pub(super) fn is_there(self, access: Access, protocol: Protocol) -> bool {
        match self {
            // Before a login there are addresses only, and with names all come from one.
            Self::IdleConnections | Self::HalfHeads => {
                access == Access::Open || protocol == Protocol::Http1
            }
            Self::Tokens => access == Access::Users,
            Self::Logins => access != Access::Open,
            // A later delivery needs a login of `wharfd` itself.
            Self::Refused | Self::Undelivered => access != Access::Passthrough,
            _ => true,
        }
    }

    /// Whether the siege holds responses. Otherwise it holds requests, and they get none.
    pub(super) fn holds_answers(self) -> bool {
        matches!(
            self,
            Self::Manifest
                | Self::Manifests
                | Self::Blob
                | Self::Tags
                | Self::Catalog
                | Self::Referrers
                | Self::Tokens
        )
    }

    /// The configuration lines at the top, and in the upstream's part.
    pub(super) fn lines(self) -> (&'static str, &'static str) {
        match self {
            Self::Refused | Self::Undelivered => {
                ("store_limit = \"256MiB\"\n", "push = \"staged\"\n")
            }
            _ => ("", ""),
        }
    }

    /// Both hostile parties begin.
    pub(super) fn besiege(self, scene: &Scene) -> Siege {
        let mut siege = Siege::default();
        for party in &scene.hostile {
            self.take(party, scene, &mut siege);
        }
        siege
    }

    fn take(self, party: &Party, scene: &Scene, siege: &mut Siege) {
        let own = format!("{}/c{}", party.name, scene.number);
        let unread = |path: &str| vec![accepting(Ask::get(path)); Self::readers(party)];
        match self {
            Self::IdleConnections => siege.sit(party, CONNECTIONS, b""),
            Self::HalfHeads => {
                siege.sit(party, CONNECTIONS, b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nx: ");
            }
            Self::Manifest => {
                let path = format!("/v2/{SHARED}/manifests/{}", big_digest(0));
                siege.hold(party, unread(&path), None);
            }
            Self::Manifests => {
                let paths = (0..BIG_MANIFESTS).map(big_digest);
                let paths = paths.map(|digest| format!("/v2/{SHARED}/manifests/{digest}"));
                let asks: Vec<_> = paths.map(|path| accepting(Ask::get(path))).collect();
                let asks = asks.iter().cycle().take(Self::readers(party)).cloned();
                siege.hold(party, asks.collect(), None);
            }
            Self::Blob => {
                let digest = sha256(&big_blob());
                siege.hold(party, unread(&format!("/v2/{SHARED}/blobs/{digest}")), None);
            }
            Self::Tags => siege.hold(party, unread("/v2/bob/tags/tags/list"), None),
            Self::Catalog => siege.hold(party, unread("/v2/_catalog"), None),
            Self::Referrers => {
                let path = format!("/v2/{}/referrers/{}", referred(scene), subject_digest());
                let times = REFERRER_READERS;
                siege.hold(party, vec![Ask::get(path); times], None);
            }
            Self::Tokens => {
                let path = format!("/token?service=wharfd&scope=repository:{own}:pull,push");
                siege.hold(party, unread(&path), None);
            }
            Self::ManifestPuts => {
                let ask = Ask::new(Method::PUT, format!("/v2/{own}/manifests/v1"));
                let ask = ask.header("content-type", INDEX_TYPE).stopping(BIG_BYTES, 3 * MIB);
                siege.hold(party, vec![ask; Self::readers(party)], None);
            }
            Self::UploadBodies => uploads::stop_within(party, &own, siege),
            Self::OpenUploads => uploads::open_and_leave(party, &own, siege),
            Self::Writers => uploads::trickle(party, &own, siege),
            Self::Refused | Self::Undelivered => uploads::stage(party, &own, siege),
            Self::Fills => {
                let repo = format!("{}/slow", party.name);
                let blobs = (0..SLOW_BLOBS).map(|number| {
                    Ask::get(format!("/v2/{repo}/blobs/{}", sha256(&slow_blob(&repo, number))))
                });
                siege.hold(party, blobs.collect(), Some(LEFT_AFTER));
            }
            Self::Questions => {
                let path = |number| format!("/v2/{own}/manifests/hanging{number}");
                let asks = (0..STREAMS).map(|number| accepting(Ask::get(path(number))));
                siege.hold(party, asks.collect(), None);
            }
            Self::ManyTags => {
                siege.hold(party, tag_puts(&own, |number| format!("t{number}")), None);
            }
            Self::OneTag => siege.hold(party, tag_puts(&own, |_| "t".to_owned()), None),
            Self::Logins => siege.hold(party, guesses(&own), None),
        }
    }

    fn readers(party: &Party) -> usize {
        match party.protocol {
            Protocol::Http1 => READERS,
            Protocol::Http2 => STREAMS / 2,
        }
    }
}

fn accepting(ask: Ask) -> Ask {
    ask.header("accept", INDEX_TYPE)
}

/// Manifest pushes, each waiting for the upstream.
fn tag_puts(repo: &str, tag: impl Fn(usize) -> String) -> Vec<Ask> {
    let put = |number| {
        let path = format!("/v2/{repo}/manifests/{}", tag(number));
        let ask = Ask::new(Method::PUT, path).header("content-type", INDEX_TYPE);
        ask.whole(content::index(&[("n", &number.to_string())]))
    };
    (0..STREAMS).map(put).collect()
}

/// Wrong logins, most of them under unknown names, the others under the good party's.
fn guesses(repo: &str) -> Vec<Ask> {
    let guess = |number: usize| {
        let named = number.is_multiple_of(4);
        let user = if named { super::ground::GOOD.to_owned() } else { format!("nobody{number}") };
        Ask::get(format!("/v2/{repo}/tags/list")).showing(user, &format!("wrong{number}"))
    };
    (0..GUESSES).map(guess).collect()
}
