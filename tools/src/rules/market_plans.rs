//! Rules of the sale of plans: audience, markets, and prices.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::is_guid;
use super::{Check, Findings, OfferView, Rule, Severity, published};
use crate::offer::model::{Cluster, CustomMeter, KubernetesPlan, Licence, Plan, Prices, Region};
use crate::published::ContradictionTopic;

/// Tenants the form takes by hand.
const TENANTS_BY_HAND_MAX: usize = 10;
/// The highest believable price, in US dollars for an hour or for one of a meter.
const USD_MAX: f64 = 100_000.0;
/// Meters of one plan, and characters of an ID (both of the metering service for other offers).
const METERS_MAX: usize = 30;
const METER_ID_CHARS_MAX: usize = 50;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "PLN-011",
        title: "a private plan names at least one tenant, by its GUID, and was never public",
        severity: Severity::Error,
        source: "AC-plan-availability",
        why: "Nobody could see it; and once it is public it can never be private again.",
        fix: "list the GUIDs of tenants under `audience`, or in a table with `csv`",
        check: Check::Offer(|view, judge| {
            audiences(view, judge);
            if view.offer.kubernetes_plans().any(|(_, _, plan)| plan.audience.is_some()) {
                published::against(view, judge, ContradictionTopic::Audience);
            }
        }),
    },
    Rule {
        id: "PLN-012",
        title: "markets are countries by two letters; China takes only free plans and own licences",
        severity: Severity::Error,
        source: "AC-plan-availability",
        why: "A market that is not known is refused, and Microsoft does not bill in China.",
        fix: "write codes such as US and DE, at least one, or leave `markets` out for all",
        check: Check::Offer(markets),
    },
    Rule {
        id: "PLN-013",
        title: "a plan that Microsoft bills has prices and is sold through Microsoft; others have none",
        severity: Severity::Error,
        source: "PLAN; PIAC",
        why: "The licence of a live plan can never change, nor whether Microsoft sells.",
        fix: "write `licence: payAsYouGo`, `prices` and `sellThroughMicrosoft: true` together, or none",
        check: Check::Offer(licences),
    },
    Rule {
        id: "PLN-014",
        title: "prices and meters are complete and possible",
        severity: Severity::Error,
        source: "a publisher's SDK (§0a); limits of meters by INFERENCE from other kinds of offers",
        why: "Customers pay what stands here.",
        fix: "write a unit with its price in US dollars, and meters with an ID, a name and a unit each",
        check: Check::Offer(|view, judge| {
            for (place, _, plan) in view.offer.kubernetes_plans() {
                if let Some(prices) = &plan.prices {
                    self::prices(judge, &format!("plans[{place}].prices"), prices);
                }
            }
        }),
    },
    Rule {
        id: "PLN-016",
        title: "applications are offered in Azure Global only",
        severity: Severity::Error,
        source: "PIAC",
        why: "Microsoft sells bundles in no other cloud, and a region can never be taken back.",
        fix: "write `regions: [azureGlobal]`, or leave the key out",
        check: Check::Offer(|view, judge| {
            for (place, plan, _) in view.offer.kubernetes_plans() {
                if plan.regions.iter().any(|region| *region != Region::AzureGlobal) {
                    let message = "an application is offered outside Azure Global";
                    judge.error(&format!("plans[{place}].regions"), message);
                }
            }
        }),
    },
    Rule {
        id: "OFR-016",
        title: "all applications of an offer run on one kind of cluster",
        severity: Severity::Warning,
        source: "AC-technical-assets-kubernetes (one) against K8S-S (both)",
        why: "Pages contradict each other; one kind passes by all of them.",
        fix: "keep to `clusters: [aks]` or `[arc]` in the whole offer",
        check: Check::Offer(clusters),
    },
];

fn audiences(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for (place, _, plan) in view.offer.kubernetes_plans() {
        let Some(audience) = &plan.audience else { continue };
        let key = format!("plans[{place}].audience");
        if audience.tenants.is_empty() && audience.csv.is_none() {
            judge.error(&key, "the plan is private, and nobody is named who sees it");
        }
        let count = audience.tenants.len();
        if count > TENANTS_BY_HAND_MAX {
            let message =
                format!("{count} tenants are listed; the form takes {TENANTS_BY_HAND_MAX}");
            judge.narrow(&format!("{key}.tenants"), message);
        }
        let mut known = BTreeSet::new();
        for (number, tenant) in audience.tenants.iter().enumerate() {
            let key = format!("{key}.tenants[{number}].id");
            if !is_guid(&tenant.id) {
                judge.error(&key, format!("`{}` is not the GUID of a tenant", tenant.id));
            } else if !known.insert(tenant.id.to_ascii_lowercase()) {
                judge.error(&key, format!("`{}` stands twice", tenant.id));
            }
        }
    }
}

/// ISO 3166-1, two letters each.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN \
    BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC \
    EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR \
    HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT \
    LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
    NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL \
    SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE \
    VG VI VN VU WF WS YE YT ZA ZM ZW";

fn markets(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for (place, plan, application) in view.offer.kubernetes_plans() {
        let key = format!("plans[{place}].markets");
        if application.markets.is_empty() && view.file.has(&key) {
            judge.error(&key, "there is no market");
        }
        let mut known = BTreeSet::new();
        for (number, market) in application.markets.iter().enumerate() {
            let key = format!("{key}[{number}]");
            let code = market.to_ascii_uppercase();
            if !COUNTRIES.split_whitespace().any(|country| country == code) {
                judge.error(&key, format!("`{market}` is no country or region of ISO 3166"));
            } else if code == "CN" && plan.licence == Licence::PayAsYouGo {
                judge.error(&key, "Microsoft bills nothing in China");
            } else if !known.insert(code) {
                judge.error(&key, format!("`{market}` stands twice"));
            }
        }
    }
}

/// The file's format keeps image plans free of bills (PLN-007).
fn licences(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for (place, plan, application) in view.offer.kubernetes_plans() {
        let key = format!("plans[{place}].licence");
        if plan.licence == Licence::PayAsYouGo {
            if application.prices.is_none() {
                judge.error(&key, "Microsoft bills the plan, and there is no price");
            }
            if !view.offer.offer.sell_through_microsoft {
                judge.error(&key, "Microsoft bills the plan and does not sell the offer");
            }
        } else if application.prices.is_some() {
            let message = "the plan has prices, and nobody is billed";
            judge.error(&format!("plans[{place}].prices"), message);
        }
    }
}

fn prices(judge: &mut Findings<'_>, key: &str, prices: &Prices) {
    match (prices.unit, prices.usd_per_hour) {
        (Some(_), None) => judge.error(&format!("{key}.unit"), "the unit has no `usdPerHour`"),
        (None, Some(_)) => judge.error(&format!("{key}.usdPerHour"), "the price has no `unit`"),
        (None, None) if prices.meters.is_empty() => {
            judge.error(key, "there is neither a unit nor a meter");
        }
        _ => {}
    }
    if let Some(price) = prices.usd_per_hour.filter(|price| !is_price(*price)) {
        let message = format!("`{price}` is no price in US dollars; write 0 to {USD_MAX}");
        judge.error(&format!("{key}.usdPerHour"), message);
    }
    let count = prices.meters.len();
    if count > METERS_MAX {
        let message = format!("there are {count} meters; {METERS_MAX} is the most");
        judge.error(&format!("{key}.meters"), message);
    }
    let mut known = BTreeSet::new();
    for (number, meter) in prices.meters.iter().enumerate() {
        let key = format!("{key}.meters[{number}]");
        if !known.insert(&meter.id) {
            judge.error(&format!("{key}.id"), format!("the meter `{}` stands twice", meter.id));
        }
        self::meter(judge, &key, meter);
    }
}

fn is_price(price: f64) -> bool {
    price.is_finite() && (0.0..=USD_MAX).contains(&price)
}

fn meter(judge: &mut Findings<'_>, key: &str, meter: &CustomMeter) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_id = (1..=METER_ID_CHARS_MAX).contains(&meter.id.len());
    if !is_id || !meter.id.chars().all(is_word) {
        let message = format!(
            "`{}` is no ID of 1 to {METER_ID_CHARS_MAX} letters, digits, `-`, `_`, `.`",
            meter.id
        );
        judge.error(&format!("{key}.id"), message);
    }
    for (name, text) in [("name", &meter.name), ("unit", &meter.unit)] {
        if text.trim().is_empty() {
            judge.error(&format!("{key}.{name}"), format!("the {name} of a meter is empty"));
        }
    }
    if !is_price(meter.usd_per_unit) {
        let message = format!("`{}` is no price in US dollars", meter.usd_per_unit);
        judge.error(&format!("{key}.usdPerUnit"), message);
    }
}

fn clusters(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let plans: Vec<(usize, &Plan, &KubernetesPlan)> = view.offer.kubernetes_plans().collect();
    if plans.is_empty() {
        judge.not_applicable();
    }
    let mut first: Option<Cluster> = None;
    for (place, _, plan) in plans {
        for cluster in &plan.clusters {
            if *first.get_or_insert(*cluster) != *cluster {
                let message = "the offer has applications for AKS and for Arc";
                judge.narrow(&format!("plans[{place}].clusters"), message);
                return;
            }
        }
    }
}

/// The findings of API-001 between plans: meters belong to the offer, so an ID means one thing in
/// all of them.
pub(super) fn shared_meters(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let mut known: BTreeMap<&str, &CustomMeter> = BTreeMap::new();
    for (place, _, plan) in view.offer.kubernetes_plans() {
        let meters = plan.prices.iter().flat_map(|prices| prices.meters.iter().enumerate());
        for (number, meter) in meters {
            let first = *known.entry(meter.id.as_str()).or_insert(meter);
            if first.name != meter.name || first.unit != meter.unit {
                let key = format!("plans[{place}].prices.meters[{number}].id");
                let message =
                    format!("another plan says something else of the meter `{}`", meter.id);
                judge.error(&key, message);
            }
        }
    }
}
