//! The proposal for each topic, from the sources and the settled values, with its source. A topic
//! without a source has a placeholder where one does no harm.

use super::kind::OfferKind;
use super::names;
use super::sources::Sources;
use super::topics::{ALL, Topic, TopicValue, ValueOrigin, Values, text};
use crate::characters::is_emoji;
use crate::rules::urls;

/// Longest title by all pages, in characters.
const TITLE_CHARS_MAX: usize = 50;
/// Longest sentence for search results.
const SUMMARY_CHARS_MAX: usize = 100;
/// A GUID without an owner.
const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";
/// A number reserved for examples.
const NO_PHONE: &str = "+1 206 555 0100";
/// Hosts of registries with a name in Azure.
const AZURE_DOMAIN: &str = ".azurecr.io";

/// The proposal; `None` when only the publisher can know the value.
#[must_use]
pub(super) fn propose(topic: Topic, values: &Values, sources: &Sources) -> Option<TopicValue> {
    let publisher = text(values, Topic::Publisher);
    let usual = |text: &str| Some(value(text.to_owned(), ValueOrigin::Usual));
    let placeholder = |text: String| Some(value(text, ValueOrigin::Placeholder));
    match topic {
        Topic::Kind => usual("kubernetes"),
        Topic::Title => Some(title(sources)),
        Topic::Summary => Some(summary(values, sources)),
        Topic::Publisher => publisher_id(sources),
        Topic::OfferId => Some(match names::id(text(values, Topic::Title)) {
            Some(id) => value(id, ValueOrigin::Derived("the title")),
            None => value("my-offer".to_owned(), ValueOrigin::Placeholder),
        }),
        Topic::PlanId | Topic::Terms => usual("standard"),
        Topic::Licence => usual("byol"),
        Topic::ExtensionType => {
            let derived = names::extension_type(publisher, text(values, Topic::OfferId));
            Some(value(derived, ValueOrigin::Derived("publisher and offer")))
        }
        Topic::Registry => registry(sources)
            .or_else(|| placeholder(format!("{}{AZURE_DOMAIN}", names::registry(publisher)))),
        Topic::Repository => Some(repository(values, sources)),
        Topic::SubscriptionId | Topic::TenantId => placeholder(NO_GUID.to_owned()),
        Topic::ResourceGroup => placeholder(format!("{}-registries", names::host_part(publisher))),
        Topic::Website => website(sources)
            .or_else(|| placeholder(format!("https://www.{}.com", names::host_part(publisher)))),
        Topic::Email => email(sources)
            .or_else(|| placeholder(format!("support@{}.com", names::host_part(publisher)))),
        Topic::Phone => placeholder(NO_PHONE.to_owned()),
    }
}

const fn value(text: String, origin: ValueOrigin) -> TopicValue {
    TopicValue { text, origin }
}

fn found(text: String, place: impl Into<String>) -> TopicValue {
    value(text, ValueOrigin::Found(place.into()))
}

const IMAGE: &str = "the labels of the image";

fn of_chart(path: &str) -> String {
    format!("the chart ({path}/Chart.yaml)")
}

fn title(sources: &Sources) -> TopicValue {
    let plain = |text: &str| {
        let text: String = text.chars().filter(|c| !is_emoji(*c)).collect();
        names::one_line(&text, TITLE_CHARS_MAX)
    };
    let named = |name: &str| names::title(&plain(name)?);
    let chart = sources.chart.as_ref();
    let image = sources.image.as_ref();
    if let Some(title) = image.and_then(|image| image.label("title")).and_then(plain) {
        return found(title, IMAGE);
    }
    if let Some((chart, title)) = chart.and_then(|chart| Some((chart, named(&chart.name)?))) {
        return found(title, of_chart(&chart.path));
    }
    let repository = image.and_then(|image| image.repository.as_deref());
    let repository = repository.and_then(|name| named(name.rsplit('/').next()?));
    if let Some(title) = repository {
        return value(title, ValueOrigin::Derived("the repository"));
    }
    let remote = sources.remote.as_ref();
    if let Some((remote, title)) =
        remote.and_then(|remote| Some((remote, named(&remote.repository()?)?)))
    {
        return found(title, format!("the Git remote `{}`", remote.name));
    }
    let folder = sources.folder_name.as_deref().and_then(named);
    match folder {
        Some(title) => value(title, ValueOrigin::Derived("the folder's name")),
        None => value("My Offer".to_owned(), ValueOrigin::Placeholder),
    }
}

fn summary(values: &Values, sources: &Sources) -> TopicValue {
    let short = |text: &str| names::one_line(text, SUMMARY_CHARS_MAX);
    let image = sources.image.as_ref().and_then(|image| image.label("description"));
    if let Some(text) = image.and_then(short) {
        return found(text, IMAGE);
    }
    let chart = sources.chart.as_ref();
    if let Some((chart, text)) =
        chart.and_then(|chart| Some((chart, short(chart.description.as_ref()?)?)))
    {
        return found(text, of_chart(&chart.path));
    }
    let place = match text(values, Topic::Kind) {
        "image" => "for Azure Container Instances and Azure Kubernetes Service",
        _ => "for Azure Kubernetes Service",
    };
    // A title against the rules is reported as such, not by its derived texts.
    let made = short(&format!("{} {place}", text(values, Topic::Title)));
    let made = made.unwrap_or_else(|| format!("An application {place}"));
    value(made, ValueOrigin::Placeholder)
}

fn publisher_id(sources: &Sources) -> Option<TopicValue> {
    let image = sources.image.as_ref().and_then(|image| image.label("vendor"));
    if let Some(id) = image.and_then(names::id) {
        return Some(found(id, IMAGE));
    }
    let remote = sources.remote.as_ref()?;
    Some(found(names::id(&remote.owner()?)?, format!("the Git remote `{}`", remote.name)))
}

/// The registry of the images, where Azure knows it.
fn registry(sources: &Sources) -> Option<TopicValue> {
    let image = sources.image.as_ref().and_then(|image| image.adopt.as_deref());
    if let Some(host) = image.and_then(azure_host) {
        return Some(found(host, "the image"));
    }
    let chart = sources.chart.as_ref()?;
    let host = chart.images.iter().find_map(|image| azure_host(&image.location))?;
    Some(found(host, format!("the chart ({}/values.yaml)", chart.path)))
}

fn azure_host(reference: &str) -> Option<String> {
    let (host, _) = reference.split_once('/')?;
    let name = host.strip_suffix(AZURE_DOMAIN)?;
    let is_name = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    is_name.then(|| host.to_owned())
}

fn repository(values: &Values, sources: &Sources) -> TopicValue {
    let image = sources.image.as_ref();
    if let Some(name) = image.and_then(|image| image.repository.clone()) {
        return found(name, "--image");
    }
    // An image for an existing chart is one the chart names.
    let chart = sources.chart.as_ref();
    let named = chart.and_then(|chart| chart.images.iter().find(|image| image.is_of_azure));
    let named = named.and_then(|image| image.location.split_once('/'));
    if let (Some(chart), Some((_, name))) = (chart, named)
        && text(values, Topic::Kind) != "image"
        && Topic::Repository.check(name).is_ok()
    {
        return found(name.to_owned(), format!("the chart ({}/values.yaml)", chart.path));
    }
    // An ID may hold characters no repository does.
    let offer = names::id(text(values, Topic::OfferId)).unwrap_or_else(|| "my-offer".to_owned());
    value(format!("{offer}/server"), ValueOrigin::Derived("the offer's ID"))
}

/// The first address customers could open: pages before sources.
fn website(sources: &Sources) -> Option<TopicValue> {
    let mut known: Vec<(String, String)> = Vec::new();
    if let Some(image) = &sources.image {
        let labels = ["url", "documentation"].iter().filter_map(|name| image.label(name));
        known.extend(labels.map(|address| (address.to_owned(), IMAGE.to_owned())));
    }
    if let Some(chart) = &sources.chart {
        let pages = chart.home.iter().chain(&chart.sources);
        known.extend(pages.map(|address| (address.clone(), of_chart(&chart.path))));
    }
    if let Some(address) = sources.image.as_ref().and_then(|image| image.label("source")) {
        known.push((address.to_owned(), IMAGE.to_owned()));
    }
    if let Some(remote) = &sources.remote {
        known.push((remote.address.clone(), format!("the Git remote `{}`", remote.name)));
    }
    let (address, place) = known.into_iter().find(|(address, _)| is_public(address))?;
    Some(found(address.trim_end_matches('/').to_owned(), place))
}

/// Whether an address can be opened, tells no secret, and more can be written behind it.
#[must_use]
pub(super) fn is_public(address: &str) -> bool {
    urls::fault(address).is_none()
        && urls::unsafe_fault(address).is_none()
        && !urls::is_placeholder(address)
        && !address.contains(['?', '#'])
}

fn email(sources: &Sources) -> Option<TopicValue> {
    let chart = sources.chart.as_ref()?;
    let address = chart.emails.iter().find(|address| is_mail_address(address))?;
    Some(found(address.clone(), of_chart(&chart.path)))
}

fn is_mail_address(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && name.chars().all(word)
            && host.contains('.')
            && host.split('.').all(|part| !part.is_empty())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
    })
}

/// Whether the topic is settled by the offer's image; an offer may have none.
#[must_use]
pub(super) const fn has_image(kind: OfferKind, sources: &Sources) -> bool {
    matches!(kind, OfferKind::Image) || sources.chart.is_none() || sources.image.is_some()
}

/// Fills in the proposals for all unsettled topics, and a stand-in for the publisher's own
/// knowledge: every answer can be judged as part of a whole offer.
pub(super) fn complete(mut values: Values, sources: &Sources) -> Values {
    for topic in ALL {
        if is_asked(topic, &values, sources)
            && !values.contains_key(&topic)
            && let Some(value) = propose(topic, &values, sources).or_else(|| stand_in(topic))
        {
            values.insert(topic, value);
        }
    }
    values
}

fn stand_in(topic: Topic) -> Option<TopicValue> {
    let text = (topic == Topic::Publisher).then(|| "publisher".to_owned())?;
    Some(TopicValue { text, origin: ValueOrigin::Placeholder })
}

/// Whether the offer has the topic, by the values so far.
pub(super) fn is_asked(topic: Topic, values: &Values, sources: &Sources) -> bool {
    let kind = match text(values, Topic::Kind) {
        "image" => OfferKind::Image,
        _ => OfferKind::Kubernetes,
    };
    topic.is_of(kind) && (topic != Topic::Repository || has_image(kind, sources))
}
