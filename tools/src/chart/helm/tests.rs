#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::super::tests::chart;
use super::*;

/// A program with this script in Helm's place.
fn stand_in(script: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("helm");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, program)
}

fn said(script: &str, patience: Duration) -> Rendering {
    let (_folder, program) = stand_in(script);
    let chart = chart(&[("Chart.yaml", "name: pool\n"), ("templates/a.yaml", "a: 1\n")]);
    render(&program, &chart, "sea", &[], patience)
}

#[test]
fn it_sees_a_copy_of_the_chart_and_nothing_of_this_user() {
    let script = "cat \"$3/templates/a.yaml\" >/dev/null || exit 1\n\
                  [ -z \"$CARGO\" ] && [ \"$5\" = sea ] || exit 1\n\
                  printf 'kind: Env\\nhome: %s\\n' \"$HOME\"";
    let Rendering::Done(rendered) = said(script, PATIENCE) else { panic!() };
    assert_eq!(rendered.objects, 1);
}

#[test]
fn one_that_does_not_end_is_ended_with_what_it_started() {
    let started = Instant::now();
    let script = "exec 3>&1; (exec /bin/sleep 300) & exec /bin/sleep 300";
    let Rendering::Failed(message) = said(script, Duration::from_millis(300)) else { panic!() };
    assert!(message.contains("did not end"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn one_that_is_not_there_or_writes_without_end_is_told() {
    let chart = chart(&[("Chart.yaml", "name: pool\n")]);
    let gone = render(Path::new("/nowhere/helm"), &chart, "sea", &[], PATIENCE);
    assert!(matches!(gone, Rendering::Failed(message) if message.contains("cannot be run")));
    let endless = said("exec /usr/bin/yes", PATIENCE);
    assert!(!matches!(endless, Rendering::Done(_)), "{endless:?}");
}

#[test]
fn the_innermost_place_that_it_names_is_taken() {
    for (words, file, line) in [
        (
            "Error: template: pool/templates/a.yaml:3:11: executing \"pool/templates/a.yaml\" at <include \"x\" .>: error calling include: template: pool/templates/_helpers.tpl:7:4: executing \"x\" at <fail \"no\">: error calling fail: no\n\nUse --debug flag to render out invalid YAML",
            "templates/_helpers.tpl",
            Some(7),
        ),
        (
            "Error: parse error at (pool/templates/a.yaml:2): unclosed action",
            "templates/a.yaml",
            Some(2),
        ),
        (
            "Error: YAML parse error on pool/charts/sea/templates/b.yaml: error converting YAML to JSON: yaml: line 3: x",
            "charts/sea/templates/b.yaml",
            None,
        ),
        (
            "Error: execution error at (pool/templates/a.yaml:3:4): say a name",
            "templates/a.yaml",
            Some(3),
        ),
    ] {
        let refusal = refusal(words, "pool");
        assert_eq!((refusal.file.as_deref(), refusal.line), (Some(file), line), "{words}");
        assert!(!refusal.message.contains("Error:") && !refusal.message.contains("--debug"));
    }
    let nowhere =
        refusal("Error: found in Chart.yaml, but missing in charts/ directory: sea", "pool");
    assert_eq!((nowhere.file, nowhere.line), (None, None));
    let words = "Error: values don't meet the specifications of the schema(s) in the following chart(s):\npool:\n- at '/a': got object, want string\n";
    let schema = refusal(words, "pool");
    assert_eq!(schema.file.as_deref(), Some("values.schema.json"));
    assert!(schema.message.ends_with("chart(s): pool: - at '/a': got object, want string"));
}

/// Helm itself, where it is installed; the end-to-end tests need it.
fn real() -> Option<PathBuf> {
    let variable = |name: &str| {
        let path = std::env::var(name).ok()?;
        let go = std::env::var("HOME").map(|home| format!("{home}/go/bin")).unwrap_or_default();
        Some(if name == "PATH" { format!("{path}:{go}") } else { path })
    };
    find(&variable)
}

#[test]
fn real_helm_renders_a_chart_and_says_where_one_is_broken() {
    let Some(helm) = real() else { return };
    let whole = |template: &str| {
        let chart = chart(&[
            ("Chart.yaml", "apiVersion: v2\nname: pool\nversion: 1.0.0\n"),
            ("values.yaml", "image: web\n"),
            ("templates/a.yaml", template),
        ]);
        render(&helm, &chart, "sea", &[], PATIENCE)
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: c\n      image: {{ .Values.image }}\n";
    let Rendering::Done(rendered) = whole(pod) else { panic!() };
    assert_eq!(rendered.workloads[0].containers[0].image, "web");
    assert_eq!(rendered.workloads[0].template, "templates/a.yaml");
    for (template, line) in
        [("a: 1\nb: {{ .Values.x.y }}\n", Some(2)), ("a: {{ if }}\n", Some(1)), ("a: [\n", None)]
    {
        let Rendering::Refused(refusal) = whole(template) else { panic!("{template}") };
        assert_eq!(
            (refusal.file.as_deref(), refusal.line),
            (Some("templates/a.yaml"), line),
            "{refusal:?}"
        );
    }
}

#[test]
fn a_chart_is_rendered_for_a_version_that_it_takes() {
    let refused = "echo 'Error: chart requires kubeVersion: X which is incompatible with \
                   Kubernetes v'\"$7\" >&2; exit 1";
    let script = format!("if [ \"$7\" = 1.34.0 ]; then echo 'kind: Env'; else {refused}; fi");
    assert!(matches!(said(&script, PATIENCE), Rendering::Done(_)));
    let Rendering::Refused(refusal) = said(refused, PATIENCE) else { panic!() };
    assert!(refusal.message.ends_with(KUBERNETES_VERSION), "{refusal:?}");
}

#[test]
fn what_a_customer_must_give_is_given_when_the_chart_is_refused_without() {
    let (_folder, program) = stand_in(
        "[ \"$8 $9\" = '--set-string db.password=placeholder' ] || { echo 'Error: no'; exit 1; } >&2\n\
         echo 'kind: Env'",
    );
    let chart = chart(&[("Chart.yaml", "name: pool\n")]);
    let with = |names: &[String]| render(&program, &chart, "sea", names, PATIENCE);
    assert!(matches!(with(&["db.password".to_owned()]), Rendering::Done(_)));
    for names in [vec![], vec!["other".to_owned()]] {
        let Rendering::Refused(refusal) = with(&names) else { panic!("{names:?}") };
        assert_eq!(refusal.message, "no");
    }
}
