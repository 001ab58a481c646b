#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::image::files::{Elf, ElfKind, Machine};

/// The findings in a file in pieces of this size.
fn sniff_in(path: &str, bytes: &[u8], step: usize) -> FileContent {
    let mut sniffer = Sniffer::default();
    sniffer.begin(path.as_bytes(), bytes.len() as u64);
    for piece in bytes.chunks(step) {
        sniffer.update(piece);
    }
    sniffer.finish().unwrap()
}

fn magic(bytes: &[u8]) -> Magic {
    let found = sniff_in("x", bytes, bytes.len().max(1)).magic;
    for step in [1, 7, 4095, 4097] {
        assert!(bytes.len() > 100_000 || sniff_in("x", bytes, step).magic == found);
    }
    found
}

/// A 64-bit program with an interpreter, two libraries, and its dynamic section at `at`.
fn program(at: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; at + 6 * 16];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &[3, 0, 62, 0, 1]);
    put(32, &64_u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 3, 0]);
    for (place, kind, from, address, size) in [
        (64, 3_u32, 0x200_u64, 0x200_u64, 10_u64),
        (120, 1, 0, 0x40_0000, 0x400),
        (176, 2, at as u64, 0x50_0000, 6 * 16),
    ] {
        put(place, &kind.to_le_bytes());
        for (field, value) in [(8, from), (16, address), (32, size), (40, size)] {
            put(place + field, &value.to_le_bytes());
        }
    }
    put(0x200, b"/lib/ld.so");
    put(0x300, b"\0libc.so.6\0libm.so.6\0/opt/lib:$ORIGIN\0");
    for (number, (tag, value)) in
        [(1_u64, 1_u64), (5, 0x40_0300), (1, 11), (29, 21), (0, 0)].into_iter().enumerate()
    {
        put(at + number * 16, &tag.to_le_bytes());
        put(at + number * 16 + 8, &value.to_le_bytes());
    }
    bytes
}

fn elf(bytes: &[u8]) -> Elf {
    match magic(bytes) {
        Magic::Elf(elf) => *elf,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_names_its_interpreter_and_its_libraries_wherever_the_list_stands() {
    for at in [0x800, 5000, elf::PREFIX_BYTES_MAX - 40, elf::PREFIX_BYTES_MAX + 12_345] {
        let found = elf(&program(at));
        assert_eq!(
            (found.machine, found.is_64, found.kind),
            (Machine::X86_64, true, ElfKind::Shared)
        );
        assert_eq!(found.interpreter.as_deref(), Some(b"/lib/ld.so".as_slice()), "{at}");
        let needed: Vec<&[u8]> = found.needed.as_ref().unwrap().iter().map(AsRef::as_ref).collect();
        assert_eq!(needed, [b"libc.so.6".as_slice(), b"libm.so.6"], "{at}");
        let runpath: Vec<&[u8]> = found.runpath.iter().map(AsRef::as_ref).collect();
        assert_eq!(runpath, [b"/opt/lib".as_slice(), b"$ORIGIN"]);
    }
}

#[test]
fn a_static_program_needs_nothing_and_a_cut_one_is_not_known() {
    let mut bytes = program(0x800);
    bytes[120] = 4;
    bytes[176] = 4;
    bytes[64] = 4;
    let found = elf(&bytes);
    assert_eq!((found.interpreter, found.needed), (None, Some(Vec::new())));
    let cut = elf(&program(0x800)[..0x810]);
    assert_eq!(cut.needed, None);
    assert_eq!(magic(&program(0x800)[..20]), Magic::Other);
}

#[test]
fn the_program_of_this_test_is_read_as_the_loader_reads_it() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let found = elf(&own);
    assert!(found.needed.unwrap().iter().any(|name| name.starts_with(b"libc.so")));
    assert!(found.interpreter.unwrap().starts_with(b"/lib"));
}

#[test]
fn scripts_and_empty_files_are_known() {
    assert_eq!(magic(b""), Magic::Empty);
    assert_eq!(
        magic(b"#! /usr/bin/env  python3 \nx"),
        Magic::Script(b"/usr/bin/env  python3".as_slice().into())
    );
    let dos = Magic::Script(b"/bin/sh -e\r".as_slice().into());
    assert_eq!(magic(b"#!/bin/sh -e\r\nx"), dos);
    assert_eq!(magic(b"#! \t \n"), Magic::Script(b"".as_slice().into()));
    assert_eq!(
        magic(&[b"#!".as_slice(), &[b'x'; 900]].concat()),
        Magic::Script(vec![b'x'; 256].into())
    );
    assert_eq!(magic(b"#"), Magic::Other);
}

#[test]
fn private_keys_are_known_by_their_content_and_talk_of_them_is_not_one() {
    let pem = |label: &str, next: &str| {
        format!("-----BEGIN {label}-----\n{next}\n-----END {label}-----\n")
    };
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    for (label, form) in [
        ("PRIVATE KEY", "PKCS #8"),
        ("ENCRYPTED PRIVATE KEY", "PKCS #8, encrypted"),
        ("RSA PRIVATE KEY", "RSA"),
        ("OPENSSH PRIVATE KEY", "OpenSSH"),
        ("ANY PRIVATE KEY", "PEM"),
    ] {
        assert_eq!(magic(pem(label, line).as_bytes()), Magic::PrivateKey(form), "{label}");
    }
    let json = format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{line}\\n\"}}");
    assert_eq!(magic(json.as_bytes()), Magic::PrivateKey("PEM within JSON"));
    let bundle = [pem("CERTIFICATE", line), pem("EC PRIVATE KEY", line)].concat();
    assert_eq!(magic(bundle.as_bytes()), Magic::PrivateKey("EC"));
    assert_eq!(
        magic(pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED").as_bytes()),
        Magic::PrivateKey("RSA")
    );
    assert_eq!(magic(b"PuTTY-User-Key-File-3: ssh-ed25519\n"), Magic::PrivateKey("PuTTY"));
    for text in [
        pem("CERTIFICATE", line),
        pem("PUBLIC KEY", line),
        pem("RSA PRIVATE KEY", "..."),
        "if text.startswith('-----BEGIN RSA PRIVATE KEY-----'):".to_owned(),
        "# created: today\n".to_owned(),
    ] {
        assert_eq!(magic(text.as_bytes()), Magic::Other, "{text}");
    }
}

#[test]
fn the_test_file_of_scanners_is_known() {
    let parts =
        ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE", "!$H+H*"];
    let text = parts.concat();
    assert_eq!(magic(text.as_bytes()), Magic::Eicar);
    assert_eq!(magic(format!("{text}\r\n").as_bytes()), Magic::Eicar);
    assert_eq!(magic(text.replace('5', "6").as_bytes()), Magic::Other);
}

#[test]
fn texts_that_rules_read_are_kept_whole_up_to_their_bound() {
    let text = |path: &str, size: usize| {
        sniff_in(path, &vec![b'a'; size], 1000).text.map(|text| text.len())
    };
    for (path, size, kept) in [
        ("etc/passwd", 9000, Some(9000)),
        ("etc/passwd", 9 << 20, None),
        ("home/etc/passwd", 9, None),
        ("var/lib/dpkg/status.d/tzdata", 10, Some(10)),
        ("var/lib/dpkg/status.d/tzdata.md5sums", 10, None),
        ("app/.env", 10, Some(10)),
        ("app/.env", 70_000, None),
        ("root/.aws/credentials", 10, Some(10)),
        ("root/x.aws/credentials", 10, None),
        (".netrc", 10, Some(10)),
        ("usr/bin/app", 10, None),
    ] {
        assert_eq!(text(path, size), kept, "{path}");
    }
}

proptest! {
    #[test]
    fn damaged_programs_are_read_without_panic(
        places in proptest::collection::vec((0_usize..0x860, any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = program(0x800);
        for (at, value) in places {
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = sniff_in("x", &bytes, 333);
    }
}
