//! The output of `wharf offer deploy` for odd images, validated by independent tools: objects by
//! the schemas of Kubernetes (kubeconform), charts by Helm, container groups by Microsoft's
//! generated API models, Bicep by two parsers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use wharf_testkit::clients::{self, Client, skipped};
use wharf_testkit::handmade::{Handmade, set};
use wharf_testkit::offers::{Offer, PLAN};

use crate::schemas::validators;
use crate::sources::{Said, wharf};

/// An image, and the platforms to run it on.
struct Odd {
    what: &'static str,
    make: fn(&mut Handmade),
    /// The exit codes for Azure Container Instances and for AKS.
    codes: (i32, i32),
}

const SECRET: &str = "planted-0f9e8d7c";

const ODD: &[Odd] = &[
    Odd { what: "healthy", make: |_| (), codes: (0, 0) },
    Odd { what: "no ports", make: |image| every(image, "ExposedPorts", &json!({})), codes: (0, 0) },
    Odd {
        what: "six ports",
        make: |image| {
            let ports = (81..87).map(|port| (format!("{port}/tcp"), json!({})));
            every(image, "ExposedPorts", &Value::Object(ports.collect()));
        },
        codes: (1, 0),
    },
    Odd {
        what: "a reserved port",
        make: |image| every(image, "ExposedPorts", &json!({ "9999/udp": {} })),
        codes: (1, 0),
    },
    Odd {
        what: "low ports of both protocols",
        make: |image| every(image, "ExposedPorts", &json!({ "53/udp": {}, "80/tcp": {} })),
        codes: (0, 0),
    },
    Odd { what: "root", make: |image| every(image, "User", &json!("")), codes: (0, 0) },
    Odd {
        what: "a user by name",
        make: |image| every(image, "User", &json!("skipper")),
        codes: (0, 0),
    },
    Odd {
        what: "a user in no file",
        make: |image| every(image, "User", &json!("captain")),
        codes: (0, 0),
    },
    Odd {
        what: "arm64 only",
        make: |image| {
            *image = Handmade { attached: Vec::new(), ..Handmade::healthy() };
            image.platforms.remove(0);
        },
        codes: (1, 0),
    },
    Odd {
        what: "windows",
        make: |image| {
            *image = Handmade { attached: Vec::new(), ..Handmade::healthy_alone() };
            set(&mut image.platforms[0].config, "os", json!("windows"));
            set(&mut image.platforms[0].config, "os.version", json!("10.0.17763.7000"));
            image.platforms[0].stated = json!({ "os": "windows", "architecture": "amd64" });
            every(image, "User", &json!("ContainerUser"));
        },
        codes: (0, 0),
    },
    Odd {
        what: "volumes",
        make: |image| every(image, "Volumes", &json!({ "/data": {}, "/a/b": {}, "/a-b": {} })),
        codes: (0, 0),
    },
    Odd {
        what: "odd values of variables",
        make: |image| {
            let odd = [
                "A=yes",
                "B=012",
                "C=1:30",
                "D=a: b # c",
                "E=\"'\\",
                "F=line\nline\n",
                "G=日本 🚀",
                "H={{ .Values.x }}",
                "I=$(HOME) $$ ${X}",
                "J=[parameters('x')]",
                "K='''",
                "L=",
                "M=---",
                "_N=1",
                "o.p=2",
                "PATH=/bin",
            ];
            every(image, "Env", &json!(odd));
        },
        codes: (0, 0),
    },
    Odd {
        what: "secrets",
        make: |image| {
            let lower = format!("db_password={SECRET}");
            every(image, "Env", &json!([format!("DB_PASSWORD={SECRET}"), lower]));
        },
        codes: (0, 0),
    },
    Odd {
        what: "a page to ask",
        make: |image| {
            let line = "curl -f http://localhost:8080/healthz || exit 1";
            every(image, "Healthcheck", &json!({ "Test": ["CMD-SHELL", line], "Retries": 5 }));
        },
        codes: (0, 0),
    },
    Odd {
        what: "a command to ask",
        make: |image| {
            let test = json!({ "Test": ["CMD", "/bin/ok", "it's"], "Interval": 5_000_000_000_u64 });
            every(image, "Healthcheck", &test);
        },
        codes: (0, 0),
    },
    Odd {
        what: "no command",
        make: |image| {
            every(image, "Cmd", &Value::Null);
            every(image, "Entrypoint", &Value::Null);
        },
        codes: (1, 1),
    },
];

/// Replaces one field in the start configuration of every platform.
fn every(image: &mut Handmade, name: &str, value: &Value) {
    for platform in &mut image.platforms {
        set(platform.run(), name, value.clone());
    }
}

/// The written files, by their kind for `validate.py`, and the objects for Kubernetes.
#[derive(Default)]
struct Written {
    validated: Vec<String>,
    objects: Vec<PathBuf>,
    charts: Vec<PathBuf>,
}

async fn deploy(words: &[&str], code: i32, what: &str) -> Said {
    let said = wharf(&[&["-q", "offer", "deploy"][..], words].concat()).await;
    assert_eq!(said.code, code, "{what} {words:?}: {}{}", said.stdout, said.stderr);
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET), "{what} {words:?}");
    said
}

impl Written {
    async fn of(odd: &Odd, folder: &Path, written: &mut Self) {
        let offer = Offer::healthy().write(folder).unwrap();
        let offer = offer.to_str().unwrap();
        let mut image = Handmade::healthy();
        (odd.make)(&mut image);
        image.write(&folder.join("out").join(PLAN)).unwrap();
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        for (format, kind) in [("yaml", "group"), ("arm", "arm"), ("bicep", "bicep")] {
            let file = at(format);
            let words = ["aci", offer, "--format", format, "--output", &file];
            deploy(&words, odd.codes.0, odd.what).await;
            if odd.codes.0 == 0 {
                no_secret(Path::new(&file));
                // The same once more, on standard output.
                let again = deploy(&words[..4], 0, odd.what).await;
                assert_eq!(again.stdout, fs::read_to_string(&file).unwrap(), "{}", odd.what);
                written.validated.push(format!("{kind}={file}"));
            } else {
                assert!(!Path::new(&file).exists(), "{}", odd.what);
            }
        }
        let (file, chart) = (at("objects.yaml"), at("chart"));
        deploy(&["aks", offer, "--output", &file, "--replicas", "2"], odd.codes.1, odd.what).await;
        let words = ["aks", offer, "--format", "helm", "--output", &chart];
        deploy(&words, odd.codes.1, odd.what).await;
        if odd.codes.1 == 0 {
            written.objects.push(file.into());
            written.charts.push(chart.into());
        }
        if odd.what == "volumes" {
            let file = at("kept.yaml");
            let words = ["aks", offer, "--output", &file, "--storage", "8Gi"];
            deploy(&words, 0, odd.what).await;
            written.objects.push(file.into());
        }
    }
}

fn no_secret(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deployed_of_odd_images_is_what_services_take() {
    let folder = TempDir::with_prefix("deploy-").unwrap();
    let mut written = Written::default();
    for (number, odd) in ODD.iter().enumerate() {
        Written::of(odd, &folder.path().join(number.to_string()), &mut written).await;
    }
    let Some(helm) = clients::require("helm") else { return };
    for (number, chart) in written.charts.iter().enumerate() {
        let linted = helm.run([Path::new("lint"), chart]).await.unwrap();
        assert!(linted.status.success(), "{}{}", linted.stdout, linted.stderr);
        let words = [Path::new("template"), Path::new("tide"), chart];
        let rendered = helm.run_ok(words).await.unwrap();
        assert!(!rendered.stdout.contains(SECRET));
        assert_eq!(variables(&rendered.stdout), variables_of(&written.objects, chart), "{chart:?}");
        let file = folder.path().join(format!("rendered-{number}.yaml"));
        fs::write(&file, rendered.stdout).unwrap();
        written.objects.push(file);
    }
    let validators = match validators() {
        Ok(validators) => validators,
        Err(why) => return skipped(&format!("{why} (see tests/setup.sh)")),
    };
    let schemas = folder.path().join("schemas");
    validate(&validators, &[format!("schemas={}", schemas.display())], true).await;
    validate(&validators, &written.validated, true).await;
    let Some(kubeconform) = clients::require("kubeconform") else { return };
    for object in &written.objects {
        no_secret(object);
    }
    assert!(conforms(&kubeconform, &schemas, &written.objects).await);
    broken_ones_are_seen(&validators, &kubeconform, &schemas, &written).await;
}

/// The values of variables in the text of objects, by line, under any name.
fn variables(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| line.starts_with("value: ")) {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

/// The same for the objects written beside a chart.
fn variables_of(objects: &[PathBuf], chart: &Path) -> BTreeMap<String, usize> {
    let beside = chart.parent().unwrap().join("objects.yaml");
    assert!(objects.contains(&beside));
    variables(&fs::read_to_string(beside).unwrap())
}

async fn conforms(kubeconform: &Client, schemas: &Path, files: &[PathBuf]) -> bool {
    let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display());
    let mut words = vec!["-strict".into(), "-schema-location".into(), PathBuf::from(location)];
    words.extend(files.iter().cloned());
    kubeconform.run(words).await.unwrap().status.success()
}

async fn validate(validators: &Path, wanted: &[String], fits: bool) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/deploy/validate.py");
    let python = validators.join("bin/python");
    let output = Command::new(python).arg(script).args(wanted).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    let code = i32::from(!fits);
    assert_eq!(output.status.code(), Some(code), "{wanted:?}: {said}{failed}");
    assert!(fits || failed.is_empty(), "{wanted:?}: {failed}");
}

/// A run without findings has a meaning only if a broken file has findings.
async fn broken_ones_are_seen(
    validators: &Path,
    kubeconform: &Client,
    schemas: &Path,
    written: &Written,
) {
    for (kind, from, to) in [
        ("group", "osType: Linux", "osType: Linus"),
        ("group", "port: 8080", "port: 22"),
        ("group", "resources:", "resource:"),
        ("arm", "\"osType\"", "\"osTyp\""),
        ("arm", "parameters('name')", "parameters('nam')"),
        ("bicep", "osType: 'Linux'", "osType: 'Linus'"),
        ("bicep", "osType: 'Linux'", "osType: 'Linux"),
    ] {
        let healthy = written.validated.iter().find(|at| at.starts_with(kind)).unwrap();
        let path = Path::new(healthy.split_once('=').unwrap().1);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        let broken = path.with_extension("broken");
        fs::write(&broken, text.replace(from, to)).unwrap();
        validate(validators, &[format!("{kind}={}", broken.display())], false).await;
    }
    for (from, to) in [("replicas:", "replicaz:"), ("runAsUser: 1200", "runAsUser: \"x\"")] {
        let text = fs::read_to_string(&written.objects[0]).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        let broken = schemas.with_extension("yaml");
        fs::write(&broken, text.replace(from, to)).unwrap();
        assert!(!conforms(kubeconform, schemas, &[broken]).await, "{to}");
    }
}
