//! A plan of a Kubernetes application: the images of its chart go the way of any image, each by its
//! own name, from a build folder to the registry for Microsoft's copy.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wharf_testkit::clients;
use wharf_testkit::offers::Offer;
use wharf_testkit::registry::Registry;

use crate::sources::{Said, wharf};

const PLAN: &str = r#"
  - id: tide-cluster
    kind: kubernetes
    name: Cluster
    summary: The service and its page in a cluster.
    description: <p>What answers questions, and the page that asks them.</p>
    licence: byol
    chart: chart
    manifest: manifest.yaml
    uiDefinition: createUiDefinition.json
    armTemplate: mainTemplate.json
    namespace: tide
    extensionType: Quayline.Tide
    images:
      pageServer:
        repository: tide/page
        version: "2.0.0"
        platforms: [{ platform: linux/amd64, layers: [{ dir: page }] }]
        config: { entrypoint: [/page], user: "7:7" }
      tideService:
        repository: tide/answers
        version: "2.0.1"
        platforms: [{ platform: linux/amd64, layers: [{ dir: answers }] }]
        config: { entrypoint: [/answers], user: "7:7" }
"#;

/// An offer with the application plan beside an image plan, its folders, and two locations on one
/// registry.
fn publisher(registry: &Registry) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut offer = Offer::healthy();
    offer.add_application_files();
    let host = registry.addr();
    offer.add_after(
        "registries:\n",
        &format!("  yard: {{ loginServer: \"{host}\", plainHttp: true, prefix: yard }}\n"),
    );
    let path = offer.write(folder.path()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{}{PLAN}", text.trim_end())).unwrap();
    for (place, program) in [("page", "page"), ("answers", "answers")] {
        fs::create_dir_all(folder.path().join(place)).unwrap();
        fs::write(folder.path().join(place).join(program), program).unwrap();
    }
    (folder, path.to_str().unwrap().to_owned())
}

fn succeeded(said: Said) -> Said {
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_chart_are_packaged_pushed_and_promoted_by_their_names() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let Some(crane) = clients::require("crane") else { return };
    let (folder, offer) = publisher(&registry);
    let offer = offer.as_str();
    let json = ["--output-format", "json"];
    let words = ["package", offer, "--plan", "tide-cluster"];
    let packaged = succeeded(wharf(&[&words[..], &json].concat()).await).result();
    let name_of = |at: &serde_json::Value| at["plan"].as_str().unwrap().to_owned();
    let plans = packaged["plans"].as_array().unwrap();
    let names: Vec<String> = plans.iter().map(name_of).collect();
    assert_eq!(names, ["tide-cluster.pageServer", "tide-cluster.tideService"]);
    for name in &names {
        assert!(folder.path().join("out").join(name).join("oci-layout").exists(), "{name}");
    }
    let words = ["push", offer, "--plan", "tide-cluster", "--to", "yard"];
    succeeded(wharf(&words).await);
    let plan = folder.path().join("plan.json");
    promote(offer, &plan, &registry).await;
    for (repository, tag) in [("tide/page", "2.0.0"), ("tide/answers", "2.0.1")] {
        let at = |prefix: &str| format!("{}/{prefix}/{repository}:{tag}", registry.addr());
        let digest = async |at: String| {
            let output = crane.run_ok(["digest", "--insecure", &at]).await.unwrap();
            output.stdout.trim().to_owned()
        };
        assert_eq!(digest(at("yard")).await, digest(at("sold")).await);
    }
}

/// From the yard to the registry for Microsoft's copy.
async fn promote(offer: &str, plan: &Path, registry: &Registry) {
    let host = registry.addr().to_string();
    let text = fs::read_to_string(offer).unwrap();
    fs::write(
        offer,
        text.replace("loginServer: quayharbour.azurecr.io", &format!("loginServer: \"{host}\"")),
    )
    .unwrap();
    let plan = plan.to_str().unwrap();
    let from_to = ["--from", "yard", "--to", "harbour", "--plain-http", "--output", plan];
    let words = ["promote", "plan", offer, "--plan", "tide-cluster"];
    succeeded(wharf(&[&words[..], &from_to].concat()).await);
    succeeded(wharf(&["promote", "apply", plan, "--plain-http"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_about_an_image_of_a_chart_says_whose_it_is_and_where() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let (folder, offer) = publisher(&registry);
    let text = fs::read_to_string(&offer).unwrap();
    let text = text.replace(
        "config: { entrypoint: [/answers], user: \"7:7\" }",
        "config: { entrypoint: [/answers] }",
    );
    fs::write(&offer, text).unwrap();
    succeeded(wharf(&["package", &offer, "--plan", "tide-cluster"]).await);
    let layout = folder.path().join("out/tide-cluster.tideService");
    let words = ["verify", layout.to_str().unwrap(), "--offer", &offer, "--output-format", "json"];
    let result = wharf(&words).await.result();
    let findings = result["findings"].as_array().unwrap();
    let found = findings.iter().find(|at| at["rule"] == "IMG-016").unwrap();
    let key = found["key"].as_str().unwrap();
    assert!(key.starts_with("plans[1].images.tideService"), "{found}");
    assert_eq!(found["plan"], "tide-cluster.tideService", "{found}");
    // Reports sorted by image list the chart with its image too.
    let report = folder.path().join("report.xml");
    let target = format!("junit={}", report.display());
    let layout = layout.to_str().unwrap();
    wharf(&["verify", layout, "--offer", &offer, "--report", &target, "--fail-on", "warning"])
        .await;
    let text = fs::read_to_string(report).unwrap();
    let suite = text.split("<testsuite ").find(|suite| suite.contains("tide-cluster.tideService"));
    let (_, case) = suite.unwrap().split_once("IMG-016").unwrap();
    let (case, _) = case.split_once("</testcase>").unwrap();
    assert!(case.contains("offer.yaml:"), "{case}");
}
