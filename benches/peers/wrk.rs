//! Debian's `wrk`: requests per second over keep-alive connections, and the parser of its report.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::content::MANIFEST_TYPE;

/// The figures of one wrk report.
#[derive(Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) p99_ms: f64,
    pub(crate) requests: f64,
}

/// Asks for one path as often as it goes. Any answer but success is an error.
pub(crate) fn run(
    addr: SocketAddr,
    path: &str,
    connections: usize,
    seconds: usize,
) -> anyhow::Result<Rate> {
    run_as(addr, path, None, (connections, seconds))
}

/// The same with this `Authorization`, over so many connections for so many seconds.
pub(crate) fn run_as(
    addr: SocketAddr,
    path: &str,
    authorization: Option<&str>,
    (connections, seconds): (usize, usize),
) -> anyhow::Result<Rate> {
    let threads = connections.min(std::thread::available_parallelism()?.get());
    let mut command = Command::new("wrk");
    command.args(["--latency", "-H"]).arg(format!("Accept: {MANIFEST_TYPE}, */*"));
    if let Some(shown) = authorization {
        command.arg("-H").arg(format!("Authorization: {shown}"));
    }
    let output = command
        .arg(format!("-t{threads}"))
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .arg(format!("http://{addr}{path}"))
        .output()
        .context("cannot start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    parse(&text).with_context(|| format!("wrk on {path} says:\n{text}"))
}

fn parse(text: &str) -> anyhow::Result<Rate> {
    let trouble = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
    if let Some(line) = text.lines().find(trouble) {
        anyhow::bail!("{}", line.trim());
    }
    let after = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim).with_context(|| format!("no {name}"))
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    Ok(Rate {
        per_second: after("Requests/sec:")?.parse()?,
        p99_ms: millis(after("99%")?).context("not a time")?,
        requests: requests.context("no count")?.0.parse()?,
    })
}

fn millis(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    let parse = |(unit, factor): (&str, f64)| {
        let figure: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(figure * factor)
    };
    units.into_iter().find_map(parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 3s test @ http://127.0.0.1:1/\n  2 threads and 16 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   136.66us 90us  2.33ms\n  \
        Latency Distribution\n     50%  120.00us\n     99%    1.50ms\n  \
        328422 requests in 3.00s, 300.00MB read\nRequests/sec: 109430.10\nTransfer/sec: 100.00MB\n";

    #[test]
    fn what_wrk_says_is_read() {
        let rate = parse(SAID).unwrap();
        assert_eq!(rate, Rate { per_second: 109_430.10, p99_ms: 1.5, requests: 328_422.0 });
        assert_eq!(millis("250.00us"), Some(0.25));
        assert_eq!(millis("2.00s"), Some(2000.0));
    }

    #[test]
    fn answers_that_are_no_success_are_an_error() {
        let text = format!("{SAID}  Non-2xx or 3xx responses: 12\n");
        assert!(parse(&text).unwrap_err().to_string().contains("12"));
    }
}
