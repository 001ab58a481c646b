//! A parsed request renders to a request with the same parse.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &str, Option<&str>)| {
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    let method = methods[usize::from(input.0) % methods.len()].parse().expect("a method");
    if let Ok(route) = wharf_proxy::parse_route(&method, input.1, input.2) {
        let (method, url) = wharf_proxy::render_route(&route);
        let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(p, q)| (p, Some(q)));
        assert_eq!(wharf_proxy::parse_route(&method, path, query).ok(), Some(route));
    }
});
