//! The health check of a container: docker's HEALTHCHECK in the words of probes, the only ones in
//! Kubernetes and Azure Container Instances.

use url::{Host, Url};

use super::words::Path;
use crate::image::config::Healthcheck;
use crate::offer::values::{ExposedPort, Protocol};

/// Docker's default.
const INTERVAL_SECONDS: u64 = 30;
const RETRIES: u64 = 3;
/// The interval for a port the image says nothing about: short, since the check costs nothing.
const PORT_INTERVAL_SECONDS: u32 = 10;
const PORT_TIMEOUT_SECONDS: u32 = 5;
/// No time of a probe is longer: a day.
const SECONDS_MAX: u64 = 86_400;
/// Characters with a meaning for a shell.
const SHELL_MARKS: &[char] = &[
    '|', '&', ';', '<', '>', '$', '`', '\\', '"', '\'', '(', ')', '{', '}', '*', '?', '~', '#',
    '\n',
];

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// A page that answers with 200 to 399.
    Http {
        port: u16,
        path: Path,
        /// Whether over TLS.
        is_tls: bool,
    },
    /// A port that accepts connections.
    Tcp(u16),
    /// A command that ends with exit code 0.
    Command(Vec<String>),
}

/// How to ask, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub check: HealthCheck,
    /// Seconds between two questions.
    pub interval: u32,
    /// Seconds an answer may take.
    pub timeout: u32,
    /// Failures until it is unhealthy.
    pub failures: u32,
    /// Seconds before the first question.
    pub start: u32,
}

/// The container's check: the given page, else the image's own check, else its first TCP port; an
/// image with neither has none. `shell` starts a line of a shell.
#[must_use]
pub(super) fn health(
    said: &Healthcheck,
    page: Option<&Path>,
    ports: &[ExposedPort],
    shell: &[&str],
) -> Option<Health> {
    let port = ports.iter().find(|port| port.protocol == Protocol::Tcp).map(|port| port.number);
    let plain = |check| Health {
        check,
        interval: PORT_INTERVAL_SECONDS,
        timeout: PORT_TIMEOUT_SECONDS,
        failures: 3,
        start: 0,
    };
    if let (Some(page), Some(port)) = (page, port) {
        return Some(plain(HealthCheck::Http { port, path: page.clone(), is_tls: false }));
    }
    match command_of(said, shell) {
        Some(check) => Some(Health {
            check,
            interval: seconds(said.interval, INTERVAL_SECONDS),
            timeout: seconds(said.timeout, INTERVAL_SECONDS),
            failures: u32::try_from(if said.retries == 0 { RETRIES } else { said.retries })
                .unwrap_or(u32::MAX)
                .min(1_000),
            start: match said.start_period {
                0 => 0,
                period => seconds(period, 0),
            },
        }),
        None => port.map(|port| plain(HealthCheck::Tcp(port))),
    }
}

fn seconds(nanoseconds: u64, otherwise: u64) -> u32 {
    let seconds = match nanoseconds {
        0 => otherwise,
        some => some.div_ceil(1_000_000_000),
    };
    u32::try_from(seconds.clamp(1, SECONDS_MAX)).unwrap_or(u32::MAX)
}

/// The command of HEALTHCHECK, as a page where it only requests one: a page needs no program.
fn command_of(said: &Healthcheck, shell: &[&str]) -> Option<HealthCheck> {
    let (kind, words) = said.test.split_first()?;
    match (kind.as_str(), words) {
        ("CMD", [_, ..]) => {
            Some(page_of(words).unwrap_or_else(|| HealthCheck::Command(words.to_vec())))
        }
        ("CMD-SHELL", [line]) => {
            let words = shell.iter().copied().chain([line.as_str()]);
            let command = || HealthCheck::Command(words.map(ToOwned::to_owned).collect());
            Some(words_of(line).and_then(|words| page_of(&words)).unwrap_or_else(command))
        }
        _ => None,
    }
}

/// The words of a line without any shell syntax except `|| exit 1`.
fn words_of(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let ends = ["|| exit 1", "||exit 1", "|| false"];
    let line = ends.iter().find_map(|end| line.strip_suffix(end)).unwrap_or(line);
    let is_plain = !line.contains(SHELL_MARKS);
    is_plain.then(|| line.split_ascii_whitespace().map(ToOwned::to_owned).collect())
}

/// The page `curl` or `wget` requests from this container, without any further option.
fn page_of(words: &[String]) -> Option<HealthCheck> {
    let (program, options) = words.split_first()?;
    let (known, known_with_value, letters): (&[&str], &[&str], &str) =
        match program.rsplit('/').next()? {
            "curl" => (
                &["--fail", "--silent", "--show-error", "--location", "--insecure"],
                &["-o", "--output", "-m", "--max-time", "--connect-timeout", "--retry"],
                "fsSLk",
            ),
            "wget" => (
                &[
                    "--quiet",
                    "--spider",
                    "--no-verbose",
                    "--no-check-certificate",
                    "-nv",
                    "-qO-",
                    "-O-",
                    "-qO/dev/null",
                    "-O/dev/null",
                    "--output-document=/dev/null",
                ],
                &["-O", "-qO", "-T", "-t"],
                "qS",
            ),
            _ => return None,
        };
    let is_curl = program.ends_with("curl");
    let mut options = options.iter();
    let (mut fails, mut url) = (!is_curl, None);
    while let Some(option) = options.next() {
        let letters_only = option.strip_prefix('-').is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|letter| letters.contains(letter))
        });
        if letters_only || known.contains(&option.as_str()) {
            fails |= option == "--fail" || (letters_only && option.contains('f'));
        } else if known_with_value.contains(&option.as_str()) {
            options.next()?;
        } else if option.starts_with("--tries=") || option.starts_with("--timeout=") {
        } else if option.starts_with('-') || url.replace(option).is_some() {
            return None;
        }
    }
    // Without `--fail`, curl is content with any answer.
    if fails { page_at(url?) } else { None }
}

fn page_at(text: &str) -> Option<HealthCheck> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    };
    let is_tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    if !is_here || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", url.path()).parse().ok()?;
    Some(HealthCheck::Http { port: url.port_or_known_default()?, path, is_tls })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHELL: &[&str] = &["/bin/sh", "-c"];

    fn said(test: &[&str]) -> Healthcheck {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        Healthcheck { test, ..Healthcheck::default() }
    }

    fn check(test: &[&str]) -> Option<HealthCheck> {
        health(&said(test), None, &["53/udp".parse().unwrap(), "80".parse().unwrap()], SHELL)
            .map(|health| health.check)
    }

    fn page(port: u16, path: &str, is_tls: bool) -> HealthCheck {
        HealthCheck::Http { port, path: path.parse().unwrap(), is_tls }
    }

    #[test]
    fn a_question_for_a_page_needs_no_program() {
        for line in [
            "curl -f http://localhost:8080/healthz || exit 1",
            "curl -fsS -o /dev/null --max-time 3 localhost:8080/healthz",
            "/usr/bin/wget -q --spider --tries=1 http://127.0.0.1:8080/healthz || false",
            "wget -qO- http://[::1]:8080/healthz ||exit 1",
        ] {
            assert_eq!(check(&["CMD-SHELL", line]), Some(page(8080, "/healthz", false)), "{line}");
        }
        let words = ["CMD", "curl", "--fail", "-k", "https://localhost/a?b=1"];
        assert_eq!(check(&words), Some(page(443, "/a?b=1", true)));
    }

    #[test]
    fn what_a_probe_cannot_ask_stays_a_command() {
        for line in [
            "curl http://localhost/",
            "curl -f -H X:1 http://localhost/",
            "curl -f http://elsewhere.example/",
            "curl -f http://localhost/ | grep ok",
            "curl -f http://a:b@localhost/",
            "curl -f http://localhost:$PORT/",
            "curl -f http://localhost/ http://localhost/b",
            "redis-cli ping",
        ] {
            let command = HealthCheck::Command(vec!["/bin/sh".into(), "-c".into(), line.into()]);
            assert_eq!(check(&["CMD-SHELL", line]), Some(command), "{line}");
        }
        let command = HealthCheck::Command(vec!["pg_isready".into()]);
        assert_eq!(check(&["CMD", "pg_isready"]), Some(command));
    }

    #[test]
    fn without_a_health_check_the_first_tcp_port_is_asked() {
        for test in [&[][..], &["NONE"], &["CMD"], &["CMD-SHELL", "a", "b"]] {
            assert_eq!(check(test), Some(HealthCheck::Tcp(80)));
        }
        assert_eq!(health(&said(&[]), None, &["53/udp".parse().unwrap()], SHELL), None);
        let named: Path = "/live".parse().unwrap();
        let asked = health(&said(&["CMD", "x"]), Some(&named), &["80".parse().unwrap()], SHELL);
        assert_eq!(asked.map(|health| health.check), Some(page(80, "/live", false)));
    }

    #[test]
    fn times_are_whole_seconds_and_bounded() {
        let odd = Healthcheck {
            interval: 1,
            timeout: u64::MAX,
            start_period: 1_500_000_000,
            retries: u64::MAX,
            ..said(&["CMD", "x"])
        };
        let health = health(&odd, None, &[], SHELL).unwrap();
        let times = (health.interval, health.timeout, health.start, health.failures);
        assert_eq!(times, (1, 86_400, 2, 1_000));
    }
}
