//! Rule API-003: the payload against the marketplace's state, from a saved resource tree.

use super::{Check, Findings, OfferView, Rule, Severity};

pub(super) const RULES: &[Rule] = &[Rule {
    id: "API-003",
    title: "the payload changes nothing that can never change",
    severity: Severity::Error,
    source: "PIA; CPP-update-existing-offer",
    why: "The marketplace refuses it, or takes it and breaks customers.",
    fix: "write what is there; `wharf offer diff OFFER --tree FILE` shows every change with both \
          values",
    check: Check::Offer(compare),
}];

fn compare(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let changes = match &view.evidence.tree {
        None => return judge.not_applicable(),
        Some(Err(error)) => {
            let message = format!("there is no payload to compare with the tree: {error}");
            return judge.not_said("", message);
        }
        Some(Ok(diff)) => &diff.changes,
    };
    for change in changes {
        let Some(why) = change.refused else { continue };
        let plans = view.offer.plans.iter();
        let is_it =
            |plan: &crate::offer::model::Plan| Some(plan.id.as_str()) == change.plan.as_deref();
        let place = plans.into_iter().position(is_it);
        let key = match (place, &change.plan) {
            (Some(place), _) => format!("plans[{place}]"),
            (None, Some(_)) => "plans".to_owned(),
            (None, None) => "offer".to_owned(),
        };
        let message = format!("`{}` is {}: {why}", change.key, change.how.as_str());
        judge.error(&key, message);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use crate::marketplace::diff::{Change, ChangeKind, TreeDiff};
    use crate::offer::fixture::{Folder, OFFER};
    use crate::rules::evidence::Evidence;
    use crate::rules::{Judgement, Outcome, Profile, judge_offer};

    fn judged(tree: Option<Result<TreeDiff, String>>) -> Judgement {
        let (file, content) = Folder::new().load(OFFER).unwrap();
        let evidence = Evidence { tree, ..Evidence::default() };
        judge_offer(&file, &content, &evidence, Profile::Strict)
    }

    fn diff(plan: Option<&str>, refused: Option<&'static str>) -> TreeDiff {
        let plan = plan.map(str::to_owned);
        let (before, after) = (Some(json!("a")), None::<Value>);
        let change =
            Change { plan, key: "k".to_owned(), how: ChangeKind::Removed, before, after, refused };
        TreeDiff { target: "live", changes: vec![change], untouched: Vec::new() }
    }

    #[test]
    fn what_can_never_change_is_an_error_where_its_plan_stands() {
        let rows = [(Some("probe"), "plans[1]"), (Some("gone"), "plans"), (None, "offer")];
        for (plan, key) in rows {
            let judgement = judged(Some(Ok(diff(plan, Some("it is frozen")))));
            let found = judgement.findings.iter().find(|at| at.rule == "API-003").unwrap();
            assert_eq!(found.place.key.as_deref(), Some(key));
            assert!(found.message.contains("`k` is removed: it is frozen"), "{}", found.message);
        }
    }

    #[test]
    fn what_may_change_is_silent_and_what_is_not_known_is_said() {
        assert_eq!(
            judged(Some(Ok(diff(None, None)))).outcomes.get("API-003"),
            Some(&Outcome::Passed)
        );
        assert_eq!(judged(None).outcomes.get("API-003"), Some(&Outcome::NotApplicable));
        let unknown = judged(Some(Err("no registry".to_owned())));
        assert_eq!(unknown.outcomes.get("API-003"), Some(&Outcome::NotProven));
    }
}
