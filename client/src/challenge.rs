//! `WWW-Authenticate`, as registries send it (RFC 9110 §11.6.1; Docker token specification).

/// The login a registry demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password with every request.
    Basic,
    /// A token from another address.
    Bearer {
        /// The address that issues tokens.
        realm: String,
        /// The token's audience.
        service: Option<String>,
        /// The token's scope.
        scope: Option<String>,
    },
}

/// Reads one challenge; a Bearer one wins when a header holds several. `None` when it is of another
/// scheme or malformed.
#[must_use]
pub fn parse(header: &str) -> Option<Challenge> {
    let mut basic = None;
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (parameters, after) = parameters(after)?;
        let value = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            let realm = value("realm")?;
            return Some(Challenge::Bearer {
                realm,
                service: value("service"),
                scope: value("scope"),
            });
        }
        if scheme.trim_end_matches(',').eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
        rest = after;
    }
    basic
}

type Parameters = Vec<(String, String)>;

/// `name=value` pairs up to the next scheme, and the rest of the text.
fn parameters(mut text: &str) -> Option<(Parameters, &str)> {
    let mut pairs = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',', '\t']);
        let name_end = text.find(['=', ' ', ',']).unwrap_or(text.len());
        let (name, after) = text.split_at(name_end);
        let Some(after) = after.strip_prefix('=') else {
            return Some((pairs, text));
        };
        let (value, after) = value(after)?;
        pairs.push((name.to_owned(), value));
        text = after;
    }
}

/// A token or a quoted string.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_registries_send_is_read() {
        let acr = "Bearer realm=\"https://r.example/oauth2/token\",service=\"r.example\",scope=\"repository:a/b:pull,push\"";
        assert_eq!(
            parse(acr),
            Some(Challenge::Bearer {
                realm: "https://r.example/oauth2/token".to_owned(),
                service: Some("r.example".to_owned()),
                scope: Some("repository:a/b:pull,push".to_owned()),
            })
        );
        assert_eq!(parse("Basic realm=\"Registry\""), Some(Challenge::Basic));
        assert_eq!(parse("basic"), Some(Challenge::Basic));
        let both = "Basic realm=\"x\", Bearer realm=\"https://t\"";
        assert!(matches!(parse(both), Some(Challenge::Bearer { .. })));
        assert_eq!(parse("Bearer service=\"x\""), None);
        assert_eq!(parse("Negotiate"), None);
        assert_eq!(parse("Bearer realm=\"open"), None);
        let unquoted = "Basic realm=\"x, y\", bearer realm=https://a/t";
        let bearer = |realm: &str| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: None, scope: None })
        };
        assert_eq!(parse(unquoted), bearer("https://a/t"));
        assert_eq!(parse(r#"Bearer realm="a\"b""#), bearer("a\"b"));
    }

    /// Replays the corpus of the fuzz target `challenge` on the stable compiler.
    #[test]
    fn the_fuzz_corpus_is_read_or_refused() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/challenge");
        let files = std::fs::read_dir(folder).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        assert!(texts.filter_map(|text| parse(&text)).count() > 0);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused_without_panic(text in "(Bearer |Basic )?[ -~]{0,80}|\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
