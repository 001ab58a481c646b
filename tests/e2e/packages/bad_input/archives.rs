//! Tars and Debian packages.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Case, End, layer};

/// A header of this entry, with a right checksum.
fn header(name: &[u8], kind: u8, size: &[u8; 12], link: &[u8]) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(size);
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A tar of these entries, with its end.
fn tar(entries: &[&[u8]]) -> Vec<u8> {
    [&entries.concat()[..], &[0; 1024]].concat()
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    let size = format!("{:011o}\0", content.len());
    let mut entry = header(name, b'0', size.as_bytes().try_into().unwrap(), b"").to_vec();
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const NONE: &[u8; 12] = b"00000000000\0";

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).unwrap();
}

pub(super) const TARS: &[Case] = &[
    Case {
        name: "a tar that says more than it has",
        make: |folder| {
            let mut bytes = header(b"big", b'0', b"00077777777\0", b"").to_vec();
            bytes.extend([7; 2048]);
            write(folder, "lies.tar", &bytes);
        },
        image: layer!("{ tar: lies.tar }"),
        end: End::Refused(&["lies.tar"]),
    },
    Case {
        name: "a tar with a negative size",
        make: |folder| {
            let size = [0xff_u8; 12];
            write(folder, "lies.tar", &tar(&[&header(b"big", b'0', &size, b"")]));
        },
        image: layer!("{ tar: lies.tar }"),
        end: End::Refused(&["lies.tar"]),
    },
    Case {
        name: "a tar that ends in a header",
        make: |folder| {
            let whole = file(b"a", b"text");
            write(folder, "cut.tar", &[&whole[..], &whole[..300]].concat());
        },
        image: layer!("{ tar: cut.tar }"),
        end: End::Refused(&["cut.tar"]),
    },
    Case {
        name: "a tar of other bytes",
        make: |folder| write(folder, "no.tar", &[b'x'; 4096]),
        image: layer!("{ tar: no.tar }"),
        end: End::Refused(&["no.tar"]),
    },
    Case {
        name: "a hard link to nothing",
        make: |folder| {
            write(folder, "link.tar", &tar(&[&header(b"name", b'1', NONE, b"target")]));
        },
        image: layer!("{ tar: link.tar }"),
        end: End::Refused(&["link.tar", "name"]),
    },
    Case {
        name: "a path that climbs out",
        make: |folder| write(folder, "up.tar", &tar(&[&file(b"../../etc/up", b"x")])),
        image: layer!("{ tar: up.tar, into: /srv }"),
        end: End::Refused(&["up.tar", "../../etc/up"]),
    },
    Case {
        name: "one path twice",
        make: |folder| {
            let one = file(b"same", b"x");
            write(folder, "twice.tar", &tar(&[&one, &one]));
        },
        image: layer!("{ tar: twice.tar }"),
        end: End::Refused(&["twice.tar", "same"]),
    },
    Case {
        name: "a cut gzip",
        make: |folder| {
            let whole = gzip(&tar(&[&file(b"a", &[b'a'; 5000])]));
            write(folder, "cut.tar.gz", &whole[..whole.len() - 12]);
        },
        image: layer!("{ tar: cut.tar.gz }"),
        end: End::Refused(&["cut.tar.gz"]),
    },
    Case {
        name: "a gzip whose checksum is wrong",
        make: |folder| {
            let mut whole = gzip(&tar(&[&file(b"a", &[b'a'; 5000])]));
            let at = whole.len() - 6;
            whole[at] ^= 1;
            write(folder, "wrong.tar.gz", &whole);
        },
        image: layer!("{ tar: wrong.tar.gz }"),
        end: End::Refused(&["wrong.tar.gz"]),
    },
    Case {
        name: "a bomb: some packed megabytes that would be seven gigabytes",
        make: |folder| {
            // Members of 64 MiB zeros each, inside of one file by its header.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&vec![0; 64 << 20]).unwrap();
            let zeros = encoder.finish().unwrap();
            let members = 112_u64;
            let size = format!("{:011o}\0", members * (64 << 20));
            let first = header(b"zeros", b'0', size.as_bytes().try_into().unwrap(), b"");
            let mut bytes = gzip(&first);
            for _ in 0..members {
                bytes.extend(&zeros);
            }
            bytes.extend(gzip(&[0; 1024]));
            write(folder, "bomb.tar.gz", &bytes);
        },
        image: layer!("{ tar: bomb.tar.gz }"),
        end: End::Refused(&["bomb.tar.gz"]),
    },
];

/// An ar of these members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let length = content.len();
        bytes.extend(member(name, &length.to_string()));
        bytes.extend(*content);
        if length % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn member(name: &str, length: &str) -> Vec<u8> {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 0, 0, 0, "100644").into_bytes()
}

const CONTROL: &str = "Package: tide\nVersion: 1\nArchitecture: all\nMaintainer: A <a@quayline.dev>\n\
                       Description: tides\n";

fn control() -> Vec<u8> {
    gzip(&tar(&[&file(b"./control", CONTROL.as_bytes())]))
}

pub(super) const PACKAGES: &[Case] = &[
    Case {
        name: "a package that is none",
        make: |folder| write(folder, "no.deb", b"not a package at all\n"),
        image: layer!("{ deb: no.deb }"),
        end: End::Refused(&["no.deb"]),
    },
    Case {
        name: "a package whose member says more than there is",
        make: |folder| {
            let mut bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &control())]);
            bytes.extend(member("data.tar.gz", "999999999"));
            bytes.extend([1; 100]);
            write(folder, "lies.deb", &bytes);
        },
        image: layer!("{ deb: lies.deb }"),
        end: End::Refused(&["lies.deb"]),
    },
    Case {
        name: "a package without files",
        make: |folder| {
            let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &control())]);
            write(folder, "empty.deb", &bytes);
        },
        image: layer!("{ deb: empty.deb }"),
        end: End::Refused(&["empty.deb"]),
    },
    Case {
        name: "a package whose files climb out",
        make: |folder| {
            let data = gzip(&tar(&[&file(b"./../../up", b"x")]));
            let members: [(&str, &[u8]); 3] = [
                ("debian-binary", b"2.0\n"),
                ("control.tar.gz", &control()),
                ("data.tar.gz", &data),
            ];
            write(folder, "up.deb", &ar(&members));
        },
        image: layer!("{ deb: up.deb }"),
        end: End::Refused(&["up.deb", "up"]),
    },
    Case {
        name: "a package whose files are cut off",
        make: |folder| {
            let data = gzip(&tar(&[&file(b"./usr", &[b'u'; 9000])]));
            let members: [(&str, &[u8]); 3] = [
                ("debian-binary", b"2.0\n"),
                ("control.tar.gz", &control()),
                ("data.tar.gz", &data[..data.len() / 2]),
            ];
            write(folder, "cut.deb", &ar(&members));
        },
        image: layer!("{ deb: cut.deb }"),
        end: End::Refused(&["cut.deb"]),
    },
];
