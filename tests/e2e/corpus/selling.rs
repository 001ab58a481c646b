//! Offers with unsellable terms: the audience, the market, the price, the language.

use wharf_testkit::offers::{Offer, blurred};

use super::applications::{plan, sold};
use super::{Case, Error, Warning, offer};

const NAMESPACE: &str = "    namespace: tide\n";
const PRICES: &str = "prices: { unit: perCore, usdPerHour: 0.02 }";
const TENANT: &str = "d2a7f610-93b8-4c05-8e4f-7b16c09a52ed";

/// The plan of the application with one more line.
fn line(at: &mut Offer, line: &str) {
    plan(at, NAMESPACE, &format!("{NAMESPACE}    {line}\n"));
}

/// The offer with one more key.
fn beside(at: &mut Offer, entry: &str) {
    at.replace("\nplans:\n", &format!("\n{entry}\nplans:\n"));
}

/// One more plan of the application, like the first.
fn another(at: &mut Offer, number: u8, change: fn(String) -> String) {
    let (_, first) = at.text.split_once("  - id: tide-cluster\n").unwrap();
    let first = first.split("  - id: ").next().unwrap();
    let letters: String =
        [number / 26, number % 26].map(|at| char::from(b'a' + at)).iter().collect();
    let plan = format!("  - id: tide-cluster-{letters}\n{first}")
        .replace("name: Cluster", &format!("name: Cluster {letters}"))
        .replace("Quayline.Tide", &format!("Quayline.Tide{letters}"))
        .replace("tide/bundle", &format!("tide/bundle-{letters}"));
    at.text.push_str(&change(plan));
}

/// The offer in German, too.
fn translated(at: &mut Offer, language: &str) {
    at.add_after(
        "    - { title: A tour, url: https://vimeo.com/2, thumbnail: video.png }\n",
        &format!(
            "  translations:\n    - language: {language}\n      title: Tide\n      searchSummary: Sagt, wann \
             das Wasser hoch ist.\n      shortDescription: Ein kleiner Dienst.\n      description: \
             \"<p>This application is available only in German. Braucht 1 CPU und 2 GB RAM.</p>\"\n"
        ),
    );
}

pub(super) const CASES: &[Case] = &[
    offer("OFR-005", Error, "there are 46 private plans", |at| {
        sold(at);
        let audience = format!("{NAMESPACE}    audience: {{ tenants: [{{ id: {TENANT} }}] }}\n");
        at.replace(NAMESPACE, &audience);
        for number in 1..46 {
            another(at, number, |plan| plan);
        }
    }),
    offer("OFR-008", Error, "the table of the preview has other columns", |at| {
        at.replace("preview:\n", "preview:\n  csv: preview.csv\n");
        at.file("preview.csv", "Id;Description;Type\n");
    }),
    offer("OFR-013", Warning, "leads go to a table without a secret", |at| {
        beside(at, "leads: { destination: azureTable }");
    }),
    offer("OFR-017", Error, "nobody is named who may sell it", |at| {
        beside(at, "resale: { channel: selected }");
    }),
    offer("LST-019", Warning, "a screenshot was made larger than it was", |at| {
        at.file("screen.png", blurred(1280, 720));
    }),
    offer("LST-022", Warning, "an image calls itself otherwise than the listing", |at| {
        at.replace(
            "exposedPorts: [8080/tcp]\n",
            "exposedPorts: [8080/tcp]\n        labels: { org.opencontainers.image.title: Ebb }\n",
        );
    }),
    offer("LST-023", Warning, "the title is that of somebody else's software", |at| {
        at.replace("title: Tide for containers", "title: Redis Server");
    }),
    offer("LST-024", Warning, "nothing says how much it needs", |at| {
        at.file("listing.html", "<p>Tides are when the water comes and goes.</p>\n");
    }),
    offer("LST-028", Error, "a language stands twice", |at| translated(at, "en-us")),
    offer("PLN-011", Error, "a private plan has no tenant", |at| line(at, "audience: {}")),
    offer("PLN-012", Error, "a market is no country", |at| line(at, "markets: [DE, Germany]")),
    offer("PLN-013", Error, "a plan without a price is billed", |at| {
        sold(at);
        at.replace(&format!("    {PRICES}\n"), "");
    }),
    offer("PLN-014", Error, "a price is below nothing", |at| {
        sold(at);
        at.replace("usdPerHour: 0.02", "usdPerHour: -1");
    }),
    offer("PLN-015", Error, "a plan is translated, and the listing is not", |at| {
        at.add_after(
            "    licence: byol\n",
            "    translations:\n      - { language: fr-fr, name: Service, summary: Le service., description: \
             \"<p>Rien que le programme qui répond.</p>\" }\n",
        );
    }),
    offer("PLN-016", Error, "an application is for governments", |at| {
        line(at, "regions: [azureGovernment]");
        at.add_after(
            "  supportUrl: https://quayline.dev/help\n",
            "  governmentSupportUrl: https://quayline.dev/gov\n",
        );
    }),
    offer("API-001", Error, "two plans count by one meter and call it differently", |at| {
        sold(at);
        let meter = "prices: { meters: [{ id: calls, name: Calls, unit: call, usdPerUnit: 1 }] }";
        at.replace(PRICES, meter);
        another(at, 1, |plan| plan.replace("name: Calls", "name: Requests"));
    }),
];
