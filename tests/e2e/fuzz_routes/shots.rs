//! One request as the dice make it: any route, method, query, header and body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharf_testkit::dice::Dice;
use wharf_testkit::images::sha256;

use super::bodies::{self, TYPES};
use super::stage::{Access, Known, USERS};
use super::words::{HEADERS, HOSTS, METHODS, QUERIES, REPOS, TAGS};
use crate::access::scene::password;

/// How the end of a body is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    /// More is promised than comes.
    Short,
    /// Both headers, a case of smuggling.
    Both,
    /// Nothing is said.
    Nothing,
}

/// One random request.
#[derive(Clone)]
pub(super) struct Shot {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    /// The last number of its source address.
    pub(super) source: u8,
}

impl Shot {
    /// A plain request by a user with all rights.
    pub(super) fn plain(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            source: 1,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// A random request of any kind.
    pub(super) fn any(known: &Known, dice: &mut Dice) -> Self {
        let mut shot = Self::plain("", target(known, dice));
        let usual = METHODS[dice.index(6)];
        shot.method = String::from(if dice.percent(90) { usual } else { pick(&METHODS, dice) });
        if known.upstream && shot.method == "DELETE" && !shot.is_loose(known, dice) {
            // A deletion at the backing registry rightly leaves incomplete tags.
            shot.method = String::from("GET");
        }
        if !matches!(shot.method.as_str(), "GET" | "HEAD") || dice.percent(3) {
            shot.body = bodies::anything(known, dice);
            shot.framing = framing(dice);
            let media_type = TYPES[dice.index(TYPES.len())];
            shot = shot.header("content-type", media_type);
        }
        for _ in 0..dice.below(4) {
            let (name, value) = HEADERS[dice.index(HEADERS.len())];
            shot = shot.header(name, value);
        }
        shot.odd(known, dice)
    }

    /// The same request with a random login, a random source, and oddities of its head.
    pub(super) fn odd(mut self, known: &Known, dice: &mut Dice) -> Self {
        self.source = 1 + u8::try_from(dice.below(9)).unwrap();
        if dice.percent(4) {
            self = self.header("host", pick(&HOSTS, dice));
        }
        if dice.percent(1) {
            self = self.header("x-long", "a".repeat(40_000));
        }
        let login = login(known, dice);
        login.into_iter().fold(self, |shot, login| shot.header("authorization", login))
    }

    /// A deletion of a blob outside of every manifest.
    fn is_loose(&mut self, known: &Known, dice: &mut Dice) -> bool {
        if self.target.contains("/uploads/") {
            return true;
        }
        let Some(loose) = known.loose.any(dice) else { return false };
        self.target = format!("/v2/{}/blobs/{loose}", pick(&REPOS[..5], dice));
        true
    }

    /// As HTTP/1.1 writes it; the connection ends with it.
    pub(super) fn bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if !self.headers.iter().any(|(name, _)| name == "host") {
            line("host", host);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        let length = self.body.len();
        match self.framing {
            Framing::Length if length == 0 && self.method != "POST" => {}
            Framing::Length | Framing::Both => line("content-length", &length.to_string()),
            Framing::Short => line("content-length", &(length + 1_000).to_string()),
            _ => {}
        }
        let is_chunked = matches!(self.framing, Framing::Chunked | Framing::Both);
        if is_chunked {
            line("transfer-encoding", "chunked");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if is_chunked {
            for part in self.body.chunks(50_000) {
                bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// The same with HTTP/2, when it can be said there.
    pub(super) fn request(&self, host: &str) -> Option<http::request::Builder> {
        let said = self.headers.iter().find(|(name, _)| name == "host");
        let authority = said.map_or(host, |(_, value)| value);
        let uri: http::Uri = format!("http://{authority}{}", self.target).parse().ok()?;
        let method: http::Method = self.method.parse().ok()?;
        if method == http::Method::CONNECT || self.framing == Framing::Both {
            return None;
        }
        let mut request = http::Request::builder().method(method).uri(uri);
        let allowed = |name: &str| !matches!(name, "host" | "te" | "upgrade");
        for (name, value) in self.headers.iter().filter(|(name, _)| allowed(name)) {
            request = request.header(name, value);
        }
        request.headers_ref()?;
        Some(request)
    }
}

impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, target, body, framing, source, .. } = self;
        let length = body.len();
        write!(f, "{method} {target} from 127.0.0.{source}, {framing:?} {length}")?;
        for (name, value) in &self.headers {
            let begin: String = value.chars().take(300).collect();
            write!(f, "\n    {name}: {begin}")?;
        }
        let begin = String::from_utf8_lossy(&body[..length.min(600)]);
        if length > 0 { write!(f, "\n    {begin:?}") } else { Ok(()) }
    }
}

pub(super) fn pick<'a>(from: &[&'a str], dice: &mut Dice) -> &'a str {
    from[dice.index(from.len())]
}

/// A repository, usually an existing one.
pub(super) fn repo(dice: &mut Dice) -> &'static str {
    if dice.percent(80) { REPOS[dice.index(5)] } else { pick(&REPOS, dice) }
}

fn digest(known: &Known, dice: &mut Dice) -> String {
    let there = match dice.below(3) {
        0 => known.blobs.any(dice).map(|(digest, _)| digest),
        1 => known.manifests.any(dice).map(|(digest, _)| digest),
        _ => known.loose.any(dice),
    };
    let odd = match dice.below(8) {
        0 => "sha256:12".to_owned(),
        1 => format!("sha512:{}", "a".repeat(128)),
        2 => "sha256:".to_owned() + &"G".repeat(64),
        3 => "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        _ => sha256(&dice.below(1 << 30).to_be_bytes()),
    };
    there.filter(|_| dice.percent(75)).unwrap_or(odd)
}

fn reference(known: &Known, dice: &mut Dice) -> String {
    if dice.percent(50) { digest(known, dice) } else { pick(&TAGS, dice).to_owned() }
}

fn target(known: &Known, dice: &mut Dice) -> String {
    let name = repo(dice);
    let session = || "0123456789abcdef0123456789abcdef".to_owned();
    let mut path = match dice.below(16) {
        0 => "/v2/".to_owned(),
        1 => "/v2/_catalog".to_owned(),
        2 => pick(&["/token", "/v2", "/", "/v1/", "/metrics", "/v2/_x", "*", "/token/"], dice)
            .to_owned(),
        3 => format!("/v2/{name}/tags/list"),
        4 => format!("/v2/{name}/referrers/{}", digest(known, dice)),
        5..=8 => format!("/v2/{name}/manifests/{}", reference(known, dice)),
        9..=11 => format!("/v2/{name}/blobs/{}", digest(known, dice)),
        12 => format!("/v2/{name}/blobs/uploads/"),
        13 | 14 => known
            .sessions
            .any(dice)
            .unwrap_or_else(|| format!("/v2/{name}/blobs/uploads/{}", session())),
        _ => "/token".to_owned(),
    };
    for _ in 0..dice.below(3) {
        let joint = if path.contains('?') { '&' } else { '?' };
        let query = match dice.below(8) {
            0 => format!("digest={}", digest(known, dice)),
            1 => format!("mount={}&from={}", digest(known, dice), repo(dice)),
            _ => pick(&QUERIES, dice).to_owned(),
        };
        path = format!("{path}{joint}{query}");
    }
    if dice.percent(1) { format!("{path}?x={}", "a".repeat(9_000)) } else { path }
}

fn framing(dice: &mut Dice) -> Framing {
    match dice.below(20) {
        0 => Framing::Short,
        1 => Framing::Both,
        2 => Framing::Nothing,
        3..=6 => Framing::Chunked,
        _ => Framing::Length,
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The credentials: usually a valid login.
fn login(known: &Known, dice: &mut Dice) -> Vec<String> {
    let user = pick(&USERS, dice);
    let good = basic(user, &password(user));
    if known.access == Access::Open {
        return if dice.percent(3) { vec![good] } else { Vec::new() };
    }
    match dice.below(60) {
        0 => vec![basic(user, "wrong")],
        1 => vec!["Basic !!!".to_owned()],
        2 => vec!["Bearer x.y.z".to_owned()],
        3 => vec![good.clone(), good],
        4 => vec![basic("", "")],
        5 => vec![basic("a\nb", "c")],
        6 => vec![format!("Bearer {}", "a".repeat(17_000))],
        7 => vec!["Negotiate abc".to_owned()],
        8..=11 => Vec::new(),
        12..=20 => match known.tokens.any(dice) {
            Some(token) => vec![format!("Bearer {token}")],
            None => vec![good],
        },
        21..=40 => vec![basic("root", &password("root"))],
        _ => vec![good],
    }
}

/// The login of the user with all rights, if there is one.
pub(super) fn root(known: &Known) -> Option<String> {
    (known.access != Access::Open).then(|| basic("root", &password("root")))
}
