#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn of(value: &Value) -> Result<ResourceTree, TreeError> {
    ResourceTree::parse(Path::new("live.json"), value.to_string().as_bytes())
}

fn schema(name: &str) -> String {
    format!("https://schema.mp.microsoft.com/schema/{name}")
}

fn product() -> Value {
    json!({"$schema": schema("product/2022-03-01-preview3"), "id": "product/p",
           "identity": {"externalId": "tidepool"}, "futureKey": [1, {"deep": null}]})
}

fn plan(place: u32, id: &str) -> Value {
    json!({"$schema": schema("plan/2022-03-01-preview2"), "id": format!("plan/p/{place}"),
           "identity": {"externalID": id}, "product": "product/p",
           "azureRegions": ["azureGlobal", "azureGovernment"]})
}

fn technical(plan: &Value) -> Value {
    json!({"$schema": "https://product-ingestion.azureedge.net/schema/container-plan-technical-configuration/2022-03-01-preview5",
           "product": "product/p", "plan": plan, "payloadType": "cnab",
           "clusterExtensionType": "Contoso.Tidepool",
           "cnabReferences": [{"registryName": "contoso", "repositoryName": "bundle",
                               "tag": "1.0.0", "digest": "sha256:aa", "later": true}]})
}

fn tree(resources: &[Value]) -> Value {
    json!({"$schema": schema("resource-tree/2022-03-01-preview3"), "root": "product/p",
           "target": {"targetType": "live"}, "resources": resources})
}

#[test]
fn resources_are_found_by_kind_and_by_each_form_of_reference() {
    for reference in [json!("plan/p/2"), json!({"externalId": "k8s"}), json!({"id": "plan/p/2"})] {
        let whole = tree(&[product(), plan(1, "image"), plan(2, "k8s"), technical(&reference)]);
        let read = of(&whole).unwrap();
        assert_eq!((read.offer_id(), read.target()), ("tidepool", TreeTarget::Live));
        assert_eq!(read.of_kind("plan").count(), 2);
        let found = read.plan("k8s").unwrap();
        assert_eq!(found.id(), Some("plan/p/2"));
        assert_eq!(found.regions(), ["azureGlobal", "azureGovernment"]);
        let technical = read.technical(found).unwrap();
        assert_eq!(technical.payload_type(), Some("cnab"));
        assert_eq!(technical.extension_type(), Some("Contoso.Tidepool"));
        assert_eq!(technical.resource().version, "2022-03-01-preview5");
        let [bundle] = technical.cnab_references()[..] else { panic!("one bundle") };
        assert_eq!((bundle.tag(), bundle.digest()), (Some("1.0.0"), Some("sha256:aa")));
        assert_eq!(bundle.value.get("later"), Some(&json!(true)));
        assert!(read.technical(read.plan("image").unwrap()).is_none());
        assert_eq!(read.plan_of(technical.resource()).unwrap().id(), Some("plan/p/2"));
        assert_eq!(read.product().value.get("futureKey"), Some(&json!([1, {"deep": null}])));
    }
}

#[test]
fn pages_are_joined_and_a_part_is_refused() {
    let mut first = tree(&[product()]);
    first["@nextLink"] = json!("https://graph.microsoft.com/next");
    let second = tree(&[plan(1, "image")]);
    assert!(of(&json!([first, second])).unwrap().plan("image").is_some());
    let error = of(&first).unwrap_err().to_string();
    assert!(error.contains("live.json") && error.contains("@nextLink"), "{error}");
    let mut other = second;
    other["target"] = json!({"targetType": "preview"});
    let error = of(&json!([first, other])).unwrap_err().to_string();
    assert!(error.contains("[1]") && error.contains("another target"), "{error}");
}

#[test]
fn what_is_no_tree_is_refused_at_its_place() {
    let mut flight = tree(&[product()]);
    flight["target"] = json!({"targetType": "flight"});
    let mut no_target = tree(&[product()]);
    no_target["target"] = json!({"type": "live"});
    let cases = [
        (json!({}), "resources: "),
        (json!([]), "0 pages"),
        (json!("text"), "no object"),
        (tree(&[]), "no `product`"),
        (tree(&[product(), product()]), "resources[1]: it is a second `product`"),
        (tree(&[product(), json!(3)]), "resources[1]: it is no object"),
        (tree(&[product(), json!({"id": "x"})]), "resources[1].$schema"),
        (tree(&[product(), json!({"$schema": "https://x/plan"})]), "resources[1].$schema"),
        (json!({"$schema": schema("configure/2022-03-01-preview2"), "resources": []}), "$schema"),
        (flight, "`flight` is none of"),
        (no_target, "no `targetType`"),
    ];
    for (value, words) in cases {
        let error = of(&value).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let error =
        ResourceTree::parse(Path::new("t.json"), b"{\n\"resources\": [}").unwrap_err().to_string();
    assert!(error.starts_with("t.json:2 is no JSON"), "{error}");
}

#[test]
fn a_tree_is_bounded() {
    let many: Vec<Value> = (0..=RESOURCES_MAX).map(|_| product()).collect();
    let error = of(&tree(&many)).unwrap_err().to_string();
    assert!(error.contains("more than 20000 resources"), "{error}");
    let large = vec![b' '; usize::try_from(TREE_BYTES_MAX).unwrap() + 1];
    let error = ResourceTree::parse(Path::new("t.json"), &large).unwrap_err();
    assert!(matches!(error, TreeError::TooLarge { .. }));
    let deep = "[".repeat(10_000);
    let error = ResourceTree::parse(Path::new("t.json"), deep.as_bytes()).unwrap_err();
    assert!(matches!(error, TreeError::NoJson { .. }));
}
