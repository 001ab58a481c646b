#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::offer::fixture::{Folder, OFFER};
use crate::rules::evidence::Evidence;
use crate::rules::judge_offer;

/// The input from an image's offer.
#[derive(Debug, Clone)]
struct Case {
    version: String,
    platforms: Vec<&'static str>,
    /// Empty for `auto`.
    templates: Vec<&'static str>,
    published: Vec<String>,
    profile: Profile,
}

impl Case {
    fn templates(&self) -> TagTemplates {
        if self.templates.is_empty() {
            return TagTemplates::auto();
        }
        self.templates.iter().map(|text| text.parse::<TagTemplate>().unwrap()).collect()
    }

    fn platforms(&self) -> Vec<Platform> {
        self.platforms.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn published(&self) -> Vec<Tag> {
        self.published.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn solve(&self) -> Result<TagPlan, NoPlan> {
        let (templates, published) = (self.templates(), self.published());
        let version = self.version.parse().unwrap();
        solve(
            &TagRequest {
                version: &version,
                platforms: self.platforms(),
                templates: &templates,
                published: &published,
            },
            self.profile,
        )
    }
}

fn strict(version: &str, platforms: &[&'static str], published: &[&str]) -> Case {
    Case {
        version: version.to_owned(),
        platforms: platforms.to_vec(),
        templates: Vec::new(),
        published: published.iter().map(|tag| (*tag).to_owned()).collect(),
        profile: Profile::Strict,
    }
}

fn names(tags: &[PlannedTag]) -> Vec<&str> {
    tags.iter().map(|item| item.tag.as_str()).collect()
}

fn said(plan: &TagPlan) -> Vec<String> {
    let name = |item: &LeftOut| {
        let tags: Vec<&str> = item.tags.iter().map(Tag::as_str).collect();
        format!("{}: {}", tags.join(" "), item.reason)
    };
    plan.left_out.iter().map(name).collect()
}

const PAIR: &[&str] = &["linux/amd64", "linux/arm64"];

#[test]
fn auto_gets_a_word_after_its_bare_version_where_every_page_has_to_take_it() {
    let case = strict("2.1.0", PAIR, &[]);
    let plan = case.solve().unwrap();
    assert_eq!(
        names(&plan.tags),
        ["2.1.0-linux-amd64", "2.1.0-linux-arm64", "2.1.0-all", "2.1.0-test", "latest"]
    );
    assert_eq!(plan.left_out[0].origin, TagOrigin::Template("{version}".to_owned()));
    assert_eq!(plan.left_out[0].reason, LeftOutReason::Bare);
    let lenient = Case { profile: Profile::Lenient, ..case }.solve().unwrap();
    assert_eq!(
        names(&lenient.tags),
        ["2.1.0-linux-amd64", "2.1.0-linux-arm64", "2.1.0", "2.1.0-test", "latest"]
    );
    assert_eq!(lenient.left_out, []);
}

#[test]
fn the_newest_versions_stay_and_the_others_are_named_with_the_reason() {
    let of = |version: &str| {
        let ends = ["all", "linux-amd64", "linux-arm64", "test"];
        ends.map(|end| format!("{version}-{end}"))
    };
    let published = ["1.2.0", "1.3.0", "1.10.0", "1.9.0"].map(of).concat();
    let mut case = strict("2.0.0", PAIR, &[]);
    case.published = published;
    case.templates = vec!["latest", "{version}-{platform}", "{version}-all"];
    let plan = case.solve().unwrap();
    let expected = [
        "1.3.0-all",
        "1.3.0-linux-amd64",
        "1.3.0-linux-arm64",
        "1.9.0-all",
        "1.9.0-linux-amd64",
        "1.9.0-linux-arm64",
        "1.9.0-test",
        "1.10.0-all",
        "1.10.0-linux-amd64",
        "1.10.0-linux-arm64",
        "1.10.0-test",
        "2.0.0-linux-amd64",
        "2.0.0-linux-arm64",
        "2.0.0-all",
        "2.0.0-test",
        "latest",
    ];
    // 4 + 8 leave 4: the whole of 1.3.0, so the test tags of 2.0.0 have no room.
    let whole: Vec<&str> =
        [&expected[..3], &["1.3.0-test"], &expected[3..14], &["latest"]].concat();
    assert_eq!(names(&plan.tags), whole);
    assert_eq!(
        said(&plan),
        [
            "2.0.0-test: no room: 1 tag, and of 16 places 0 are left",
            "1.2.0-all 1.2.0-linux-amd64 1.2.0-linux-arm64 1.2.0-test: no room: 4 tags, and of 16 \
             places 0 are left",
        ]
    );
    // With one tag more of the offer's own, the test tag of the oldest makes room.
    case.templates.push("{version}-test");
    let plan = case.solve().unwrap();
    assert_eq!(names(&plan.tags), expected);
    assert_eq!(plan.left_out[0].reason, LeftOutReason::Tested);
    assert_eq!(plan.left_out[1].origin, TagOrigin::Version("1.2.0".parse().unwrap()));
}

#[test]
fn published_tags_say_what_they_are_and_latest_moves() {
    let published =
        ["latest", "edge", "1.0.0", "1.0.0-linux-amd64", "1.0.0-Linux-AMD64", "0.9-x", "0.9-x"];
    let plan = strict("1.1.0", &["linux/amd64"], &published).solve().unwrap();
    // A banned tag of a platform takes its version along; a bare one goes alone.
    assert_eq!(names(&plan.tags)[0], "0.9-x");
    let latest = plan.tags.last().unwrap();
    assert_eq!((latest.tag.as_str(), latest.state), ("latest", TagOutcome::Moves));
    assert_eq!(plan.tags[0].state, TagOutcome::Published);
    let reasons: Vec<&LeftOutReason> = plan.left_out.iter().map(|item| &item.reason).collect();
    assert_eq!(reasons[0], &LeftOutReason::Bare, "the template");
    assert_eq!(reasons[1], &LeftOutReason::NoVersion);
    assert!(matches!(reasons[2], LeftOutReason::Twice(_)), "{reasons:?}");
    assert_eq!(plan.left_out[2].tags.len(), 3);
}

#[test]
fn where_no_list_can_be_it_is_said_why() {
    let many: Vec<&str> = MANY.iter().copied().take(16).collect();
    let mut case = strict("1.0.0", &[], &[]);
    case.platforms = many;
    assert_eq!(case.solve(), Err(NoPlan::Platforms(16)));
    case.platforms.pop();
    assert_eq!(case.solve().unwrap().tags.len(), 16);
    for published in ["1.0.0-x", "1.0-linux-amd64", "1.0.1"] {
        let refused = strict("1.0.0", PAIR, &[published]).solve().unwrap_err();
        assert!(matches!(refused, NoPlan::NotGreater { .. }), "{refused}");
    }
    let mut twins = strict("1.0.0", &["windows/amd64", "windows/amd64"], &[]);
    twins.templates = vec!["latest"];
    assert!(matches!(twins.solve(), Err(NoPlan::Alike(TagError::Twice { .. }))));
    let mut long = strict("1.0.0", PAIR, &[]);
    long.version = format!("1.{}1.0", "0".repeat(90));
    assert!(matches!(long.solve(), Err(NoPlan::Unfit { reason: LeftOutReason::TooLong(_), .. })));
}

#[test]
fn templates_that_would_lie_are_left_out_with_the_reason() {
    let mut case = strict("1.4.2", PAIR, &["1.3.0-all"]);
    case.templates = vec![
        "latest",
        "stable",
        "{version}-linux",
        "1.3.0-all",
        "1.2.0-{platform}",
        "{version}-{arch}",
        "1.4-all",
        "{version}-ALL",
    ];
    let plan = case.solve().unwrap();
    let reasons: Vec<&LeftOutReason> = plan.left_out.iter().map(|item| &item.reason).collect();
    let other = LeftOutReason::OtherVersion("1.2.0".parse().unwrap());
    assert_eq!(
        reasons,
        [
            &LeftOutReason::NoVersion,
            &LeftOutReason::WrongWord("linux"),
            &LeftOutReason::Published,
            &other
        ]
    );
    assert_eq!(
        names(&plan.tags),
        ["1.3.0-all", "1.4.2-amd64", "1.4.2-arm64", "1.4-all", "1.4.2-ALL", "1.4.2-test", "latest"]
    );
}

/// Sixteen platforms and one more.
const MANY: [&str; 17] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/arm/v5",
    "linux/386",
    "linux/s390x",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/mips64le",
    "windows/amd64",
    "windows/arm64",
    "windows/386",
    "freebsd/amd64",
    "linux/loong64",
    "linux/mips64",
    "linux/mips",
];

fn case() -> impl Strategy<Value = Case> {
    let templates = prop::sample::subsequence(
        vec![
            "latest",
            "{version}",
            "{version}-all",
            "{version}-test",
            "{version}-{platform}",
            "{version}-{os}-{arch}",
            "v{version}",
            "stable",
            "{version}-slim-{platform}",
            "{version}-linux",
            "{version}-slim",
            "1.0.0-all",
            "{version}-",
        ],
        0..=8,
    )
    .prop_shuffle();
    let ends = vec![
        "",
        "-all",
        "-test",
        "-linux-amd64",
        "-linux-arm64",
        "-ALL",
        "-windows-x64",
        "-slim",
        "-",
    ];
    let version = (0_u8..3, 0_u8..12, prop::option::of(0_u8..4));
    let version = version.prop_map(|(major, minor, patch)| match patch {
        Some(patch) => format!("{major}.{minor}.{patch}"),
        None => format!("{major}.{minor}"),
    });
    let long = format!("0.1-{}", "y".repeat(110));
    let odd = prop::sample::select(vec!["latest".to_owned(), "edge".to_owned(), long]);
    let tag = (version, prop::sample::select(ends)).prop_map(|(version, end)| version + end);
    let published = prop::collection::vec(prop_oneof![9 => tag, 1 => odd], 0..30);
    let platforms = prop::sample::subsequence(MANY.to_vec(), 1..=17);
    let few = prop::sample::subsequence(MANY.to_vec(), 1..=4);
    let next = prop::sample::select(vec!["3.0.0", "2.10.1", "9.9"]);
    let profile = prop::sample::select(vec![Profile::Strict, Profile::Lenient]);
    (next, prop_oneof![1 => platforms, 3 => few], templates, published, profile).prop_map(
        |(version, platforms, templates, published, profile)| Case {
            version: version.to_owned(),
            platforms,
            templates,
            published,
            profile,
        },
    )
}

/// Everything the technical configuration asks of a list.
fn assert_fits(case: &Case, plan: &TagPlan) {
    assert!((1..=TAGS_MAX).contains(&plan.tags.len()), "{plan:?}");
    let folded: BTreeSet<String> =
        plan.tags.iter().map(|item| item.tag.as_str().to_lowercase()).collect();
    assert_eq!(folded.len(), plan.tags.len(), "all different: {plan:?}");
    let last = plan.tags.last().unwrap();
    assert_eq!((last.tag.as_str(), last.target), ("latest", Some(TagTarget::Index)));
    for place in 0..case.platforms.len() {
        let names = |item: &PlannedTag| item.target == Some(TagTarget::Platform(place));
        assert!(plan.tags.iter().any(names), "no tag for {}: {plan:?}", case.platforms[place]);
    }
    for item in &plan.tags[..plan.tags.len() - 1] {
        let tag = item.tag.as_str();
        assert!(tag.len() <= 100 && tag.parse::<Tag>().is_ok(), "{tag}");
        let number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let (version, rest) = tag.split_once('-').map_or((tag, None), |(a, b)| (a, Some(b)));
        let parts: Vec<&str> = version.split('.').collect();
        assert!(matches!(parts.len(), 2 | 3) && parts.into_iter().all(number), "{tag}");
        match (case.profile, rest) {
            (_, Some(rest)) => assert!(!rest.is_empty(), "{tag}"),
            (Profile::Strict, None) => panic!("{tag} is bare"),
            (Profile::Lenient, None) => {
                assert!(!matches!(item.target, Some(TagTarget::Platform(_))));
            }
        }
    }
}

/// Every published tag has one fate; none is written again, and each dropped one has its reason.
fn assert_published_tags_stay(case: &Case, plan: &TagPlan) {
    let published: BTreeSet<Tag> = case.published().into_iter().collect();
    let mut fates: Vec<Tag> = Vec::new();
    for item in &plan.tags {
        let is_floating = item.tag.as_str() == FLOATING_TAG;
        match item.state {
            TagOutcome::Published => fates.push(item.tag.clone()),
            TagOutcome::Moves => assert!(is_floating),
            TagOutcome::New | TagOutcome::Added => {
                assert!(!published.contains(&item.tag), "{}", item.tag);
            }
        }
    }
    let is_published =
        |item: &&LeftOut| !matches!(item.origin, TagOrigin::Template(_) | TagOrigin::Advised(_));
    let out = plan.left_out.iter().filter(is_published);
    fates.extend(out.clone().flat_map(|item| item.tags.iter().cloned()));
    let mut unique: Vec<Tag> = fates.clone();
    unique.sort();
    unique.dedup();
    let listed = published.iter().filter(|tag| tag.as_str() != FLOATING_TAG);
    assert_eq!(unique, listed.cloned().collect::<Vec<_>>());
    // `edge` may be listed twice; a tag with a version is one tag in any number.
    assert!(fates.len() >= unique.len());
}

/// A version is out for want of room only when newer ones have it.
fn assert_newest_first(case: &Case, plan: &TagPlan) {
    let numbers = |tag: &Tag| version_of(tag.as_str()).map(|(version, _)| version.numbers());
    // The pages' advice comes last, unless it stands for a bare version of the offer's own.
    let stands_in = case.templates.is_empty() || case.templates.contains(&"{version}");
    let advised = |item: &&PlannedTag| {
        let tag = item.tag.as_str();
        item.state == TagOutcome::Added
            && item.target == Some(TagTarget::Index)
            && (tag.ends_with("-test")
                || tag.ends_with("-all") && !stands_in
                || tag == case.version)
    };
    let new = plan.tags.iter().filter(|item| item.state != TagOutcome::Published && !advised(item));
    let before = new.count();
    for item in &plan.left_out {
        let (TagOrigin::Version(version), LeftOutReason::NoRoom { needed, .. }) =
            (&item.origin, &item.reason)
        else {
            continue;
        };
        let newer = plan.tags.iter().filter(|at| at.state == TagOutcome::Published);
        let newer = newer.filter(|at| numbers(&at.tag) > Some(version.numbers())).count();
        let others = item.tags.iter().filter(|tag| !is_test_tag(tag.as_str())).count();
        // A version of test tags alone has nothing to shed: it stays whole or goes whole.
        let least = if others == 0 { item.tags.len() } else { others };
        assert!(before + newer + least > TAGS_MAX, "{version} would fit: {plan:?}");
        assert_eq!(*needed, item.tags.len());
    }
}

#[test]
fn a_version_of_test_tags_alone_goes_whole() {
    let published = "1.2 1.1.1 1.1.1-all 1.2-all 1.1.1-test 1.6 1.2-test 1.2-linux-amd64 \
                     1.1.1-linux-amd64 1.3 1.1-test 1.2.0 1.1.1-windows-x64 1.2-windows-x64 1.1.0-test";
    let case = Case {
        version: "3.0.0".to_owned(),
        platforms: vec!["windows/arm64"],
        templates: vec!["{version}-"],
        published: published.split(' ').map(str::to_owned).collect(),
        profile: Profile::Lenient,
    };
    let plan = case.solve().unwrap();
    assert_fits(&case, &plan);
    assert_newest_first(&case, &plan);
    let gone =
        plan.left_out.iter().find(|item| matches!(item.origin, TagOrigin::Version(_))).unwrap();
    let gone: Vec<&str> = gone.tags.iter().map(Tag::as_str).collect();
    assert_eq!(gone, ["1.1-test", "1.1.0-test"]);
}

proptest! {
    #[test]
    fn a_list_is_what_the_technical_configuration_takes(case in case()) {
        match case.solve() {
            Ok(plan) => {
                assert_fits(&case, &plan);
                assert_published_tags_stay(&case, &plan);
                assert_newest_first(&case, &plan);
            }
            Err(NoPlan::Platforms(count)) => prop_assert!(count >= TAGS_MAX),
            Err(NoPlan::NotGreater { version, published, .. }) => {
                prop_assert!(version.numbers() <= published.numbers());
            }
            Err(NoPlan::Alike(TagError::Twice { .. })) => prop_assert!(case.platforms.len() > 1),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_offer_that_says_a_list_gets_the_same_again(case in case()) {
        let Ok(plan) = case.solve() else { return Ok(()) };
        let templates: TagTemplates = plan.templates.iter().cloned().collect();
        let kept = plan.tags.iter().filter(|item| item.state == TagOutcome::Published);
        let published: Vec<Tag> = kept.map(|item| item.tag.clone()).collect();
        let version: ImageVersion = case.version.parse().unwrap();
        let wanted = TagRequest {
            version: &version,
            platforms: case.platforms(),
            templates: &templates,
            published: &published,
        };
        let again = solve(&wanted, case.profile).unwrap();
        prop_assert_eq!(names(&again.tags), names(&plan.tags));
        prop_assert_eq!(&again.templates, &plan.templates);
        // The pages' advice may have no room again.
        let is_own = |item: &LeftOut| !matches!(item.origin, TagOrigin::Advised(_));
        prop_assert!(!again.left_out.iter().any(is_own), "{:?}", again.left_out);
        prop_assert!(again.tags.iter().all(|item| item.state != TagOutcome::Added));
    }
}

/// The offer of the tests with this list in its first plan.
fn offer_of(case: &Case, plan: &TagPlan) -> String {
    let quoted = |items: Vec<String>| {
        items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ")
    };
    let tags = plan.templates.iter().map(|template| template.as_str().to_owned()).collect();
    let kept = plan.tags.iter().filter(|item| item.state == TagOutcome::Published);
    let kept = kept.map(|item| item.tag.to_string()).collect();
    let platforms = case
        .platforms
        .iter()
        .map(|at| format!("        - platform: {at}\n          layers: [{{ dir: rootfs }}]\n"));
    let (start, rest) = OFFER.split_once("      tags: ").unwrap();
    let (_, rest) = rest.split_once("      platforms:\n").unwrap();
    let (_, rest) = rest.split_once("      config:\n").unwrap();
    let start = start.replacen("version: \"1.4.0\"", &format!("version: \"{}\"", case.version), 1);
    format!(
        "{start}      tags: [{}]\n      publishedTags: [{}]\n      platforms:\n{}      config:\n{rest}",
        quoted(tags),
        quoted(kept),
        platforms.collect::<String>()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_offer_that_says_a_list_breaks_no_rule_of_tags_and_expands_to_it(case in case()) {
        let Ok(plan) = case.solve() else { return Ok(()) };
        let folder = Folder::new();
        let (file, content) = folder.load(&offer_of(&case, &plan)).unwrap();
        let image = &file.offer.plans[0].images()[0].image;
        let written: Vec<&str> = image.expanded_tags.iter().map(|item| item.tag.as_str()).collect();
        let new: Vec<&str> = names(&plan.tags)[image.published_tags.len()..].to_vec();
        prop_assert_eq!(written, new);
        let judgement = judge_offer(&file, &content, &Evidence::default(), case.profile);
        let of_tags = |rule: &str| {
            rule.strip_prefix("TEC-").and_then(|at| at.parse().ok()).is_some_and(|at: u32| (9..24).contains(&at))
        };
        // These warn of later publications, or ask for a tag without room.
        let advice = ["TEC-020", "TEC-021", "TEC-023"];
        for finding in judgement.findings {
            if of_tags(finding.rule) && !advice.contains(&finding.rule) {
                prop_assert!(false, "{}: {}", finding.rule, finding.message);
            }
        }
    }
}
