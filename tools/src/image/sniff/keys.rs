//! Private keys by their content.

/// How many characters of the line after the first one have to be of base 64, or one of a header:
/// programs and manuals hold the first line too.
const BASE64_CHARS_MIN: usize = 16;

/// Begins of whole files.
const BEGINS: [(&[u8], &str); 5] = [
    (b"PuTTY-User-Key-File-", "PuTTY"),
    (b"SSH PRIVATE KEY FILE FORMAT 1.1\n", "SSH 1"),
    (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "SSH 2, encrypted"),
    (b"AGE-SECRET-KEY-1", "age"),
    (b"# created: ", "age"),
];

/// Labels of PEM (RFC 7468), with the name of each form.
const LABELS: [(&[u8], &str); 8] = [
    (b"PRIVATE KEY", "PKCS #8"),
    (b"ENCRYPTED PRIVATE KEY", "PKCS #8, encrypted"),
    (b"RSA PRIVATE KEY", "RSA"),
    (b"EC PRIVATE KEY", "EC"),
    (b"DSA PRIVATE KEY", "DSA"),
    (b"OPENSSH PRIVATE KEY", "OpenSSH"),
    (b"PGP PRIVATE KEY BLOCK", "PGP"),
    (b"SSH2 PRIVATE KEY", "SSH 2"),
];

/// The form of the first private key in the first bytes of a file; a certificate may stand before it.
pub(super) fn form(head: &[u8]) -> Option<&'static str> {
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let whole = BEGINS.iter().find(|(begin, _)| start.starts_with(begin));
    if let Some((begin, form)) = whole
        && (*begin != b"# created: " || contains(start, b"AGE-SECRET-KEY-1"))
    {
        return Some(form);
    }
    if !contains(start, b"PRIVATE KEY") {
        return None;
    }
    if let Some(form) = in_json(start) {
        return Some(form);
    }
    let mut lines = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).peekable();
    while let Some(line) = lines.next() {
        let label = line.strip_prefix(b"-----BEGIN ").and_then(|at| at.strip_suffix(b"-----"));
        let Some(label) = label else { continue };
        let known = LABELS.iter().find(|(known, _)| *known == label).map(|(_, form)| *form);
        let form = known.or_else(|| label.ends_with(b" PRIVATE KEY").then_some("PEM"));
        if let Some(form) = form
            && lines.peek().is_some_and(|next| is_content(next))
        {
            return Some(form);
        }
    }
    None
}

/// A key within a text of JSON; there the ends of lines are written as `\n`.
fn in_json(bytes: &[u8]) -> Option<&'static str> {
    const MARK: &[u8] = b" PRIVATE KEY-----\\n";
    const PLAIN: &[u8] = b"-----BEGIN PRIVATE KEY-----\\n";
    [PLAIN, MARK].into_iter().find_map(|mark| {
        let at = bytes.windows(mark.len()).position(|window| window == mark)?;
        let next = bytes.get(at + mark.len()..)?;
        let length =
            next.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
        (length.count() >= BASE64_CHARS_MIN).then_some("PEM within JSON")
    })
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Whether a line is of a key: base 64, a header, or the empty line before the armour of PGP.
fn is_content(line: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_header = [b"Proc-Type: ".as_slice(), b"Version: ", b"Comment: ", b"Charset: "];
    line.is_empty()
        || is_header.iter().any(|header| line.starts_with(header))
        || (line.len() >= BASE64_CHARS_MIN && line.iter().all(is_base64))
}
