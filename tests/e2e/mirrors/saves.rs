//! The archive of `docker save` gives the findings of the image pulled by docker.

use wharf_testkit::images::Recipe;

use super::daemons::Dockerd;
use super::scene::Scene;
use crate::sources::{essence, verify, wharf};

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_saves_gives_the_findings_of_what_it_pulled_and_can_be_pushed() {
    let Some(scene) = Scene::set().await else { return };
    let Some(dockerd) = Dockerd::start(&scene).await else { return };
    let folder = scene.folder.path().join("saved");
    let layout = Recipe::new(11, &[3_000, 400_000]).write(&folder, "1.0").unwrap();
    scene.hub.behind.push_layout("library/saved", &layout).await;
    dockerd.pull("saved:1.0").await;
    let archive = scene.path("saved.tar");
    dockerd.docker(&["save", "--output", &archive, "saved:1.0"]).await;
    let pulled = essence(&verify(&[folder.to_str().unwrap()]).await);
    let said = verify(&[&archive]).await;
    assert_eq!(essence(&said), pulled, "{}", said.stderr);
    assert_eq!(said.result()["images"][0]["proof"], "proven");
    assert_eq!(essence(&verify(&[&format!("docker-archive:{archive}:saved:1.0")]).await), pulled);

    let to = scene.hub.behind.base().trim_start_matches("http://");
    let to = format!("{to}/library/again:1.0");
    let pushed = wharf(&["push", &archive, &to, "--plain-http"]).await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(essence(&verify(&[&to]).await), pulled);
    dockerd.stop().await;
}
