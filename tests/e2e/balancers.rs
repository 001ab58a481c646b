//! Behind balancers: no address in a response names a host, and trusted peers report the client's
//! address. An upload at another `wharfd` than its opener is unknown there, and clients answer by a
//! new start.

use std::net::TcpListener as StdListener;
use std::process::Command;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf_testkit::clients;
use wharf_testkit::http::{Answer, Call, Client};
use wharf_testkit::images::sha256;
use wharf_testkit::processes::Process;

use crate::fixture::{Api, Stage, Wharfd, code, eventually, noise};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.index.v1+json";
const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[]}";

/// Under this name it may be asked for without a login.
const EVIL: &str = "[access]\nhosts = [\"evil.example\"]\n";

/// The same request with forwarding headers, as from a balancer or a lying client.
fn lying(call: Call<'_>) -> Call<'_> {
    call.header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-prefix", "/evil")
        .header("x-forwarded-for", "203.0.113.7")
        .header("forwarded", "for=203.0.113.7;host=evil.example;proto=https")
}

/// No address for the client's next request names a host.
fn assert_relative(answer: &Answer, name: &str) -> String {
    let value = answer.header(name).to_owned();
    assert!(value.trim_start_matches('<').starts_with("/v2/"), "{name}: {value:?}");
    assert!(
        answer.headers.values().all(|value| !value.as_bytes().windows(4).any(|w| w == b"evil"))
    );
    value
}

async fn every_way_on_is_relative(api: &Api) {
    let call = |method: Method, path: &str| lying(api.call(method, path));
    let uploads = format!("/v2/{REPO}/blobs/uploads/");
    let opened = call(Method::POST, &uploads).send().await.unwrap();
    assert_eq!(opened.status, 202, "{}", opened.text());
    let location = assert_relative(&opened, "location");
    let patched = call(Method::PATCH, &location).bytes("content").send().await.unwrap();
    assert_eq!(patched.status, 202, "{}", patched.text());
    let location = assert_relative(&patched, "location");
    let status = call(Method::GET, &location).send().await.unwrap();
    assert_eq!(status.status, 204);
    assert_relative(&status, "location");
    let wrong = call(Method::PATCH, &location).header("content-range", "99-100").bytes("xx");
    let wrong = wrong.send().await.unwrap();
    assert_eq!(wrong.status, 416);
    assert_relative(&wrong, "location");
    let digest = sha256(b"content");
    let ended = call(Method::PUT, &format!("{location}?digest={digest}")).send().await.unwrap();
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_relative(&ended, "location");
    let mount = format!("{uploads}?mount={digest}&from={REPO}").replace("acme/web/", "acme/too/");
    let mounted = call(Method::POST, &mount).send().await.unwrap();
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    assert_relative(&mounted, "location");
    for tag in ["a", "b"] {
        let put = call(Method::PUT, &format!("/v2/{REPO}/manifests/{tag}"));
        let put = put.header("content-type", TYPE).bytes(INDEX).send().await.unwrap();
        assert_eq!(put.status, 201, "{}", put.text());
        assert_relative(&put, "location");
    }
    for list in [&format!("/v2/{REPO}/tags/list?n=1"), "/v2/_catalog?n=1"] {
        let page = call(Method::GET, list).send().await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text());
        assert_relative(&page, "link");
    }
    let list = format!("/v2/{REPO}/referrers/{}", sha256(INDEX.as_bytes()));
    let referrers = call(Method::GET, &list).send().await.unwrap();
    assert!(matches!(referrers.status.as_u16(), 200 | 404), "{}", referrers.text());
    assert!(!referrers.text().contains("evil"), "{}", referrers.text());
}

#[tokio::test]
async fn no_header_leads_a_client_elsewhere() {
    every_way_on_is_relative(&Wharfd::with_config(EVIL).await.api).await;
    let Some(stage) = Stage::start_with(|setup| setup.lines(EVIL)).await else { return };
    every_way_on_is_relative(stage.api()).await;
}

#[tokio::test]
async fn an_upload_says_how_long_its_chunks_should_be_and_takes_shorter_ones() {
    let wharfd = Wharfd::alone().await;
    let uploads = format!("/v2/{REPO}/blobs/uploads/");
    let opened = wharfd.api.post(&uploads).send().await.unwrap();
    let least: usize = opened.header("oci-chunk-min-length").parse().unwrap();
    assert!((1..=16 << 20).contains(&least), "{least}");
    let location = opened.header("location").to_owned();
    for (range, byte) in [("0-0", "a"), ("1-1", "b")] {
        let call = wharfd.api.patch(&location).header("content-range", range);
        assert_eq!(call.bytes(byte).send().await.unwrap().status, 202, "{range}");
    }
    assert_eq!(wharfd.api.end_upload(&location, &sha256(b"abc"), "c").await.status, 201);
}

#[tokio::test]
async fn a_client_is_who_trusted_peers_say_and_nobody_else() {
    let trusting = |network: &str| format!("trusted_proxies = [\"{network}\"]\n{EVIL}");
    let believing = Wharfd::with_config(&trusting("127.0.0.0/8")).await;
    let doubting = Wharfd::with_config(&trusting("10.0.0.0/8")).await;
    for (wharfd, client) in [(&believing, "client=203.0.113.7"), (&doubting, "client=127.0.0.1")] {
        let call = lying(wharfd.api.call(Method::GET, "/v2/"));
        assert_eq!(call.send().await.unwrap().status, 200);
        let line = eventually("the log line", async || {
            let log = wharfd.log();
            log.lines().find(|line| line.contains("path=\"/v2/\"")).map(str::to_owned)
        });
        let line = line.await;
        assert!(line.contains(client) && line.contains("peer=127.0.0.1:"), "{line}");
    }
    assert!(!doubting.log().contains("203.0.113.7"));
}

#[tokio::test]
async fn what_clients_say_of_themselves_does_not_reach_the_upstream() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("[[upstream]]\nurl = \"http://{}\"\n", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    let trusting = format!("trusted_proxies = [\"127.0.0.1\"]\n{EVIL}{upstream}");
    let wharfd = Wharfd::with_config(&trusting).await;
    let call = lying(wharfd.api.call(Method::GET, &format!("/v2/{REPO}/manifests/v1")));
    assert_eq!(call.send().await.unwrap().status, 404);
    let head = asked.await.unwrap();
    for word in ["forwarded", "203.0.113.7", "evil"] {
        assert!(!head.contains(word), "{word} in {head}");
    }
}

/// One more `wharfd` before the same upstream.
async fn another(stage: &Stage) -> Wharfd {
    let config = format!(
        "trusted_proxies = [\"127.0.0.1\"]\n[[upstream]]\nurl = \"{}\"\nusername = \"publisher\"\n\
         password_env = \"E2E_UPSTREAM_PASSWORD\"\n",
        stage.double.url()
    );
    Wharfd::with_config(&config).await
}

#[tokio::test]
async fn an_upload_is_unknown_at_another_wharfd_and_the_retry_succeeds() {
    let Some(stage) = Stage::start().await else { return };
    let other = another(&stage).await;
    let content = noise(41, 100_000);
    let digest = sha256(&content);
    let location = stage.api().open_upload(REPO).await;
    let answers = [
        other.api.patch(&location).bytes(content.clone()).send().await.unwrap(),
        other.api.get(&location).await,
        other.api.end_upload(&location, &digest, content.clone()).await,
        other.api.delete(&location).await,
    ];
    for answer in answers {
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    }
    // Like every client then: a new start, at any `wharfd`.
    other.api.push_blob(REPO, content.clone()).await;
    assert!(stage.origin.get_blob(REPO, &digest).await.body == content);
    // The first session does no harm, and can still be ended at its own `wharfd`.
    assert_eq!(stage.api().end_upload(&location, &digest, content).await.status, 201);
}

/// The documented nginx example, with the test's addresses in place of the example's.
fn balancer(folder: &std::path::Path, port: u16, backends: [&str; 2]) -> Option<Process> {
    clients::require("nginx")?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy/examples/nginx/wharfd.conf");
    let mut example = std::fs::read_to_string(path).unwrap();
    let changes = [
        ("listen 8080;", format!("listen 127.0.0.1:{port};")),
        ("server 127.0.0.1:5000;", format!("server {};", backends[0])),
        ("server 127.0.0.1:5010;", format!("server {};", backends[1])),
    ];
    for (placeholder, value) in changes {
        assert!(example.contains(placeholder), "no {placeholder} in {path}");
        example = example.replace(placeholder, &value);
    }
    let place = folder.display();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log;\n\
         events {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {place}/body;\n\
         proxy_temp_path {place}/proxy;\nfastcgi_temp_path {place}/f;\nuwsgi_temp_path {place}/u;\n\
         scgi_temp_path {place}/s;\n{example}}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-e").arg(folder.join("start.log")).arg("-c").arg(file);
    Some(Process::spawn("nginx", &mut command, folder).unwrap())
}

#[tokio::test]
async fn the_example_of_nginx_keeps_every_upload_where_it_began() {
    let Some(stage) = Stage::start().await else { return };
    let wharfds = [another(&stage).await, another(&stage).await];
    let folder = tempfile::TempDir::new().unwrap();
    let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hosts = wharfds.each_ref().map(Wharfd::host);
    let Some(_nginx) = balancer(folder.path(), free.port(), [&hosts[0], &hosts[1]]) else { return };
    let api = Api::new(format!("http://{free}"), Client::new());
    eventually("nginx to listen", async || {
        tokio::net::TcpStream::connect(free).await.ok().map(|_| ())
    })
    .await;
    for number in 0..16_u64 {
        let repo = format!("team/app-{number}");
        let content = noise(number, 50_000);
        let mut location = api.open_upload(&repo).await;
        for chunk in content.chunks(20_000) {
            let patched = api.patch(&location).bytes(chunk.to_vec()).send().await.unwrap();
            assert_eq!(patched.status, 202, "{repo}: {}", patched.text());
            location = patched.header("location").to_owned();
        }
        let ended = api.end_upload(&location, &sha256(&content), "").await;
        assert_eq!(ended.status, 201, "{repo}: {}", ended.text());
        let put = api.put_manifest(&repo, "v1", TYPE, INDEX).await;
        assert_eq!(put.status, 201, "{repo}: {}", put.text());
        assert!(api.get_blob(&repo, &sha256(&content)).await.body == content);
        assert_eq!(api.get_manifest(&repo, "v1").await.header("wharf-cache"), "hit", "{repo}");
    }
    // Both had work, and know the client by nginx's header, not by the client's own.
    let lie = api.call(Method::GET, "/v2/").header("forwarded", "for=203.0.113.9");
    let lie = lie.header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert_eq!(lie.status, 200);
    for wharfd in &wharfds {
        let log = wharfd.log();
        assert!(log.contains("/blobs/uploads/"), "one wharfd had nothing to do");
    }
}
