//! The four pages of a plan.

use super::sheet::{FieldValue, FillMethod, FormField, Page, Sheet, item};
use crate::marketplace::units::unit;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{ImagePlan, KubernetesPlan, Licence, Plan, PlanKind, Region, Visibility};
use crate::offer::tags::ExpandedTag;

/// Why the licence of a plan of an image is not in the payload.
const NO_PRICE: &str =
    "a plan that Microsoft does not sell has no price in the API; say it in its text";

pub(super) fn sheets(file: &OfferFile, content: &Content, place: usize, plan: &Plan) -> Vec<Sheet> {
    let mut sheets = vec![setup(place, plan)];
    sheets.extend(listings(file, content, place, plan));
    sheets.push(pricing(content, place, plan));
    sheets.push(technical(file, content, place, plan));
    sheets
}

fn setup(place: usize, plan: &Plan) -> Sheet {
    let mut sheet = Sheet::new(Page::PlanSetup, Some(plan.id.to_string()));
    let key = |name: &str| format!("plans[{place}].{name}");
    sheet.api(key("id"), "Plan ID", FieldValue::text(&plan.id));
    sheet.api(key("name"), "Plan name", FieldValue::text(&plan.name));
    let regions = plan.regions.iter().map(|region| match region {
        Region::AzureGlobal => "Azure Global",
        Region::AzureGovernment => "Azure Government",
    });
    sheet.api(key("regions"), "Azure regions", FieldValue::list(regions));
    let certifications = plan.government_certifications.iter();
    let certifications = certifications.map(|one| item(&one.name, Some(&one.url)));
    let label = "Azure Government certifications";
    sheet.api(key("governmentCertifications"), label, FieldValue::items(certifications));
    sheet
}

fn listings(file: &OfferFile, content: &Content, place: usize, plan: &Plan) -> Vec<Sheet> {
    let language = &file.offer.listing.language;
    let description = content.plan_descriptions.get(place).map(String::as_str).unwrap_or_default();
    let key = format!("plans[{place}]");
    let texts = PlanTexts { language, name: &plan.name, summary: &plan.summary, description };
    let mut sheets = vec![listing(&key, plan, &texts)];
    let translated = content.plan_translations.get(place);
    let translations = plan.translations.iter().zip(translated.into_iter().flatten());
    for (number, (at, description)) in translations.enumerate() {
        let key = format!("plans[{place}].translations[{number}]");
        let texts =
            PlanTexts { language: &at.language, name: &at.name, summary: &at.summary, description };
        let mut sheet = listing(&key, plan, &texts);
        let language = FormField {
            key: format!("{key}.language"),
            label: "Language".to_owned(),
            value: FieldValue::text(&at.language),
            way: FillMethod::Api,
        };
        sheet.fields.insert(0, language);
        sheets.push(sheet);
    }
    sheets
}

/// The texts of a plan in one language.
struct PlanTexts<'a> {
    language: &'a str,
    name: &'a str,
    summary: &'a str,
    description: &'a str,
}

fn listing(key: &str, plan: &Plan, texts: &PlanTexts<'_>) -> Sheet {
    let PlanTexts { language, name, summary, description } = texts;
    let mut sheet = Sheet::new(Page::PlanListing, Some(format!("{}, {language}", plan.id)));
    sheet.api(format!("{key}.name"), "Plan name", FieldValue::text(*name));
    sheet.api(format!("{key}.summary"), "Plan search results summary", FieldValue::text(*summary));
    let description = FieldValue::Long((*description).to_owned());
    sheet.api(format!("{key}.description"), "Plan description", description);
    sheet
}

fn pricing(content: &Content, place: usize, plan: &Plan) -> Sheet {
    let mut sheet = Sheet::new(Page::PlanPricing, Some(plan.id.to_string()));
    let key = |name: &str| format!("plans[{place}].{name}");
    let licence = FieldValue::text(match plan.licence {
        Licence::Free => "Free",
        Licence::Byol => "Bring your own license (BYOL)",
        Licence::PayAsYouGo => "Usage-based, billed by Microsoft",
    });
    if is_application(plan) {
        sheet.api(key("licence"), "License model", licence);
    } else {
        sheet.hand(key("licence"), "License model", licence, NO_PRICE);
    }
    if let PlanKind::Kubernetes(application) = &plan.kind {
        markets(&mut sheet, &key("markets"), application);
        prices(&mut sheet, &key("prices"), application);
        audience(&mut sheet, content, place, application);
    }
    let hidden = if plan.visibility == Visibility::Hidden { "Yes" } else { "No" };
    sheet.api(key("visibility"), "Hide plan", FieldValue::text(hidden));
    sheet
}

fn markets(sheet: &mut Sheet, key: &str, application: &KubernetesPlan) {
    let value = if application.markets.is_empty() {
        FieldValue::text("All")
    } else {
        FieldValue::list(&application.markets)
    };
    sheet.api(key, "Markets", value);
}

fn prices(sheet: &mut Sheet, key: &str, application: &KubernetesPlan) {
    let Some(prices) = &application.prices else { return };
    let option = FieldValue::optional(prices.unit.map(unit).as_ref());
    sheet.api(format!("{key}.unit"), "Price is", option);
    let price = FieldValue::optional(prices.usd_per_hour.as_ref());
    sheet.api(format!("{key}.usdPerHour"), "US dollars an hour", price);
    for (number, meter) in prices.meters.iter().enumerate() {
        let label = |what: &str| format!("Custom meter {}: {what}", number + 1);
        let key = |name: &str| format!("{key}.meters[{number}].{name}");
        sheet.api(key("id"), label("ID"), FieldValue::text(&meter.id));
        sheet.api(key("name"), label("display name"), FieldValue::text(&meter.name));
        sheet.api(key("unit"), label("unit of measure"), FieldValue::text(&meter.unit));
        sheet.api(
            key("usdPerUnit"),
            label("US dollars for one"),
            FieldValue::text(&meter.usd_per_unit),
        );
        sheet.api(key("included"), label("free each month"), FieldValue::text(&meter.included));
    }
}

fn audience(sheet: &mut Sheet, content: &Content, place: usize, application: &KubernetesPlan) {
    let key = format!("plans[{place}].audience");
    let Some(audience) = &application.audience else {
        sheet.api(key, "Plan visibility", FieldValue::text("Public"));
        return;
    };
    sheet.api(key.clone(), "Plan visibility", FieldValue::text("Private"));
    let tenants = audience.tenants.iter().map(|one| item(&one.id, one.label.as_deref()));
    sheet.api(format!("{key}.tenants"), "Tenant IDs", FieldValue::items(tenants));
    if let Some(csv) = &audience.csv {
        let rows = content.audience_tables.get(&place).into_iter().flat_map(|table| &table.rows);
        let rows = rows.map(|row| item(&row.id, Some(&row.description)));
        sheet.api(
            format!("{key}.csv"),
            format!("Audience of the file {csv}"),
            FieldValue::items(rows),
        );
    }
}

fn technical(file: &OfferFile, content: &Content, place: usize, plan: &Plan) -> Sheet {
    let mut sheet = Sheet::new(Page::PlanTechnical, Some(plan.id.to_string()));
    registry(&mut sheet, file);
    match &plan.kind {
        PlanKind::Image(plan) => image(&mut sheet, file, plan),
        PlanKind::Kubernetes(plan) => bundle(&mut sheet, file, content, place, plan),
    }
    sheet
}

fn registry(sheet: &mut Sheet, file: &OfferFile) {
    let name = &file.offer.offer.registry;
    let azure = file.offer.registries.get(name).and_then(|entry| entry.azure.as_ref());
    let key = |field: &str| format!("registries.{name}.azure.{field}");
    let value = |text: Option<&String>| FieldValue::optional(text);
    let subscription = value(azure.map(|at| &at.subscription_id));
    sheet.api(key("subscriptionId"), "Azure subscription ID", subscription);
    let group = value(azure.map(|at| &at.resource_group));
    sheet.api(key("resourceGroup"), "Azure resource group name", group);
    let registry = value(azure.map(|at| &at.registry_name));
    sheet.api(key("registryName"), "Azure container registry name", registry);
}

/// The repository of a plan with the prefix of the registry Microsoft copies from.
fn repository(file: &OfferFile, name: &wharf_oci::RepoName) -> String {
    let entry = file.offer.registries.get(&file.offer.offer.registry);
    match entry.and_then(|entry| entry.prefix.as_ref()) {
        Some(prefix) => format!("{prefix}/{name}"),
        None => name.to_string(),
    }
}

fn image(sheet: &mut Sheet, file: &OfferFile, plan: &ImagePlan) {
    let name = &file.offer.offer.registry;
    let login = file.offer.registries.get(name).and_then(|entry| entry.credentials.as_ref());
    let key = |field: &str| format!("registries.{name}.credentials.{field}");
    let username = FieldValue::optional(login.map(|at| &at.username));
    sheet.api(key("username"), "Admin username for the registry", username);
    let password = FieldValue::optional(login.map(|at| &at.password));
    sheet.api(key("password"), "Admin password for the registry", password);
    let image = &plan.image.image;
    let of_image = |field: &str| format!("{}.{field}", plan.image.key);
    let repository = FieldValue::text(&repository(file, &image.repository));
    sheet.api(of_image("repository"), "Repository within the registry", repository);
    let tags = image.expanded_tags.iter().map(|ExpandedTag { tag, .. }| tag.to_string());
    let published = image.published_tags.iter().map(ToString::to_string);
    sheet.api(of_image("tags"), "Image tags", FieldValue::list(tags.chain(published)));
}

fn bundle(
    sheet: &mut Sheet,
    file: &OfferFile,
    content: &Content,
    place: usize,
    plan: &KubernetesPlan,
) {
    let name = &file.offer.offer.registry;
    let azure = file.offer.registries.get(name).and_then(|entry| entry.azure.as_ref());
    let tenant = FieldValue::optional(azure.and_then(|at| at.tenant_id.as_ref()));
    sheet.api(format!("registries.{name}.azure.tenantId"), "Tenant ID", tenant);
    let key = |field: &str| format!("plans[{place}].{field}");
    let extension = FieldValue::text(&plan.extension_type);
    sheet.api(key("extensionType"), "Cluster extension type name", extension);
    let bundle = plan.bundle.as_ref();
    let repository = bundle.map(|at| repository(file, &at.repository));
    sheet.api(
        key("bundle.repository"),
        "CNAB repository",
        FieldValue::optional(repository.as_ref()),
    );
    let named = bundle.and_then(|at| at.version.as_deref());
    let version = named.or_else(|| content.manifest_version(place).filter(|_| bundle.is_some()));
    sheet.api(
        key("bundle.version"),
        "CNAB tag",
        version.map_or(FieldValue::Nothing, FieldValue::text),
    );
    let digest = FieldValue::optional(bundle.and_then(|at| at.digest.as_ref()));
    sheet.api(key("bundle.digest"), "CNAB digest", digest);
}

/// Whether a plan is a Kubernetes application.
fn is_application(plan: &Plan) -> bool {
    matches!(plan.kind, PlanKind::Kubernetes(_))
}
