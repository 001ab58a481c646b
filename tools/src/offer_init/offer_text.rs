//! The text of `offer.yaml`: every key with a line about it, and a mark on immutable ones.

use std::fmt::Write as _;

use super::answers::{Answers, LicenceChoice};
use super::kind::OfferKind;
use super::scalar::{quoted, scalar};
use super::topics::Topic;
use super::{names, texts};

/// Longest name of a plan and of a caption, in characters.
const NAME_CHARS_MAX: usize = 50;
/// How many images of a chart the comments repeat.
const IMAGES_TOLD: usize = 10;

/// The whole file.
#[must_use]
pub(super) fn offer(answers: &Answers) -> String {
    let mut text = head(answers);
    text.push_str(&registries(answers));
    text.push_str(&listing(answers));
    text.push_str(&around(answers));
    text.push_str(&plan(answers));
    text
}

/// A value of a topic, with the remark behind it.
fn marked(answers: &Answers, topic: Topic) -> String {
    format!("{}{}", scalar(answers.text(topic)), answers.mark(topic))
}

fn head(answers: &Answers) -> String {
    let title = answers.text(Topic::Title);
    let (publisher, id) = (marked(answers, Topic::Publisher), marked(answers, Topic::OfferId));
    let alias = marked(answers, Topic::Title);
    let through = match answers.kind {
        OfferKind::Kubernetes => {
            "  # Kubernetes applications are sold through Microsoft, also free ones. It can never change.\n  \
             sellThroughMicrosoft: true\n"
        }
        OfferKind::Image => "",
    };
    let about = names::one_line(title, NAME_CHARS_MAX).unwrap_or_default();
    format!(
        "# {about}: all that the marketplace is told of it, in one file.\n\
         # `wharf offer init` began it, and it is yours now. Paths start at the folder of this file.\n\
         # What only holds a place says `# replace`. What can never change is said where it stands.\n\
         #   wharf offer lint FILE      what the marketplace would refuse, with lines\n\
         #   wharf rules                why, rule by rule\n\
         version: 1\n\
         # The publisher ID of your Partner Center account. It can never change.\n\
         publisher: {publisher}\n\
         \n\
         offer:\n\
         \x20 # A part of the offer's address. It can never change.\n\
         \x20 id: {id}\n\
         \x20 # How Partner Center lists it; customers do not see it.\n\
         \x20 alias: {alias}\n\
         \x20 # The registry that Microsoft copies from: a name of those below.\n\
         \x20 registry: production\n\
         {through}\n"
    )
}

fn registries(answers: &Answers) -> String {
    let server = answers.text(Topic::Registry);
    let name = names::registry_of(server);
    let variable = names::variable(answers.text(Topic::OfferId));
    let mark = answers.mark(Topic::Registry);
    let mut text = format!(
        "# Your registries, by the names that `--to` and `--from` take.\n\
         registries:\n\
         \x20 production:\n\
         \x20   # Where it listens.\n\
         \x20   loginServer: {}\n\
         \x20   # Where Azure finds it.\n\
         \x20   azure:\n\
         \x20     # `az account show --query id`\n\
         \x20     subscriptionId: {}\n",
        marked(answers, Topic::Registry),
        marked(answers, Topic::SubscriptionId),
    );
    if answers.kind == OfferKind::Kubernetes {
        let _ = write!(
            text,
            "      # `az account show --query tenantId`; it must be your account's own tenant.\n      \
             tenantId: {}\n",
            marked(answers, Topic::TenantId)
        );
    }
    let _ = write!(
        text,
        "\x20     # `az acr show --name NAME --query resourceGroup`\n\
         \x20     resourceGroup: {}\n\
         \x20     # Its name, without the domain.\n\
         \x20     registryName: {}{mark}\n\
         \x20   # Never a secret itself, only where it is found: `env`, `file` or `keyVault`.\n\
         \x20   credentials:\n\
         \x20     username: {{ env: {variable}_REGISTRY_USERNAME }}\n\
         \x20     password: {{ env: {variable}_REGISTRY_PASSWORD }}\n\
         \n",
        marked(answers, Topic::ResourceGroup),
        scalar(name),
    );
    text
}

fn listing(answers: &Answers) -> String {
    let title = answers.text(Topic::Title);
    let keyword = names::one_line(title, NAME_CHARS_MAX).map(|word| quoted(&word.to_lowercase()));
    let website = answers.text(Topic::Website).trim_end_matches('/');
    let below = |name: &str| scalar(&format!("{website}/{name}"));
    let (email, phone) = (marked(answers, Topic::Email), marked(answers, Topic::Phone));
    let person = |name: &str| {
        let name = names::one_line(&format!("{title} {name}"), NAME_CHARS_MAX);
        format!(
            "      name: {}  # replace\n      email: {email}\n      phone: {phone}\n",
            scalar(name.as_deref().unwrap_or("Support"))
        )
    };
    format!(
        "# What customers read and see.\n\
         listing:\n\
         \x20 # The language of all texts. Others go under `translations`.\n\
         \x20 language: en-us\n\
         \x20 # At most 50 characters pass by every page; the name of the product elsewhere, too.\n\
         \x20 title: {}\n\
         \x20 # One sentence of at most 100 characters, under the title in search results.\n\
         \x20 searchSummary: {}\n\
         \x20 # A plain paragraph of at most 256 characters.\n\
         \x20 shortDescription: {}  # replace\n\
         \x20 # The long text, in simple HTML: at most 3,000 characters.\n\
         \x20 description: {{ file: {} }}  # replace its text\n\
         \x20 # At most three; each stands in one of the texts above.\n\
         \x20 keywords: [{}]\n\
         \x20 # Pages that anyone can open.\n\
         \x20 privacyPolicy: {}  # replace\n\
         \x20 supportUrl: {}  # replace\n\
         \x20 contacts:\n\
         \x20   # Whom customers ask.\n\
         \x20   support:\n{}\
         \x20   # Whom Microsoft asks, when certification fails.\n\
         \x20   engineering:\n{}\
         \x20 # Where the pictures below are published; their paths are added to it.\n\
         \x20 assetBaseUrl: {}  # replace\n\
         \x20 # PNG: 216 to 350 pixels square, 90 × 90, 48 × 48, 255 × 115; not on white or black.\n\
         \x20 logos:\n\
         \x20   large: listing/logo-large.png  # replace the picture\n\
         \x20   medium: listing/logo-medium.png  # replace the picture\n\
         \x20   small: listing/logo-small.png  # replace the picture\n\
         \x20   wide: listing/logo-wide.png  # replace the picture\n\
         \x20 # One to five PNG of 1280 × 720 pixels.\n\
         \x20 screenshots:\n\
         \x20   - file: listing/screen-first.png  # replace the picture\n\
         \x20     caption: {}  # replace\n\
         \n",
        marked(answers, Topic::Title),
        marked(answers, Topic::Summary),
        scalar(answers.text(Topic::Summary)),
        texts::DESCRIPTION_FILE,
        keyword.unwrap_or_default(),
        below("privacy"),
        below("support"),
        person("Support"),
        person("Engineering"),
        below("assets"),
        scalar(&texts::caption(answers)),
    )
}

fn around(answers: &Answers) -> String {
    let terms = if answers.standard_contract {
        "legal:\n  standardContract: true\n".to_owned()
    } else {
        format!("legal:\n  terms: {{ file: {} }}  # replace its text\n", texts::TERMS_FILE)
    };
    let category = match answers.kind {
        OfferKind::Kubernetes => "container-apps",
        OfferKind::Image => "container-images",
    };
    format!(
        "# Microsoft's standard contract (`standardContract: true`), or your own `terms`, never both. Once it\n\
         # is published with the standard contract, that can never change.\n\
         {terms}\n\
         # `containers` with `container-apps` or `container-images`; one more category may stand beside.\n\
         properties:\n\
         \x20 categories:\n\
         \x20   containers: [{category}]\n\
         \n\
         # The Azure subscriptions that see the offer before it is live: 1 to 10.\n\
         preview:\n\
         \x20 subscriptions:\n\
         \x20   - id: {}\n\
         \x20     label: Our own subscription\n\
         \n\
         # How Microsoft's testers start it and see that it works.\n\
         certificationNotes: {{ file: {} }}  # replace its text\n\
         \n",
        marked(answers, Topic::SubscriptionId),
        texts::NOTES_FILE,
    )
}

fn plan(answers: &Answers) -> String {
    let kind = match answers.kind {
        OfferKind::Kubernetes => "kubernetes",
        OfferKind::Image => "image",
    };
    let licence = answers.text(Topic::Licence);
    let mut text = format!(
        "# What customers choose from: 1 to 100 plans.\n\
         plans:\n\
         \x20 # The ID can never change.\n\
         \x20 - id: {}\n\
         \x20   # `kubernetes`: a Helm chart with its images. `image`: one image, for offers that exist.\n\
         \x20   kind: {kind}\n\
         \x20   # What customers choose by: at most 50 characters, another for each plan.\n\
         \x20   name: {}\n\
         \x20   # One sentence of at most 100 characters.\n\
         \x20   summary: {}  # replace\n\
         \x20   # What this plan has and others have not, in simple HTML: at most 2,000 characters.\n\
         \x20   description: {{ file: {} }}  # replace its text\n\
         \x20   # free, byol (customers bring a licence), payAsYouGo (Microsoft bills). Never changes once live.\n\
         \x20   licence: {licence}\n\
         \x20   # Clouds; one that is published stays.\n\
         \x20   regions: [azureGlobal]\n",
        marked(answers, Topic::PlanId),
        scalar(answers.text(Topic::Title)),
        scalar(&texts::plan_summary(answers)),
        texts::plan_file(answers),
    );
    match answers.kind {
        OfferKind::Kubernetes => text.push_str(&kubernetes(answers)),
        OfferKind::Image => text.push_str(&image_plan(answers)),
    }
    text
}

fn kubernetes(answers: &Answers) -> String {
    let chart = answers.chart.as_deref().unwrap_or(texts::CHART_FOLDER);
    let id = names::label(answers.text(Topic::OfferId));
    let mut text = String::new();
    if answers.licence == LicenceChoice::PayAsYouGo {
        text.push_str(
            "    # What Microsoft bills: US dollars for one unit and an hour.\n    \
             prices:\n      unit: perCore\n      usdPerHour: 0.05  # replace\n",
        );
    }
    let _ = write!(
        text,
        "    # The Helm chart. Each of its images stands under `global.azure.images` of its values.\n    \
         chart: {}\n    \
         # What Microsoft's packaging tool reads, what the portal asks, what it deploys.\n    \
         manifest: manifest.yaml\n    \
         uiDefinition: createUiDefinition.json\n    \
         armTemplate: mainTemplate.json\n    \
         # Clusters that it runs on: aks, arc.\n    \
         clusters: [aks]\n    \
         # Installed once in a cluster, into this namespace; or `scope: namespace`.\n    \
         scope: cluster\n    \
         namespace: {}\n    \
         # Publisher.Application, without digits; no other offer may have it. It can never change.\n    \
         extensionType: {}\n    \
         # Where the packaging tool pushes the bundle that it makes. Never changes once it is published.\n    \
         bundle:\n      repository: {}\n",
        scalar(chart),
        scalar(&id),
        scalar(answers.text(Topic::ExtensionType)),
        scalar(&format!("{id}/bundle")),
    );
    if answers.image.is_some() {
        let _ = write!(
            text,
            "    # Images of the chart that are made here, by their names in its values; only linux/amd64.\n    \
                 # `wharf offer pin` writes the digests into the values once the images are promoted.\n    \
                 images:\n      {}:\n{}",
            answers.image_name(),
            image(answers, 8)
        );
    } else {
        text.push_str(&chart_images(answers));
    }
    text
}

/// The text for images to be made here; the existing chart may have others.
fn chart_images(answers: &Answers) -> String {
    let mut text = String::from(
        "    # Images of the chart that wharf shall make or copy go under `images`, by their names in its\n    \
         # values: `images: { NAME: { repository: …, version: …, platforms: […] } }`.\n",
    );
    for image in answers.chart_images.iter().take(IMAGES_TOLD) {
        let image = format!("{}: {}", image.name, image.location);
        if let Some(image) = names::one_line(&image, NAME_CHARS_MAX * 2) {
            let _ = writeln!(text, "    # The chart has {image}");
        }
    }
    text
}

fn image_plan(answers: &Answers) -> String {
    format!(
        "    # The image that customers get.\n    image:\n{}    \
         # What one container needs; generated deployments ask for it.\n    \
         resources:\n      cpu: 1\n      memoryGb: 1.5\n",
        image(answers, 6)
    )
}

/// An image, indented by so many spaces.
fn image(answers: &Answers, indent: usize) -> String {
    let found = answers.image.clone().unwrap_or_default();
    let mut lines = vec![
        "# Its repository, without the registry. It can never change.".to_owned(),
        format!("repository: {}", scalar(answers.text(Topic::Repository))),
        "# Each release is greater than all before; published tags never move.".to_owned(),
        format!("version: {}", quoted(answers.version.as_str())),
        "# {platform} makes a tag for each platform; the others name the index over them all."
            .to_owned(),
        "tags: [latest, \"{version}-all\", \"{version}-test\", \"{version}-{platform}\"]"
            .to_owned(),
    ];
    let is_kubernetes = answers.kind == OfferKind::Kubernetes;
    let described = [("source", "source"), ("licences", "licenses")];
    for (key, label) in described {
        if let Some(value) = found.label(label).and_then(|text| names::one_line(text, 200)) {
            lines.push(format!("{key}: {}", scalar(&value)));
        }
    }
    if let Some(image) = &found.adopt {
        let about = "# The image that is taken as it is; `base` would put layers on it.";
        lines.extend([about.to_owned(), format!("adopt: {}", scalar(image))]);
    } else {
        let about = "# The time of the image and of every file, so that the same input gives the same digest.";
        let created = format!("created: \"{}T00:00:00Z\"", answers.today);
        lines.extend([about.to_owned(), created]);
    }
    lines.push("platforms:".to_owned());
    let mut platforms: Vec<String> = found.platforms.iter().map(ToString::to_string).collect();
    platforms.retain(|platform| !is_kubernetes || platform == "linux/amd64");
    if platforms.is_empty() {
        platforms.push("linux/amd64".to_owned());
    }
    for platform in platforms {
        lines.push(format!("  - platform: {platform}"));
        if found.adopt.is_none() {
            lines.push(
                "    # From the bottom up; folders of your build, below this file.".to_owned(),
            );
            lines.push("    layers:".to_owned());
            lines.push("      - dir: build/rootfs  # replace".to_owned());
        }
    }
    if found.adopt.is_none() {
        lines.push("# How a container starts: a program of the layers, not as root.".to_owned());
        lines.push("config:".to_owned());
        lines.push("  entrypoint: [/app/server]  # replace".to_owned());
        lines.push("  user: \"10001:10001\"".to_owned());
        lines.push("  exposedPorts: [8080/tcp]  # replace".to_owned());
    } else {
        lines.extend(says(&found.ports, &found.user));
    }
    let indented = lines.iter().map(|line| format!("{:indent$}{line}\n", ""));
    indented.collect()
}

/// An adopted image's own settings, for readers of the file.
fn says(ports: &[String], user: &str) -> Option<String> {
    let ports = names::one_line(&ports.join(", "), NAME_CHARS_MAX);
    let user = names::one_line(user, NAME_CHARS_MAX);
    match (ports, user) {
        (None, None) => None,
        (Some(ports), None) => Some(format!("# The image listens on {ports}.")),
        (None, Some(user)) => Some(format!("# The image runs as {user}.")),
        (Some(ports), Some(user)) => Some(format!("# The image listens on {ports} as {user}.")),
    }
}
