//! The first different value of two JSON documents, with the path to it.

use serde_json::Value;

use super::difference::cut;
use crate::secret_patterns::masked;

/// The depth of the comparison; deeper values are compared as one text.
const DEPTH_MAX: usize = 32;

/// The path to the first different value, and its new and old form. The top keys in `but` are left
/// out.
pub(super) fn first(now: &Value, was: &Value, but: &[&str]) -> Option<String> {
    at(now, was, &mut Vec::new(), but)
}

fn at(now: &Value, was: &Value, way: &mut Vec<String>, but: &[&str]) -> Option<String> {
    if now == was {
        return None;
    }
    let is_top = way.is_empty();
    match (now, was) {
        (Value::Object(new), Value::Object(old)) if way.len() < DEPTH_MAX => {
            let mut keys: Vec<&String> = new.keys().chain(old.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            let looked = keys.into_iter().filter(|key| !is_top || !but.contains(&key.as_str()));
            for key in looked {
                way.push(key_text(key, is_top));
                let found = either(new.get(key), old.get(key), way, but);
                if found.is_some() {
                    return found;
                }
                way.pop();
            }
            None
        }
        (Value::Array(new), Value::Array(old)) if way.len() < DEPTH_MAX => {
            for place in 0..new.len().max(old.len()) {
                way.push(format!("[{place}]"));
                let found = either(new.get(place), old.get(place), way, but);
                if found.is_some() {
                    return found;
                }
                way.pop();
            }
            None
        }
        _ => Some(format!("{} {}, was {}", way.concat(), text(way, now), text(way, was))),
    }
}

fn either(
    now: Option<&Value>,
    was: Option<&Value>,
    way: &mut Vec<String>,
    but: &[&str],
) -> Option<String> {
    match (now, was) {
        (Some(now), Some(was)) => at(now, was, way, but),
        (Some(now), None) => {
            Some(format!("{} {} is not in the layout", way.concat(), text(way, now)))
        }
        (None, Some(was)) => {
            Some(format!("{} {} is only in the layout", way.concat(), text(way, was)))
        }
        (None, None) => None,
    }
}

/// A key as people write ways: `.Env`, `["a.b/c"]`.
fn key_text(key: &str, is_top: bool) -> String {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match (is_plain, is_top) {
        (true, true) => key.to_owned(),
        (true, false) => format!(".{key}"),
        (false, _) => format!("[{key:?}]"),
    }
}

/// A value as others may read it: reports of CI go further than the image.
fn text(way: &[String], value: &Value) -> String {
    let Value::String(text) = value else { return cut(&value.to_string()) };
    let key = way.last().map(|key| key.trim_matches(['.', '[', ']', '"']));
    // Variables are one text: name and value.
    let (name, held) = match text.split_once('=') {
        Some((name, held)) if way.iter().any(|key| key == ".Env") => (Some(name), held),
        _ => (key, text.as_str()),
    };
    let shown = masked(name, held);
    if shown == held { format!("{:?}", cut(text)) } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::first;
    use serde_json::json;

    #[test]
    fn the_way_to_the_first_other_value_is_told() {
        let was = json!({"config": {"Env": ["A=1", "B=2"], "User": "7"}, "os": "linux"});
        let with = |way: &str, value: serde_json::Value| {
            let mut now = was.clone();
            if let Some(place) = now.pointer_mut(way) {
                *place = value;
            }
            now
        };
        let told = |now: &serde_json::Value| first(now, &was, &[]).unwrap_or_default();
        assert_eq!(told(&was), "");
        assert_eq!(told(&with("/config/Env/1", json!("B=3"))), r#"config.Env[1] "B=3", was "B=2""#);
        let longer = with("/config/Env", json!(["A=1", "B=2", "C=3"]));
        assert_eq!(told(&longer), r#"config.Env[2] "C=3" is not in the layout"#);
        let shorter = with("/config", json!({"Env": ["A=1", "B=2"]}));
        assert_eq!(told(&shorter), r#"config.User "7" is only in the layout"#);
        assert_eq!(told(&with("/os", json!(7))), r#"os 7, was "linux""#);
        let noted = json!({"annotations": {"a.b/c": "x"}});
        let other = json!({"annotations": {"a.b/c": "y"}});
        let way = first(&noted, &other, &[]);
        assert_eq!(way.as_deref(), Some(r#"annotations["a.b/c"] "x", was "y""#));
        assert_eq!(first(&noted, &other, &["annotations"]), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let now = json!({"config": {"Env": ["DB_PASSWORD=correct-horse"]}});
        let was = json!({"config": {"Env": ["DB_PASSWORD=battery-staple"]}});
        let told = first(&now, &was, &[]).unwrap_or_default();
        assert!(told.starts_with("config.Env[0] (not shown"), "{told}");
        assert!(!told.contains("horse") && !told.contains("staple"), "{told}");
    }
}
