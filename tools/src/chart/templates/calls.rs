//! The function that takes a word of an action.

/// Functions that put only a part of an argument, or nothing of it, into their output.
const TAKERS: [&str; 14] = [
    "include", "template", "dict", "list", "index", "get", "tpl", "merge", "set", "pick", "omit",
    "pluck", "dig", "hasKey",
];

/// The open calls at a word: the innermost last.
#[derive(Default)]
pub(super) struct Calls<'a> {
    outer: Vec<Call<'a>>,
    inner: Call<'a>,
}

#[derive(Clone, Copy)]
struct Call<'a> {
    /// Empty before it is known, and when a value stands alone.
    function: &'a str,
    is_start: bool,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self { function: "", is_start: true }
    }
}

impl<'a> Calls<'a> {
    /// Goes into braces, out of them, or on to the function after a pipe.
    pub(super) fn mark(&mut self, mark: char) {
        match mark {
            '(' => self.outer.push(std::mem::take(&mut self.inner)),
            ')' => {
                self.inner = self.outer.pop().unwrap_or_default();
                self.inner.is_start = false;
            }
            _ => self.inner = Call::default(),
        }
    }

    /// A word other than a value or a text: the first one is the function.
    pub(super) fn word(&mut self, word: &'a str) {
        if self.inner.is_start {
            self.inner.function = word;
        }
    }

    /// An argument.
    pub(super) const fn argument(&mut self) {
        self.inner.is_start = false;
    }

    /// The function a word is given to; empty for none.
    pub(super) const fn function(&self) -> &'a str {
        self.inner.function
    }

    /// Whether nothing was said yet.
    pub(super) const fn is_start(&self) -> bool {
        self.inner.is_start
    }

    /// Whether a text is the name of a template.
    pub(super) fn names_template(&self) -> bool {
        matches!(self.inner.function, "include" | "template")
    }

    /// Whether a word goes to a function that need not make an image of it.
    pub(super) fn is_argument(&self) -> bool {
        self.all().any(|call| TAKERS.contains(&call.function))
    }

    /// Whether a word is taken only when another one is not there.
    pub(super) fn is_fallback(&self) -> bool {
        self.all().any(|call| matches!(call.function, "default" | "coalesce" | "ternary"))
    }

    fn all(&self) -> impl Iterator<Item = &Call<'a>> {
        self.outer.iter().chain(std::iter::once(&self.inner))
    }
}
