//! The listing as customers will see it: in search results, at its head, with its pictures. It follows
//! the shop's arrangement, not its looks.

use maud::{Markup, html};

use crate::checklist::seen::seen;
use crate::checklist::{Checklist, Embedded};
use crate::offer::languages::{InLanguage, languages};
use crate::shown::visible;

/// How many languages are drawn; the pages below have them all.
const LANGUAGES_MAX: usize = 12;

pub(super) fn section(checklist: &Checklist<'_>) -> Markup {
    let languages = languages(checklist.offer, checklist.content);
    html! {
        section #customers {
            h2 { "As customers see it" }
            @for texts in languages.iter().take(LANGUAGES_MAX) {
                article {
                    h3 { "Listing " span.dim { bdi { (visible(texts.language)) } } }
                    (shop(checklist, texts))
                }
            }
            @if languages.len() > LANGUAGES_MAX {
                p.more { (languages.len() - LANGUAGES_MAX) " more languages below." }
            }
            article {
                h3 { "Logos" span.total { "on light and on dark" } }
                (logos(checklist))
            }
        }
    }
}

fn shop(checklist: &Checklist<'_>, texts: &InLanguage<'_>) -> Markup {
    let publisher = visible(&checklist.offer.publisher);
    html! {
        div.shop {
            div.result {
                p.caption { "In search results" }
                div.card {
                    (logo(checklist, 48))
                    p.title { bdi { (visible(texts.title)) } }
                    p.by { "by " bdi { (publisher) } }
                    p { bdi { (visible(texts.search_summary)) } }
                }
            }
            div.listing {
                p.caption { "On its page" }
                div.head {
                    (logo(checklist, 90))
                    div {
                        p.title { bdi { (visible(texts.title)) } }
                        p.by { "by " bdi { (publisher) } }
                        p { bdi { (visible(texts.short_description)) } }
                    }
                }
                details { summary { "Description" } div.seen { (seen(texts.description)) } }
            }
        }
        (gallery(checklist, texts))
    }
}

fn logo(checklist: &Checklist<'_>, side: u32) -> Markup {
    html! {
        @if let Some(picture) = checklist.pictures.get("listing.logos.large") {
            img.logo src=(picture.uri) width=(side) height=(side) alt="logo";
        } @else {
            span.missing { "no logo" }
        }
    }
}

fn gallery(checklist: &Checklist<'_>, texts: &InLanguage<'_>) -> Markup {
    let screenshots = texts.screenshots.iter().enumerate().map(|(place, at)| {
        let picture = checklist.pictures.get(&texts.key(&format!("screenshots[{place}].file")));
        (picture, visible(&at.caption))
    });
    let videos = texts.videos.iter().enumerate().map(|(place, at)| {
        let picture = checklist.pictures.get(&texts.key(&format!("videos[{place}].thumbnail")));
        (picture, format!("▶ {}", visible(&at.title)))
    });
    html! {
        div.gallery {
            @for (picture, caption) in screenshots.chain(videos) {
                figure {
                    @match picture {
                        Some(picture) => (screen(picture, &caption)),
                        None => span.missing { "not shown" },
                    }
                    figcaption { bdi { (caption) } }
                }
            }
        }
    }
}

fn screen(picture: &Embedded, caption: &str) -> Markup {
    html! {
        img src=(picture.uri) width=(picture.width) height=(picture.height) alt=(caption);
    }
}

fn logos(checklist: &Checklist<'_>) -> Markup {
    let known = ["large", "medium", "small", "wide"]
        .into_iter()
        .filter_map(|name| Some((name, checklist.pictures.get(&format!("listing.logos.{name}"))?)));
    let known: Vec<_> = known.collect();
    html! {
        @for ground in ["light", "dark"] {
            div class={ "grounds " (ground) } {
                @for (name, picture) in &known {
                    figure {
                        img src=(picture.uri) width=(picture.width) height=(picture.height) alt=(name);
                        figcaption { (name) " " (picture.width) " × " (picture.height) }
                    }
                }
            }
        }
    }
}
