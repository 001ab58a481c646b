//! Payloads by hand, each with one slip.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;

use super::*;

fn payload() -> Value {
    let schema = |name: &str| format!("https://schema.mp.microsoft.com/schema/{name}");
    json!({ "$schema": schema("configure/2022-03-01-preview2"), "resources": [
        { "$schema": schema("product/2022-03-01-preview3"), "resourceName": "product",
          "identity": { "externalId": "tidepool" }, "type": "azureContainer", "alias": "Tidepool" },
        { "$schema": schema("plan/2022-03-01-preview3"), "resourceName": "plan-a",
          "product": { "resourceName": "product" }, "identity": { "externalId": "a-plan" },
          "alias": "A", "azureRegions": ["azureGlobal"] },
        { "$schema": schema("container-plan-technical-configuration/2022-03-01-preview3"),
          "product": "product/7c1f2d64", "plan": { "resourceName": "plan-a" },
          "payloadType": "image", "imageTags": ["latest"],
          "imageRepositoryDetails": { "subscriptionId": "s", "resourceGroupName": "g",
            "registryName": "r", "userName": "u", "password": "p", "repositoryName": "n" } },
    ] })
}

/// A slip, its topic, and its place.
type Slip = (fn(&mut Value), FaultSubject, &'static str);

#[test]
fn each_slip_is_found_at_its_place() {
    assert_eq!(faults(&payload()), []);
    let slips: [Slip; 11] = [
        (
            |at| at["resources"][2]["imageRepositoryDetails"]["subscriptionID"] = json!("s"),
            FaultSubject::Keys,
            "resources[2].imageRepositoryDetails.subscriptionID",
        ),
        (
            |at| {
                at["resources"][2]["imageRepositoryDetails"]
                    .as_object_mut()
                    .unwrap()
                    .remove("userName");
            },
            FaultSubject::Keys,
            "resources[2].imageRepositoryDetails.userName",
        ),
        (|at| at["resources"][0]["extra"] = json!(1), FaultSubject::Keys, "resources[0].extra"),
        (|at| at["resources"][0]["alias"] = json!(1), FaultSubject::Keys, "resources[0].alias"),
        (
            |at| at["resources"][2]["payloadType"] = json!("zip"),
            FaultSubject::Keys,
            "resources[2].payloadType",
        ),
        (
            |at| at["resources"][1]["azureRegions"] = json!(["mars"]),
            FaultSubject::Keys,
            "resources[1].azureRegions[0]",
        ),
        (
            |at| at["resources"][1]["product"]["resourceName"] = json!("other"),
            FaultSubject::References,
            "resources[1].product",
        ),
        (
            |at| at["resources"][2]["plan"]["resourceName"] = json!("plan-b"),
            FaultSubject::References,
            "resources[2].plan",
        ),
        (
            |at| at["resources"][1]["resourceName"] = json!("product"),
            FaultSubject::References,
            "resources[1].resourceName",
        ),
        (
            |at| at["resources"][0]["$schema"] = json!("https://quayline.dev/schema/product"),
            FaultSubject::References,
            "resources[0].$schema",
        ),
        (|at| at["resources"] = json!([]), FaultSubject::References, "resources"),
    ];
    for (slip, about, place) in slips {
        let mut slipped = payload();
        slip(&mut slipped);
        let found = faults(&slipped);
        let fits = found.iter().any(|fault| fault.about == about && fault.at == place);
        assert!(fits, "{place}: {found:?}");
    }
}

#[test]
fn faults_are_bounded() {
    let mut many = payload();
    many["resources"] = json!(vec![json!({ "$schema": "x", "resourceName": "a b" }); 1000]);
    assert_eq!(faults(&many).len(), FAULTS_MAX);
}

#[test]
fn languages_are_told_from_other_words() {
    for good in ["en-us", "de", "zh-hans-cn", "fil-ph", "es-419"] {
        assert!(shapes::is_language(good), "{good}");
    }
    for bad in ["", "English", "en_us", "EN-us", "en-", "e", "-de", "en-unitedkingdom"] {
        assert!(!shapes::is_language(bad), "{bad}");
    }
}
