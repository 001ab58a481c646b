//! New certificates while connections live.

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::scene::{Authority, Peer, Scene};
use super::{PATIENCE, REPO};
use crate::fixture::{eventually, noise};

const TAKEN: &str = "wharfd_tls_certificates_total{result=\"taken\"}";
const REFUSED: &str = "wharfd_tls_certificates_total{result=\"refused\"}";
const ENDS: &str = "wharfd_tls_certificate_valid_until_seconds";
const RELOADED: &str = "wharfd_config_reloads_total{result=\"success\"}";
const YEAR_2098: u64 = 4_039_372_800;
const YEAR_2099: u64 = 4_070_908_800;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let scene = Scene::start().await;
    let content = noise(1, 8_000_000);
    let mut first = scene.connect(&["h2"]).await;
    let path = first.push(REPO, &content).await;
    assert_eq!(scene.wharfd.metric(ENDS).await, YEAR_2099);
    let (stop, stopped) = watch::channel(false);
    let mut transfers = JoinSet::new();
    for number in 0..8 {
        let alpn = if number % 2 == 0 { "h2" } else { "http/1.1" };
        let mut peer = scene.connect(&[alpn]).await;
        let (host, trust) = (scene.wharfd.host(), scene.trust());
        let (path, content) = (path.clone(), content.clone());
        let stopped = stopped.clone();
        transfers.spawn(async move {
            let mut rounds = 0;
            while !*stopped.borrow() {
                assert!(peer.get(&path).await.unwrap() == (200, content.clone().into()));
                // Some keep their connection, some come anew each time.
                if number >= 4 {
                    peer = Peer::connect(&host, &trust, &[alpn]).await.unwrap();
                }
                rounds += 1;
            }
            rounds
        });
    }
    for round in 1..=3 {
        scene.renew(&scene.authority.server(if round == 3 { 2098 } else { 2099 }));
        scene.wharfd.metric_reaches(TAKEN, round).await;
        let new = scene.connect(&["h2"]).await;
        assert_ne!(new.certificate, first.certificate, "round {round}");
    }
    assert_eq!(scene.wharfd.metric(ENDS).await, YEAR_2098);
    assert_eq!(first.get("/v2/").await.unwrap().0, 200, "the first connection lives");
    stop.send_replace(true);
    let rounds = tokio::time::timeout(PATIENCE, transfers.join_all()).await.unwrap();
    assert!(rounds.iter().all(|rounds| *rounds > 0), "{rounds:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_not_taken_and_told_once_and_the_next_that_fits_is() {
    let scene = Scene::start().await;
    let before = scene.connect(&["h2"]).await.certificate;
    let other = Authority::new().server(2099);
    let mut told = 0;
    let broken = [
        ("tls.key", other.key.as_str(), "pair"),
        ("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "pair"),
        ("tls.crt", "", "no certificate"),
    ];
    for (name, text, expected) in broken {
        scene.put(name, text);
        told += 1;
        scene.wharfd.metric_reaches(REFUSED, told).await;
        assert_eq!(scene.connect(&["h2"]).await.certificate, before, "{name}");
        let log = scene.wharfd.log();
        assert!(log.contains("the old one stays") && log.contains(expected), "{log}");
        assert!(!log.contains("PRIVATE") && !log.contains(&other.key[40..80]), "{log}");
    }
    std::fs::remove_file(scene.path("tls.key")).unwrap();
    scene.wharfd.metric_reaches(REFUSED, told + 1).await;
    // The file stays away for two more looks, and nothing more is said of it.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(scene.wharfd.metric(REFUSED).await, told + 1);
    assert_eq!(scene.wharfd.metric(TAKEN).await, 0);
    scene.renew(&scene.authority.server(2099));
    scene.wharfd.metric_reaches(TAKEN, 1).await;
    let shown = async || {
        let certificate = scene.connect(&["h2"]).await.certificate;
        (certificate != before).then_some(())
    };
    eventually("the new certificate", shown).await;
}

#[tokio::test]
async fn sighup_takes_other_files_and_says_that_tls_cannot_be_turned_off() {
    let mut scene = Scene::start().await;
    let before = scene.connect(&["h2"]).await.certificate;
    let other = scene.authority.server(2098);
    let (cert, key) = (scene.put("other.crt", &other.cert), scene.put("other.key", &other.key));
    let places = [scene.path("tls.crt"), scene.path("tls.key")].map(|at| at.display().to_string());
    scene.wharfd.rewrite(|text| text.replace(&places[0], &cert).replace(&places[1], &key));
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches(RELOADED, 1).await;
    assert_ne!(scene.connect(&["h2"]).await.certificate, before);
    assert_eq!(scene.wharfd.metric(ENDS).await, YEAR_2098);
    // A key of another certificate makes the whole reload fail.
    scene.wharfd.rewrite(|text| text.replace(&key, &places[1]) + "[limits]\nurl_bytes = 1000\n");
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches("wharfd_config_reloads_total{result=\"refused\"}", 1).await;
    assert_eq!(scene.wharfd.metric(ENDS).await, YEAR_2098);
    scene.wharfd.rewrite(|text| text.split_once("[tls]").unwrap().0.to_owned());
    scene.wharfd.hang_up();
    scene.wharfd.metric_reaches(RELOADED, 2).await;
    assert!(scene.wharfd.log().contains("at the next start only: TLS is turned off"));
    assert_eq!(scene.connect(&["h2"]).await.get("/v2/").await.unwrap().0, 200);
}
