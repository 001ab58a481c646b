//! Questions of `wharf offer init`, their answers, and flags in their place.

use super::*;

#[test]
fn without_anybody_to_ask_every_missing_flag_is_named() {
    let refused =
        |flags: &Given| settle(flags, &Sources::default(), AnswerPolicy::Refuse).unwrap_err();
    let said = refused(&given(&[(Topic::Title, "Tidepool")])).to_string();
    for flag in
        ["--publisher", "--registry", "--subscription-id", "--website", "--email", "--phone"]
    {
        assert!(said.contains(flag), "{flag}: {said}");
    }
    assert!(!said.contains("--title") && !said.contains("--offer-id") && said.contains("--yes"));
    let (must, may) = said.split_once("give it. ").unwrap();
    assert!(must.contains("--publisher") && !must.contains("--yes"), "{said}");
    assert!(!may.contains("--publisher") && may.contains("--phone"), "{said}");
    let said = refused(&given(&[(Topic::Publisher, "quayline")])).to_string();
    assert!(said.ends_with("give it, or take what is proposed with --yes"), "{said}");
    let said =
        settle(&Given::new(), &Sources::default(), AnswerPolicy::Take).unwrap_err().to_string();
    assert!(said.contains("--publisher") && !said.contains("--yes"), "{said}");
}

#[test]
fn a_person_is_asked_what_no_flag_says_and_hears_what_is_wrong() {
    let mut asked = Vec::new();
    let mut ask = |question: &Question<'_>| {
        asked.push(question.topic);
        assert!(question.proposal.is_some() || question.topic == Topic::Publisher);
        Ok(match question.topic {
            Topic::OfferId => {
                assert!((question.fault)("Tide").unwrap().contains("lowercase"));
                assert!((question.fault)("ab").is_some());
                assert_eq!((question.fault)("tide"), None);
                "tide".to_owned()
            }
            Topic::Licence => {
                assert!(question.choices.iter().all(|(name, _)| *name != "payAsYouGo"));
                "free".to_owned()
            }
            Topic::Publisher => "quayline".to_owned(),
            _ => question.proposal.unwrap().text.clone(),
        })
    };
    let flags = given(&[(Topic::Kind, "image"), (Topic::Title, "Tidepool")]);
    let values = settle(&flags, &Sources::default(), AnswerPolicy::Ask(&mut ask)).unwrap();
    assert!(!asked.contains(&Topic::Title) && !asked.contains(&Topic::ExtensionType));
    assert!(asked.contains(&Topic::Repository) && asked.is_sorted());
    assert_eq!(values[&Topic::OfferId].origin, ValueOrigin::Given);
    assert_eq!(values[&Topic::Phone].origin, ValueOrigin::Placeholder);
    let mut stop = |_: &Question<'_>| Err(InitError::Interrupted);
    let stopped = settle(&flags, &Sources::default(), AnswerPolicy::Ask(&mut stop));
    assert!(matches!(stopped, Err(InitError::Interrupted)));
}

#[test]
fn every_answer_is_judged_as_the_whole_is_before_the_next_question() {
    let bad = |topic| match topic {
        Topic::Title => Some("Cache \u{1f680}"),
        Topic::Summary => Some("<b>fast</b>"),
        Topic::Publisher => Some("quay line"),
        Topic::OfferId => Some("Tide"),
        Topic::SubscriptionId | Topic::TenantId => Some("mine"),
        Topic::ResourceGroup => Some("a/b"),
        Topic::Website => Some("https://example.com"),
        Topic::Email => Some("nobody"),
        Topic::Phone => Some("call us"),
        _ => None,
    };
    for kind in ["kubernetes", "image"] {
        let mut judged = 0;
        let mut ask = |question: &Question<'_>| {
            let topic = question.topic;
            if let Some(bad) = bad(topic) {
                assert!((question.fault)(bad).is_some(), "{kind} {topic:?}");
                judged += 1;
            }
            let good = question.proposal.map_or("quayline", |value| value.text.as_str());
            let good = if topic == Topic::Kind { kind } else { good };
            assert_eq!((question.fault)(good), None, "{kind} {topic:?}");
            Ok(good.to_owned())
        };
        let values =
            settle(&Given::new(), &Sources::default(), AnswerPolicy::Ask(&mut ask)).unwrap();
        let answers = Answers::new(values, &Sources::default(), "2026-11-29".to_owned());
        draft::check(&answers).unwrap();
        assert!(judged >= 9, "{judged}");
    }
}

#[test]
fn what_flags_break_is_said_before_anybody_answers() {
    let image = |platform: &str| {
        let platforms = vec![platform.parse().unwrap()];
        Sources {
            image: Some(sources::ImageFound { platforms, ..Default::default() }),
            ..Default::default()
        }
    };
    let named = Sources { chart_is_named: true, ..Sources::default() };
    for (kind, topic, bad, sources) in [
        ("kubernetes", Topic::Title, "two\nlines", Sources::default()),
        ("kubernetes", Topic::Phone, "call us", Sources::default()),
        ("image", Topic::ExtensionType, "A.B", Sources::default()),
        ("image", Topic::Licence, "payAsYouGo", Sources::default()),
        ("image", Topic::Title, "Cache", named),
        ("kubernetes", Topic::Title, "Cache", image("linux/arm64")),
    ] {
        let mut ask = |question: &Question<'_>| {
            assert_eq!(question.topic, Topic::Kind, "{bad}");
            Ok(kind.to_owned())
        };
        let error =
            settle(&given(&[(topic, bad)]), &sources, AnswerPolicy::Ask(&mut ask)).unwrap_err();
        assert!(matches!(error, InitError::Wrong(_)), "{bad}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    check_place(&folder.path().join("new/offer.yaml")).unwrap();
    check_place(Path::new("new/offer.yaml")).unwrap();
    let error = check_place(&folder.path().join("file/new/offer.yaml")).unwrap_err();
    assert!(matches!(error, InitError::Write { .. }), "{error}");
}
