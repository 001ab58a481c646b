//! The logins of `wharfd` at its upstream: every kind of login for real, against the double, an
//! Entra ID and programs of our own; also the handling of refused logins. `credentials/secrets.rs`
//! tests the secrecy.

mod gate;
mod scene;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::task::JoinSet;
use wharf_double::{DoubleConfig, Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;
use wharf_testkit::processes::Process;

use crate::fixture::{START, code, command, eventually, noise};
use gate::{Authority, Trust};
use scene::{
    ENTRA_PROOF, ENTRA_TOKEN, PASSWORD, REPO, Scene, USER, helper_answer, identity_token, trust,
};

const EXCHANGE: &str = "/oauth2/exchange";
const TOKEN: &str = "/oauth2/token";

#[tokio::test]
async fn a_user_name_loses_its_line_break() {
    let Some(scene) = Scene::set().await else { return };
    let password = scene.file("password", &format!("{PASSWORD}\n"));
    let login = format!("username = \"{USER}\\n\"\npassword_file = \"{}\"", password.display());
    scene.wharfd(&login, &[]).await.assert_pulls().await;
}

#[tokio::test]
async fn dockers_configuration_logs_in_with_a_password_or_an_identity_token() {
    let Some(scene) = Scene::set().await else { return };
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let login =
        scene.docker(&serde_json::json!({ "auths": { scene.gate.host(): { "auth": auth } } }));
    scene.wharfd(&login, &[]).await.assert_pulls().await;
    assert!(scene.gate.forms(TOKEN).is_empty());

    let token = identity_token(&scene).await;
    let entry = serde_json::json!({ "auth": auth, "identitytoken": token });
    let content = serde_json::json!({ "auths": { scene.gate.host(): entry } }).to_string();
    let path = scene.file("docker/config.json", &content);
    let folder = path.parent().unwrap().to_str().unwrap();
    let wharfd = scene.wharfd("docker_config = true", &[("DOCKER_CONFIG", folder)]).await;
    wharfd.assert_pulls().await;
    let form = &scene.gate.forms(TOKEN)[0];
    assert_eq!((form["grant_type"].as_str(), &form["refresh_token"]), ("refresh_token", &token));
    assert_eq!(form["scope"], format!("repository:{REPO}:pull"));
    assert_eq!(form["service"], scene.gate.host());
}

#[tokio::test]
async fn a_credential_helper_or_store_is_asked_for_exactly_this_host() {
    let Some(scene) = Scene::set().await else { return };
    let script = format!(
        "[ \"$1\" = get ] && read host\n[ \"$host\" = {} ] || exit 1\n\
         echo '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'",
        scene.gate.host()
    );
    let login = scene.helper(&script);
    scene.wharfd(&login, &[]).await.assert_pulls().await;
    let login = scene.docker(&serde_json::json!({ "credsStore": "planted" }));
    scene.wharfd(&login, &[]).await.assert_pulls().await;
    let token = identity_token(&scene).await;
    let login = scene.helper(&helper_answer("<token>", &token));
    scene.wharfd(&login, &[]).await.assert_pulls().await;
    assert_eq!(scene.gate.forms(TOKEN).last().unwrap()["refresh_token"], token);
}

#[tokio::test]
async fn two_logins_at_the_same_address_share_no_token() {
    let Some(scene) = Scene::set().await else { return };
    let login = |variable| format!("username = \"{USER}\"\npassword_env = \"{variable}\"");
    let (right, wrong) = (login("RIGHT"), login("WRONG"));
    let both = format!(
        "{right}\n[[upstream]]\nprefix = \"other\"\nurl = \"{}\"\n{wrong}",
        scene.gate.url()
    );
    let wharfd = scene.wharfd(&both, &[("RIGHT", PASSWORD), ("WRONG", "else")]).await;
    wharfd.assert_pulls().await;
    let answer = wharfd.api.get_manifest(&format!("other/{REPO}"), "v1").await;
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (403, "DENIED"));
    wharfd.assert_pulls_again().await;
}

/// A credential helper with a refused first response, and a count of its calls.
fn forgetful_helper(scene: &Scene, second: &str) -> (String, PathBuf) {
    let count = scene.file("asked", "");
    let script = format!(
        "read host\necho >> {0}\nsecret={second}\n\
         if [ $(wc -l < {0}) = 1 ]; then secret=old; fi\n\
         echo \"{{\\\"Username\\\":\\\"{USER}\\\",\\\"Secret\\\":\\\"$secret\\\"}}\"",
        count.display()
    );
    (scene.helper(&script), count)
}

#[tokio::test]
async fn a_login_that_was_refused_is_looked_up_again_once() {
    let Some(scene) = Scene::set().await else { return };
    let asked = |path: &PathBuf| std::fs::read_to_string(path).unwrap().len();
    let (login, count) = forgetful_helper(&scene, PASSWORD);
    scene.wharfd(&login, &[]).await.assert_pulls().await;
    assert_eq!(asked(&count), 2);
    // A login refused again immediately is refused for good, for every client.
    let (login, count) = forgetful_helper(&scene, "older");
    let wharfd = scene.wharfd(&login, &[]).await;
    for _ in 0..3 {
        wharfd.assert_denied().await;
    }
    assert_eq!(asked(&count), 2);
    // The same for an upstream without tokens.
    scene.gate.ask_for_basic();
    let (login, count) = forgetful_helper(&scene, PASSWORD);
    let wharfd = scene.wharfd(&login, &[]).await;
    // The first request learns of the Basic challenge, the second of the refusal.
    wharfd.pull().await;
    wharfd.assert_pulls().await;
    assert_eq!(asked(&count), 2);
}

#[tokio::test]
async fn every_kind_of_entra_identity_logs_in() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let end = "$(($(date +%s) + 3600))";
    scene.program(
        "az",
        &format!(
            "[ \"$*\" = \"account get-access-token -o json --scope \
             https://containerregistry.azure.net/.default --tenant contoso\" ] || exit 1\n\
             echo \"{{\\\"accessToken\\\":\\\"{ENTRA_TOKEN}\\\",\\\"expires_on\\\":{end},\
             \\\"tokenType\\\":\\\"Bearer\\\"}}\""
        ),
    );
    let endpoint = authority.identity_endpoint();
    let identity = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", ENTRA_PROOF)];
    let none: &[(&str, &str)] = &[];
    let kinds = [
        ("client-secret", "", none, Some("contoso")),
        ("workload-identity", "", none, Some("contoso")),
        ("managed-identity", "\nclient_id = \"c-1\"", &identity[..], None),
        ("azure-cli", "\ntenant = \"contoso\"", none, Some("contoso")),
    ];
    for (number, (kind, more, environment, tenant)) in kinds.into_iter().enumerate() {
        let wharfd = scene.wharfd(&(scene.entra(&authority, kind) + more), environment).await;
        wharfd.assert_pulls().await;
        let forms = scene.gate.forms(EXCHANGE);
        assert_eq!(forms.len(), number + 1, "{kind}");
        let form = &forms[number];
        assert_eq!(form["grant_type"], "access_token", "{kind}");
        assert_eq!(form["access_token"], ENTRA_TOKEN, "{kind}");
        assert_eq!(form["service"], scene.gate.host(), "{kind}");
        assert_eq!(form.get("tenant").map(String::as_str), tenant, "{kind}");
    }
    let asked = authority.asked();
    assert_eq!(asked.len(), 3);
    for form in &asked[..2] {
        assert_eq!(form["path"], "/contoso/oauth2/v2.0/token");
        assert_eq!(form["scope"], "https://containerregistry.azure.net/.default");
        assert_eq!(form["client_id"], "c-1");
    }
    assert_eq!(asked[2]["resource"], "https://containerregistry.azure.net");
    assert_eq!(asked[2]["client_id"], "c-1");
}

#[tokio::test]
async fn fifty_scopes_after_a_start_cost_one_exchange() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let api = wharfd.api.clone();
        requests.spawn(async move { api.get_manifest(&format!("acme/r{number}"), "v1").await });
    }
    for answer in requests.join_all().await {
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    assert_eq!((authority.asked().len(), scene.exchanges()), (1, 1));
    assert_eq!(scene.gate.forms(TOKEN).len(), 50);
}

#[tokio::test]
async fn tokens_that_expire_too_soon_are_renewed_in_the_middle_of_a_push() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    let content = noise(7, 20 << 20);
    let location = wharfd.api.open_upload(REPO).await;
    let (first, last) = content.split_at(17 << 20);
    let answer = wharfd.api.patch(&location).bytes(first.to_vec()).send().await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    // The access token and the refresh token.
    scene.double.expire_tokens();
    let digest = sha256(&content);
    let location = answer.header("location").to_owned();
    let answer = wharfd.api.end_upload(&location, &digest, last.to_vec()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(scene.exchanges(), 2);
    assert_eq!(authority.asked().len(), 1, "the Entra token was still good");
}

#[tokio::test]
async fn a_refresh_token_that_stays_refused_is_exchanged_anew_once() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    for _ in 0..4 {
        scene.gate.answer_next(TOKEN, 401, "");
    }
    for _ in 0..3 {
        wharfd.assert_denied().await;
    }
    assert_eq!(scene.exchanges(), 2);
    wharfd.assert_pulls().await;
    assert_eq!(scene.exchanges(), 2);
}

#[tokio::test]
async fn a_refused_exchange_or_identity_is_denied_and_asked_again_with_the_next_request() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    scene.gate.answer_next(EXCHANGE, 401, "");
    wharfd.assert_denied().await;
    wharfd.assert_pulls().await;
    let stranger = Authority::start(Trust { proof: "else".to_owned(), ..trust() }).await;
    let wharfd = scene.wharfd(&scene.entra(&stranger, "client-secret"), &[]).await;
    wharfd.assert_denied().await;
    let log = wharfd.process.stderr();
    assert!(log.contains("AADSTS7000215"), "the log says why");
}

#[tokio::test]
async fn too_many_requests_at_the_token_endpoints_are_waited_for_or_handed_on() {
    let Some(scene) = Scene::set().await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    let patience = |retry_after_s| Fault::TooManyRequests { retry_after_s };
    for kind in [Kind::Exchange, Kind::Token] {
        scene.double.set_fault(FaultRule::next(kind, patience(300)));
        let answer = wharfd.pull().await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "120"));
        // 503 with a `Retry-After` has the same effect.
        let later = Fault::Status { code: 503, retry_after_s: Some(60) };
        scene.double.set_fault(FaultRule::next(kind, later));
        let answer = wharfd.pull().await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "60"));
        scene.double.set_fault(FaultRule::next(kind, patience(1)));
        scene.double.set_fault(FaultRule::next(kind, Fault::Unavailable));
        if kind == Kind::Token {
            wharfd.assert_pulls().await;
        } else {
            scene.double.set_fault(FaultRule::next(Kind::Token, patience(300)));
            assert_eq!(wharfd.pull().await.status, 429);
        }
    }
    assert_eq!(scene.double.counts().answered(Kind::Exchange, 200), 1);
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_before_anyone_needs_it() {
    let change = |mut config: DoubleConfig| {
        config.habits.access_token_life = Duration::from_secs(30);
        config
    };
    let Some(scene) = Scene::set_with(change).await else { return };
    let authority = Authority::start(trust()).await;
    let wharfd = scene.wharfd(&scene.entra(&authority, "client-secret"), &[]).await;
    wharfd.assert_pulls().await;
    // Each asks the upstream with the current token whether the tag has moved.
    eventually("a second token", async || {
        assert_eq!(wharfd.pull().await.status, 200);
        (scene.gate.forms(TOKEN).len() == 2).then_some(())
    })
    .await;
    let refused = scene.double.journal().iter().filter(|entry| entry.status == 401).count();
    assert_eq!(refused, 1, "only the very first request had no token");
    assert_eq!(scene.exchanges(), 1);
}

#[tokio::test]
async fn a_configuration_without_a_usable_login_is_refused_with_what_to_write() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("config.json");
    std::fs::write(&empty, "{\"auths\":{}}").unwrap();
    let docker = format!("docker_config = \"{}\"", empty.display());
    let refusals = BTreeMap::from([
        (docker.clone(), "docker login 127.0.0.1:9"),
        ("docker_config = \"/nonexistent/config.json\"".to_owned(), "/nonexistent/config.json"),
        (format!("{docker}\n[upstream.entra]\nkind = \"azure-cli\""), "more than one login"),
        ("[upstream.entra]\nkind = \"workload-identity\"".to_owned(), "AZURE_FEDERATED_TOKEN_FILE"),
        ("[upstream.entra]\nkind = \"certificate\"".to_owned(), "managed-identity"),
    ]);
    for (lines, words) in refusals {
        let config = folder.path().join("wharfd.toml");
        let text = format!(
            "store = \"{}\"\n[[upstream]]\nurl = \"http://127.0.0.1:9\"\n{lines}\n",
            folder.path().join("store").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = command(["serve", "--check-config", "--config"]);
        for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"] {
            command.env_remove(name);
        }
        let mut process = Process::spawn("check", command.arg(&config), folder.path()).unwrap();
        let status = process.wait(START).await.unwrap();
        assert_eq!(status.code(), Some(2), "{lines}");
        assert!(process.stderr().contains(words), "{lines}: {}", process.stderr());
    }
}
