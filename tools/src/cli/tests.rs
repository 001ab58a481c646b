//! The command line that `--help` promises.
#![allow(clippy::unwrap_used)]

use super::*;
use clap::CommandFactory as _;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_promised_command_lines_parse() {
    for line in [
        "wharf package o.yaml --plan a --plan b --output d --jobs 2 --check",
        "wharf package o.yaml --dry-run",
        "wharf verify out/a --report json=r.json --report sarif=s --profile lenient",
        "wharf verify --offer o.yaml --layouts out --fail-on warning",
        "wharf verify out/a --since old/a --report html=r.html --report github=-",
        "wharf verify a --scan t.json --scan - --report-max-age 7 --waivers w.yaml",
        "wharf verify --offer o.yaml --registry-state r.json",
        "wharf offer lint o.yaml --registry-state r.json --waivers w.yaml",
        "wharf push o.yaml --to staging --layouts out --allow-tag-move",
        "wharf push out/a 127.0.0.1:5000/a:1 --plain-http",
        "wharf promote plan o.yaml --from staging --to production --output p.json",
        "wharf promote apply p.json --ledger l --resume",
        "wharf promote status l",
        "wharf promote undo l",
        "wharf offer lint o.yaml --output-format json -q",
        "wharf offer render o.yaml --output f --color never -v",
        "wharf offer record o.yaml --target live --layouts out --ledger l --dry-run",
        "wharf offer record o.yaml --target preview --pushed p.json --time 2026-11-01T00:00:00Z",
        "wharf offer record o.yaml --target live --promoted p.ledger",
        "wharf offer record o.yaml --target live --tree t.json",
        "wharf offer record o.yaml --withdraw server --withdraw server:1.0.0",
        "wharf offer published o.yaml --ledger l",
        "wharf offer published",
        "wharf offer diff o.yaml --tree t.json --allow listing* --format markdown --output d",
        "wharf offer lint o.yaml --ledger l --tree t.json",
        "wharf offer render o.yaml --ledger l",
        "wharf tags o.yaml --ledger l",
        "wharf offer deploy aci o.yaml --plan a --format bicep --registry r.example:5000/x --output f",
        "wharf offer deploy aks o.yaml --layouts out --replicas 2 --storage 8Gi --probe-path /up",
        "wharf offer deploy aks o.yaml --plan a --format helm --output chart",
        "wharf diff a b",
        "wharf diff a b --format markdown --output d.md --all --exit-code",
        "wharf tags o.yaml --plan a --plan b --lenient --format json",
        "wharf tags o.yaml --profile strict",
        "wharf rules OFR-001",
        "wharf rules --ca-file c --authfile a",
    ] {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn command_lines_that_say_too_little_or_too_much_are_refused() {
    for line in [
        "wharf verify",
        "wharf push o.yaml",
        "wharf push out/a host/a:1 --to staging",
        "wharf package o.yaml --jobs 0",
        "wharf verify a --registry-state r.json",
        "wharf verify a --report-max-age -1",
        "wharf offer deploy o.yaml",
        "wharf offer deploy aci o.yaml --registry user:pass@r.example",
        "wharf offer deploy aci o.yaml --probe-path up",
        "wharf offer deploy aks o.yaml --replicas 0",
        "wharf offer deploy aks o.yaml --storage 8GB",
        "wharf package o.yaml --plan ../x",
        "wharf package o.yaml --check --dry-run",
        "wharf verify a --report xml=x",
        "wharf verify a --report json=",
        "wharf rules -q -v",
        "wharf tags",
        "wharf tags o.yaml --lenient --profile strict",
        "wharf offer record o.yaml",
        "wharf offer record o.yaml --target draft",
        "wharf offer record o.yaml --target live --tree t --layouts out",
        "wharf offer record o.yaml --withdraw server --target live",
        "wharf offer diff o.yaml",
        "wharf diff a",
        "wharf diff a b --format html",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
