//! Rules of an offer's marketplace settings besides its plans: tables of audiences, leads, resale.

use super::identity::is_guid;
use super::listing::is_mail_address;
use super::{Check, Findings, OfferView, Rule, Severity, urls};
use crate::offer::audience::AudienceTable;
use crate::offer::market::{Lead, LeadDestination, ResaleChannel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "OFR-008",
        title: "tables of audiences have the columns and the type that the form takes",
        severity: Severity::Error,
        source: "AC-preview-audience; the type of tenants is INFERENCE",
        why: "The form refuses a table as a whole and names no line.",
        fix: "write `Id,Description,Type` as the first line, and a GUID and the type in each below it",
        check: Check::Offer(|view, judge| {
            let content = view.content;
            if let Some(rows) = &content.preview_table {
                table(judge, "preview.csv", rows);
            }
            for (place, rows) in &content.audience_tables {
                table(judge, &format!("plans[{place}].audience.csv"), rows);
            }
            if content.preview_table.is_none() && content.audience_tables.is_empty() {
                judge.not_applicable();
            }
        }),
    },
    Rule {
        id: "OFR-013",
        title: "the destination of leads has all that it needs, and sends over https",
        severity: Severity::Warning,
        source: "PCP; AC-offer-setup",
        why: "Partner Center sends a test lead; without one of these nobody is told of customers.",
        fix: "write the keys of the destination, and an https address",
        check: Check::Offer(|view, judge| match &view.offer.leads {
            Some(lead) => leads(judge, lead),
            None => judge.not_applicable(),
        }),
    },
    Rule {
        id: "OFR-017",
        title: "partners who may resell are listed by the GUIDs of their tenants, if they are selected",
        severity: Severity::Error,
        source: "PIA (reseller)",
        why: "A list without a use, or a use without a list, opens the offer to others than meant.",
        fix: "write `channel: selected` with `partners`, or another channel without them",
        check: Check::Offer(resale),
    },
];

/// Faults in a table, by its lines.
fn table(judge: &mut Findings<'_>, key: &str, table: &AudienceTable) {
    for fault in &table.faults {
        judge.error(key, format!("line {} of the table: {}", fault.line, fault.message));
    }
    let mut known = std::collections::BTreeSet::new();
    let mut add =
        |line, what: String| judge.error(key, format!("line {line} of the table: {what}"));
    // A table of another kind has thousands of the same fault.
    let mut left = 20_usize;
    for row in &table.rows {
        let what = if !is_guid(&row.id) {
            format!("`{}` is not a GUID", row.id)
        } else if !known.insert(row.id.to_ascii_lowercase()) {
            format!("`{}` stands twice", row.id)
        } else {
            continue;
        };
        add(row.line, what);
        left -= 1;
        if left == 0 {
            break;
        }
    }
}

fn leads(judge: &mut Findings<'_>, lead: &Lead) {
    let given = [
        ("url", lead.url.is_some()),
        ("account", lead.account.is_some()),
        ("form", lead.form.is_some()),
        ("username", lead.username.is_some()),
        ("secret", lead.secret.is_some()),
    ];
    let needed = needs(lead.destination);
    for (name, is_given) in given {
        let key = format!("leads.{name}");
        if needed.contains(&name) && !is_given {
            judge.warning("leads.destination", format!("this destination needs `{name}`"));
        } else if !needed.contains(&name) && is_given {
            judge.warning(&key, format!("this destination has no use for `{name}`"));
        }
    }
    if let Some(url) = &lead.url {
        let is_secure = url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        // Marketo is named by a server, not by an address.
        let is_server = lead.destination == LeadDestination::Marketo && !url.contains("://");
        let fault = urls::fault(url).filter(|_| !is_server);
        if let Some(fault) = fault {
            judge.warning("leads.url", fault);
        } else if !is_secure && !is_server {
            judge.warning("leads.url", format!("`{url}` is not https: leads are people's data"));
        }
    }
    for (place, address) in lead.notify.iter().enumerate() {
        if !is_mail_address(address) {
            let message = format!("`{address}` is not a mail address");
            judge.warning(&format!("leads.notify[{place}]"), message);
        }
    }
}

/// The keys of a destination.
const fn needs(destination: LeadDestination) -> &'static [&'static str] {
    match destination {
        LeadDestination::AzureTable => &["secret"],
        LeadDestination::Dynamics365 => &["url", "username", "secret"],
        LeadDestination::HttpsEndpoint => &["url"],
        LeadDestination::Marketo => &["url", "account", "form"],
        LeadDestination::Salesforce => &["account"],
    }
}

fn resale(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let Some(resale) = &view.offer.resale else {
        judge.not_applicable();
        return;
    };
    let is_selected = resale.channel == ResaleChannel::Selected;
    if is_selected && resale.partners.is_empty() {
        judge.error("resale.channel", "partners are to be selected, and none is listed");
    }
    if !is_selected && !resale.partners.is_empty() {
        judge.error("resale.partners", "partners are listed, and the channel is not `selected`");
    }
    let mut known = std::collections::BTreeSet::new();
    for (place, partner) in resale.partners.iter().enumerate() {
        let key = format!("resale.partners[{place}].id");
        if !is_guid(&partner.id) {
            judge.error(&key, format!("`{}` is not the GUID of a tenant", partner.id));
        } else if !known.insert(partner.id.to_ascii_lowercase()) {
            judge.error(&key, format!("`{}` stands twice", partner.id));
        }
    }
}
