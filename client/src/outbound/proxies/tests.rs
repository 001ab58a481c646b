use super::*;

fn egress(variables: &[(&str, &str)]) -> Result<OutboundProxies, String> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    OutboundProxies::of(variable).map_err(|error| error.to_string())
}

fn way(egress: &OutboundProxies, uri: &str) -> String {
    let proxy = egress.proxy_for(&uri.parse().unwrap());
    proxy.map_or_else(|| "direct".to_owned(), ToString::to_string)
}

#[test]
fn each_scheme_has_its_proxy_and_the_upper_case_wins() {
    let none = egress(&[]).unwrap();
    assert_eq!(way(&none, "https://registry.example.com/v2/"), "direct");
    let set = egress(&[
        ("HTTPS_PROXY", "http://secure.example.com:3128"),
        ("https_proxy", "http://other.example.com"),
        ("HTTP_PROXY", " "),
        ("http_proxy", "plain.example.com:8080"),
    ])
    .unwrap();
    assert_eq!(way(&set, "https://registry.example.com/v2/"), "http://secure.example.com:3128");
    assert_eq!(way(&set, "http://registry.example.com:5000/"), "http://plain.example.com:8080");
    let only = egress(&[("https_proxy", "https://secure.example.com:3129/")]).unwrap();
    assert_eq!(way(&only, "https://r.example.com"), "https://secure.example.com:3129");
    assert_eq!(way(&only, "http://r.example.com"), "direct");
}

#[test]
fn this_machine_and_its_links_are_asked_for_directly() {
    let proxy = "http://proxy.example.com:3128";
    let set = egress(&[("HTTPS_PROXY", proxy), ("HTTP_PROXY", proxy)]).unwrap();
    for near in [
        "http://127.0.0.1:5000/",
        "https://127.8.8.8/",
        "https://[::1]:5000/",
        "http://localhost:5000/",
        "https://a.LOCALHOST/",
        "http://169.254.169.254/metadata/identity/oauth2/token",
        "http://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        assert_eq!(way(&set, near), "direct", "{near}");
    }
    for far in ["http://10.0.0.1/", "https://notlocalhost/", "https://[2001:db8::1]/"] {
        assert_eq!(way(&set, far), proxy, "{far}");
    }
}

#[test]
fn exceptions_are_hosts_domains_addresses_networks_and_ports() {
    let with = |list: &str| {
        let proxy = "http://proxy.example.com:3128";
        egress(&[("HTTPS_PROXY", proxy), ("HTTP_PROXY", proxy), ("NO_PROXY", list)]).unwrap()
    };
    let list = "example.com, .inner.test *.star.test,10.0.0.0/8,192.168.1.77/24,203.0.113.9,\
                [2001:db8::5]:5000,fd00::/8,Port.Test:8443,203.0.113.10:81";
    let set = with(list);
    for direct in [
        "https://example.com/",
        "https://EXAMPLE.com./",
        "https://a.b.example.com:5000/",
        "https://x.inner.test/",
        "http://x.star.test/",
        "http://10.1.2.3:5000/",
        "https://192.168.1.3/",
        "https://203.0.113.9/",
        "http://203.0.113.10:81/",
        "https://[2001:db8::5]:5000/",
        "https://[fd12::1]/",
        "https://port.test:8443/",
        "https://deep.port.test:8443/",
    ] {
        assert_eq!(way(&set, direct), "direct", "{direct}");
    }
    for proxied in [
        "https://notexample.com/",
        "https://example.com.evil.test/",
        "https://inner.test/",
        "http://star.test/",
        "http://11.0.0.1/",
        "https://203.0.113.10/",
        "https://[2001:db8::5]/",
        "https://port.test/",
        "https://203.0.113.99/",
    ] {
        assert_ne!(way(&set, proxied), "direct", "{proxied}");
    }
    assert_eq!(way(&with("*"), "https://registry.example.com"), "direct");
    assert_eq!(way(&with("a.test,*"), "http://198.18.0.1/"), "direct");
    assert_eq!(set.exceptions.to_string().split(',').count(), 10);
    let login = with("ok.test, http://bob:hunter2@x.test");
    assert!(login.exceptions.ignored() == [2] && !format!("{login:?}").contains("hun"));
    let odd = with("10.0.0.0/99,http://x.test,host:port,ok.test");
    assert_eq!(odd.exceptions.ignored(), [1, 2, 3]);
    assert_eq!(way(&odd, "https://ok.test/"), "direct");
}

#[test]
fn the_login_of_a_proxy_is_decoded_for_its_header_and_shown_nowhere() {
    let set =
        egress(&[("HTTPS_PROXY", "http://us%40er:hun%3Ater2@proxy.example.com:3128")]).unwrap();
    let uri = "https://registry.example.com/".parse().unwrap();
    let proxy = set.proxy_for(&uri).unwrap();
    let expected = format!("Basic {}", STANDARD.encode("us@er:hun:ter2"));
    let header = proxy.authorization().unwrap();
    assert_eq!(header.to_str().unwrap(), expected);
    for shown in
        [format!("{set:?}"), proxy.to_string(), proxy.uri().to_string(), format!("{header:?}")]
    {
        assert!(!shown.contains("hun") && !shown.contains(&expected), "{shown}");
    }
    let name_only = egress(&[("HTTPS_PROXY", "token@proxy.example.com")]).unwrap();
    let proxy = name_only.proxy_for(&uri).unwrap();
    assert_eq!(proxy.authorization().unwrap().to_str().unwrap(), "Basic dG9rZW46");
    assert_eq!(proxy.to_string(), "http://proxy.example.com");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_and_not_repeated() {
    for (value, words) in [
        ("socks5://u:hunter2@proxy.example.com:1080", "SOCKS"),
        ("socks5h://hunter2", "SOCKS"),
        ("ftp://hunter2", "write http://HOST:PORT"),
        ("http://", "write http://HOST:PORT"),
        ("http://u:hunter2@", "write http://HOST:PORT"),
        ("http://u:hun/ter2@proxy.example.com", "write http://HOST:PORT"),
        ("http://proxy.example.com/hunter2", "write http://HOST:PORT"),
        ("http://proxy.example.com:hunter2", "write http://HOST:PORT"),
    ] {
        let error = egress(&[("https_proxy", value)]).unwrap_err();
        assert!(error.starts_with("https_proxy: ") && error.contains(words), "{value}: {error}");
        assert!(!error.contains("hun"), "{error}");
    }
}

#[test]
fn a_variable_for_all_is_named_as_unused() {
    let all = egress(&[("ALL_PROXY", "socks5://proxy.example.com")]).unwrap();
    assert_eq!(all.unused, Some("ALL_PROXY"));
    let both = [("all_proxy", "http://a.test"), ("HTTP_PROXY", "http://b.test")];
    assert_eq!(egress(&both).unwrap().unused, None);
}
