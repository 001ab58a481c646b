//! A first Helm chart: one Deployment with its Service, small and real. Its image comes from
//! `global.azure.images` by digest, and its pods bear the label Microsoft bills by
//! (AC-technical-assets-kubernetes).

use super::answers::Answers;
use super::names;
use super::names::IMAGE_NAME;
use super::scalar::{quoted, scalar};
use super::texts::CHART_FOLDER;
use super::topics::Topic;

/// Its files, with their paths.
#[must_use]
pub(super) fn files(answers: &Answers) -> Vec<(String, String)> {
    let at = |name: &str| format!("{CHART_FOLDER}/{name}");
    vec![
        (at("Chart.yaml"), chart(answers)),
        (at("values.yaml"), values(answers)),
        (at("templates/deployment.yaml"), DEPLOYMENT.replace("IMAGE", IMAGE_NAME)),
        (at("templates/service.yaml"), SERVICE.to_owned()),
    ]
}

fn chart(answers: &Answers) -> String {
    let version = answers.full_version();
    format!(
        "apiVersion: v2\n\
         name: {}\n\
         description: {}\n\
         type: application\n\
         # The same as in manifest.yaml: raise both for each release.\n\
         version: {version}\n\
         appVersion: \"{version}\"\n",
        scalar(&names::label(answers.text(Topic::OfferId))),
        quoted(answers.text(Topic::Summary)),
    )
}

fn values(answers: &Answers) -> String {
    let none = "0".repeat(64);
    format!(
        "# Every image of the chart stands here, by digest; templates name no other. Microsoft's packaging\n\
         # tool puts its own registry in place of this one.\n\
         global:\n\
         \x20 azure:\n\
         \x20   images:\n\
         \x20     {IMAGE_NAME}:\n\
         \x20       registry: {}{}\n\
         \x20       image: {}\n\
         \x20       # replace: `wharf offer pin` writes the digest of the promoted image\n\
         \x20       digest: sha256:{none}\n\
         \n\
         # How many pods run.\n\
         replicas: 1\n\
         \n\
         service:\n\
         \x20 # Where other pods reach it.\n\
         \x20 port: 80\n\
         \x20 # Where the program in the container listens.\n\
         \x20 targetPort: 8080\n\
         \n\
         # Billing by core counts what is asked for here.\n\
         resources:\n\
         \x20 requests:\n\
         \x20   cpu: 250m\n\
         \x20   memory: 256Mi\n\
         \x20 limits:\n\
         \x20   cpu: \"1\"\n\
         \x20   memory: 1Gi\n",
        scalar(answers.text(Topic::Registry)),
        answers.mark(Topic::Registry),
        scalar(answers.text(Topic::Repository)),
    )
}

/// `IMAGE` stands for the name of the image.
const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    app.kubernetes.io/name: {{ .Chart.Name | quote }}
    app.kubernetes.io/instance: {{ .Release.Name | quote }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .Chart.Name | quote }}
      app.kubernetes.io/instance: {{ .Release.Name | quote }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ .Chart.Name | quote }}
        app.kubernetes.io/instance: {{ .Release.Name | quote }}
        azure-extensions-usage-release-identifier: {{ .Release.Name | quote }}
    spec:
      automountServiceAccountToken: false
      nodeSelector:
        kubernetes.io/os: linux
        kubernetes.io/arch: amd64
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: IMAGE
          image: "{{ .Values.global.azure.images.IMAGE.registry }}/{{ .Values.global.azure.images.IMAGE.image }}@{{ .Values.global.azure.images.IMAGE.digest }}"
          ports:
            - name: http
              containerPort: {{ .Values.service.targetPort }}
              protocol: TCP
          readinessProbe:
            tcpSocket:
              port: http
          livenessProbe:
            tcpSocket:
              port: http
            initialDelaySeconds: 10
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
"#;

const SERVICE: &str = r"apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    app.kubernetes.io/name: {{ .Chart.Name | quote }}
    app.kubernetes.io/instance: {{ .Release.Name | quote }}
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: {{ .Chart.Name | quote }}
    app.kubernetes.io/instance: {{ .Release.Name | quote }}
  ports:
    - name: http
      port: {{ .Values.service.port }}
      targetPort: http
      protocol: TCP
";
