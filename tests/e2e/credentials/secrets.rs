//! No secret shows: each is planted, used, refused and mangled, with the log at its most verbose;
//! then the test searches log, responses and metrics for every form of it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use wharf_testkit::http::Client;

use super::gate::{Authority, Trust};
use super::scene::{
    Daemon, ENTRA_PROOF, ENTRA_TOKEN, PASSWORD, Scene, USER, helper_answer, identity_token, trust,
};
use super::{EXCHANGE, TOKEN};

/// The wrong secret for a server's refusal.
const WRONG: &str = "planted-wrong-secret-3d2b";
/// A secret printed only by programs.
const PRINTED: &str = "planted-printed-secret-c0de";
/// A secret sent only by servers.
const SAID: &str = "planted-said-secret-ab12";

/// The visible forms of a secret: plain, in an address, and in base64 after any prefix.
fn forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([secret.to_owned()]);
    forms.insert(form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    for before in 0..3 {
        // Bits of the neighbours stand in the first and the last characters.
        let shifted = format!("{}{secret}", "x".repeat(before));
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            forms.insert(text[before * 4 / 3 + 1..text.len() - 1].to_owned());
        }
    }
    forms
}

fn assert_hides(text: &str, place: &str, secrets: &BTreeSet<String>) {
    for secret in secrets {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{place} shows {secret}");
        }
    }
}

/// Answers and metrics of this `wharfd` so far, with its log.
async fn everything(wharfd: &Daemon, answers: &[String]) -> String {
    let metrics = Client::new().get(&wharfd.admin).send().await.unwrap().text();
    assert!(metrics.contains("wharfd_"), "{metrics}");
    let log = wharfd.process.stderr();
    assert!(log.contains("TRACE"), "the log is not at its loudest");
    format!("{log}\n{metrics}\n{}", answers.join("\n"))
}

/// Pulls some times, and searches all output.
async fn search(scene: &Scene, wharfd: &Daemon, what: &str, pulls: usize) {
    let mut answers = Vec::new();
    for _ in 0..pulls {
        let answer = wharfd.pull().await;
        answers.push(format!("{:?} {}", answer.headers, answer.text()));
    }
    let planted = [PASSWORD, ENTRA_TOKEN, ENTRA_PROOF, WRONG, PRINTED, SAID].map(str::to_owned);
    let mut secrets = scene.gate.tokens();
    secrets.extend(planted);
    assert_hides(&everything(wharfd, &answers).await, what, &secrets);
}

#[test]
fn a_secret_is_found_in_every_form() {
    for before in ["", "u:", "user:", "name:x"] {
        for text in [
            format!("{before}{WRONG}"),
            STANDARD.encode(format!("{before}{WRONG}")),
            URL_SAFE_NO_PAD.encode(format!("{before}{WRONG} and more")),
        ] {
            assert!(forms(WRONG).iter().any(|form| text.contains(form)), "{before} {text}");
        }
    }
}

#[tokio::test]
async fn logins_that_work_show_no_secret() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let endpoint = authority.identity_endpoint();
    let identity = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", ENTRA_PROOF)];
    let az = format!(
        "echo '{{\"accessToken\":\"{ENTRA_TOKEN}\",\"expires_on\":4000000000,\
         \"tokenType\":\"Bearer\"}}'"
    );
    scene.program("az", &az);
    let password = [("PLANTED", PASSWORD)];
    let token = identity_token(&scene).await;
    let logins = [
        // First, because the later ones expire every token.
        (scene.helper(&helper_answer("<token>", &token)), &[][..]),
        (format!("username = \"{USER}\"\npassword_env = \"PLANTED\""), &password),
        (scene.entra(&authority, "client-secret"), &[]),
        (scene.entra(&authority, "workload-identity"), &[]),
        (scene.entra(&authority, "managed-identity"), &identity),
        (scene.entra(&authority, "azure-cli"), &[]),
    ];
    for (login, environment) in logins {
        let wharfd = scene.wharfd(&login, environment).await;
        wharfd.assert_pulls().await;
        scene.double.expire_tokens();
        search(&scene, &wharfd, &login, 2).await;
    }
    assert!(scene.gate.tokens().len() > 12, "tokens were handed out and seen");
}

#[tokio::test]
async fn logins_that_are_refused_show_no_secret() {
    let Some(scene) = Scene::set().await else { return };
    let wrong = [("PLANTED", WRONG)];
    let by_variable = format!("username = \"{USER}\"\npassword_env = \"PLANTED\"");
    let stranger = Authority::start(Trust { proof: SAID.to_owned(), ..trust() }).await;
    let endpoint = stranger.identity_endpoint();
    let identity = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", WRONG)];
    scene.program("az", &format!("echo {PRINTED}; echo {PRINTED} >&2; exit 1"));
    let logins = [
        (by_variable.clone(), &wrong[..]),
        (scene.helper(&helper_answer("<token>", WRONG)), &[]),
        (scene.entra(&stranger, "client-secret"), &[]),
        (scene.entra(&stranger, "workload-identity"), &[]),
        (scene.entra(&stranger, "managed-identity"), &identity[..]),
        (scene.entra(&stranger, "azure-cli"), &[]),
    ];
    for (login, environment) in logins {
        let wharfd = scene.wharfd(&login, environment).await;
        search(&scene, &wharfd, &login, 2).await;
        assert!(wharfd.pull().await.status.as_u16() >= 400, "{login}");
    }
    // The password itself, refused by a server with the password in its message.
    let repeated = format!(r#"{{"errors":[{{"code":"DENIED","message":"no {WRONG}, {SAID}"}}]}}"#);
    for status in [400, 401, 403, 404, 422, 500] {
        let wharfd = scene.wharfd(&by_variable, &wrong).await;
        for _ in 0..4 {
            scene.gate.answer_next(TOKEN, status, &repeated);
        }
        search(&scene, &wharfd, &format!("refused with {status}"), 1).await;
        scene.gate.forget_answers();
    }
}

#[tokio::test]
async fn malformed_answers_and_programs_that_fail_show_no_secret() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let malformed = [
        format!("\"{SAID}\""),
        format!("{{\"access_token\":[\"{SAID}\"],\"refresh_token\":{{\"{SAID}\":1}}}}"),
        format!("{{\"access_token\":\"{SAID}\\u0001\",\"refresh_token\":\"{SAID}\\n\"}}"),
        format!("{SAID} is not JSON"),
        "{}".to_owned(),
    ];
    let entra = scene.entra(&authority, "client-secret");
    for (number, said) in malformed.iter().enumerate() {
        for path in [EXCHANGE, TOKEN] {
            let wharfd = scene.wharfd(&entra, &[]).await;
            for _ in 0..4 {
                scene.gate.answer_next(path, 200, said);
            }
            search(&scene, &wharfd, &format!("malformed {number} at {path}"), 1).await;
            scene.gate.forget_answers();
        }
    }
    let said = format!("echo '{{\"accessToken\":[\"{PRINTED}\"],\"{PRINTED}\":1}}'");
    scene.program("az", &said);
    let az = scene.entra(&authority, "azure-cli");
    let wharfd = scene.wharfd(&az, &[]).await;
    search(&scene, &wharfd, "az says nonsense", 1).await;
    assert!(wharfd.process.stderr().contains("makes no sense"));
    for script in [
        format!("echo {PRINTED}; echo {PRINTED} >&2; exit 1"),
        format!("echo '{{\"Username\":[\"{PRINTED}\"]}}'"),
        format!("echo '{{\"Username\":\"u\",\"Secret\":\"{PRINTED}'"),
        format!("while :; do echo {PRINTED}; done"),
    ] {
        let wharfd = scene.wharfd(&scene.helper(&script), &[]).await;
        search(&scene, &wharfd, &script, 2).await;
        let log = wharfd.process.stderr();
        assert!(log.contains("docker-credential-planted"), "the log names who failed: {script}");
        assert_eq!(wharfd.pull().await.status, 502);
    }
}
