//! Upstreams with a lead elsewhere (SSRF): by a redirect, by the Location of an upload, by the
//! realm of their tokens. `wharfd` follows to any possible host of a registry's storage, but never
//! to a metadata service or into another network, and it takes no credentials along.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use wharf_testkit::clients::skipped;
use wharf_testkit::images::sha256;

use super::scene::{Daemon, Parrot, Start, said};

const REPO: &str = "acme/web";
const PASSWORD: &str = "planted-upstream-password-61ce";
const BASIC: &str = "www-authenticate: Basic realm=\"here\"\r\n";

/// The kind of an upstream's lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Redirect,
    Location,
    Realm,
}

/// The upstream's response with the lead, to a client with a password.
fn leading(lead: Lead, target: &str) -> impl Fn(&str) -> Vec<u8> + Send + Sync + use<> {
    let target = target.to_owned();
    move |head| {
        let shown = head.to_ascii_lowercase().contains("authorization:");
        let answer = match lead {
            Lead::Realm => {
                let realm =
                    format!("www-authenticate: Bearer realm=\"{target}\",service=\"x\"\r\n");
                said("401 Unauthorized", &realm, "")
            }
            _ if !shown => said("401 Unauthorized", BASIC, ""),
            Lead::Redirect => said("307 Away", &format!("location: {target}\r\n"), ""),
            Lead::Location => said("202 Accepted", &format!("location: {target}\r\n"), ""),
        };
        answer.into_bytes()
    }
}

async fn before(upstream: &Parrot) -> Daemon {
    let config = format!(
        "[[upstream]]\nurl = \"{}\"\nusername = \"planted\"\npassword_env = \"PLANTED\"\n\
         connect_timeout_seconds = 1\nanswer_timeout_seconds = 1\n",
        upstream.url()
    );
    let environment = [("PLANTED", PASSWORD), ("WHARFD_LOG", "debug")];
    Daemon::start(Start { config: &config, environment: &environment, ..Start::default() }).await
}

/// Makes `wharfd` follow the lead; returns the statuses of its responses.
async fn ask(daemon: &Daemon, lead: Lead) -> Vec<u16> {
    let api = &daemon.api;
    let digest = sha256(b"content");
    let mut answers = Vec::new();
    if lead != Lead::Location {
        answers.push(api.get_manifest(REPO, "v1").await.status.as_u16());
        answers.push(api.get_blob(REPO, &digest).await.status.as_u16());
        answers.push(api.get(&format!("/v2/{REPO}/tags/list")).await.status.as_u16());
    }
    if lead != Lead::Redirect {
        let pushed = api.try_push_blob(REPO, &digest, "content").await;
        answers.push(pushed.map_or(502, |answer| answer.status.as_u16()));
    }
    answers
}

/// Where no registry keeps anything.
const NOWHERE: [&str; 14] = [
    "http://169.254.169.254/metadata/instance?api-version=2021-02-01",
    "http://169.254.169.254:80/latest/meta-data/iam/security-credentials/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.170.2/v2/credentials",
    "http://168.63.129.16/machine?comp=goalstate",
    "http://100.100.100.200/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://user:word@169.254.169.254/",
    "http://169.254.169.254#@127.0.0.1/",
    "http://0.0.0.0/",
    "http://255.255.255.255/",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_upstream_leads_to_a_metadata_service() {
    for lead in [Lead::Redirect, Lead::Location, Lead::Realm] {
        for target in NOWHERE {
            // In a realm's header, the text from `#` on is no part of an address.
            if lead == Lead::Realm && target.contains('#') {
                continue;
            }
            let upstream = Parrot::at(IpAddr::V4(Ipv4Addr::LOCALHOST), leading(lead, target)).await;
            let daemon = before(&upstream).await;
            for status in ask(&daemon, lead).await {
                assert!(matches!(status, 502 | 403), "{lead:?} to {target}: {status}");
            }
            let log = daemon.log();
            assert!(log.contains("redirect_hosts"), "{lead:?} to {target} was tried:\n{log}");
            assert!(!log.contains(PASSWORD), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_upstream_leads_to_what_is_no_address_of_the_web() {
    for lead in [Lead::Redirect, Lead::Location, Lead::Realm] {
        for target in [
            "file:///etc/passwd",
            "gopher://127.0.0.1:1/_x",
            "ftp://127.0.0.1/x",
            "javascript:x",
            "http://",
        ] {
            let upstream = Parrot::at(IpAddr::V4(Ipv4Addr::LOCALHOST), leading(lead, target)).await;
            let daemon = before(&upstream).await;
            for status in ask(&daemon, lead).await {
                assert!(matches!(status, 502 | 403), "{lead:?} to {target}: {status}");
            }
            assert!(!daemon.log().contains("root:"), "{lead:?} to {target}");
        }
    }
}

/// An address of this machine other than a loopback address; finding it sends no packet.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_upstream_leads_into_another_network_unless_its_hosts_are_listed() {
    let Some(address) = own_address() else {
        skipped("this machine has no address but loopback: redirects between networks");
        return;
    };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for (upstream_at, trap_at) in [(address, here), (here, address)] {
        for lead in [Lead::Redirect, Lead::Location, Lead::Realm] {
            let trap = Parrot::at(trap_at, |_| said("200 OK", "", "trapped").into_bytes()).await;
            let target = format!("{}/x", trap.url());
            let upstream = Parrot::at(upstream_at, leading(lead, &target)).await;
            let daemon = before(&upstream).await;
            for status in ask(&daemon, lead).await {
                assert!(matches!(status, 502 | 403), "{lead:?} to {target}: {status}");
            }
            assert!(trap.heads().is_empty(), "{lead:?}: {:?}", trap.heads());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_stay_at_the_address_that_they_are_for() {
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    for lead in [Lead::Redirect, Lead::Location, Lead::Realm] {
        let trap = Parrot::at(elsewhere, |_| {
            said("401 Unauthorized", "www-authenticate: Basic realm=\"trap\"\r\n", "").into_bytes()
        });
        let trap = trap.await;
        let target = format!("{}/trap", trap.url());
        let upstream = Parrot::at(IpAddr::V4(Ipv4Addr::LOCALHOST), leading(lead, &target)).await;
        let daemon = before(&upstream).await;
        ask(&daemon, lead).await;
        let shown = upstream.heads().concat().to_ascii_lowercase().contains("authorization: basic");
        assert!(shown || lead == Lead::Realm, "{lead:?}: the upstream was shown no password");
        let heads = trap.heads();
        assert!(!heads.is_empty() || lead == Lead::Realm, "{lead:?} was not followed");
        for head in heads {
            let head = head.to_ascii_lowercase();
            assert!(
                !head.contains("authorization") && !head.contains("cookie"),
                "{lead:?}: {head}"
            );
        }
    }
}
