#![allow(clippy::unwrap_used)]
use super::super::tests::chart;
use super::*;

/// The findings in one template: line, whether it is unsure, and the words.
fn found(template: &str) -> Vec<(usize, bool, String)> {
    let strays = strays(&chart(&[("Chart.yaml", "name: a\n"), ("templates/a.yaml", template)]));
    let words = |what: StrayKind| match what {
        StrayKind::Literal(text) => text,
        StrayKind::Elsewhere(path) => path,
    };
    strays
        .into_iter()
        .map(|at| (at.spot.line, at.certainty > Certainty::Part, words(at.what)))
        .collect()
}

fn one(template: &str) -> (usize, bool, String) {
    let all = found(template);
    assert_eq!(all.len(), 1, "{template}: {all:?}");
    all.into_iter().next().unwrap()
}

#[test]
fn images_of_the_values_are_taken_in_every_way_of_writing() {
    for image in [
        "{{ .Values.global.azure.images.web.registry }}/{{ .Values.global.azure.images.web.image }}@{{ .Values.global.azure.images.web.digest }}",
        "\"{{ $.Values.global.azure.images.web.registry }}/{{ $.Values.global.azure.images.web.image }}:{{ $.Values.global.azure.images.web.tag }}\" # note",
        "{{ printf \"%s/%s@%s\" .Values.global.azure.images.web.registry .Values.global.azure.images.web.image .Values.global.azure.images.web.digest }}",
        "{{ with .Values.global.azure.images.web }}{{ .registry }}/{{ .image }}@{{ .digest }}{{ end }}",
        "{{ (index .Values.global.azure.images \"web-one\").image | quote }}",
        "{{ required \"say which image\" .Values.global.azure.images.web.image }}",
        "{{/* nginx:1.2 */}}{{ .Values.global.azure.images.web.image }}",
    ] {
        assert_eq!(found(&format!("containers:\n  - image: {image}\n")), [], "{image}");
    }
}

#[test]
fn literal_references_are_found_wherever_a_container_has_its_image() {
    for (template, line, words) in [
        ("a:\n  - image: nginx:1.27\n", 2, "nginx:1.27"),
        ("a:\n  - name: x\n    image: \"nginx\" # note\n", 3, "nginx"),
        ("initContainers:\n  - {name: x, image: busybox, command: [a]}\n", 2, "busybox"),
        ("image:   'busybox@sha256:00'\n", 1, "busybox@sha256:00"),
        ("\"image\": busybox\n", 1, "busybox"),
        ("image: >-\n  quay.azurecr.io/a:1\n", 2, "quay.azurecr.io/a:1"),
        ("image: {{ .Values.global.azure.images.web.registry }}/web:1\n", 1, "/web:1"),
        (
            "image: {{ .Values.global.azure.images.web.image | default \"nginx:1\" }}\n",
            1,
            "nginx:1",
        ),
        ("image: {{ \"nginx:1\" }}\n", 1, "nginx:1"),
        (
            "image: {{ printf \"quay.azurecr.io/%s\" .Values.global.azure.images.web.image }}\n",
            1,
            "quay.azurecr.io/%s",
        ),
    ] {
        assert_eq!(one(template), (line, false, words.to_owned()), "{template}");
    }
}

#[test]
fn other_values_are_told_by_their_path() {
    let image = "image: \"{{ .Values.foo.image }}\"\n";
    assert_eq!(one(image), (1, false, ".Values.foo.image".to_owned()));
    let image = "image: {{ .Values.global.azure.images.web.image }}:{{ .Chart.AppVersion }}\n";
    assert_eq!(one(image), (1, false, ".Chart.AppVersion".to_owned()));
    let both = found("image: \"{{ .Values.foo }}:1.2\"\n");
    assert_eq!(both.len(), 2, "{both:?}");
    let variable = "{{- $at := .Values.image }}\nx: 1\nimage: {{ $at.repository }}\n";
    assert_eq!(one(variable), (1, false, ".Values.image".to_owned()));
}

#[test]
fn named_templates_are_looked_into_at_their_own_lines() {
    let helper = "{{- define \"img\" -}}\nquay.azurecr.io/{{ .image }}\n{{- end -}}\n\
                  {{- define \"by\" }}{{ include \"img\" .Values.global.azure.images.web }}{{ end }}\n\
                  {{- define \"unused\" }}nginx{{ end }}\n";
    let use_of = "image: {{ include \"by\" . }}\n";
    let chart = chart(&[("templates/_helpers.tpl", helper), ("templates/a.yaml", use_of)]);
    let strays = strays(&chart);
    assert_eq!(strays.len(), 1, "{strays:?}");
    assert_eq!((strays[0].file.as_str(), strays[0].spot.line), ("templates/_helpers.tpl", 2));
    assert_eq!(strays[0].what, StrayKind::Literal("quay.azurecr.io/".to_owned()));
}

#[test]
fn texts_and_variables_are_only_suspected() {
    let map = "kind: ConfigMap\ndata:\n  pod.yaml: |\n    spec:\n      image: nginx:1\nmore: 1\n";
    assert_eq!(one(map), (5, true, "nginx:1".to_owned()));
    let operator =
        "env:\n  - name: RELATED_IMAGE_WEB\n    value: web:1\n  - name: IMAGES\n    value: x\n";
    assert_eq!(one(operator), (3, true, "web:1".to_owned()));
    let argument = "args: [\"--sidecar=quay.azurecr.io/side/car:2\"]\n";
    assert_eq!(one(argument), (1, true, "quay.azurecr.io/side/car:2".to_owned()));
}

#[test]
fn what_is_no_image_is_left_alone() {
    for template in [
        "# image: nginx\n",
        "{{/*\nimage: nginx\n*/}}\n",
        "properties:\n  image:\n    type: string\n",
        "imagePullPolicy: Always\n",
        "apiVersion: rbac.authorization.k8s.io/v1\n",
        "nodeSelector:\n  kubernetes.io/os: linux\n",
        "url: https://quayline.dev/a:b\n",
    ] {
        assert_eq!(found(template), [], "{template}");
    }
}

#[test]
fn a_name_is_used_by_its_path_or_as_a_key() {
    let chart =
        chart(&[("templates/a.yaml", "{{ .x.images.web }} {{ index .y \"side-car\" }} .webs\n")]);
    assert!(uses(&chart, "web") && uses(&chart, "side-car"));
    assert!(!uses(&chart, "we") && !uses(&chart, "other"));
}

#[test]
fn a_template_that_includes_itself_ends() {
    let helper = "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}\nimage: {{ include \"a\" . }}\n";
    assert_eq!(found(helper), []);
}

#[test]
fn an_image_is_seen_over_the_lines_of_an_action_and_its_arguments_are_none() {
    let server = ".Values.global.azure.images.server";
    let helper = "{{- define \"img\" -}}{{ .image.registry }}/{{ .image.image }}@{{ .image.digest }}\
                  {{- end -}}\n";
    for image in [
        "{{ include \"img\" (dict\n    \"image\" S\n    \"root\" $) }}",
        "{{ printf \"%s/%s@%s\" (get (get .Values.global.azure.images \"server\") \"registry\") S.image S.digest }}",
        "{{ printf \"%s/%s@sha256:%s\" S.registry S.image (trimPrefix \"sha256:\" S.digest) }}",
        "{{ S.registry }}/{{ S.image }}@sha256:{{ S.hex }}",
        "{{ tpl \"{{ S.registry }}/{{ S.image }}@{{ S.digest }}\" . }}",
    ] {
        let template = format!("{helper}image: {}\n", image.replace('S', server));
        assert_eq!(found(&template), [], "{image}");
    }
    let split =
        "image: {{ printf \"quay.azurecr.io/%s\"\n  .Values.global.azure.images.a.image }}\n";
    assert_eq!(one(split), (1, false, "quay.azurecr.io/%s".to_owned()));
    for image in [
        "{{ include \"img\" (dict \"image\" S \"chart\" .Chart) }}",
        "{{ include \"img\" (dict \"image\" S \"name\" .Values.service.port) }}",
        "{{ include \"img\" (dict \"image\" (index .Values.global.azure.images .Values.part)) }}",
        "{{ S.image }}{{ if S.digest }}@{{ S.digest }}{{ else }}:{{ S.tag | default .Chart.AppVersion }}{{ end }}",
        "{{ S.image }}:{{ S.tag | default \"latest\" }}",
        "{{ S.image }}{{ ternary (printf \"@%s\" S.digest) (printf \":%s\" (S.tag | default \"1.0\")) true }}",
        "{{- $part := \"web\" }}{{ include \"img\" (dict \"image\" S \"part\" $part) }}",
    ] {
        let template = format!("{helper}image: {}\n", image.replace('S', server));
        let all = found(&template);
        assert!(all.iter().all(|at| at.1), "{image}: {all:?}");
    }
}

#[test]
fn only_a_key_of_an_object_that_runs_names_the_image_of_a_container() {
    let map = "kind: ConfigMap\ndata:\n  image: logo.png\n---\nkind: Pod\nimage: web\n";
    let all = found(map);
    assert_eq!(all, [(3, true, "logo.png".to_owned()), (6, false, "web".to_owned())]);
    let kind = "kind: CustomResourceDefinition\n";
    let described = "  description: 'image: the image, e.g. quay.azurecr.io/a/b:1'\n";
    assert_eq!(found(&format!("{kind}{described}  image: x\n")), []);
    assert!(found(described).iter().all(|at| at.1));
}

#[test]
fn policies_sizes_annotations_and_notes_are_no_images() {
    for template in [
        "env:\n  - name: IMAGE_PULL_POLICY\n    value: IfNotPresent\n",
        "env:\n  - name: MAX_IMAGE_SIZE\n    value: big\n",
        "env:\n  - name: IMAGE_LIMIT\n    value: \"10485760\"\n",
        "env:\n  - name: IMAGE_CHECK\n    value: \"true\"\n",
        "metadata:\n  annotations:\n    rule: \"auth.quayline.dev/oauth2/start:443\"\n",
    ] {
        assert_eq!(found(template), [], "{template}");
    }
    let behind = "annotations:\n  a: b\nargs: [\"--x=quay.azurecr.io/a/b:1\"]\n";
    assert_eq!(one(behind), (3, true, "quay.azurecr.io/a/b:1".to_owned()));
    let notes = chart(&[("templates/NOTES.txt", "run quay.azurecr.io/a/b:1\nimage: x\n")]);
    assert_eq!(strays(&notes), []);
}

#[test]
fn a_large_template_is_looked_through_soon() {
    use std::fmt::Write as _;
    let started = std::time::Instant::now();
    let mut text = String::new();
    for number in 0..5_000 {
        writeln!(text, "{{{{ $v{number} := .Values.a{number} }}}}\nimage: {{{{ $v{number} }}}}")
            .unwrap();
    }
    let all = found(&text);
    assert_eq!(all.len(), USES_MAX);
    assert_eq!((all[0].0, all[199].0), (1, 399));
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}
