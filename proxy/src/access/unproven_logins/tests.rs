//! Logins that an upstream refuses or leaves unanswered, without a server of ours.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wharf_client::BreakerState;
use wharf_client::caller_login::Fingerprints;

use super::*;
use crate::limits::{LOGIN_FAILURES_BURST, LOGIN_FAILURES_BURST_ADDRESS};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct Scene {
    strangers: Arc<UnprovenLogins>,
    upstream: Arc<Upstream>,
    prints: Fingerprints,
}

impl Scene {
    fn at(url: &str) -> Self {
        let failures = Arc::new(LoginThrottle::new().unwrap());
        let strangers = Arc::new(UnprovenLogins::new(url, failures));
        let upstream = Arc::new(Upstream::new(&url.parse().unwrap()).unwrap());
        Self { strangers, upstream, prints: Fingerprints::random() }
    }

    async fn ask(&self, user: &str, password: &str) -> Result<bool, Error> {
        self.ask_from(CLIENT, user, password).await
    }

    async fn ask_from(&self, client: IpAddr, user: &str, password: &str) -> Result<bool, Error> {
        let login = Arc::new(self.prints.login(user, password));
        let caller = Caller::with_login(user, login).at(client);
        let mark = self.strangers.mark(&caller).unwrap();
        let said = self.strangers.ask(&self.upstream, &caller, mark).await;
        said.map(|life| life.is_some())
    }

    /// Unproven logins leave the upstream's recorded state untouched.
    fn assert_untouched(&self) {
        let state = self.upstream.state().client;
        assert_eq!(state.breaker, BreakerState::Closed);
        let fresh = Upstream::new(&"http://a".parse().unwrap()).unwrap().state().client.reads;
        assert_eq!((state.reads.window, state.reads.throttled), (fresh.window, 0));
    }
}

/// A registry with this answer to every user and password.
async fn registry(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    if !stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                        return;
                    }
                }
                let shows = String::from_utf8_lossy(&head).to_lowercase().contains("basic ");
                let status = if shows { answer } else { "401 Unauthorized" };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nwww-authenticate: Basic realm=\"r\"\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn whom_the_registry_knows_is_known_from_there() {
    let scene = Scene::at(&registry("200 OK").await);
    for number in 0..2 * LOGIN_FAILURES_BURST {
        assert!(scene.ask("alice", &format!("token {number}")).await.unwrap());
    }
    assert!(scene.ask("alice", "secret").await.unwrap());
    let login = Arc::new(scene.prints.login("alice", "secret"));
    let caller = Caller::with_login("alice", login);
    let from = |client| scene.strangers.mark(&caller.clone().at(client)).unwrap();
    assert!(scene.strangers.know(&from(CLIENT)));
    assert!(!scene.strangers.know(&from([192, 0, 2, 2].into())));
    scene.strangers.learn(from(CLIENT), false);
    assert!(!scene.strangers.know(&from(CLIENT)));
}

#[tokio::test]
async fn guesses_of_a_name_are_refused_and_then_not_asked_about() {
    let scene = Scene::at(&registry("401 Unauthorized").await);
    let began = Instant::now();
    let mut refused = 0;
    for number in 0..5 * LOGIN_FAILURES_BURST {
        match scene.ask("alice", &number.to_string()).await {
            Ok(is_known) => {
                assert!(!is_known);
                refused += 1;
            }
            Err(Error::TooManyLogins { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let most = u64::from(LOGIN_FAILURES_BURST) + began.elapsed().as_secs() / 6 + 1;
    assert!(refused <= most && refused >= u64::from(LOGIN_FAILURES_BURST), "{refused}");
    scene.assert_untouched();
}

#[tokio::test]
async fn what_the_registry_does_not_answer_is_asked_so_often_and_says_nothing_of_it() {
    for url in ["http://127.0.0.1:1", &registry("503 Service Unavailable").await] {
        let (scene, began) = (Scene::at(url), Instant::now());
        let mut asked = 0;
        for number in 0..2 * LOGIN_FAILURES_BURST_ADDRESS {
            match scene.ask(&format!("user-{number}"), "x").await {
                Err(Error::TooManyLogins { .. }) => {}
                Err(_) => asked += 1,
                Ok(is_known) => panic!("{is_known}"),
            }
        }
        let most = u64::from(LOGIN_FAILURES_BURST_ADDRESS) + began.elapsed().as_secs() + 1;
        assert!(asked <= most && asked >= u64::from(LOGIN_FAILURES_BURST_ADDRESS), "{asked}");
        scene.assert_untouched();
    }
}

#[tokio::test]
async fn whom_the_registry_tells_to_wait_is_not_shown_to_it_before() {
    let url = registry("429 Too Many Requests\r\nretry-after: 100").await;
    let scene = Scene::at(&url);
    for _ in 0..3 {
        let told = scene.ask("alice", "secret").await;
        let Err(Error::UpstreamBusy { retry_after_seconds }) = told else { panic!("{told:?}") };
        assert!((90..=101).contains(&retry_after_seconds), "{retry_after_seconds}");
    }
    scene.assert_untouched();
}

#[tokio::test]
async fn addresses_without_end_leave_a_place_to_who_comes_from_where_somebody_logged_in() {
    // The registry accepts the request, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = Arc::new(Scene::at(&format!("http://{}", listener.local_addr().unwrap())));
    let begin = |client: IpAddr, user: &str| {
        let (scene, user) = (Arc::clone(&scene), user.to_owned());
        tokio::spawn(async move { scene.ask_from(client, &user, "x").await })
    };
    let mut asked: Vec<_> =
        (0..=255).map(|last| begin([10, 0, 0, last].into(), "mallory")).collect();
    let most = STRANGERS_WAITING_MAX as u64 * 3 / 4;
    while scene.strangers.state().used < most {
        tokio::task::yield_now().await;
    }
    let refused = scene.ask_from([10, 0, 1, 1].into(), "mallory", "x").await;
    assert!(matches!(refused, Err(Error::TooMany(_))));
    // Another user logged in from the same network.
    let login = TriedLogin {
        name: "alice".to_owned(),
        client: CLIENT,
        mark: scene.strangers.failures.marks.of(&[b"alice"]),
    };
    scene.strangers.failures.begin(&login).await.unwrap().succeeded();
    asked.push(begin(CLIENT, "bob"));
    while scene.strangers.state().used <= most {
        assert!(!asked.last().unwrap().is_finished(), "it was turned away");
        tokio::task::yield_now().await;
    }
    asked.iter().for_each(tokio::task::JoinHandle::abort);
}
