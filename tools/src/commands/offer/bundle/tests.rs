#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command, OfferCommand};
use crate::offer::fixture::{Folder, with_application};
use crate::registry::fake;

const DIGEST: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// An offer with the bundle of its application on this registry.
fn offer(login_server: &str) -> String {
    let credentials = "    credentials:\n      username: { env: QUAY_USER }\n      password: { env: \
                       QUAY_PASSWORD }\n";
    let published = "loginServer: quayline.azurecr.io";
    let text = with_application();
    assert!(text.contains(credentials) && text.contains(published));
    let text = text.replacen(credentials, "", 1);
    let text = text.replacen(published, &format!("loginServer: \"{login_server}\""), 1);
    text + "    bundle: { repository: tidepool/bundle }\n"
}

/// The command, where its words stand for one folder.
fn run_in(folder: &Folder, offer: &str, words: &[&str]) -> Result<Exit, String> {
    folder.write("offer.yaml", offer);
    let path = folder.path();
    let start = ["wharf", "--quiet", "--plain-http", "offer", "bundle", path.to_str().unwrap()];
    let cli = Cli::try_parse_from(start.iter().chain(words)).unwrap();
    let Command::Offer { command: OfferCommand::Bundle(args) } = cli.command else { panic!() };
    run(&args, &Context::new(cli.global)).map_err(|error| format!("{error:#}"))
}

#[test]
fn digests_are_found_in_what_a_tool_says() {
    let (one, two) = ("a".repeat(64), "b".repeat(64));
    let text = format!("sha pushed repo@sha256:{one}\nsha256:{one} sha256:12\nshasum");
    assert_eq!(digests(&text), [format!("sha256:{one}").parse().unwrap()]);
    assert_eq!(digests(&format!("sha256:{one} sha256:{two}")).len(), 2);
}

#[test]
fn a_path_is_one_word_for_a_shell() {
    let call = verify_call(Path::new("/a b/it's"));
    assert!(call.contains(r"-v '/a b/it'\''s:/data' -w"), "{call}");
}

#[test]
fn charts_without_digests_are_not_laid_out() {
    let folder = Folder::new();
    let values = fs::read_to_string(folder.path().with_file_name("chart/values.yaml")).unwrap();
    let output = folder.path().with_file_name("bundles");
    let words = ["--output", output.to_str().unwrap()];
    for none in [format!("sha256:{}", "0".repeat(64)), "\"\"".to_owned(), String::new()] {
        folder.write("chart/values.yaml", values.replace(DIGEST, &none));
        let said = run_in(&folder, &with_application(), &words).unwrap_err();
        let wanted = "values.yaml: the image `web` of the plan `cluster` has no digest; run";
        assert!(said.contains(wanted), "{none}: {said}");
        assert!(!output.exists());
    }
    folder.write("chart/values.yaml", &values);
    assert_eq!(run_in(&folder, &with_application(), &words), Ok(Exit::Ok));
    assert!(output.join("cluster/manifest.yaml").exists());
}

#[test]
fn a_bundle_is_not_laid_out_inside_of_a_chart() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().with_file_name(name);
    std::os::unix::fs::symlink(at("chart"), at("link")).unwrap();
    for inside in ["chart", "chart/a/b", "x/../chart/a", "link/a"] {
        fs::create_dir_all(at("x")).unwrap();
        let output = at(inside);
        let said = run_in(&folder, &with_application(), &["--output", output.to_str().unwrap()]);
        assert!(said.unwrap_err().contains("is inside of the chart"), "{inside}");
    }
    assert_eq!(fs::read_dir(at("chart")).unwrap().count(), 3);
    // A name with the chart's name as its beginning is another folder.
    let output = at("chart-bundles");
    let words = ["--output", output.to_str().unwrap()];
    assert_eq!(run_in(&folder, &with_application(), &words), Ok(Exit::Ok));
}

#[test]
fn what_was_built_is_written_into_the_offer_whose_permissions_stay() {
    let folder = Folder::new();
    let offer = offer("quayline.azurecr.io");
    folder.write("offer.yaml", &offer);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(run_in(&folder, &offer, &["--built", DIGEST]), Ok(Exit::Ok));
    let written = fs::read_to_string(folder.path()).unwrap();
    let bundle = format!("tidepool/bundle, version: \"1.0.0\", digest: {DIGEST} }}");
    assert!(written.contains(&bundle), "{written}");
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn without_a_value_the_registry_says_what_was_built() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let (shared, address) = runtime.block_on(fake::start(fake::Fake::default()));
    let folder = Folder::new();
    let missing = run_in(&folder, &offer(&address), &["--built"]).unwrap_err();
    assert!(missing.contains("live/tidepool/bundle:1.0.0 does not exist"), "{missing}");
    shared.lock().unwrap().manifests.insert(
        ("live/tidepool/bundle".to_owned(), "1.0.0".to_owned()),
        ("application/vnd.oci.image.index.v1+json".to_owned(), bytes.as_slice().into()),
    );
    assert_eq!(run_in(&folder, &offer(&address), &["--built"]), Ok(Exit::Ok));
    let digest = wharf_oci::Digester::digest(wharf_oci::Algorithm::Sha256, bytes);
    let written = fs::read_to_string(folder.path()).unwrap();
    assert!(written.contains(&format!("version: \"1.0.0\", digest: {digest} }}")), "{written}");
}
