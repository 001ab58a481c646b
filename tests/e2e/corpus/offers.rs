//! Offers with faults for the marketplace: in the publisher, the words, the pictures, the tags.

use wharf_testkit::offers::{Offer, picture};

use super::{Case, Error, Make, Warning, offer};

const BLUE: [u8; 3] = [24, 96, 152];
const SUBSCRIPTION: &str = "    - { id: 8d3f51a2-7c60-4e9b-b1d5-0f2a6c94e837, label: Trial }\n";
const SCREENSHOT: &str = "    - { file: screen.png, caption: The tides of a week }\n";
const VIDEO: &str = "    - { title: A tour, url: https://vimeo.com/2, thumbnail: video.png }\n";
const TAGS: &str = "latest, \"{version}-all\", \"{version}-test\", \"{version}-{platform}\"";

pub(super) const CASES: &[Case] = &[
    offer("OFR-001", Error, "the offer ID has a capital letter", |at| {
        at.replace("id: tide\n", "id: Tide\n");
    }),
    offer("OFR-001", Error, "the offer ID is too short", |at| at.replace("id: tide\n", "id: ti\n")),
    offer("OFR-002", Warning, "the offer ID ends with a dash", |at| {
        at.replace("id: tide\n", "id: tide-\n");
    }),
    offer("OFR-004", Error, "the publisher has a space", |at| {
        at.replace("publisher: quayline", "publisher: quay line");
    }),
    offer("OFR-006", Error, "images are to be sold through Microsoft", |at| {
        at.add_after("  registry: harbour\n", "  sellThroughMicrosoft: true\n");
    }),
    offer("OFR-007", Error, "nobody sees the preview", |at| {
        at.replace(&format!("subscriptions:\n{SUBSCRIPTION}"), "subscriptions: []\n");
    }),
    offer("OFR-007", Error, "a subscription of the preview is no GUID", |at| {
        at.replace("8d3f51a2", "8d3f51a");
    }),
    offer("OFR-007", Warning, "eleven subscriptions see the preview", |at| {
        at.add_after(SUBSCRIPTION, &SUBSCRIPTION.repeat(10));
    }),
    offer("OFR-009", Error, "there are two kinds of terms", |at| {
        at.add_after("legal:\n", "  standardContract: true\n");
    }),
    offer("OFR-009", Error, "there are no terms", |at| {
        at.replace("  terms: { file: terms.txt }", "  standardContract: false");
    }),
    offer("OFR-010", Error, "the terms are too long", |at| {
        at.file("terms.txt", "tide ".repeat(2_001));
    }),
    offer("OFR-010", Error, "the address of the terms is none", |at| {
        at.replace("{ file: terms.txt }", "{ url: terms.html }");
    }),
    offer("OFR-012", Error, "the category is not containers", |at| {
        at.replace("    containers:", "    ships:");
    }),
    offer("OFR-012", Error, "a subcategory does not exist", |at| {
        at.replace("[container-images]", "[boats]");
    }),
    offer("OFR-014", Error, "the alias is empty", |at| at.replace("alias: Tide", "alias: ''")),
    offer("OFR-015", Warning, "there are no notes for certification", |at| {
        at.replace("certificationNotes: Start it and ask port 8080 for /tides.\n", "");
    }),
    offer("LST-001", Error, "the title is empty", |at| {
        at.replace("title: Tide for containers", "title: ''");
    }),
    offer("LST-001", Warning, "the title is longer than some pages take", |at| {
        at.replace("title: Tide for containers", &format!("title: Tide {}", "m".repeat(60)));
    }),
    offer("LST-001", Error, "the title is longer than any page takes", |at| {
        at.replace("title: Tide for containers", &format!("title: Tide {}", "m".repeat(200)));
    }),
    offer("LST-002", Error, "the title has a picture sign", |at| {
        at.replace("title: Tide for containers", "title: Tide 🌊");
    }),
    offer("LST-003", Error, "the search summary holds a tag", |at| {
        at.replace("Tells when the water", "<b>Tells</b> when the water");
    }),
    offer("LST-003", Error, "the search summary is too long", |at| {
        at.replace("Tells when", &format!("Tells {} when", "x".repeat(90)));
    }),
    offer("LST-004", Error, "the short description has two lines", |at| {
        at.replace(
            "A small service that knows the tides of a thousand ports.",
            "\"A small service\\nthat knows the tides.\"",
        );
    }),
    offer("LST-005", Error, "the description is too long", |at| at.description(&"x".repeat(5_001))),
    offer("LST-005", Warning, "the description is longer than some pages take", |at| {
        at.description(&"x".repeat(3_001));
    }),
    offer("LST-006", Warning, "the description has a table", |at| {
        at.description("<table></table>");
    }),
    offer("LST-006", Warning, "tags of the description are closed in another order", |at| {
        at.description("<b><i>x</b></i>");
    }),
    offer("LST-006", Warning, "a tag of the description is not closed", |at| {
        at.description("<ul><li>x</li>");
    }),
    offer("LST-007", Error, "the description runs something when it is clicked", |at| {
        at.description("<p onclick=\"tide()\">x</p>");
    }),
    offer("LST-008", Warning, "a German listing does not say so first", |at| {
        at.add_after("listing:\n", "  language: de-de\n");
    }),
    offer("LST-009", Warning, "a keyword stands in no text", |at| {
        at.replace("[tides]", "[tides, lighthouse]");
    }),
    offer("LST-009", Warning, "there are four keywords", |at| {
        at.replace("[tides]", "[tides, water, ports, service]");
    }),
    offer("LST-010", Error, "the privacy policy has no address", |at| {
        at.replace("https://quayline.dev/privacy", "privacy.html");
    }),
    offer("LST-010", Error, "the privacy policy is that of a template", |at| {
        at.replace("https://quayline.dev/privacy", "https://www.contoso.com/p");
    }),
    offer("LST-011", Error, "a link has no title", |at| {
        at.replace("title: First steps", "title: ''");
    }),
    offer("LST-011", Error, "a link stands twice", |at| {
        let link = "    - { title: First steps, url: https://quayline.dev/start }\n";
        at.add_after(link, &link.replace("First", "Second"));
    }),
    offer("LST-012", Error, "a contact has no mail address", |at| {
        at.replace("help@quayline.dev", "help");
    }),
    offer("LST-012", Error, "a contact has no telephone number", |at| {
        at.replace("\"+49 40 555 0102\"", "ask for Tim");
    }),
    offer("LST-013", Error, "the support page has no address", |at| {
        at.replace("https://quayline.dev/help", "help.html");
    }),
    offer("LST-014", Error, "a plan for governments has no support page", |at| {
        at.add_after("    licence: byol\n", "    regions: [azureGovernment]\n");
    }),
    offer("LST-015", Error, "the large logo is too small", |at| {
        at.file("large.png", picture(200, 200, BLUE));
    }),
    offer("LST-015", Error, "the large logo is not square", |at| {
        at.file("large.png", picture(256, 250, BLUE));
    }),
    offer("LST-016", Error, "the small logo has another size", |at| {
        at.file("small.png", picture(50, 50, BLUE));
    }),
    offer("LST-016", Warning, "there is no wide logo", |at| at.replace("    wide: wide.png\n", "")),
    offer("LST-017", Warning, "a logo stands on white", |at| {
        at.file("large.png", picture(256, 256, [255; 3]));
    }),
    offer("LST-017", Warning, "a logo stands on black", |at| {
        at.file("wide.png", picture(255, 115, [0; 3]));
    }),
    offer("LST-018", Error, "a screenshot has another size", |at| {
        at.file("screen.png", picture(1280, 721, BLUE));
    }),
    offer("LST-018", Error, "there is no screenshot", |at| {
        at.replace(&format!("screenshots:\n{SCREENSHOT}"), "screenshots: []\n");
    }),
    offer("LST-018", Error, "there are six screenshots", |at| {
        at.add_after(SCREENSHOT, &SCREENSHOT.repeat(5));
    }),
    offer("LST-020", Warning, "a video is on another site", |at| {
        at.replace("https://vimeo.com/2", "https://quayline.dev/v");
    }),
    offer("LST-020", Error, "there are six videos", |at| at.add_after(VIDEO, &VIDEO.repeat(5))),
    offer("LST-021", Error, "a logo is a renamed JPEG", |at| {
        at.file("small.png", b"\xff\xd8\xff\xe0\0\x10JFIF");
    }),
    offer("LST-021", Error, "a screenshot breaks off", |at| {
        let whole = picture(1280, 720, BLUE);
        at.file("screen.png", &whole[..whole.len() - 30]);
    }),
    offer("LST-025", Error, "a link leads into a private network", |at| {
        at.replace("https://quayline.dev/start", "http://192.168.7.7/start");
    }),
    offer("LST-025", Error, "an address holds a password", |at| {
        at.replace("https://pictures.", "https://me:word@pictures.");
    }),
    offer("PLN-001", Error, "a plan ID is too short", |at| {
        at.replace("id: tide-service", "id: ts");
    }),
    offer("PLN-003", Error, "two plans have one name", |at| {
        at.second_plan(|plan| plan.replace("name: Probe", "name: service"));
    }),
    offer("PLN-003", Warning, "the name of a plan is longer than some pages take", |at| {
        at.replace("name: Service", &format!("name: Service {}", "s".repeat(50)));
    }),
    offer("PLN-004", Error, "a plan has no summary", |at| {
        at.replace("summary: The service alone.", "summary: ''");
    }),
    offer("PLN-005", Warning, "a plan repeats the offer's description", |at| {
        at.replace(
            "<p>Nothing but the program that answers questions.</p>",
            "{ file: listing.html }",
        );
    }),
    offer("PLN-006", Error, "two plans have one repository", |at| {
        at.second_plan(|plan| plan.replace("tide/probe", "tide/service"));
    }),
    offer("PLN-009", Error, "a certification has no address", |at| {
        at.add_after(
            "    licence: byol\n",
            "    governmentCertifications: [{ name: Harbour, url: none }]\n",
        );
    }),
    offer("PLN-010", Warning, "every plan is hidden", |at| {
        at.add_after("    licence: byol\n", "    visibility: hidden\n");
    }),
    offer("TEC-001", Error, "the subscription of the registry is no GUID", |at| {
        at.replace("51e0b7c4-", "");
    }),
    offer("TEC-002", Error, "the resource group has a space", |at| {
        at.replace("harbour-group", "harbour group");
    }),
    offer("TEC-003", Error, "the registry's name is an address", |at| {
        at.replace("registryName: quayharbour", "registryName: quayharbour.azurecr.io");
    }),
    offer("TEC-004", Warning, "the login server is of another registry", |at| {
        at.replace("registryName: quayharbour", "registryName: quayanchor");
    }),
    offer("TEC-005", Error, "the registry has no credentials", |at| {
        at.replace("    credentials:\n      username: { env: HARBOUR_USER }\n      password: { env: HARBOUR_PASSWORD }\n", "");
    }),
    offer("TEC-006", Error, "the repository is too long", |at| {
        at.replace("tide/service", &format!("tide/{}", "s".repeat(96)));
    }),
    offer("TEC-009", Error, "there are seventeen tags", |at| published(at, 12)),
    offer("TEC-010", Error, "a tag is too long", |at| {
        tags(at, &TAGS.replace("-test\"", &format!("-test-{}\"", "t".repeat(100))));
    }),
    offer("TEC-011", Error, "there is no tag latest", |at| tags(at, &TAGS.replace("latest, ", ""))),
    offer("TEC-013", Error, "a tag starts with a letter", |at| {
        tags(at, &TAGS.replace("\"{version}-all\"", "\"v{version}-all\""));
    }),
    offer("TEC-013", Warning, "a tag is the bare version", |at| {
        tags(at, &TAGS.replace("\"{version}-all\"", "\"{version}\""));
    }),
    offer("TEC-014", Error, "a platform has no tag of its own", |at| {
        tags(at, &TAGS.replace("{version}-{platform}", "{version}-other"));
    }),
    offer("TEC-016", Error, "a greater version is published", |at| publish(at, "\"1.5.0-all\"")),
    offer("TEC-017", Error, "a published tag is written again", |at| {
        tags(at, &format!("{TAGS}, \"1.3.0-all\""));
        at.add_after("\"1.3.0-all\"]\n", "      publishedTags: [\"1.3.0-all\"]\n");
    }),
    offer("TEC-019", Error, "two tags differ in case only", |at| {
        tags(at, &format!("{TAGS}, \"{{version}}-ALL\""));
    }),
    offer("TEC-020", Warning, "there is no test tag", |at| {
        tags(at, &TAGS.replace("-test", "-more"));
    }),
    offer("TEC-021", Warning, "a tag ends like one of continuous patching", |at| {
        tags(at, &TAGS.replace("-test", "-test-7"));
    }),
    offer("TEC-022", Error, "a tag for all says one platform", |at| {
        tags(at, &format!("{TAGS}, \"{{version}}-linux\""));
    }),
    offer("TEC-023", Warning, "the tags of the next version do not fit", |at| published(at, 9)),
    offer("DEP-001", Error, "a container wants 32 cores", |at| at.replace("cpu: 1,", "cpu: 32,")),
    offer("DEP-001", Warning, "a container wants less than a group gets", |at| {
        at.replace("cpu: 1,", "cpu: 0.5,");
    }),
    offer("DEP-002", Warning, "a container wants what few regions have", |at| {
        at.replace("memoryGb: 2", "memoryGb: 17");
    }),
    offer("LST-007", Error, "the description holds a script", |at| {
        at.description("<script>tide()</script>");
    }),
    offer("LST-007", Error, "the description loads a picture", |at| {
        at.description("<img src=\"https://quayline.dev/t.png\">");
    }),
    offer("LST-007", Error, "the description has a style", |at| {
        at.description("<div STYLE = \"position:fixed\">x</div>");
    }),
    offer("LST-026", Error, "the alias has a sign that nobody sees", |at| {
        at.replace("alias: Tide", "alias: \"Ti\\u200bde\"");
    }),
    offer("LST-027", Error, "the description has a sign that nobody sees", |at| {
        at.description("<p>ti\u{202e}de</p>");
    }),
    Case {
        rule: "IMG-048",
        weight: Warning,
        what: "the description names a port that no image has",
        make: Make::Both(|offer, _| offer.description("<p>It listens on port 9090.</p>")),
    },
    Case {
        rule: "TEC-025",
        weight: Error,
        what: "the layout lacks a tag of the offer",
        make: Make::Both(|_, image| {
            image.tags.pop();
        }),
    },
    Case {
        rule: "TEC-025",
        weight: Error,
        what: "the layout has a tag that the offer has not",
        make: Make::Both(|_, image| image.tags.push("1.3.0-all".to_owned())),
    },
    Case {
        rule: "IMG-050",
        weight: Error,
        what: "the layout was made from an earlier state of the offer",
        make: Make::Both(|_, image| {
            image.on_top = |top| {
                let inputs = format!("sha256:{}", "5".repeat(64));
                for root in top["manifests"].as_array_mut().unwrap() {
                    root["annotations"]["wharf.image.inputs"] = inputs.as_str().into();
                }
            };
        }),
    },
];

fn tags(offer: &mut Offer, to: &str) {
    offer.replace(TAGS, to);
}

fn publish(offer: &mut Offer, tags: &str) {
    offer.add_after(&format!("tags: [{TAGS}]\n"), &format!("      publishedTags: [{tags}]\n"));
}

/// So many tags were published before.
fn published(offer: &mut Offer, count: usize) {
    let tags: Vec<String> = (0..count).map(|number| format!("\"1.0.{number}\"")).collect();
    publish(offer, &tags.join(", "));
}
