//! The dashboard and the alerts of `proxy/examples`: each of their metrics is on the metrics page
//! of a running `wharfd`, and their expressions parse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::page::{Page, parse};
use super::{INDEX, REPO, TYPE};
use crate::fixture::{Stage, noise};

/// Labels from Prometheus itself.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];
/// Functions and aggregations, as far as they are used.
const FUNCTIONS: [&str; 11] = [
    "sum",
    "min",
    "max",
    "count",
    "rate",
    "increase",
    "histogram_quantile",
    "time",
    "avg",
    "min_over_time",
    "max_over_time",
];
/// Words before a list of labels.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words between operands.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

fn example(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/examples").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

/// An expression in pieces. Durations in brackets are one piece.
fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_:.".contains(c);
        let (token, length) = match first {
            '"' => {
                let end = rest[1..].find('"').unwrap_or_else(|| panic!("no end: {text}")) + 1;
                (Token::Text(rest[1..end].to_owned()), end + 1)
            }
            '[' => {
                let end = rest.find(']').unwrap_or_else(|| panic!("no end: {text}"));
                let span = &rest[1..end];
                let whole = span == "$__rate_interval"
                    || span
                        .strip_suffix(['s', 'm', 'h', 'd'])
                        .is_some_and(|n| n.parse::<u32>().is_ok());
                assert!(whole, "{span} is no duration in {text}");
                (Token::Sign("[]".to_owned()), end + 1)
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
            _ => {
                let two =
                    ["=~", "!~", "!=", "==", ">=", "<="].iter().find(|s| rest.starts_with(**s));
                let sign = two.map_or_else(|| first.to_string(), |s| (*s).to_owned());
                assert!(two.is_some() || "(){},=<>+-*/%".contains(first), "{first} in {text}");
                (Token::Sign(sign.clone()), sign.len())
            }
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    found
}

/// Label, sign, value.
type Matcher = (String, String, String);

/// The metrics of an expression, each with its matchers, and its grouping labels.
#[derive(Default)]
struct Asked {
    metrics: Vec<(String, Vec<Matcher>)>,
    labels: BTreeSet<String>,
}

/// The words of a list in parentheses or braces from `at` on, and the position of its end.
fn list(tokens: &[Token], at: usize) -> (Vec<Token>, usize) {
    let length = tokens[at..]
        .iter()
        .position(|token| matches!(token, Token::Sign(sign) if sign == ")" || sign == "}"));
    let end = at + length.expect("a list ends");
    (tokens[at + 1..end].to_vec(), end)
}

fn read(expression: &str) -> Asked {
    let tokens = tokens(expression);
    let sign = |at: usize, wanted: &str| matches!(tokens.get(at), Some(Token::Sign(sign)) if sign == wanted);
    let (mut asked, mut depth, mut at) = (Asked::default(), 0_i32, 0);
    while at < tokens.len() {
        match &tokens[at] {
            Token::Sign(sign) if sign == "(" => depth += 1,
            Token::Sign(sign) if sign == ")" => depth -= 1,
            Token::Word(word) if GROUPINGS.contains(&word.as_str()) => {
                assert!(sign(at + 1, "("), "{expression}");
                let (labels, end) = list(&tokens, at + 1);
                asked.labels.extend(labels.into_iter().filter_map(|token| match token {
                    Token::Word(word) => Some(word),
                    _ => None,
                }));
                at = end;
            }
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => {}
            Token::Word(word) if word.parse::<f64>().is_ok() => {}
            Token::Word(word)
                if sign(at + 1, "(")
                    || matches!(&tokens.get(at + 1), Some(Token::Word(by)) if GROUPINGS.contains(&by.as_str())) =>
            {
                assert!(FUNCTIONS.contains(&word.as_str()), "{word}() in {expression}");
            }
            Token::Word(metric) => {
                let mut matchers = Vec::new();
                if sign(at + 1, "{") {
                    let (inside, end) = list(&tokens, at + 1);
                    for matcher in inside.split(|token| *token == Token::Sign(",".to_owned())) {
                        let [Token::Word(label), Token::Sign(how), Token::Text(value)] = matcher
                        else {
                            panic!("{matcher:?} in {expression}");
                        };
                        matchers.push((label.clone(), how.clone(), value.clone()));
                    }
                    at = end;
                }
                asked.metrics.push((metric.clone(), matchers));
            }
            Token::Text(_) | Token::Sign(_) => {}
        }
        assert!(depth >= 0, "{expression}");
        at += 1;
    }
    assert_eq!(depth, 0, "parentheses do not match in {expression}");
    assert!(!asked.metrics.is_empty(), "{expression} asks for nothing");
    asked
}

/// Panics at every metric or label of an expression without a place on the page.
fn check(page: &Page, expression: &str) -> BTreeSet<String> {
    let asked = read(expression);
    let mut known: BTreeSet<&str> = TARGET_LABELS.into();
    known.insert("le");
    for (metric, matchers) in &asked.metrics {
        if metric == "up" {
            continue;
        }
        let rows = page.find(metric, &[]);
        assert!(!rows.is_empty(), "{metric} is not on the page: {expression}");
        known.extend(rows.iter().flat_map(|row| row.labels.keys()).map(String::as_str));
        for (label, how, value) in matchers {
            if TARGET_LABELS.contains(&label.as_str()) {
                continue;
            }
            let values: BTreeSet<_> = rows.iter().filter_map(|row| row.labels.get(label)).collect();
            assert!(!values.is_empty(), "{metric} has no label {label}: {expression}");
            let words: Vec<&str> = match how.as_str() {
                _ if value.contains('$') => Vec::new(),
                "=~" => value.split('|').collect(),
                _ => vec![value],
            };
            for word in words {
                let found = values.iter().any(|value| value.as_str() == word);
                assert!(found, "{metric} has no {label}=\"{word}\": {expression}");
            }
        }
    }
    for label in &asked.labels {
        assert!(known.contains(label.as_str()), "nothing has the label {label}: {expression}");
    }
    asked.metrics.into_iter().map(|(metric, _)| metric).collect()
}

/// A page with every metric of a `wharfd` with an upstream and a limit.
async fn page() -> Option<Page> {
    let limited = |setup: crate::fixture::Setup| setup.lines("store_limit = \"1GiB\"\n");
    let stage = Stage::start_with(limited).await?;
    let digest = stage.api().push_blob(REPO, noise(20, 10_000)).await;
    stage.api().put_manifest(REPO, "v1", TYPE, INDEX).await;
    assert_eq!(stage.api().get_blob(REPO, &digest).await.status, 200);
    let page = parse(&stage.wharfd.admin("/metrics").await.text());
    Some(page)
}

/// ACR reports the rest of a quota; the double does not.
fn with_quota(mut page: Page) -> Page {
    let window = page.find("wharfd_upstream_window", &[]);
    let mut left: Vec<_> = window.into_iter().cloned().collect();
    for row in &mut left {
        "wharfd_upstream_quota_left".clone_into(&mut row.name);
    }
    assert!(page.kinds.contains_key("wharfd_upstream_quota_left"));
    page.rows.extend(left);
    page
}

/// Title, and each expression with its legend.
fn panels(dashboard: &Value) -> Vec<(&str, Vec<(&str, &str)>)> {
    let all = dashboard["panels"].as_array().unwrap().iter();
    let shown = all.filter(|panel| panel["type"] != "row");
    shown
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter().map(|target| {
                (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap())
            });
            (panel["title"].as_str().unwrap(), targets.collect())
        })
        .collect()
}

#[tokio::test]
async fn the_dashboard_names_only_what_the_page_has() {
    let Some(page) = page().await.map(with_quota) else { return };
    let dashboard: Value = serde_json::from_str(&example("grafana/wharfd.json")).unwrap();
    let (mut used, mut places) = (BTreeSet::new(), BTreeMap::new());
    assert!(panels(&dashboard).len() > 40);
    for (title, targets) in panels(&dashboard) {
        for (expression, legend) in targets {
            let metrics = check(&page, expression);
            for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                let has = |metric: &String| {
                    page.find(metric, &[]).iter().any(|row| row.labels.contains_key(label))
                };
                let known = TARGET_LABELS.contains(&label) || metrics.iter().any(has);
                assert!(known, "{title}: nothing has the label {label}");
            }
            used.extend(metrics);
        }
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = &panel["gridPos"];
        let place = (at["y"].as_u64().unwrap(), at["x"].as_u64().unwrap());
        assert!(at["x"].as_u64().unwrap() + at["w"].as_u64().unwrap() <= 24, "{panel}");
        assert!(places.insert(place, panel["id"].clone()).is_none(), "two panels at {place:?}");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["definition"].as_str() else { continue };
        let inside = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        check(&page, inside.rsplit_once(',').unwrap().0);
    }
    // Every metric is visible: each family is in some panel.
    let family = |metric: &String| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| metric.strip_suffix(s))
            .unwrap_or(metric)
            .to_owned()
    };
    let used: BTreeSet<String> = used.iter().map(family).collect();
    let unused: Vec<_> = page.kinds.keys().filter(|kind| !used.contains(*kind)).collect();
    assert!(unused.len() <= 12, "{unused:?}");
}

#[tokio::test]
async fn the_alerts_name_only_what_the_page_has() {
    let Some(page) = page().await.map(with_quota) else { return };
    let rules: Value = serde_saphyr::from_str(&example("prometheus/alerts.yml")).unwrap();
    let mut names = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} comes twice");
        check(&page, rule["expr"].as_str().unwrap());
        assert!(
            ["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        for text in ["summary", "action"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|t| t.len() > 10),
                "{name} {text}"
            );
        }
    }
    assert!(names.len() > 15, "{names:?}");
    let scrape: Value = serde_saphyr::from_str(&example("prometheus/prometheus.yml")).unwrap();
    assert_eq!(scrape["rule_files"][0], "alerts.yml");
    assert_eq!(scrape["scrape_configs"][0]["job_name"], "wharfd");
}

#[test]
fn what_is_wrong_in_an_expression_is_seen() {
    let page = parse(
        "# HELP a_total A.\n# TYPE a_total counter\na_total{outcome=\"hit\"} 1\na_total{outcome=\"fill\"} 1\n",
    );
    check(&page, "sum by (outcome) (rate(a_total{job=~\"$job\",outcome=~\"hit|fill\"}[5m])) > 0.5");
    for wrong in [
        "rate(b_total[5m])",
        "rate(a_total{upstream=\"x\"}[5m])",
        "rate(a_total{outcome=\"miss\"}[5m])",
        "sum by (upstream) (a_total)",
        "sum(a_total",
        "ratio(a_total[5m])",
        "rate(a_total[5 minutes])",
    ] {
        let seen = std::panic::catch_unwind(|| check(&page, wrong)).is_err();
        assert!(seen, "{wrong} is not seen to be wrong");
    }
}
