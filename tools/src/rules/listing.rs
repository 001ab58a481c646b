//! Rules LST-009 to LST-014 and LST-025: words to be found by, addresses and people.

use super::listing_fields::{descriptions, languages};
use super::{Check, Findings, OfferView, Rule, Severity, html, markup, urls};
use crate::characters::is_hidden;
use crate::logins;
use crate::offer::model::Region;
use crate::offer::texts::Terms;

const KEYWORDS_MAX: usize = 3;
const LINKS_MAX: usize = 25;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-009",
        title: "there are at most three keywords, each also in the summary or the description",
        severity: Severity::Warning,
        source: "GTM",
        why: "A keyword that the texts never use does not help the search.",
        fix: "use each keyword in the search summary or the description, or choose another",
        check: Check::Offer(keywords),
    },
    Rule {
        id: "LST-010",
        title: "the privacy policy has an address that customers can open",
        severity: Severity::Error,
        source: "AC-offer-listing",
        why: "The policy must be public.",
        fix: "write the http(s) address of your own privacy policy",
        check: Check::Offer(|view, judge| {
            let (key, url) = ("listing.privacyPolicy", &view.offer.listing.privacy_policy);
            match urls::fault(url) {
                Some(fault) => judge.error(key, fault),
                None if urls::is_placeholder(url) => {
                    judge.error(key, format!("`{url}` is an address from a template"));
                }
                None => {}
            }
        }),
    },
    Rule {
        id: "LST-011",
        title: "there are at most 25 links, each with a title and its own address",
        severity: Severity::Error,
        source: "AC-offer-listing",
        why: "Links without a title or with a second use are refused by the form.",
        fix: "give each link a title and an http(s) address of its own",
        check: Check::Offer(links),
    },
    Rule {
        id: "LST-012",
        title: "support and engineering contacts have a name, a mail address and a telephone number",
        severity: Severity::Error,
        source: "CPP-support-tab; AC-offer-listing",
        why: "Customers ask the one, Microsoft asks the other when certification fails.",
        fix: "write a name, name@host.domain, and a number such as \"+1 206 555 0142\"",
        check: Check::Offer(contacts),
    },
    Rule {
        id: "LST-013",
        title: "the support page has an address that customers can open",
        severity: Severity::Error,
        source: "PLAN; AC-offer-listing",
        why: "The listing links to it.",
        fix: "write the http(s) address of your support page",
        check: Check::Offer(|view, judge| {
            if let Some(fault) = urls::fault(&view.offer.listing.support_url) {
                judge.error("listing.supportUrl", fault);
            }
        }),
    },
    Rule {
        id: "LST-014",
        title: "an offer for government customers has a support page for them",
        severity: Severity::Error,
        source: "AC-offer-listing",
        why: "A plan in Azure Government needs its own support address.",
        fix: "write `governmentSupportUrl`, or remove azureGovernment from the regions",
        check: Check::Offer(|view, judge| {
            let government =
                view.offer.plans.iter().any(|plan| plan.regions.contains(&Region::AzureGovernment));
            match &view.offer.listing.government_support_url {
                Some(url) => {
                    if let Some(fault) = urls::fault(url) {
                        judge.error("listing.governmentSupportUrl", fault);
                    }
                }
                None if government => judge.error(
                    "listing.governmentSupportUrl",
                    "a plan is offered in Azure Government, and there is no support page for it",
                ),
                None => {}
            }
        }),
    },
    Rule {
        id: "LST-025",
        title: "addresses, also those in descriptions, hold no credentials and no private hosts",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "The listing is public, and Microsoft fetches the pictures from the address given.",
        fix: "write a public address without user name and password",
        check: Check::Offer(|view, judge| {
            for (key, url) in addresses(view) {
                if let Some(fault) = urls::unsafe_fault(&url) {
                    judge.error(&key, fault);
                }
                if let Some(secret) = urls::secret(&url) {
                    judge.warning(&key, secret);
                }
            }
            // The others are judged by the rule of their field.
            let partner = view.offer.listing.contacts.csp.as_ref().and_then(|csp| csp.url.as_ref());
            let bases = [
                ("listing.assetBaseUrl", view.offer.listing.asset_base_url.as_ref()),
                ("listing.contacts.csp.url", partner),
            ];
            for (key, url) in bases {
                if let Some(fault) = url.and_then(|url| urls::fault(url)) {
                    judge.error(key, fault);
                }
            }
            for (key, html) in descriptions(view) {
                markup::links(judge, &key, html);
            }
        }),
    },
];

fn keywords(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for texts in languages(view) {
        let count = texts.keywords.len();
        if count > KEYWORDS_MAX {
            let message = format!("there are {count} keywords; only {KEYWORDS_MAX} are used");
            judge.warning(&texts.key("keywords"), message);
        }
        let all = format!(
            "{} {} {} {}",
            texts.title,
            texts.search_summary,
            texts.short_description,
            html::plain_text(texts.description),
        )
        .to_lowercase();
        for (place, keyword) in texts.keywords.iter().enumerate() {
            let wanted = keyword.trim().to_lowercase();
            if wanted.is_empty() || !all.contains(&wanted) {
                let message = format!("the keyword `{keyword}` stands in no text of the listing");
                judge.warning(&texts.key(&format!("keywords[{place}]")), message);
            }
        }
    }
}

fn links(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for texts in languages(view) {
        let count = texts.links.len();
        if count > LINKS_MAX {
            let message = format!("there are {count} links; {LINKS_MAX} is the most");
            judge.error(&texts.key("links"), message);
        }
        for (place, link) in texts.links.iter().enumerate() {
            let key = texts.key(&format!("links[{place}]"));
            if link.title.trim().is_empty() {
                judge.error(&format!("{key}.title"), "the title of a link is empty");
            }
            if let Some(fault) = urls::fault(&link.url) {
                judge.error(&format!("{key}.url"), fault);
            }
            if texts.links.iter().take(place).any(|other| other.url == link.url) {
                judge.error(&format!("{key}.url"), format!("`{}` stands twice", link.url));
            }
        }
    }
}

fn contacts(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let contacts = &view.offer.listing.contacts;
    let mut all = vec![("support", &contacts.support), ("engineering", &contacts.engineering)];
    let partner = contacts.csp.as_ref().map(|csp| crate::offer::model::Contact {
        name: csp.name.clone(),
        email: csp.email.clone(),
        phone: csp.phone.clone(),
    });
    all.extend(partner.iter().map(|contact| ("csp", contact)));
    for (name, contact) in all {
        let key = format!("listing.contacts.{name}");
        if contact.name.trim().is_empty() {
            judge.error(&format!("{key}.name"), "the name is empty");
        }
        if !is_mail_address(&contact.email) {
            let message = format!("`{}` is not a mail address", contact.email);
            judge.error(&format!("{key}.email"), message);
        }
        if !is_phone_number(&contact.phone) {
            let message = format!("`{}` is not a telephone number", contact.phone);
            judge.error(&format!("{key}.phone"), message);
        }
    }
}

pub(super) fn is_mail_address(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let word = |c: char| !c.is_whitespace() && !is_hidden(c) && !matches!(c, '@' | '<' | '>');
    !name.is_empty()
        && name.chars().all(word)
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
}

/// E.123: an optional `+`, digits, and spaces, dashes, dots, slashes or brackets between them.
fn is_phone_number(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (6..=15).contains(&digits)
        && text.char_indices().all(|(at, c)| {
            c.is_ascii_digit()
                || matches!(c, ' ' | '-' | '.' | '/' | '(' | ')')
                || (c == '+' && at == 0)
        })
}

/// Every address of the offer with its key.
fn addresses(view: &OfferView<'_>) -> Vec<(String, String)> {
    let listing = &view.offer.listing;
    let mut all = vec![
        ("listing.privacyPolicy".to_owned(), listing.privacy_policy.clone()),
        ("listing.supportUrl".to_owned(), listing.support_url.clone()),
    ];
    let mut add = |key: String, url: &String| all.push((key, url.clone()));
    if let Some(url) = &listing.government_support_url {
        add("listing.governmentSupportUrl".to_owned(), url);
    }
    if let Some(url) = &listing.asset_base_url {
        add("listing.assetBaseUrl".to_owned(), url);
    }
    for texts in languages(view) {
        for (place, link) in texts.links.iter().enumerate() {
            add(texts.key(&format!("links[{place}].url")), &link.url);
        }
        for (place, video) in texts.videos.iter().enumerate() {
            add(texts.key(&format!("videos[{place}].url")), &video.url);
        }
    }
    if let Some(url) = view.offer.leads.as_ref().and_then(|leads| leads.url.as_ref()) {
        add("leads.url".to_owned(), url);
    }
    if let Some(url) = listing.contacts.csp.as_ref().and_then(|csp| csp.url.as_ref()) {
        add("listing.contacts.csp.url".to_owned(), url);
    }
    if let Some(Terms::Url(url)) = &view.offer.legal.terms {
        add("legal.terms.url".to_owned(), url);
    }
    for (place, plan) in view.offer.plans.iter().enumerate() {
        for (number, certification) in plan.government_certifications.iter().enumerate() {
            let key = format!("plans[{place}].governmentCertifications[{number}].url");
            add(key, &certification.url);
        }
        // The title goes into the annotations of the image, readable by every client.
        for image in plan.images() {
            // In `ssh://git@…` the user is no secret.
            let is_web = |source: &str| source.to_ascii_lowercase().starts_with("http");
            if let Some(source) = &image.image.source
                && (is_web(source) || logins::is_address(source))
            {
                add(format!("{}.source", image.key), source);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_and_telephone_numbers_have_their_shapes() {
        assert!(is_mail_address("a.b+c@x-y.dev"));
        for bad in ["", "a", "a@b", "@b.c", "a b@c.d", "a@b..c", "A <a@b.c>"] {
            assert!(!is_mail_address(bad), "{bad}");
        }
        for good in ["+1 206 555 0142", "(030) 123-456", "0301234567"] {
            assert!(is_phone_number(good), "{good}");
        }
        for bad in ["", "12345", "call us", "1+2345678", "+1 206 555 0142 x9", "1234567890123456"] {
            assert!(!is_phone_number(bad), "{bad}");
        }
    }
}
