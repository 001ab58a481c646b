#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Vec<RegistryState>, StateError> {
    RegistryState::read_all(Path::new("acr.json"), text.as_bytes())
}

#[test]
fn a_list_and_the_form_of_the_resource_manager_are_read_too() {
    let id =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/two";
    let list = json!([
        { "type": "Microsoft.ContainerRegistry/registries", "name": "one", "loginServer": "one.azurecr.io" },
        { "type": "microsoft.containerregistry/Registries", "name": "two", "id": id,
          "sku": { "name": "premium" },
          "properties": { "loginServer": "two.azurecr.io", "adminUserEnabled": true,
            "policies": { "softDeletePolicy": { "status": "Enabled", "retentionDays": 30 } } } },
    ]);
    let states = read(&list.to_string()).unwrap();
    let of =
        |name, server| RegistryState::choose(Path::new("acr.json"), states.clone(), name, server);
    let two = of(Some("TWO"), "x").unwrap();
    assert!(two.has_admin_user && two.tier == Tier::Premium);
    assert_eq!(two.soft_delete_days, Some(30));
    assert_eq!(
        (two.subscription.as_deref(), two.resource_group.as_deref()),
        (Some("s"), Some("g"))
    );
    assert_eq!(of(None, "one.azurecr.io").unwrap().name, "one");
    let said = of(Some("three"), "x").unwrap_err().to_string();
    assert!(said.contains("`one`, `two`") && said.contains("`three`"), "{said}");
}

#[test]
fn what_is_no_state_is_refused_with_the_command_that_writes_one() {
    for text in [
        "",
        "NAME  LOCATION\n",
        "name: x\n",
        "[",
        "{}",
        "[]",
        "null",
        "7",
        "[7]",
        r#"{"type": "Microsoft.Storage/storageAccounts", "loginServer": "x"}"#,
    ] {
        let said = read(text).unwrap_err().to_string();
        assert!(said.contains("az acr show --name NAME --output json"), "{text}: {said}");
    }
    let said = read(r#"{"loginServer": "x", "adminUserEnabled": "yes"}"#).unwrap_err().to_string();
    assert!(said.contains("cannot be read"), "{said}");
}

#[test]
fn null_is_as_not_stated() {
    let text = r#"{"loginServer": "x", "name": null, "sku": null, "policies": null, "encryption": null,
        "adminUserEnabled": null, "networkRuleSet": null, "id": null}"#;
    let state = read(text).unwrap().remove(0);
    let file = PathBuf::from("acr.json");
    let login_server = "x".to_owned();
    let unstated = vec!["adminUserEnabled", "publicNetworkAccess", "policies", "sku"];
    let rest = RegistryState::default();
    assert_eq!(state, RegistryState { file, unstated, login_server, may_export: true, ..rest });
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = RegistryState::read_all(Path::new("r"), &bytes);
    }

    #[test]
    fn any_values_are_read_or_refused(value in prop_oneof![
        Just(json!(null)), any::<f64>().prop_map(Value::from), "\\PC{0,9}".prop_map(Value::from),
        Just(json!([])), Just(json!({"status": 1})), Just(json!({"days": -1})),
    ], key in prop::sample::select(vec!["policies", "sku", "encryption", "id", "networkRuleSet"])) {
        let mut state = json!({"loginServer": "x"});
        state.as_object_mut().unwrap().insert(key.to_owned(), value);
        let _ = read(&state.to_string());
    }
}
