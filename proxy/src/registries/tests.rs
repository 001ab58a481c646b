//! The mapping from names to registries.

use super::*;

fn upstreams(texts: &[&str]) -> Arc<UpstreamSet> {
    let configs: Vec<UpstreamConfig> = texts.iter().map(|text| text.parse().unwrap()).collect();
    UpstreamSet::new(&configs, &[], None).unwrap()
}

fn from_toml(text: &str) -> Arc<UpstreamSet> {
    UpstreamSet::new(&of_toml(text), &[], None).unwrap()
}

fn there(upstreams: &Arc<UpstreamSet>, name: &str) -> Option<(String, String)> {
    match upstreams.target(&name.parse().unwrap()) {
        Ok(Target::Upstream(upstream_repo)) => {
            Some((upstream_repo.upstream.address().to_owned(), upstream_repo.repo.to_string()))
        }
        _ => None,
    }
}

fn named(upstreams: &Arc<UpstreamSet>, host: &str, name: &str) -> Option<(String, String)> {
    let here = upstreams.in_namespace(host, &name.parse().unwrap()).ok()?;
    there(upstreams, here.as_str())
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be none")]
fn at(url: &str, repo: &str) -> Option<(String, String)> {
    Some((url.to_owned(), repo.to_owned()))
}

#[test]
fn the_longest_prefix_wins_and_is_taken_off() {
    let upstreams = upstreams(&["http://all", "a=http://a", "a/b=http://ab"]);
    assert_eq!(there(&upstreams, "a/b/c"), at("http://ab", "c"));
    assert_eq!(there(&upstreams, "a/x"), at("http://a", "x"));
    assert_eq!(there(&upstreams, "ab/x"), at("http://all", "ab/x"));
    assert_eq!(there(&upstreams, "a"), at("http://all", "a"));
}

#[test]
fn without_upstreams_all_is_local_and_with_some_nothing_is() {
    assert!(matches!(upstreams(&[]).target(&"a/b".parse().unwrap()), Ok(Target::Local(_))));
    let one = upstreams(&["a=http://a"]);
    assert!(matches!(one.target(&"b".parse().unwrap()), Err(Error::NameUnserved(_))));
}

#[test]
fn a_namespace_names_the_upstream_that_lists_it_or_has_its_address() {
    let upstreams = from_toml(
        "[[upstream]]\nurl = \"https://acme.azurecr.io\"\n\
         [[upstream]]\nurl = \"https://hub.internal\"\nnamespaces = [\"docker.io\", \"hub\"]\n\
         [[upstream]]\nurl = \"https://q.internal\"\nprefix = \"q\"\nnamespaces = [\"q.io\"]\n",
    );
    assert_eq!(
        named(&upstreams, "docker.io", "library/x"),
        at("https://hub.internal", "library/x")
    );
    assert_eq!(named(&upstreams, "hub", "library/x"), at("https://hub.internal", "library/x"));
    assert_eq!(named(&upstreams, "acme.azurecr.io", "a"), at("https://acme.azurecr.io", "a"));
    assert_eq!(named(&upstreams, "q.io", "a"), at("https://q.internal", "a"));
    assert_eq!(there(&upstreams, "docker.io/library/x"), at("https://hub.internal", "library/x"));
    // Once an upstream lists hosts, unlisted hosts are refused.
    assert_eq!(named(&upstreams, "elsewhere.io", "library/x"), None);
    // The same name at two hosts is two repositories.
    let name = |host| upstreams.in_namespace(host, &"x".parse().unwrap()).unwrap();
    assert_ne!(name("docker.io"), name("acme.azurecr.io"));
    assert_eq!(name("docker.io"), name("hub"));
}

#[test]
fn the_default_gets_what_is_asked_without_a_namespace_and_keeps_one_name_for_it() {
    let upstreams = from_toml(
        "[[upstream]]\nurl = \"https://hub.internal\"\nnamespaces = [\"docker.io\"]\n\
         default = true\n\
         [[upstream]]\nurl = \"https://acme.azurecr.io\"\nprefix = \"acme\"\n",
    );
    let bare = |name: &str| upstreams.without_namespace(&name.parse().unwrap()).unwrap();
    assert_eq!(bare("library/x").as_str(), "docker.io/library/x");
    let named = upstreams.in_namespace("docker.io", &"library/x".parse().unwrap()).unwrap();
    assert_eq!(named, bare("library/x"));
    assert_eq!(bare("acme/x").as_str(), "acme/x");
    assert_eq!(bare("docker.io/library/x").as_str(), "docker.io/library/x");
    assert_eq!(bare("acme.azurecr.io/x").as_str(), "acme/x");
}

#[test]
fn a_namespace_means_nothing_where_none_is_listed() {
    let one = upstreams(&["http://all"]);
    assert_eq!(named(&one, "docker.io", "a/b"), at("http://all", "a/b"));
}

#[test]
fn asking_for_a_name_adds_no_registry() {
    let upstreams = from_toml(
        "[[upstream]]\nurl = \"https://hub.internal\"\nnamespaces = [\"docker.io\"]\n\
         default = true\n\
         [[upstream]]\nurl = \"https://*\"\nnamespaces = [\"*.azurecr.io\"]\n",
    );
    let name: RepoName = "a.azurecr.io/x".parse().unwrap();
    assert_eq!(upstreams.without_namespace(&name).unwrap(), name);
    assert_eq!(
        upstreams.in_namespace("b.azurecr.io", &"x".parse().unwrap()).unwrap().as_str(),
        "b.azurecr.io/x"
    );
    assert_eq!(upstreams.all().len(), 1);
}

#[test]
fn a_template_stands_for_every_host_that_fits() {
    let upstreams = from_toml(
        "[[upstream]]\nurl = \"https://*\"\nnamespaces = [\"*.azurecr.io\", \"127.0.0.1:*\"]\n",
    );
    assert_eq!(named(&upstreams, "a.azurecr.io", "x/y"), at("https://a.azurecr.io", "x/y"));
    assert_eq!(there(&upstreams, "b.azurecr.io/x"), at("https://b.azurecr.io", "x"));
    assert_eq!(named(&upstreams, "127.0.0.1:5000", "x"), at("https://127.0.0.1:5000", "x"));
    assert_eq!(named(&upstreams, "example.com", "x"), None);
    assert_eq!(there(&upstreams, "x"), None);
    let held: Vec<_> = (0..TEMPLATE_HOSTS_MAX)
        .map(|host| upstreams.target(&format!("held{host}.azurecr.io/x").parse().unwrap()))
        .collect();
    let one_more = || upstreams.target(&"one-more.azurecr.io/x".parse().unwrap());
    assert!(matches!(one_more(), Err(Error::TooMany(_))));
    drop(held);
    assert!(one_more().is_ok());
    for host in 0..TEMPLATE_HOSTS_MAX {
        named(&upstreams, &format!("h{host}.azurecr.io"), "x");
    }
    assert_eq!(upstreams.all().len(), TEMPLATE_HOSTS_MAX);
    let labels: Vec<_> = upstreams.all().iter().map(|up| up.label().to_string()).collect();
    assert!(labels.iter().all(|label| label == "https://*"), "{labels:?}");
}

fn of_toml(text: &str) -> Vec<UpstreamConfig> {
    #[derive(serde::Deserialize)]
    struct File {
        upstream: Vec<UpstreamConfig>,
    }
    toml::from_str::<File>(text).unwrap().upstream
}

#[test]
fn what_is_configured_as_before_keeps_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("password");
    std::fs::write(&place, "first").unwrap();
    let login = format!("username = \"u\"\npassword_file = \"{}\"\n", place.display());
    let text = |more: &str| {
        format!(
            "[[upstream]]\nurl = \"https://a\"\n{login}[[upstream]]\nprefix = \"b\"\n\
             url = \"https://b\"\n{more}"
        )
    };
    let first = UpstreamSet::new(&of_toml(&text("")), &[], None).unwrap();
    let target = |set: &Arc<UpstreamSet>, name: &str| match set.target(&name.parse().unwrap()) {
        Ok(Target::Upstream(upstream_repo)) => upstream_repo.upstream,
        _ => panic!("{name} is not served"),
    };
    let changed = of_toml(&text("tag_ttl_seconds = 1\n"));
    let second = UpstreamSet::new(&changed, &[], Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&target(&first, "x"), &target(&second, "x")));
    assert!(!Arc::ptr_eq(&target(&first, "b/x"), &target(&second, "b/x")));
    // A changed password file is another configuration.
    std::fs::write(&place, "second").unwrap();
    let third = UpstreamSet::new(&of_toml(&text("")), &[], Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&target(&first, "x"), &target(&third, "x")));
    assert!(Arc::ptr_eq(&target(&first, "b/x"), &target(&third, "b/x")));
}

#[test]
fn what_a_target_is_asked_later_is_answered_by_its_configuration() {
    let first = upstreams(&["a=http://first", "b=http://first", "c=http://other"]);
    let Ok(Target::Upstream(there)) = first.target(&"a/x".parse().unwrap()) else {
        panic!("served")
    };
    assert_eq!(there.beside(&"a/y".parse().unwrap()), "y".parse().ok());
    assert_eq!(there.beside(&"c/y".parse().unwrap()), None);
    assert_eq!(there.names(), ["a/x".parse().unwrap(), "b/x".parse().unwrap()]);
    // Another configuration is of no matter to it.
    drop(first);
    assert_eq!(there.beside(&"a/y".parse().unwrap()), "y".parse().ok());
}

#[test]
fn write_once_tags_of_a_registry_of_its_own_are_those_of_the_target() {
    let rule = |text: &str| TagRule::try_from(text.to_owned()).unwrap();
    let repo = "a".parse().unwrap();
    let before = UpstreamSet::new(&[], &[rule("v*")], None).unwrap();
    let target = before.target(&repo).unwrap();
    // A reload swaps the whole set; a request that has begun keeps the rules that it began with.
    let after = UpstreamSet::new(&[], &[], Some(&before)).unwrap();
    assert!(target.write_once_tags().iter().any(|rule| rule.fits(&repo, &"v1".parse().unwrap())));
    assert!(after.target(&repo).unwrap().write_once_tags().is_empty());
}
