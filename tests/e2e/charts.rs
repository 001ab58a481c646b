//! Charts of Kubernetes plans with real Helm: the findings of lint in rendered charts, and the
//! result of pinning a chart.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::offers::Offer;
use wharf_testkit::registry::Registry;

use crate::sources::{Said, shell, wharf};

const PLAN: &str = r#"
  - id: tide-cluster
    kind: kubernetes
    name: Cluster
    summary: The service and its page in a cluster.
    description: <p>What answers questions, and the page that asks them.</p>
    licence: payAsYouGo
    prices: { unit: perCore, usdPerHour: 0.02 }
    chart: chart
    manifest: manifest.yaml
    uiDefinition: createUiDefinition.json
    armTemplate: mainTemplate.json
    namespace: tide
    extensionType: Quayline.Tide
    images:
      page:
        repository: tide/page
        version: "2.0.0"
        created: "2026-03-01T08:00:00Z"
        platforms: [{ platform: linux/amd64, layers: [{ dir: page }] }]
        config: { entrypoint: [/page], user: "7:7" }
      answers:
        repository: tide/answers
        version: "2.0.1"
        created: "2026-03-01T08:00:00Z"
        platforms: [{ platform: linux/amd64, layers: [{ dir: answers }] }]
        config: { entrypoint: [/answers], user: "7:7" }
"#;

const VALUES: &str = "\
# Where images are.
global:
  azure:
    images:
      page:
        registry: elsewhere.azurecr.io # replaced
        image: 'old/page'
        digest: \"\"
      answers: { registry: elsewhere.azurecr.io, image: old, digest: }
";

const HELPERS: &str = "\
{{- define \"tide.image\" -}}
{{ .registry }}/{{ .image }}@{{ .digest }}
{{- end -}}
";

const WORKLOADS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tide
spec:
  selector: { matchLabels: { app: tide } }
  template:
    metadata:
      labels:
        app: tide
        azure-extensions-usage-release-identifier: {{ .Release.Name }}
    spec:
      initContainers:
        - name: first
          image: {{ include \"tide.image\" .Values.global.azure.images.page }}
      containers:
        - name: answers
          image: {{ include \"tide.image\" .Values.global.azure.images.answers | quote }}
          resources: { requests: { cpu: 100m } }
";

struct Publisher {
    folder: TempDir,
    offer: String,
}

impl Publisher {
    fn new(registry: Option<&Registry>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut offer = Offer::healthy();
        // The other files of an application; the chart itself is another one here.
        offer.add_application_files();
        offer.files.retain(|name, _| !name.starts_with("chart/"));
        if let Some(registry) = registry {
            let host = registry.addr();
            let harbour = format!("loginServer: \"{host}\"\n    plainHttp: true");
            offer.replace("loginServer: quayharbour.azurecr.io", &harbour);
            let yard =
                format!("  yard: {{ loginServer: \"{host}\", plainHttp: true, prefix: yard }}\n");
            offer.add_after("registries:\n", &yard);
        }
        let path = offer.write(folder.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{}{PLAN}", text.trim_end())).unwrap();
        let publisher = Self { offer: path.to_str().unwrap().to_owned(), folder };
        for (name, text) in [
            ("chart/Chart.yaml", "apiVersion: v2\nname: tide\nversion: 2.0.0\n"),
            ("chart/values.yaml", VALUES),
            ("chart/templates/_helpers.tpl", HELPERS),
            ("chart/templates/all.yaml", WORKLOADS),
            ("page/page", "page"),
            ("answers/answers", "answers"),
        ] {
            publisher.write(name, text);
        }
        publisher
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn values(&self) -> String {
        fs::read_to_string(self.path("chart/values.yaml")).unwrap()
    }

    /// Lint's findings about the chart: rule, the end of its file, line.
    async fn lint(&self, helm: &Path) -> (Said, Vec<(String, String, u64)>) {
        let script = format!("WHARF_HELM='{}' exec \"$0\" \"$@\" </dev/null", helm.display());
        let words = ["offer", "lint", &self.offer, "--output-format", "json"].map(OsStr::new);
        let said = shell(&script, &words).await;
        let result = said.result();
        let ids = ["02", "03", "05", "06", "07", "08", "09", "10", "11", "12"];
        let findings = result["findings"].as_array().unwrap().iter();
        let ours = findings.filter(|at| {
            at["rule"]
                .as_str()
                .and_then(|id| id.strip_prefix("K8S-0"))
                .is_some_and(|id| ids.contains(&id))
        });
        let found = ours.map(|at| {
            let file = at["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (at["rule"].as_str().unwrap().to_owned(), file, at["line"].as_u64().unwrap())
        });
        let found = found.collect();
        (said, found)
    }

    async fn pin(&self, more: &[&str]) -> Said {
        wharf(&[&["offer", "pin", &self.offer, "--output-format", "json"][..], more].concat()).await
    }
}

fn succeeded(said: Said) -> Said {
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    said
}

/// Every image rendered by real Helm.
async fn images(helm: &Client, chart: &Path) -> Vec<String> {
    let chart = chart.to_str().unwrap();
    let output = helm.run_ok(["template", "release", chart]).await.unwrap();
    let lines = output.stdout.lines().filter_map(|line| line.trim().strip_prefix("image: "));
    lines.map(|image| image.trim_matches('"').to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_helm_renders_is_judged_and_what_it_refuses_is_told_at_its_line() {
    let Some(helm) = clients::require("helm") else { return };
    let publisher = Publisher::new(None);
    succeeded(wharf(&["package", &publisher.offer, "--plan", "tide-cluster"]).await);
    succeeded(publisher.pin(&[]).await);
    let (_, found) = publisher.lint(helm.path()).await;
    assert_eq!(found, []);
    let at = |rule: &str, line| (rule.to_owned(), "all.yaml".to_owned(), line);
    for (from, to, expected) in [
        ("{{ .Release.Name }}", "{{ .Values.none.at }}", at("K8S-006", 11)),
        ("kind: Deployment", "kind: {{ if }}", at("K8S-006", 2)),
        ("{ requests: { cpu: 100m } }", "{}", at("K8S-003", 1)),
        ("| quote }}", "| replace \"tide\" \"ebb\" }}", at("K8S-007", 1)),
        (
            "{{ include \"tide.image\" .Values.global.azure.images.page }}",
            "busybox",
            at("K8S-002", 15),
        ),
        (
            "    spec:\n",
            "    spec:\n      nodeSelector: { kubernetes.io/arch: arm64 }\n",
            at("K8S-011", 1),
        ),
    ] {
        assert!(WORKLOADS.contains(from), "{from}");
        publisher.write("chart/templates/all.yaml", &WORKLOADS.replacen(from, to, 1));
        let (said, found) = publisher.lint(helm.path()).await;
        assert!(found.contains(&expected), "{to}: {found:?}\n{}", said.stdout);
        assert_eq!(said.code, 1, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_helm_a_gap_is_named_and_nothing_fails() {
    let publisher = Publisher::new(None);
    let words = ["offer", "lint", &publisher.offer, "--output-format", "json"].map(OsStr::new);
    // No folder of this PATH has it.
    let said = shell("PATH=/nowhere WHARF_HELM= exec \"$0\" \"$@\" </dev/null", &words).await;
    let result = said.result();
    let text = result.to_string();
    assert!(text.contains("\"helm\""), "{text}");
    let findings = result["findings"].as_array().unwrap();
    assert!(!findings.iter().any(|at| at["rule"] == "K8S-006"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_chart_renders_to_digests_whatever_said_them() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let Some(helm) = clients::require("helm") else { return };
    let publisher = Publisher::new(Some(&registry));
    let offer = publisher.offer.as_str();
    let only = ["--plan", "tide-cluster"];
    let refused = publisher.pin(&[]).await;
    assert!(refused.code == 2 && refused.stderr.contains("wharf package"), "{}", refused.stderr);
    succeeded(wharf(&[&["package", offer][..], &only].concat()).await);

    // By the layouts; a second time nothing is left to do.
    assert_eq!(publisher.pin(&["--check"]).await.code, 1);
    assert_eq!(publisher.values(), VALUES);
    let pinned = succeeded(publisher.pin(&[]).await).result();
    assert_eq!(pinned["charts"][0]["state"], "pinned", "{pinned}");
    assert_eq!(
        succeeded(publisher.pin(&["--check"]).await).result()["charts"][0]["state"],
        "unchanged"
    );
    let by_layouts = publisher.values();
    assert!(
        by_layouts.contains("# replaced") && by_layouts.contains("'sold/tide/page'"),
        "{by_layouts}"
    );
    let rendered = images(&helm, &publisher.path("chart")).await;
    assert_eq!(rendered.len(), 2);
    let host = registry.addr().to_string();
    for image in &rendered {
        assert!(
            image.starts_with(&format!("{host}/sold/tide/")) && image.contains("@sha256:"),
            "{image}"
        );
    }

    // By a push, and by the ledger of a promotion: the same.
    let pushed = wharf(&[
        "push",
        offer,
        "--plan",
        "tide-cluster",
        "--to",
        "harbour",
        "--output-format",
        "json",
    ])
    .await;
    publisher.write("push.json", &succeeded(pushed).stdout);
    publisher.write("chart/values.yaml", VALUES);
    succeeded(publisher.pin(&["--pushed", publisher.path("push.json").to_str().unwrap()]).await);
    assert_eq!(publisher.values(), by_layouts);
    let ledger = promoted(&publisher).await;
    publisher.write("chart/values.yaml", VALUES);
    succeeded(publisher.pin(&["--promoted", ledger.to_str().unwrap()]).await);
    assert_eq!(publisher.values(), by_layouts);

    // One image replaced on the command line; an image unknown to the chart is refused before any
    // write.
    let digest = format!("sha256:{}", "7".repeat(64));
    succeeded(publisher.pin(&["--image", &format!("page={digest}")]).await);
    let rendered = images(&helm, &publisher.path("chart")).await;
    assert!(rendered[0].ends_with(&digest), "{rendered:?}");
    let refused = publisher.pin(&["--image", &format!("nobody={digest}")]).await;
    assert!(refused.code == 2 && refused.stderr.contains("nobody"), "{}", refused.stderr);
}

/// From the yard to the harbour; gives the ledger.
async fn promoted(publisher: &Publisher) -> PathBuf {
    let (plan, ledger) = (publisher.path("plan.json"), publisher.path("ledger.jsonl"));
    let (plan_text, offer) = (plan.to_str().unwrap(), publisher.offer.as_str());
    succeeded(wharf(&["push", offer, "--plan", "tide-cluster", "--to", "yard"]).await);
    let words = ["promote", "plan", offer, "--plan", "tide-cluster", "--plain-http"];
    let from_to = ["--from", "yard", "--to", "harbour", "--output", plan_text];
    succeeded(wharf(&[&words[..], &from_to].concat()).await);
    let words =
        ["promote", "apply", plan_text, "--plain-http", "--ledger", ledger.to_str().unwrap()];
    let applied: Value =
        succeeded(wharf(&[&words[..], &["--output-format", "json"]].concat()).await).result();
    assert!(applied.is_object(), "{applied}");
    ledger
}
