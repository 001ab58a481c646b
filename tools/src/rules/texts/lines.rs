//! The one list of the texts of one line that no other rule judges.

use crate::offer::model::{Contact, KubernetesPlan, Offer, Plan, PlanImage, PlanKind};
use crate::rules::OfferView;
use crate::rules::listing_fields::languages;

/// A text with its key and its kind.
pub(super) type Line<'a> = (String, &'static str, &'a str);

/// Every text of one line that no other rule judges by `one_line`.
pub(super) fn lines<'a>(view: &OfferView<'a>) -> Vec<Line<'a>> {
    let offer = view.offer;
    let mut all = vec![("offer.alias".to_owned(), "the alias", offer.offer.alias.as_str())];
    of_listing(view, &mut all);
    of_market(offer, &mut all);
    for (place, plan) in offer.plans.iter().enumerate() {
        of_plan(&format!("plans[{place}]"), plan, &mut all);
    }
    for image in offer.images() {
        of_image(image, &mut all);
    }
    all
}

fn of_listing<'a>(view: &OfferView<'a>, all: &mut Vec<Line<'a>>) {
    let mut add = |key: String, what, text: &'a str| all.push((key, what, text));
    for texts in languages(view) {
        add(texts.key("title"), "the title", texts.title);
        for (place, keyword) in texts.keywords.iter().enumerate() {
            add(texts.key(&format!("keywords[{place}]")), "the keyword", keyword);
        }
        for (place, link) in texts.links.iter().enumerate() {
            add(texts.key(&format!("links[{place}].title")), "the title of a link", &link.title);
        }
        for (place, screenshot) in texts.screenshots.iter().enumerate() {
            let key = texts.key(&format!("screenshots[{place}].caption"));
            add(key, "the caption", &screenshot.caption);
        }
        for (place, video) in texts.videos.iter().enumerate() {
            let key = texts.key(&format!("videos[{place}].title"));
            add(key, "the title of a video", &video.title);
        }
    }
    let contacts = &view.offer.listing.contacts;
    for (name, Contact { name: person, .. }) in
        [("support", &contacts.support), ("engineering", &contacts.engineering)]
    {
        add(format!("listing.contacts.{name}.name"), "the name", person);
    }
    if let Some(partner) = &contacts.csp {
        add("listing.contacts.csp.name".to_owned(), "the name", &partner.name);
    }
}

/// The offer's marketplace texts besides listings and plans.
fn of_market<'a>(offer: &'a Offer, all: &mut Vec<Line<'a>>) {
    let mut add = |key: String, what, text: &'a str| all.push((key, what, text));
    for (name, below) in &offer.properties.categories {
        let key = format!("properties.categories.{name}");
        add(key.clone(), "the category", name);
        // Those of containers are known one by one.
        for (place, below) in below.iter().enumerate().filter(|_| name != "containers") {
            add(format!("{key}[{place}]"), "the subcategory", below);
        }
    }
    for (place, subscription) in offer.preview.subscriptions.iter().enumerate() {
        if let Some(label) = &subscription.label {
            add(format!("preview.subscriptions[{place}].label"), "the label", label);
        }
    }
    if let Some(leads) = &offer.leads {
        let said = [
            ("account", "the account", &leads.account),
            ("form", "the form", &leads.form),
            ("username", "the user", &leads.username),
        ];
        for (name, what, text) in said {
            if let Some(text) = text {
                add(format!("leads.{name}"), what, text);
            }
        }
    }
    let partners = offer.resale.iter().flat_map(|resale| resale.partners.iter().enumerate());
    for (place, partner) in partners {
        if let Some(label) = &partner.label {
            add(format!("resale.partners[{place}].label"), "the label", label);
        }
    }
}

fn of_plan<'a>(key: &str, plan: &'a Plan, all: &mut Vec<Line<'a>>) {
    let mut add = |key: String, what, text: &'a str| all.push((key, what, text));
    add(format!("{key}.name"), "the name", &plan.name);
    for (number, translation) in plan.translations.iter().enumerate() {
        let key = format!("{key}.translations[{number}]");
        add(format!("{key}.name"), "the name", &translation.name);
    }
    for (number, certification) in plan.government_certifications.iter().enumerate() {
        let key = format!("{key}.governmentCertifications[{number}].name");
        add(key, "the name", &certification.name);
    }
    if let PlanKind::Kubernetes(application) = &plan.kind {
        of_application(key, application, all);
    }
}

fn of_application<'a>(key: &str, plan: &'a KubernetesPlan, all: &mut Vec<Line<'a>>) {
    let mut add = |key: String, what, text: &'a str| all.push((key, what, text));
    let tenants = plan.audience.iter().flat_map(|audience| audience.tenants.iter().enumerate());
    for (number, tenant) in tenants {
        if let Some(label) = &tenant.label {
            add(format!("{key}.audience.tenants[{number}].label"), "the label", label);
        }
    }
    let meters = plan.prices.iter().flat_map(|prices| prices.meters.iter().enumerate());
    for (number, meter) in meters {
        let key = format!("{key}.prices.meters[{number}]");
        add(format!("{key}.name"), "the name of a meter", &meter.name);
        add(format!("{key}.unit"), "the unit of a meter", &meter.unit);
    }
}

fn of_image<'a>(PlanImage { image, key: at, .. }: &'a PlanImage, all: &mut Vec<Line<'a>>) {
    let mut add = |key: String, what, text: &'a str| all.push((key, what, text));
    let said = [
        ("source", "the source", &image.source),
        ("revision", "the revision", &image.revision),
        ("licences", "the licences", &image.licences),
    ];
    for (name, what, text) in said {
        if let Some(text) = text {
            add(format!("{at}.{name}"), what, text);
        }
    }
    for (number, build) in image.platforms.iter().enumerate() {
        if let Some(version) = &build.os_version {
            let key = format!("{at}.platforms[{number}].osVersion");
            add(key, "the version of Windows", version);
        }
    }
}
