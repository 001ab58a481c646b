//! Breaches of the rules of the sale of an offer.

use super::market_offer::translated;
use super::{Change, file, png, text};
use crate::offer::fixture::{APPLICATION, TABLED, changed, with_application};
use crate::pictures::tests::stripes;
use crate::rules::Severity;

type Row = (&'static str, Change, Severity, &'static str);

/// The offer with an application, with pieces replaced.
fn application(changes: &[(&str, &str)]) -> Change {
    let mut offer = with_application();
    for (from, to) in changes {
        assert!(offer.contains(from), "the test offer does not hold {from:?}");
        offer = offer.replacen(from, to, 1);
    }
    Change::Whole(offer, Vec::new())
}

/// The application with one more line.
fn plan(line: &str) -> Change {
    Change::Whole(format!("{}    {line}\n", with_application()), Vec::new())
}

/// The offer with one more key.
fn beside(entry: &str) -> Change {
    text("plans:\n", format!("{entry}\nplans:\n"))
}

fn table(rows: &str) -> Change {
    let offer = changed(&[("preview:\n", "preview:\n  csv: preview.csv\n")]);
    Change::Whole(offer, vec![("preview.csv", rows.as_bytes().to_vec())])
}

fn prices(prices: &str) -> Change {
    application(&[("prices: { unit: perCore, usdPerHour: 0.02 }", prices)])
}

pub(super) fn rows() -> Vec<Row> {
    let rows = [offer_rows(), listing_rows(), plan_rows(), payload_rows()];
    rows.into_iter().flatten().collect()
}

fn offer_rows() -> Vec<Row> {
    use Severity::{Error, Warning};
    let private: Vec<String> = (0..46)
        .map(|number| {
            let named = APPLICATION
                .replacen("id: cluster", &format!("id: cluster-{number}"), 1)
                .replacen("name: Cluster", &format!("name: Cluster {number}"), 1);
            format!("{named}    audience: {{ tenants: [{{ id: {TABLED} }}] }}\n")
        })
        .collect();
    let private = private.concat();
    let many = Change::Whole(format!("{}{private}", changed(&[])), Vec::new());
    let start = TABLED.get(..32).unwrap_or_default();
    let hundred: Vec<String> =
        (0..100).map(|number| format!("{start}{number:04x},,SubscriptionId\n")).collect();
    let hundred = hundred.concat();
    vec![
        ("OFR-005", many, Error, "plans"),
        ("OFR-007", table(&format!("Id,Description,Type\n{hundred}")), Error, "preview.csv"),
        ("OFR-008", table("Id;Description;Type\n"), Error, "preview.csv"),
        ("OFR-008", table("Id,Description,Type\nme,,SubscriptionId\n"), Error, "preview.csv"),
        (
            "OFR-008",
            table(&format!("Id,Description,Type\n{TABLED},,TenantId\n")),
            Error,
            "preview.csv",
        ),
        ("OFR-013", beside("leads: { destination: azureTable }"), Warning, "leads.destination"),
        (
            "OFR-013",
            beside("leads: { destination: httpsEndpoint, url: 'http://a.dev/leads' }"),
            Warning,
            "leads.url",
        ),
        (
            "OFR-013",
            beside("leads: { destination: salesforce, account: a, form: b }"),
            Warning,
            "leads.form",
        ),
        (
            "OFR-016",
            application(&[("    namespace:", "    clusters: [aks, arc]\n    namespace:")]),
            Warning,
            "plans[2].clusters",
        ),
        ("OFR-017", beside("resale: { channel: selected }"), Error, "resale.channel"),
        (
            "OFR-017",
            beside(&format!("resale: {{ channel: all, partners: [{{ id: {TABLED} }}] }}")),
            Error,
            "resale.partners",
        ),
        (
            "OFR-017",
            beside("resale: { channel: selected, partners: [{ id: me }] }"),
            Error,
            "resale.partners[0].id",
        ),
    ]
}

fn listing_rows() -> Vec<Row> {
    use Severity::{Error, Warning};
    let whole = |field: &str, to: &str| Change::Whole(translated(field, to), Vec::new());
    let label = "labels: { org.opencontainers.image.title: Otherline }\n        user:";
    vec![
        ("LST-001", whole("title", &"t".repeat(201)), Error, "listing.translations[0].title"),
        (
            "LST-003",
            whole("searchSummary", &"t".repeat(101)),
            Error,
            "listing.translations[0].searchSummary",
        ),
        (
            "LST-008",
            whole("description", "Nur das."),
            Warning,
            "listing.translations[0].description",
        ),
        ("LST-009", whole("keywords", "nirgends"), Warning, "listing.translations[0].keywords[0]"),
        (
            "LST-019",
            file("screen.png", stripes(1280, 720, 4)),
            Warning,
            "listing.screenshots[0].file",
        ),
        (
            "LST-022",
            text("user:", label),
            Warning,
            "plans[0].image.config.labels.org.opencontainers.image.title",
        ),
        ("LST-023", text("title: Tidepool Cache", "title: Redis Server"), Warning, "listing.title"),
        ("LST-024", file("description.html", *b"<p>cache</p>"), Warning, "listing.description"),
        ("LST-028", whole("language", "German"), Error, "listing.translations[0].language"),
        ("LST-028", whole("language", "en-us"), Error, "listing.translations[0].language"),
        ("PLN-015", whole("plan.language", "fr-fr"), Error, "plans[0].translations[0].language"),
        ("PLN-015", whole("plan.language", "fr-fr"), Warning, "plans[0].translations"),
        (
            "PLN-015",
            whole("plan.summary", &"s".repeat(101)),
            Error,
            "plans[0].translations[0].summary",
        ),
        ("LST-015", file("large.png", png(200, 200, [9, 9, 9])), Error, "listing.logos.large"),
    ]
}

fn plan_rows() -> Vec<Row> {
    use Severity::{Error, Warning};
    let eleven: Vec<String> = (0..11)
        .map(|number| format!("{{ id: {}{number:04x} }}", TABLED.get(..32).unwrap_or("")))
        .collect();
    let eleven = format!("audience: {{ tenants: [{}] }}", eleven.join(", "));
    let meter = |entry: &str| {
        prices(&format!(
            "prices: {{ meters: [{{ id: calls, name: Calls, unit: call, usdPerUnit: {entry} }}] }}"
        ))
    };
    vec![
        ("PLN-011", plan("audience: {}"), Error, "plans[2].audience"),
        (
            "PLN-011",
            plan("audience: { tenants: [{ id: me }] }"),
            Error,
            "plans[2].audience.tenants[0].id",
        ),
        ("PLN-011", plan(&eleven), Warning, "plans[2].audience.tenants"),
        ("PLN-012", plan("markets: []"), Error, "plans[2].markets"),
        ("PLN-012", plan("markets: [DE, Germany]"), Error, "plans[2].markets[1]"),
        ("PLN-012", plan("markets: [DE, de]"), Error, "plans[2].markets[1]"),
        ("PLN-012", plan("markets: [CN]"), Error, "plans[2].markets[0]"),
        ("PLN-013", plan(""), Error, "plans[2].licence"),
        (
            "PLN-013",
            application(&[("licence: payAsYouGo", "licence: free")]),
            Error,
            "plans[2].prices",
        ),
        ("PLN-013", prices(""), Error, "plans[2].licence"),
        ("PLN-014", prices("prices: { unit: perCore }"), Error, "plans[2].prices.unit"),
        ("PLN-014", prices("prices: { usdPerHour: 1 }"), Error, "plans[2].prices.usdPerHour"),
        ("PLN-014", prices("prices: {}"), Error, "plans[2].prices"),
        (
            "PLN-014",
            prices("prices: { unit: perCore, usdPerHour: -1 }"),
            Error,
            "plans[2].prices.usdPerHour",
        ),
        ("PLN-014", meter(".inf"), Error, "plans[2].prices.meters[0].usdPerUnit"),
        ("PLN-016", plan("regions: [azureGovernment]"), Error, "plans[2].regions"),
    ]
}

fn payload_rows() -> Vec<Row> {
    use Severity::Error;
    let digest = format!("sha256:{}", "ab".repeat(32));
    let bundle =
        format!("bundle: {{ repository: tidepool/bundle, version: 1.0.0, digest: \"{digest}\" }}");
    let meters = |name: &str| {
        format!("prices: {{ meters: [{{ id: calls, name: {name}, unit: call, usdPerUnit: 1 }}] }}")
    };
    let old = "prices: { unit: perCore, usdPerHour: 0.02 }";
    let first = APPLICATION.replacen(old, &meters("Calls"), 1);
    let second = first.replacen(&meters("Calls"), &meters("Requests"), 1).replacen(
        "id: cluster",
        "id: cluster-two",
        1,
    );
    let two = Change::Whole(format!("{}{first}{second}", changed(&[])), Vec::new());
    vec![
        (
            "TEC-024",
            text("    containers:", "    Data Bases: [x]\n    containers:"),
            Error,
            "offer",
        ),
        ("API-001", plan(&bundle), Error, "registries.production.azure"),
        ("API-001", two, Error, "plans[3].prices.meters[0].id"),
    ]
}
