//! The expressions of ARM templates and UI definitions, `[parameters('x')]`, as far as the rules
//! need them: the called functions with their texts. They are not evaluated.

/// The text in the brackets, when a text is an expression; `[[` begins an ordinary text.
#[must_use]
pub fn of(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.starts_with('[')).then_some(inner)
}

/// The text of each call of this function with one text: `parameters('x')` gives `x`.
#[must_use]
pub fn calls<'a>(expression: &'a str, function: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some((before, after)) = split_at_call(rest, function) {
        let is_name =
            before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some((argument, _)) = argument(after).filter(|_| !is_name) {
            found.push(argument);
        }
        rest = after;
    }
    found
}

/// The one call the whole expression is: `variables('x')` gives `x`, a `concat` nothing.
#[must_use]
pub fn only_call<'a>(expression: &'a str, function: &str) -> Option<&'a str> {
    let (before, after) = split_at_call(expression.trim(), function)?;
    let (argument, rest) = argument(after)?;
    (before.is_empty() && rest.trim().is_empty()).then_some(argument)
}

/// The targets of `steps('a').b.c` and `basics('b')`: the step, and the names behind it.
#[must_use]
pub fn members<'a>(expression: &'a str, function: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some((before, after)) = split_at_call(rest, function) {
        let is_name =
            before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some((argument, mut behind)) = argument(after).filter(|_| !is_name) {
            let mut names = Vec::new();
            while let Some(next) = behind.trim_start().strip_prefix('.') {
                let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                let end = next.find(|c| !is_part(c)).unwrap_or(next.len());
                names.push(next.get(..end).unwrap_or_default());
                behind = next.get(end..).unwrap_or_default();
            }
            found.push((argument, names));
        }
        rest = after;
    }
    found
}

/// The text before the name of a function and the one behind it. Names are read in any case.
fn split_at_call<'a>(text: &'a str, function: &str) -> Option<(&'a str, &'a str)> {
    let place = text.to_ascii_lowercase().find(&function.to_ascii_lowercase())?;
    Some((text.get(..place)?, text.get(place + function.len()..)?))
}

/// `('x')` and the text after it.
fn argument(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim_start().strip_prefix('(')?.trim_start().strip_prefix('\'')?;
    let (argument, rest) = inner.split_once('\'')?;
    Some((argument, rest.trim_start().strip_prefix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_any_case_and_by_their_whole_name() {
        let text = "concat(Parameters( 'a' ), variables('b'), myparameters('c'), parameters('d'))";
        assert_eq!(calls(text, "parameters"), ["a", "d"]);
        assert_eq!(only_call("variables('plan-name')", "variables"), Some("plan-name"));
        assert_eq!(only_call("concat(variables('a'))", "variables"), None);
        assert_eq!(only_call("variables('a').b", "variables"), None);
        assert_eq!(of("[x]"), Some("x"));
        assert_eq!((of("[[x]"), of("x")), (None, None));
    }

    #[test]
    fn members_are_followed() {
        let text = "if(steps('a').b.c, steps('d').e, basics('f'))";
        assert_eq!(members(text, "steps"), [("a", vec!["b", "c"]), ("d", vec!["e"])]);
        assert_eq!(members(text, "basics"), [("f", vec![])]);
    }
}
