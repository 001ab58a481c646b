//! Private keys without a use: valid in form, and made of counted bytes at run time, so the
//! repository contains no text of a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A key in PEM: PKCS#8 with Ed25519 (RFC 8410 §7).
pub fn pkcs8_pem() -> String {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(1..=32_u8);
    framed("PRIVATE KEY", &der)
}

/// A key as `ssh-keygen` writes it, without a passphrase: Ed25519 (OpenSSH's PROTOCOL.key).
pub fn openssh_pem() -> String {
    let public: Vec<u8> = (0..32_u8).map(|byte| byte ^ 0x55).collect();
    let secret: Vec<u8> = (1..=32_u8).chain(public.iter().copied()).collect();
    let kind = b"ssh-ed25519".as_slice();
    let block = [string(kind), string(&public)].concat();
    let mut inner = [[1, 2, 3, 4, 1, 2, 3, 4].as_slice(), &block, &string(&secret)].concat();
    inner.extend(string(b"nobody@nowhere"));
    let padding = 1..=u8::try_from((8 - inner.len() % 8) % 8).unwrap_or_default();
    inner.extend(padding);
    let none = string(b"none");
    let key = [
        b"openssh-key-v1\0".as_slice(),
        &none,
        &none,
        &string(b""),
        &1_u32.to_be_bytes(),
        &string(&block),
        &string(&inner),
    ]
    .concat();
    framed("OPENSSH PRIVATE KEY", &key)
}

/// Bytes behind their length, as SSH writes them.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    [length.to_be_bytes().as_slice(), bytes].concat()
}

/// PEM of some bytes (RFC 7468).
pub fn framed(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
