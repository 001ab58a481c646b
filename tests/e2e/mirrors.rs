//! The ready configurations in `proxy/examples`, tried with the real clients for them: each client
//! gets the registry's content through its mirror, and the registry serves it once.

mod cri;
mod daemons;
mod examples;
mod fallback;
mod files;
mod saves;
mod scene;
mod tree;

use wharf_double::Kind;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::images::{Layout, Recipe};
use wharf_testkit::registry::Registry;

use daemons::{Containerd, Dockerd};
use scene::{Scene, run};

use crate::fixture::Api;

/// As clients know it in the namespaces of the examples.
const REPO: &str = "team/app";

/// Several layers on two platforms.
fn image(scene: &Scene, seed: u64) -> Layout {
    let recipe = Recipe::new(seed, &[3_000, 400_000, 2_500_000, 70_000]);
    let folder = scene.folder.path().join(format!("image-{seed}"));
    recipe.architectures(&["amd64", "arm64"]).write(&folder, "1.0").unwrap()
}

/// A runnable image, at Docker Hub as `library/tree:1.0`.
async fn plant_tree(scene: &Scene) -> Option<Layout> {
    let busybox = clients::require("busybox")?;
    let layout = tree::write(&scene.folder.path().join("tree"), &busybox);
    scene.hub.behind.push_layout("library/tree", &layout).await;
    Some(layout)
}

/// Copies an image with all its platforms, with these mirrors; returns the tag's digest.
async fn copy(skopeo: &Client, registries: &str, image: &str) -> String {
    let out = tempfile::tempdir().unwrap();
    let (from, to) = (format!("docker://{image}"), format!("oci:{}:out", out.path().display()));
    let arguments = ["--registries-conf", registries, "copy", "--quiet", "--all", &from, &to];
    run(skopeo, &arguments).await;
    let index = std::fs::read(out.path().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// Pulls an image of this machine's platform with podman; returns the tag's digest.
async fn podman_pull(podman: &Client, scene: &Scene, image: &str) -> String {
    run(podman, &scene.podman(&["pull", "--quiet", image])).await;
    let digests = ["inspect", "--format={{index .RepoDigests 0}}", image];
    let digest = run(podman, &scene.podman(&digests)).await;
    digest.trim().rsplit_once('@').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn dockerd_pulls_through_its_mirror_runs_what_it_got_and_does_not_need_the_upstream_again() {
    let Some(scene) = Scene::set().await else { return };
    let Some(tree) = plant_tree(&scene).await else { return };
    let Some(dockerd) = Dockerd::start(&scene).await else { return };
    assert_eq!(dockerd.pull("tree:1.0").await, tree.top.digest);
    scene.hub.assert_served_once(&tree);
    let said = dockerd.docker(&["run", "--rm", "--network", "none", "tree:1.0"]).await;
    assert_eq!(said, tree::SAYS);

    dockerd.docker(&["rmi", "tree:1.0"]).await;
    scene.hub.double.stop().await;
    assert_eq!(dockerd.pull("tree:1.0").await, tree.top.digest);
    dockerd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_through_its_mirror_and_runs_what_it_got() {
    let Some(podman) = clients::require("podman") else { return };
    let Some(scene) = Scene::set().await else { return };
    let Some(tree) = plant_tree(&scene).await else { return };
    let image = "docker.io/library/tree:1.0";
    assert_eq!(podman_pull(&podman, &scene, image).await, tree.top.digest);
    scene.hub.assert_served_once(&tree);
    // podman's own limits are higher than some machines allow.
    let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
    let container = [&["run", "--rm", "--network=none"][..], &limits, &[image]].concat();
    assert_eq!(run(&podman, &scene.podman(&container)).await, tree::SAYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_every_platform_and_again_without_the_upstream() {
    let Some(scene) = Scene::set().await else { return };
    let layout = image(&scene, 1);
    scene.contoso.behind.push_layout(REPO, &layout).await;
    let name = format!("contoso.azurecr.io/{REPO}:1.0");
    let Some(first) = Containerd::start(&scene).await else { return };
    let Some(second) = Containerd::start(&scene).await else { return };
    assert_eq!(first.pull(&name, &["--all-platforms"]).await, layout.top.digest);
    scene.contoso.assert_served_once(&layout);

    scene.contoso.double.stop().await;
    assert_eq!(second.pull(&name, &["--all-platforms"]).await, layout.top.digest);
    for node in [first, second] {
        let content = node.ctr("test", &["content", "ls", "--quiet"]).await;
        for blob in layout.content() {
            assert!(content.contains(&blob.digest), "{} is not in:\n{content}", blob.digest);
        }
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_kubernetes_pulls_through_its_runtime() {
    let Some(scene) = Scene::set().await else { return };
    let Some(node) = Containerd::start(&scene).await else { return };
    for (seed, host, origin) in
        [(2, "docker.io", &scene.hub), (3, "contoso.azurecr.io", &scene.contoso)]
    {
        let layout = image(&scene, seed);
        origin.behind.push_layout(REPO, &layout).await;
        let name = format!("{host}/{REPO}:1.0");
        let id = cri::pull_image(&node.socket(), &name).await.unwrap();
        assert_eq!(node.digest("k8s.io", &name).await, layout.top.digest);
        let platform = layout.images.iter().find(|image| image.config.digest == id);
        let layers = &platform.expect("the id is the digest of a config").layers;
        let counts = origin.double.counts();
        for layer in layers {
            assert_eq!(counts.served(Kind::StorageGet, &layer.blob.digest), 1);
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_client_pulled_is_here_for_clients_of_every_other_kind() {
    let (skopeo, podman) = (clients::require("skopeo"), clients::require("podman"));
    let (Some(skopeo), Some(podman)) = (skopeo, podman) else { return };
    let Some(scene) = Scene::set().await else { return };
    let Some(dockerd) = Dockerd::start(&scene).await else { return };
    let layout = image(&scene, 4);
    scene.hub.behind.push_layout(REPO, &layout).await;
    let (name, digest) = (format!("docker.io/{REPO}:1.0"), &layout.top.digest);
    assert_eq!(&dockerd.containerd.pull(&name, &["--all-platforms"]).await, digest);
    scene.hub.assert_served_once(&layout);
    scene.hub.came();

    let registries = scene.registries_conf(None);
    assert_eq!(&copy(&skopeo, &registries, &name).await, digest);
    assert_eq!(&podman_pull(&podman, &scene, &name).await, digest);
    cri::pull_image(&dockerd.containerd.socket(), &name).await.unwrap();
    // dockerd names no registry.
    assert_eq!(&dockerd.pull(&format!("{REPO}:1.0")).await, digest);
    let came = scene.hub.came();
    assert!(came.iter().all(|entry| entry.kind == Kind::ManifestHead), "{came:#?}");
    dockerd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_in_two_namespaces_stays_two_repositories() {
    let Some(skopeo) = clients::require("skopeo") else { return };
    let Some(scene) = Scene::set().await else { return };
    let Some(node) = Containerd::start(&scene).await else { return };
    let registries = scene.registries_conf(None);
    let (hub, contoso) = (image(&scene, 5), image(&scene, 6));
    scene.hub.behind.push_layout(REPO, &hub).await;
    scene.contoso.behind.push_layout(REPO, &contoso).await;
    for (host, layout) in [("docker.io", &hub), ("contoso.azurecr.io", &contoso)] {
        let name = format!("{host}/{REPO}:1.0");
        assert_eq!(node.pull(&name, &["--all-platforms"]).await, layout.top.digest);
        assert_eq!(copy(&skopeo, &registries, &name).await, layout.top.digest);
    }
    // One registry's content is not served as the other's, even though it is cached.
    let config = &hub.images[0].config.digest;
    for (host, status) in [("docker.io", 200), ("contoso.azurecr.io", 404)] {
        let path = format!("/v2/{REPO}/blobs/{config}?ns={host}");
        assert_eq!(scene.api().get(&path).await.status, status, "{host}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_a_pattern_is_reached_through_the_hosts_of_all_others() {
    let Some(scene) = Scene::set().await else { return };
    let Some(mut registry) = Registry::start().await.unwrap() else { return };
    let layout = image(&scene, 7);
    let api = Api::new(registry.url(), wharf_testkit::http::Client::new());
    api.push_layout(REPO, &layout).await;
    let name = format!("{}/{REPO}:1.0", registry.addr());
    for _node in 0..2 {
        let Some(node) = Containerd::start(&scene).await else { return };
        assert_eq!(node.pull(&name, &["--all-platforms"]).await, layout.top.digest);
        node.stop().await;
        // The second node gets it from where the first one got it.
        registry.kill().unwrap();
    }
}
