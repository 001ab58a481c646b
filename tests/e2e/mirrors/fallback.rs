//! Clients with a second host go there when `wharfd` has no response: `wharfd` reports every fault
//! before the clients give up.

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::clients;
use wharf_testkit::processes::Process;

use super::daemons::Containerd;
use super::scene::Scene;
use super::{REPO, copy, image};

/// One fault of every request to the upstream.
fn every_request(fault: Fault) -> FaultRule {
    FaultRule { kind: None, times: u64::MAX, ..FaultRule::next(Kind::Other, fault) }
}

/// The responses for a missing upstream: its failure, and the open breaker after it.
const GONE: [u16; 2] = [429, 502];

/// Asserts a request to `wharfd` below this path, with this status.
fn assert_answered(wharfd: &Process, path: &str, status: u16) {
    assert_answered_as(wharfd, path, &[status]);
}

fn assert_answered_as(wharfd: &Process, path: &str, statuses: &[u16]) {
    let (log, path) = (wharfd.stderr(), format!("/v2/{path}"));
    let said: Vec<_> = statuses.iter().map(|status| format!("status={status}")).collect();
    let answers = |line: &str| said.iter().any(|status| line.contains(status));
    let answered = log.lines().any(|line| line.contains(&path) && answers(line));
    assert!(answered, "none of {said:?} for {path} in:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_goes_to_the_next_host_when_wharfd_has_no_answer() {
    let Some(scene) = Scene::set().await else { return };
    let Some(node) = Containerd::start(&scene).await else { return };
    // The second host is a registry without a login; only it has the images.
    let second = &scene.contoso.behind;
    let hosts = scene.certs_d(Some(second.base()));
    let unavailable = Fault::Status { code: 503, retry_after_s: None };
    let patience = Fault::TooManyRequests { retry_after_s: 600 };
    for (seed, fault, status) in
        [(1, None, 404), (2, Some(patience), 429), (3, Some(unavailable), 429)]
    {
        let layout = image(&scene, seed);
        let repo = format!("{REPO}-{seed}");
        second.push_layout(&repo, &layout).await;
        if let Some(fault) = fault {
            scene.hub.double.set_fault(every_request(fault));
        }
        let pulled = node.pull_from(&hosts, &format!("docker.io/{repo}:1.0"), &[]).await;
        assert_eq!(pulled, layout.top.digest, "{status}");
        assert_answered(&scene.wharfd, &format!("{repo}/manifests/1.0"), status);
        scene.hub.double.clear_faults();
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_to_the_next_host_for_what_a_stopped_upstream_left_out() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let Some(scene) = Scene::set().await else { return };
    let Some(node) = Containerd::start(&scene).await else { return };
    let (half, other) = (image(&scene, 4), image(&scene, 5));
    let second = scene.contoso.behind.clone();
    let hosts = scene.certs_d(Some(second.base()));
    let registries = scene.registries_conf(Some(second.host()));
    scene.hub.behind.push_layout(REPO, &half).await;
    second.push_layout(REPO, &half).await;
    second.push_layout("team/other", &other).await;
    // The manifests are here, their blobs are not.
    let manifests = half.images.iter().map(|image| image.manifest.digest.as_str());
    for reference in manifests.chain(["1.0"]) {
        let name = format!("docker.io/{REPO}");
        assert_eq!(scene.api().get_manifest(&name, reference).await.status, 200);
    }
    scene.hub.double.stop().await;
    for (repo, layout) in [(REPO, &half), ("team/other", &other)] {
        let pulled = node.pull_from(&hosts, &format!("docker.io/{repo}:1.0"), &[]).await;
        assert_eq!(pulled, layout.top.digest);
    }
    assert_answered(&scene.wharfd, &format!("{REPO}/manifests/1.0"), 200);
    assert_answered_as(&scene.wharfd, &format!("{REPO}/blobs/"), &GONE);
    assert_answered_as(&scene.wharfd, "team/other/manifests/1.0", &GONE);
    // skopeo and podman stay with the manifest's host, so they find only images completely at the
    // second host.
    let copied = copy(&skopeo, &registries, "docker.io/team/other:1.0").await;
    assert_eq!(copied, other.top.digest);
    assert_answered_as(&scene.wharfd, "docker.io/team/other/manifests/1.0", &GONE);
    node.stop().await;
}
