#![allow(clippy::unwrap_used)]
use crate::chart::helm::{HelmRefusal, Rendering};
use crate::chart::rendered;
use crate::offer::fixture::{Folder, with_application};
use crate::rules::evidence::Evidence;
use crate::rules::{Finding, Gap, Outcome, Profile, Severity, judge_offer};

/// The files of the chart each case changes.
const CHART: &[(&str, &str)] = &[
    ("chart/Chart.yaml", "apiVersion: v2\nname: tidepool\ntype: application\nversion: 1.0.0\n"),
    (
        "chart/values.yaml",
        "global:\n  azure:\n    images:\n      web:\n        registry: quayline.azurecr.io\n        \
         image: live/tidepool/web\n        digest: sha256:\
         0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    ),
    (
        "chart/templates/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-web\nspec:\n  \
         selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels:\n        \
         app: web\n        azure-extensions-usage-release-identifier: {{ .Release.Name }}\n    \
         spec:\n      containers:\n        - name: web\n          \
         {{- with .Values.global.azure.images.web }}\n          \
         image: {{ .registry }}/{{ .image }}@{{ .digest }}\n          {{- end }}\n          \
         resources: {requests: {cpu: 100m}}\n",
    ),
];

/// The output of Helm for the chart above.
const RENDERED: &str = "---\n# Source: tidepool/templates/web.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: release-web}\nspec:\n  template:\n    metadata:\n      labels:\n        azure-extensions-usage-release-identifier: release\n    spec:\n      containers:\n        - name: web\n          image: quayline.azurecr.io/live/tidepool/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n          resources: {requests: {cpu: 100m}}\n";

/// One change of a file: the original text, and its replacement.
type Change<'a> = (&'a str, &'a str, &'a str);

fn judged(changes: &[Change<'_>], rendering: Option<Rendering>) -> crate::rules::Judgement {
    let folder = Folder::new();
    for (name, text) in CHART {
        folder.write(name, text.as_bytes());
    }
    let mut offer = with_application();
    for (file, from, to) in changes {
        let known = CHART.iter().find(|(name, _)| name == file);
        match (*file, known) {
            ("offer.yaml", _) => {
                assert!(offer.contains(from), "{from}");
                offer = offer.replacen(from, to, 1);
            }
            (_, Some((_, text))) => {
                assert!(text.contains(from), "{from}");
                folder.write(file, text.replacen(from, to, 1).as_bytes());
            }
            (_, None) => folder.write(file, to.as_bytes()),
        }
    }
    let (file, content) = folder.load(&offer).unwrap();
    let mut evidence = Evidence::default();
    evidence.rendered.extend(rendering.map(|rendering| (2, rendering)));
    judge_offer(&file, &content, &evidence, Profile::Strict)
}

/// The findings of rules about charts: rule, severity, file below the offer, line.
fn ours(changes: &[Change<'_>], rendering: Option<Rendering>) -> Vec<Finding> {
    let ids = [
        "K8S-002", "K8S-003", "K8S-005", "K8S-006", "K8S-007", "K8S-008", "K8S-009", "K8S-010",
        "K8S-011", "K8S-012",
    ];
    let findings = judged(changes, rendering).findings;
    findings.into_iter().filter(|at| ids.contains(&at.rule)).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what a case has, or none")]
fn done(text: &str) -> Option<Rendering> {
    Some(Rendering::Done(rendered::read(text, "tidepool").unwrap()))
}

#[test]
fn a_whole_chart_breaks_no_rule() {
    let findings = ours(&[], done(RENDERED));
    assert_eq!(findings, []);
}

#[test]
fn without_helm_a_gap_is_told_and_nothing_fails() {
    let judgement = judged(&[], None);
    let rules: Vec<&str> = judgement.gaps[&Gap::Helm].iter().copied().collect();
    assert_eq!(rules, ["K8S-003", "K8S-006", "K8S-007", "K8S-011"]);
    assert_eq!(judgement.outcomes["K8S-006"], Outcome::NotLookedAt);
    assert_eq!(ours(&[], None), []);
}

#[test]
fn offers_of_images_have_no_charts_to_judge() {
    let folder = Folder::new();
    let (file, content) = folder.load(crate::offer::fixture::OFFER).unwrap();
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    assert_eq!(judgement.outcomes["K8S-002"], Outcome::NotApplicable);
    assert!(!judgement.gaps.contains_key(&Gap::Helm));
}

/// Each change of the files raises this rule with this weight at this line of this file.
#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row per case")]
fn each_fault_of_the_files_is_told_at_its_line() {
    let (error, warning) = (Severity::Error, Severity::Warning);
    let values = "chart/values.yaml";
    let web = "chart/templates/web.yaml";
    let described = "chart/Chart.yaml";
    let image = "{{ .registry }}/{{ .image }}@{{ .digest }}";
    let cases: &[(Change<'_>, &str, Severity, &str, usize)] = &[
        ((web, image, "nginx:1.27"), "K8S-002", error, web, 16),
        (
            (
                web,
                "resources:",
                "env: [{name: A, value: \"--x=quay.azurecr.io/a/b:1\"}]\n          resources:",
            ),
            "K8S-002",
            warning,
            web,
            18,
        ),
        (
            (values, "registry: quayline.azurecr.io", "registry: quayline.azurecr.io/live"),
            "K8S-002",
            warning,
            values,
            4,
        ),
        ((values, "        registry: quayline.azurecr.io\n", ""), "K8S-002", error, values, 4),
        (
            (values, "image: live/tidepool/web", "image: live/tidepool/web:1"),
            "K8S-002",
            error,
            values,
            4,
        ),
        ((values, "digest: sha256:0123", "digest: sha256:xyz"), "K8S-002", error, values, 4),
        ((values, "digest: sha256:", "tag: x"), "K8S-002", warning, values, 4),
        ((values, "images:\n", "pictures:\n"), "K8S-002", error, values, 1),
        (
            ("chart/charts/sea-1.0.0.tgz", "", "x"),
            "K8S-005",
            error,
            "chart/charts/sea-1.0.0.tgz",
            1,
        ),
        ((described, "apiVersion: v2", "apiVersion: v3"), "K8S-008", error, described, 1),
        ((described, "apiVersion: v2", "apiVersion: v1"), "K8S-008", warning, described, 1),
        ((described, "name: tidepool\n", ""), "K8S-008", error, described, 1),
        ((described, "name: tidepool", "name: Tide_Pool"), "K8S-008", error, described, 2),
        ((described, "version: 1.0.0", "version: 1.0"), "K8S-008", error, described, 4),
        ((described, "version: 1.0.0", "version: 01.0.0"), "K8S-008", error, described, 4),
        ((described, "type: application", "type: library"), "K8S-008", error, described, 3),
        ((described, "type: application", "type: [\n"), "K8S-008", error, described, 0),
        ((values, "images:\n", "images: [\n"), "K8S-008", error, values, 0),
        (("chart/values.schema.json", "", "{\n,"), "K8S-008", error, "chart/values.schema.json", 2),
        (
            (described, "type:", "dependencies:\n  - {name: sea, version: 1.0.0}\ntype:"),
            "K8S-009",
            error,
            described,
            4,
        ),
        (
            (web, "containers:", "containers: # {{ lookup \"v1\" \"Secret\" \"a\" \"b\" }}"),
            "K8S-010",
            warning,
            web,
            13,
        ),
        (
            (web, "resources:", "args: [\"curl -O https://quayline.dev/x\"]\n          resources:"),
            "K8S-010",
            warning,
            web,
            18,
        ),
        (
            (web, "resources:", "args: [\"apk --no-cache add x\"]\n          resources:"),
            "K8S-010",
            warning,
            web,
            18,
        ),
        (
            (web, "spec:\n", "  annotations: {helm.sh/hook: pre-install}\nspec:\n"),
            "K8S-010",
            warning,
            web,
            5,
        ),
        (
            (
                values,
                "      web:\n",
                "      spare: {registry: quayline.azurecr.io, image: live/spare, digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}\n      web:\n",
            ),
            "K8S-012",
            warning,
            values,
            4,
        ),
        ((values, "image: live/", "image: dead/"), "K8S-012", warning, values, 4),
        (
            ("offer.yaml", "      web: { repository", "      other: { repository"),
            "K8S-012",
            error,
            "offer.yaml",
            0,
        ),
    ];
    for (change, rule, severity, file, line) in cases {
        let findings = ours(&[*change], done(RENDERED));
        let hit = findings.iter().any(|at| {
            at.rule == *rule
                && at.severity == *severity
                && at.place.file.ends_with(file)
                && (*line == 0 || at.place.line == Some(*line))
        });
        assert!(hit, "{change:?}: {findings:#?}");
    }
}

#[test]
fn each_fault_of_what_renders_is_told_at_its_template() {
    let selector = "      nodeSelector: {kubernetes.io/arch: arm64}\n      containers:";
    let cases: &[(&str, &str, &str, Severity)] = &[
        ("release-identifier: release", "release-identifier: other", "K8S-003", Severity::Warning),
        ("azure-extensions-usage-release-identifier", "app", "K8S-003", Severity::Error),
        ("{requests: {cpu: 100m}}", "{limits: {cpu: 1}}", "K8S-003", Severity::Error),
        ("kind: Deployment", "kind: ConfigMap", "K8S-006", Severity::Error),
        ("image: quayline", "image: elsewhere", "K8S-007", Severity::Error),
        ("      containers:", selector, "K8S-011", Severity::Error),
        (
            "resources:",
            "env: [{name: RELATED_IMAGE_A, value: a}]\n          resources:",
            "K8S-007",
            Severity::Warning,
        ),
    ];
    for (from, to, rule, severity) in cases {
        assert!(RENDERED.contains(from), "{from}");
        let findings = ours(&[], done(&RENDERED.replacen(from, to, 1)));
        let hit = |at: &Finding| at.rule == *rule && at.severity == *severity;
        assert!(findings.iter().any(hit), "{to}: {findings:#?}");
        let file = &findings.iter().find(|at| hit(at)).unwrap().place.file;
        assert!(
            file.ends_with("chart/templates/web.yaml") || file.ends_with("chart/Chart.yaml"),
            "{file:?}"
        );
    }
}

#[test]
fn who_is_not_billed_needs_no_label() {
    let free: Change<'_> = (
        "offer.yaml",
        "    licence: payAsYouGo\n    prices: { unit: perCore, usdPerHour: 0.02 }\n",
        "    licence: byol\n",
    );
    let unlabelled = RENDERED.replace("azure-extensions-usage-release-identifier", "app");
    assert_eq!(ours(&[free], done(&unlabelled)), []);
}

#[test]
fn what_helm_refuses_is_told_in_its_words_at_its_place() {
    let refusal = HelmRefusal {
        message: "nil pointer".to_owned(),
        file: Some("templates/web.yaml".to_owned()),
        line: Some(4),
        column: Some(9),
    };
    let findings = ours(&[], Some(Rendering::Refused(refusal)));
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let found = &findings[0];
    assert_eq!((found.rule, found.place.line), ("K8S-006", Some(4)));
    assert!(
        found.message.contains("nil pointer")
            && found.place.file.ends_with("chart/templates/web.yaml")
    );
    let failed = ours(&[], Some(Rendering::Failed("Helm did not end".to_owned())));
    assert!(failed[0].not_proven && failed[0].severity == Severity::Warning);
}

#[test]
fn a_chart_that_is_not_there_is_told_at_the_line_that_names_it() {
    let folder = Folder::new();
    let offer = with_application().replace("chart: chart", "chart: nowhere");
    let error = folder.load(&offer).unwrap_err().to_string();
    assert!(error.contains("there is no folder") && error.contains("chart: nowhere"), "{error}");
}

#[test]
fn what_came_out_says_more_than_the_words_of_a_template() {
    let web = "chart/templates/web.yaml";
    let image = "{{ .registry }}/{{ .image }}@{{ .digest }}";
    let weight = |to: &str, rendering: Option<Rendering>| -> Vec<Severity> {
        let findings = ours(&[(web, image, to)], rendering);
        findings.iter().filter(|at| at.rule == "K8S-002").map(|at| at.severity).collect()
    };
    let made = "{{ if .x }}{{ .Values.foo }}:1{{ else }}{{ .registry }}{{ end }}{{ .Chart.Name }}";
    assert!(weight(made, None).contains(&Severity::Error));
    assert_eq!(weight(made, done(RENDERED)), [Severity::Warning]);
    let other = RENDERED.replace("image: quayline", "image: elsewhere");
    assert!(weight(made, done(&other)).contains(&Severity::Error));
    let given = "{{ include \"x\" (dict \"image\" . \"chart\" .Chart) }}";
    assert_eq!(weight(given, None), [Severity::Warning]);
    assert_eq!(weight(given, done(RENDERED)), []);
    assert_eq!(weight("nginx", done(RENDERED)), [Severity::Error]);
}

#[test]
fn what_microsoft_and_helm_take_is_no_error() {
    let errors = |change: Change<'_>| -> Vec<Finding> {
        let all = ours(&[change], done(RENDERED));
        all.into_iter()
            .filter(|at| at.severity == Severity::Error && matches!(at.rule, "K8S-002" | "K8S-008"))
            .collect()
    };
    let long = ("chart/values.yaml", "quayline.azurecr.io\n", "quayline.azurecr.io/live\n");
    let old = ("chart/Chart.yaml", "apiVersion: v2", "apiVersion: v1");
    for change in [long, old] {
        assert_eq!(errors(change), [], "{change:?}");
    }
}

#[test]
fn names_and_versions_of_subcharts_are_those_that_helm_takes() {
    let subchart = |text| ours(&[("chart/charts/sea/Chart.yaml", "", text)], done(RENDERED));
    for text in [
        "apiVersion: v2\nname: cert-manager\nversion: v1.14.2\n",
        "apiVersion: v1\nname: My_Sub.chart\nversion: '1.0'\n",
    ] {
        assert_eq!(subchart(text), [], "{text}");
    }
    let nameless = subchart("apiVersion: v2\nversion: 1.0.0\n");
    assert_eq!(nameless.len(), 1, "{nameless:#?}");
    assert_eq!((nameless[0].rule, nameless[0].severity), ("K8S-008", Severity::Error));
}

#[test]
fn values_that_cannot_be_read_are_told_once() {
    let two = ours(&[("chart/values.yaml", "global:", "a: 1\n---\nglobal:")], done(RENDERED));
    let rules: Vec<&str> = two.iter().map(|at| at.rule).collect();
    assert_eq!(rules, ["K8S-008"]);
}

#[test]
fn a_probe_of_the_own_pod_and_notes_download_nothing() {
    let told = |line: &str| {
        let to = format!("args: [\"{line}\"]\n          resources:");
        let change = ("chart/templates/web.yaml", "resources:", to.as_str());
        ours(&[change], done(RENDERED)).iter().filter(|at| at.rule == "K8S-010").count()
    };
    for line in ["curl -f http://localhost:8080/up", "wget http://[::1]", "curl http://127.0.0.1/x"]
    {
        assert_eq!(told(line), 0, "{line}");
    }
    for line in ["curl http://localhost.quayline.dev/x", "curl http://localhost/ https://quay.dev"]
    {
        assert_eq!(told(line), 1, "{line}");
    }
    let notes = ("chart/templates/NOTES.txt", "", "curl https://quayline.dev/x\n");
    assert_eq!(ours(&[notes], done(RENDERED)), []);
}
