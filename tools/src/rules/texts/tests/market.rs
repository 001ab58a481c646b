//! Texts of the sale of an offer, and the rule about each.

use super::*;

/// The same for an offer's further marketplace settings, and for Kubernetes plans.
#[expect(clippy::too_many_lines, reason = "a table, one row per field")]
pub(super) fn market_fates() -> Vec<(&'static str, Fate)> {
    let judged = |rule, key, offer: String| Fate::Judged(rule, key, Change::Whole(offer, vec![]));
    let beside = |entry: String| changed(&[("plans:\n", &format!("{entry}\nplans:\n"))]);
    let leads = |entry: String| beside(format!("leads: {{ {entry} }}"));
    let marketo = |url: &str, account: &str, form: &str| {
        leads(format!("destination: marketo, url: {url}, account: {account}, form: {form}"))
    };
    let partner = |id: &str, label: &str| {
        let partner = format!("{{ id: {id}, label: {label} }}");
        beside(format!("resale: {{ channel: selected, partners: [{partner}] }}"))
    };
    let plan = |entry: String| format!("{}    {entry}\n", with_application());
    let tenant = |id: &str, label: &str| {
        plan(format!("audience: {{ tenants: [{{ id: {id}, label: {label} }}] }}"))
    };
    let meter = |id: &str, name: &str, unit: &str| {
        let meter = format!("{{ id: {id}, name: {name}, unit: {unit}, usdPerUnit: 1 }}");
        let prices = format!("prices: {{ meters: [{meter}] }}");
        with_application().replacen("prices: { unit: perCore, usdPerHour: 0.02 }", &prices, 1)
    };
    let in_german = |field: &str, rule, key: &'static str| {
        judged(rule, key, market_offer::translated(field, POISON))
    };
    vec![
        (
            "Lead.notify",
            judged(
                "OFR-013",
                "leads.notify[0]",
                leads(format!("destination: salesforce, account: a, notify: [{POISON}]")),
            ),
        ),
        (
            "Lead.url",
            judged(
                "OFR-013",
                "leads.url",
                leads(format!("destination: httpsEndpoint, url: {POISON}")),
            ),
        ),
        ("Lead.account", judged("LST-026", "leads.account", marketo("a.dev", POISON, "f"))),
        ("Lead.form", judged("LST-026", "leads.form", marketo("a.dev", "a", POISON))),
        (
            "Lead.username",
            judged(
                "LST-026",
                "leads.username",
                leads(format!(
                    "destination: dynamics365, url: 'https://a.dev', secret: {{ env: X }}, username: {POISON}"
                )),
            ),
        ),
        ("ResalePartner.id", judged("OFR-017", "resale.partners[0].id", partner(POISON, "a"))),
        (
            "ResalePartner.label",
            judged("LST-026", "resale.partners[0].label", partner(TABLED, POISON)),
        ),
        ("Tenant.id", judged("PLN-011", "plans[2].audience.tenants[0].id", tenant(POISON, "a"))),
        (
            "Tenant.label",
            judged("LST-026", "plans[2].audience.tenants[0].label", tenant(TABLED, POISON)),
        ),
        (
            "CustomMeter.id",
            judged("PLN-014", "plans[2].prices.meters[0].id", meter(POISON, "a", "b")),
        ),
        (
            "CustomMeter.name",
            judged("LST-026", "plans[2].prices.meters[0].name", meter("a", POISON, "b")),
        ),
        (
            "CustomMeter.unit",
            judged("LST-026", "plans[2].prices.meters[0].unit", meter("a", "b", POISON)),
        ),
        (
            "ListingTranslation.language",
            in_german("language", "LST-028", "listing.translations[0].language"),
        ),
        (
            "ListingTranslation.title",
            in_german("title", "LST-026", "listing.translations[0].title"),
        ),
        (
            "ListingTranslation.search_summary",
            in_german("searchSummary", "LST-003", "listing.translations[0].searchSummary"),
        ),
        (
            "ListingTranslation.short_description",
            in_german("shortDescription", "LST-004", "listing.translations[0].shortDescription"),
        ),
        (
            "ListingTranslation.description",
            in_german("description", "LST-027", "listing.translations[0].description"),
        ),
        (
            "ListingTranslation.keywords",
            in_german("keywords", "LST-026", "listing.translations[0].keywords[0]"),
        ),
        (
            "PlanTranslation.language",
            in_german("plan.language", "PLN-015", "plans[0].translations[0].language"),
        ),
        (
            "PlanTranslation.name",
            in_german("plan.name", "LST-026", "plans[0].translations[0].name"),
        ),
        (
            "PlanTranslation.summary",
            in_german("plan.summary", "PLN-015", "plans[0].translations[0].summary"),
        ),
        (
            "PlanTranslation.description",
            in_german("plan.description", "LST-027", "plans[0].translations[0].description"),
        ),
    ]
}
