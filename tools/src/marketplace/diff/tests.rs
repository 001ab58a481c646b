#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn schema(name: &str) -> String {
    format!("https://schema.mp.microsoft.com/schema/{name}/2022-03-01-preview3")
}

/// A payload of one plan of each kind.
fn payload() -> Value {
    let plan = |name: &str| json!({"resourceName": name});
    let product = json!({"resourceName": "product"});
    json!({"$schema": schema("configure"), "resources": [
        {"$schema": schema("product"), "resourceName": "product", "type": "azureContainer",
         "identity": {"externalId": "tidepool"}, "alias": "Tidepool"},
        {"$schema": schema("commercial-marketplace-setup"), "product": product,
         "sellThroughMicrosoft": false},
        {"$schema": schema("property"), "product": product, "termsConditions": "standardMicrosoft",
         "categories": {"containers": ["container-images", "container-apps"]}},
        {"$schema": schema("listing"), "resourceName": "listing", "product": product,
         "languageId": "en-us", "title": "Tidepool", "description": "<p>One</p>",
         "generalLinks": [{"displayText": "A", "link": "https://a.example"},
                          {"displayText": "B", "link": "https://b.example"}]},
        {"$schema": schema("price-and-availability-offer"), "product": product,
         "previewAudiences": [{"type": "subscription", "id": "one", "label": ""},
                              {"type": "subscription", "id": "two", "label": "Second"}]},
        {"$schema": schema("plan"), "resourceName": "plan-server", "product": product,
         "identity": {"externalId": "server"}, "alias": "Server",
         "azureRegions": ["azureGlobal", "azureGovernment"]},
        {"$schema": schema("price-and-availability-plan"), "product": product,
         "plan": plan("plan-server"), "visibility": "visible", "audience": "public",
         "pricing": {"licenseModel": "byol", "price": 5}},
        {"$schema": schema("container-plan-technical-configuration"), "product": product,
         "plan": plan("plan-server"), "payloadType": "image",
         "imageRepositoryDetails": {"subscriptionId": "s", "userName": "${env:USER}",
            "password": "${env:PASSWORD}", "repositoryName": "live/server"},
         "imageTags": ["latest", "1.4.0-all"]},
        {"$schema": schema("plan"), "resourceName": "plan-cluster", "product": product,
         "identity": {"externalId": "cluster"}, "alias": "Cluster", "azureRegions": ["azureGlobal"]},
        {"$schema": schema("container-plan-technical-configuration"), "product": product,
         "plan": plan("plan-cluster"), "payloadType": "cnab",
         "clusterExtensionType": "Quayline.Tidepool",
         "cnabReferences": [{"repositoryName": "bundle", "tag": "1.0.0", "digest": "sha256:aa"}]},
    ]})
}

/// The same as the server has it: durable IDs, another order, keys of its own.
fn saved() -> Value {
    let mut resources = payload()["resources"].as_array().unwrap().clone();
    for (place, resource) in resources.iter_mut().enumerate() {
        let kind = resource["$schema"].as_str().unwrap().split('/').nth(4).unwrap().to_owned();
        let keys = resource.as_object_mut().unwrap();
        keys.remove("resourceName");
        keys.insert("id".into(), json!(format!("{kind}/p/{place}")));
        keys.insert("validations".into(), json!([{"level": "warning", "message": "x"}]));
        keys.insert("lastModifiedDate".into(), json!("2026-11-01"));
        keys.insert("@odata.etag".into(), json!("x"));
        if kind != "product" {
            keys.insert("product".into(), json!("product/p"));
        }
        if let Some(plan) = keys.get_mut("plan") {
            *plan = match plan["resourceName"].as_str() {
                Some("plan-server") => json!("plan/p/5"),
                _ => json!("plan/p/8"),
            };
        }
    }
    resources[2]["categories"]["containers"] = json!(["container-apps", "container-images"]);
    resources[2]["appVersion"] = json!("");
    resources[4]["previewAudiences"].as_array_mut().unwrap().reverse();
    resources[6]["pricing"]["price"] = json!(5.0);
    resources[7]["imageRepositoryDetails"]["password"] = json!("planted-secret");
    resources[7]["imageRepositoryDetails"]["userName"] = json!("planted-user");
    resources[7]["imageTags"] = json!(["1.4.0-all", "latest"]);
    let details = resources[7]["imageRepositoryDetails"].as_object_mut().unwrap();
    let subscription = details.remove("subscriptionId").unwrap();
    details.insert("subscriptionID".into(), subscription);
    resources.push(json!({"$schema": schema("customer-leads"), "product": "product/p",
        "leadDestination": "azureTable", "connectionString": "planted-secret"}));
    resources.push(
        json!({"$schema": schema("submission"), "product": "product/p", "id": "submission/p/0"}),
    );
    resources.reverse();
    json!({"target": {"targetType": "live"}, "root": "product/p", "resources": resources})
}

fn of(payload: &Value, saved: &Value, target: &str) -> TreeDiff {
    let mut saved = saved.clone();
    saved["target"] = json!({"targetType": target});
    let tree = ResourceTree::parse(Path::new("t.json"), saved.to_string().as_bytes()).unwrap();
    compare(payload, &tree).unwrap()
}

#[test]
fn what_the_server_adds_and_the_order_of_sets_are_no_changes() {
    let diff = of(&payload(), &saved(), "live");
    assert_eq!(diff.changes, []);
    assert_eq!(diff.untouched, ["customer-leads"]);
}

/// A change of the payload, its key, and the first target with a refusal.
type Row = (&'static str, Value, String, ChangeKind, Option<TreeTarget>);

#[expect(clippy::too_many_lines, reason = "a table, one row per case")]
fn rows() -> Vec<Row> {
    use ChangeKind::{Added, Changed, Removed};
    const TECHNICAL: &str = "container-plan-technical-configuration";
    let server = |rest: &str| format!("{TECHNICAL}[server].{rest}");
    let cluster = |rest: &str| format!("{TECHNICAL}[cluster].{rest}");
    let (repository, tags, kind) = (
        server("imageRepositoryDetails.repositoryName"),
        server("imageTags[1.4.0-all]"),
        server("payloadType"),
    );
    let (extension, bundle, digest, newer) = (
        cluster("clusterExtensionType"),
        cluster("cnabReferences[bundle:1.0.0]"),
        cluster("cnabReferences[bundle:1.0.0].digest"),
        cluster("cnabReferences[bundle:1.1.0]"),
    );
    let second = json!([{"repositoryName": "bundle", "tag": "1.0.0", "digest": "sha256:aa"},
                        {"repositoryName": "bundle", "tag": "1.1.0", "digest": "sha256:bb"}]);
    vec![
        ("/0/alias", json!("Other"), "product.alias".to_owned(), Changed, None),
        (
            "/0/identity/externalId",
            json!("other"),
            "product.identity.externalId".to_owned(),
            Changed,
            Some(TreeTarget::Draft),
        ),
        (
            "/1/sellThroughMicrosoft",
            json!(true),
            "commercial-marketplace-setup.sellThroughMicrosoft".to_owned(),
            Changed,
            Some(TreeTarget::Live),
        ),
        (
            "/2/termsConditions",
            json!("custom"),
            "property.termsConditions".to_owned(),
            Changed,
            Some(TreeTarget::Live),
        ),
        (
            "/2/categories/containers",
            json!(["container-images"]),
            "property.categories.containers[container-apps]".to_owned(),
            Removed,
            None,
        ),
        ("/3/title", json!("Other"), "listing[en-us].title".to_owned(), Changed, None),
        (
            "/3/shortDescription",
            json!("New"),
            "listing[en-us].shortDescription".to_owned(),
            Added,
            None,
        ),
        ("/3/description", json!(""), "listing[en-us].description".to_owned(), Removed, None),
        (
            "/3/generalLinks",
            json!([{"displayText": "A", "link": "https://a.example"}]),
            "listing[en-us].generalLinks[1]".to_owned(),
            Removed,
            None,
        ),
        (
            "/4/previewAudiences/1/label",
            json!("Other"),
            "price-and-availability-offer.previewAudiences[two].label".to_owned(),
            Changed,
            None,
        ),
        (
            "/5/azureRegions",
            json!(["azureGlobal"]),
            "plan[server].azureRegions[azureGovernment]".to_owned(),
            Removed,
            Some(TreeTarget::Live),
        ),
        (
            "/8/azureRegions",
            json!(["azureGlobal", "azureGovernment"]),
            "plan[cluster].azureRegions[azureGovernment]".to_owned(),
            Added,
            None,
        ),
        (
            "/6/visibility",
            json!("hidden"),
            "price-and-availability-plan[server].visibility".to_owned(),
            Changed,
            None,
        ),
        (
            "/6/audience",
            json!("private"),
            "price-and-availability-plan[server].audience".to_owned(),
            Changed,
            Some(TreeTarget::Live),
        ),
        (
            "/6/pricing/licenseModel",
            json!("free"),
            "price-and-availability-plan[server].pricing.licenseModel".to_owned(),
            Changed,
            Some(TreeTarget::Live),
        ),
        (
            "/6/pricing/price",
            json!(6),
            "price-and-availability-plan[server].pricing.price".to_owned(),
            Changed,
            None,
        ),
        ("/7/payloadType", json!("cnab"), kind, Changed, Some(TreeTarget::Live)),
        (
            "/7/imageRepositoryDetails/repositoryName",
            json!("x"),
            repository,
            Changed,
            Some(TreeTarget::Live),
        ),
        ("/7/imageTags", json!(["latest"]), tags, Removed, Some(TreeTarget::Live)),
        (
            "/9/clusterExtensionType",
            json!("Quayline.X"),
            extension,
            Changed,
            Some(TreeTarget::Preview),
        ),
        ("/9/cnabReferences", json!([]), bundle, Removed, Some(TreeTarget::Live)),
        (
            "/9/cnabReferences/0/digest",
            json!("sha256:bb"),
            digest,
            Changed,
            Some(TreeTarget::Preview),
        ),
        ("/9/cnabReferences", second, newer, Added, None),
    ]
}

#[test]
fn each_change_is_told_with_both_values_and_refused_where_it_can_never_be() {
    use ChangeKind::{Added, Removed};
    for (path, value, key, how, since) in rows() {
        let mut changed = payload();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = changed["resources"].pointer_mut(parent).unwrap();
        match parent {
            Value::Object(keys) => drop(keys.insert(name.to_owned(), value)),
            other => panic!("{path} is in {other}"),
        }
        for target in [TreeTarget::Draft, TreeTarget::Preview, TreeTarget::Live] {
            let diff = of(&changed, &saved(), target.as_str());
            // An emptied list is gone as a whole.
            let whole = key.split('[').next().unwrap();
            let found = diff.changes.iter().find(|change| change.key == key);
            let found = found.or_else(|| diff.changes.iter().find(|at| at.key.starts_with(whole)));
            let found = found.unwrap_or_else(|| panic!("{key}: {:?}", diff.changes));
            assert_eq!(diff.changes.len(), 1, "{key}: {:?}", diff.changes);
            assert_eq!(found.how, how, "{key}");
            assert_eq!(
                (found.before.is_some(), found.after.is_some()),
                (how != Added, how != Removed)
            );
            let is_refused = since.is_some_and(|since| target >= since);
            assert_eq!(found.refused.is_some(), is_refused, "{key} in {}", target.as_str());
        }
    }
}

#[test]
fn a_free_application_stays_free_and_a_paid_one_paid() {
    let priced = |pricing: &Value| {
        let mut payload = payload();
        payload["resources"][6]["pricing"] = pricing.clone();
        payload
    };
    let system = |option: &str| {
        json!({"licenseModel": "payAsYouGo",
        "systemMeterPricing": {"priceInputOption": option}})
    };
    let custom = json!({"licenseModel": "payAsYouGo",
        "customMeters": {"meters": {"calls": {"pricePerPaymentInUSD": 1}}}});
    let (free, core, node) = (system("free"), system("perCore"), system("perNode"));
    for (before, after, is_refused) in [
        (&free, &core, true),
        (&core, &free, true),
        (&free, &custom, true),
        (&custom, &free, true),
        (&core, &node, false),
        (&free, &free, false),
    ] {
        let saved = json!({"resources": priced(before)["resources"]});
        for target in ["preview", "live"] {
            let diff = of(&priced(after), &saved, target);
            let refused = diff.changes.iter().any(|change| change.refused.is_some());
            let is_live = target == "live";
            assert_eq!(refused, is_refused && is_live, "{before} {after}: {:?}", diff.changes);
        }
    }
}

#[test]
fn whole_resources_are_told_and_a_live_plan_cannot_go() {
    let mut without = payload();
    let resources = without["resources"].as_array_mut().unwrap();
    resources.truncate(8);
    let diff = of(&without, &saved(), "live");
    let keys: Vec<&str> = diff.changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["container-plan-technical-configuration[cluster]", "plan[cluster]"]);
    assert!(diff.changes[1].refused.is_some());
    assert!(of(&without, &saved(), "draft").changes.iter().all(|at| at.refused.is_none()));
    let mut more = payload();
    let list = more["resources"].as_array_mut().unwrap();
    list.push(
        json!({"$schema": schema("listing"), "languageId": "de-de", "title": "Gezeitentümpel"}),
    );
    let diff = of(&more, &saved(), "live");
    assert_eq!(diff.changes.len(), 1);
    assert_eq!(
        (diff.changes[0].key.as_str(), diff.changes[0].how),
        ("listing[de-de]", ChangeKind::Added)
    );
}

#[test]
fn a_plan_that_is_no_longer_sold_may_stay_out_of_the_payload() {
    let mut without = payload();
    without["resources"].as_array_mut().unwrap().truncate(8);
    let mut saved = saved();
    for resource in saved["resources"].as_array_mut().unwrap() {
        if resource["identity"]["externalId"] == "cluster" {
            resource["lifecycleState"] = json!("deprecated");
        }
    }
    assert_eq!(of(&without, &saved, "live").changes, []);
    // A payload with the plan is compared with it.
    let mut other = payload();
    other["resources"][9]["clusterExtensionType"] = json!("Quayline.X");
    let diff = of(&other, &saved, "live");
    assert_eq!(diff.changes.len(), 1, "{:?}", diff.changes);
    assert!(diff.changes[0].refused.is_some());
}

#[test]
fn a_guid_is_the_same_in_capitals() {
    let guid = "7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4";
    let with = |id: &str| {
        let mut payload = payload();
        payload["resources"][4]["previewAudiences"][0]["id"] = json!(id);
        payload["resources"][7]["imageRepositoryDetails"]["subscriptionId"] = json!(id);
        payload
    };
    let saved = json!({"resources": with(&guid.to_ascii_uppercase())["resources"]});
    assert_eq!(of(&with(guid), &saved, "live").changes, []);
    let other = guid.replacen('7', "8", 1);
    assert_eq!(of(&with(&other), &saved, "live").changes.len(), 3);
    // Other texts are not.
    let saved = json!({"resources": with("One")["resources"]});
    assert_eq!(of(&with("one"), &saved, "live").changes.len(), 3);
}

#[test]
fn no_secret_is_in_what_is_told() {
    let mut without = payload();
    without["resources"].as_array_mut().unwrap().retain(|at| {
        at["identity"]["externalId"] != "server" && at["plan"]["resourceName"] != "plan-server"
    });
    let mut leads = without.clone();
    leads["resources"].as_array_mut().unwrap().push(json!({
        "$schema": schema("customer-leads"), "leadDestination": "https",
        "connectionString": "planted-secret", "clientSecret": "planted-secret"}));
    for payload in [payload(), without, leads] {
        let diff = of(&payload, &saved(), "live");
        let text = serde_json::to_string(&diff).unwrap();
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn a_meter_may_be_called_like_a_secret() {
    let with = |meter: &str, price: f64| {
        let mut payload = payload();
        let meters = json!({meter: {"displayName": "Calls", "unitOfMeasure": "call"}});
        payload["resources"]
            .as_array_mut()
            .unwrap()
            .push(json!({"$schema": schema("container-custom-meters"), "customMeters": meters}));
        payload["resources"][6]["pricing"] = json!({"licenseModel": "payAsYouGo",
            "customMeters": {"priceInputOption": "usd", "meters": {
                meter: {"pricePerPaymentInUSD": price, "apiSecret": "planted-secret"}}}});
        payload
    };
    let saved = |payload: Value| json!({"resources": payload["resources"]});
    for meter in ["token", "usernameID", "secret_reads", "password-resets"] {
        let dearer = of(&with(meter, 2.0), &saved(with(meter, 1.0)), "live");
        let [change] = &dearer.changes[..] else { panic!("{meter}: {:?}", dearer.changes) };
        let key = format!(".pricing.customMeters.meters.{meter}.pricePerPaymentInUSD");
        assert!(change.key.ends_with(&key), "{}", change.key);
        assert_eq!((&change.before, &change.after), (&Some(json!(1.0)), &Some(json!(2.0))));
        // A renamed meter goes, and another one comes, each with its price.
        let renamed = of(&with("calls", 1.0), &saved(with(meter, 1.0)), "live");
        assert_eq!(renamed.changes.len(), 4, "{:?}", renamed.changes);
        let text = serde_json::to_string(&renamed).unwrap();
        assert_eq!(text.matches("\"unitOfMeasure\":\"call\"").count(), 2, "{text}");
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn what_is_no_payload_is_an_error() {
    let tree = ResourceTree::parse(Path::new("t.json"), saved().to_string().as_bytes()).unwrap();
    assert!(compare(&json!({}), &tree).is_err());
    assert!(compare(&json!({"resources": [{"title": "x"}]}), &tree).is_err());
}

proptest::proptest! {
    /// Reading and comparing any foreign tree ends without a panic, and a tree has no change
    /// against itself.
    #[test]
    fn any_tree_is_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), cut in 0_usize..4000, flip in 0_usize..4000) {
        let _ = ResourceTree::parse(Path::new("t"), &bytes);
        let mut text = saved().to_string().into_bytes();
        let place = flip % text.len();
        text[place] ^= 1 << (cut % 8);
        if let Ok(tree) = ResourceTree::parse(Path::new("t"), &text) {
            let _ = compare(&payload(), &tree);
        }
        text.truncate(cut % text.len());
        let _ = ResourceTree::parse(Path::new("t"), &text);
    }
}
