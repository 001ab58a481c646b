//! Deceptive characters: line breaks, characters that a terminal obeys, and invisible ones that
//! change how their neighbours are shown.

/// Whether the character ends a line for some program: the mandatory breaks of Unicode's rules for
/// line breaking (UAX 14).
#[must_use]
pub const fn breaks_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{0b}' | '\u{0c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether the character is invisible but has an effect: control and format characters (Unicode's
/// `Cc` and `Cf`, marks of direction and zero-width ones among them), and blank letters. Tabs and
/// line breaks are among them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || breaks_line(c) || is_format(c)
}

/// Format characters, fillers of Hangul and Khmer, and selectors of variants other than the two for
/// a letter or a picture.
const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the character is a picture: in the blocks of pictures alone. ™, ®, © and arrows are
/// elsewhere.
#[must_use]
pub const fn is_emoji(c: char) -> bool {
    matches!(c as u32,
        0x1F000..=0x1FAFF | 0x2600..=0x27BF | 0x2B1B..=0x2B1C | 0x2B50 | 0x2B55 | 0xFE0F
        | 0x20E3 | 0x200D | 0x231A..=0x231B | 0x23E9..=0x23F3 | 0xE0020..=0xE007F)
}

/// The name of an invisible character.
#[must_use]
pub fn name(c: char) -> String {
    let what = match c {
        '\0' => "NUL",
        '\t' => "a tab",
        c if breaks_line(c) => "a line break",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' | '\u{200d}' => "a zero-width joiner",
        '\u{feff}' => "a byte order mark",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark that turns the direction of text"
        }
        c if c.is_control() => "a control character",
        _ => "a character that nobody sees",
    };
    format!("{what} (U+{:04X})", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_hidden() {
        for c in [
            '\0',
            '\u{1b}',
            '\u{9b}',
            '\n',
            '\u{2028}',
            '\u{202e}',
            '\u{2067}',
            '\u{200b}',
            '\u{feff}',
            '\u{ad}',
            '\u{e0041}',
            '\u{3164}',
        ] {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in ['a', ' ', '\u{a0}', 'é', '\u{301}', '中', '™', '\u{fe0f}', '🚀', 'ש'] {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn every_line_break_of_unicode_is_one() {
        for c in ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'] {
            assert!(breaks_line(c), "{c:?}");
        }
        assert!(!breaks_line('\t') && !breaks_line(' '));
        assert_eq!(name('\u{202e}'), "a mark that turns the direction of text (U+202E)");
    }
}
