//! Entries of layers: refused by engines, unpacked differently by engines, or accepted by all of
//! them.

use wharf_testkit::handmade::{Entry, Handmade};

use super::{Case, Error, Make, Warning, image};

pub(super) const CASES: &[Case] = &[
    image("IMG-032", Error, "a hard link leads to a lower layer", |image| {
        add(image, [Entry::hard_link("srv/tide/groups", "etc/group")]);
    }),
    image("IMG-032", Error, "a hard link stands before its target", |image| {
        add(image, [Entry::hard_link("srv/tide/a", "srv/tide/b"), Entry::file("srv/tide/b", "b")]);
    }),
    image("IMG-032", Error, "a hard link leads to a folder", |image| {
        add(image, [Entry::hard_link("srv/tide/a", "srv/tide")]);
    }),
    image("IMG-032", Error, "a file stands twice in a layer", |image| {
        add(image, [Entry::file("srv/tide/tide.conf", "listen = 8081\n")]);
    }),
    image("IMG-032", Error, "a folder comes again as a file", |image| {
        add(image, [Entry::folder("srv/tide/log"), Entry::file("srv/tide/log", "")]);
    }),
    image("IMG-032", Error, "a link comes again as a folder", |image| {
        add(image, [Entry::symlink("srv/tide/log", "/tmp"), Entry::folder("srv/tide/log")]);
    }),
    image("IMG-032", Error, "one name is spelled two ways", |image| {
        add(image, [Entry::file("srv/./tide//tide.conf", "listen = 8081\n")]);
    }),
    image("IMG-032", Error, "a whiteout follows the new file of its name", |image| {
        add(image, [Entry::file("srv/tide/.wh.tide.conf", "")]);
    }),
    image("IMG-032", Error, "a file is of the type for contiguous ones", |image| {
        add(image, [Entry { flag: b'7', ..Entry::file("srv/tide/fast", "x") }]);
    }),
    image("IMG-032", Error, "a file is of GNU's old type for sparse ones", |image| {
        add(image, [Entry { flag: b'S', ..Entry::file("srv/tide/thin", "") }]);
    }),
    image("IMG-032", Error, "an entry is of a type that does not exist", |image| {
        add(image, [Entry { flag: b'Z', ..Entry::file("srv/tide/odd", "") }]);
    }),
    image("IMG-032", Error, "an entry has no name", |image| {
        add(image, [Entry::file("", "")]);
    }),
    image("IMG-032", Warning, "an entry is a device", |image| {
        add(image, [Entry::new(b'3', "dev/tide")]);
    }),
    image("IMG-032", Error, "the tar breaks off in a file", |image| {
        image.platforms[0].app().on_tar = |tar| tar.truncate(tar.len() - 1024 - 512 - 100);
    }),
    image("IMG-032", Error, "a header of the tar has another checksum", |image| {
        image.platforms[0].app().on_tar = |tar| tar[150] ^= 1;
    }),
    image("IMG-032", Error, "a header says that a file is larger than the tar", |image| {
        image.platforms[0].app().on_tar = |tar| {
            let start = tar.len() - 1024 - 1024;
            tar[start + 124..start + 135].copy_from_slice(b"07777777777");
            let sum: u32 = (0..512)
                .map(|at| if (148..156).contains(&at) { 32 } else { u32::from(tar[start + at]) })
                .sum();
            tar[start + 148..start + 155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        };
    }),
    image("IMG-032", Error, "the layer is a text", |image| {
        image.platforms[0].app().on_tar = |tar| {
            *tar = b"Here is nothing that a program could unpack. ".repeat(40);
        };
    }),
];

/// Entries unpacked the same by every engine.
pub(super) const HEALTHY: &[(&str, Make)] = &[
    (
        "a tar without the padding of its last file",
        Make::Image(|image| {
            image.platforms[0].app().on_tar = |tar| {
                let end = tar.iter().rposition(|byte| *byte != 0).unwrap();
                tar.truncate(end + 1);
            };
        }),
    ),
    ("absolute names", Make::Image(|image| add(image, [Entry::file("/srv/tide/more", "")]))),
    ("a name that climbs", Make::Image(|image| add(image, [Entry::file("../more", "")]))),
    (
        "links that climb and lead outside",
        Make::Image(|image| {
            let links = [
                Entry::symlink("srv/tide/up", "../../../../tmp"),
                Entry::symlink("srv/tide/there", "/etc/group"),
            ];
            add(image, links);
        }),
    ),
    (
        "a hard link to a file before it",
        Make::Image(|image| {
            add(image, [Entry::hard_link("srv/tide/tide.bak", "/srv/tide/tide.conf")]);
        }),
    ),
    (
        "a hard link through a link of its layer",
        Make::Image(|image| {
            let entries =
                [Entry::symlink("srv/t", "tide"), Entry::hard_link("srv/copy", "srv/t/tide.conf")];
            add(image, entries);
        }),
    ),
    (
        "an opaque folder",
        Make::Image(|image| {
            let entries = [
                Entry::folder("usr/share/doc/tide"),
                Entry::file("usr/share/doc/tide/.wh..wh..opq", ""),
                Entry::file("usr/share/doc/tide/copyright", "Copyright: the people of Tide.\n"),
            ];
            add(image, entries);
        }),
    ),
    (
        "a whiteout of a file of the layer below",
        Make::Image(|image| {
            add(image, [Entry::file("etc/.wh.os-release", "")]);
        }),
    ),
    ("a fifo", Make::Image(|image| add(image, [Entry::new(b'6', "srv/tide/pipe")]))),
    (
        "names of 300 bytes",
        Make::Image(|image| {
            add(image, [Entry::file("srv/tide/".to_owned() + &"long-name/".repeat(29) + "it", "")]);
        }),
    ),
    (
        "names that are not Unicode",
        Make::Image(|image| {
            add(image, [Entry::file(b"srv/tide/\xff\xfe", "")]);
        }),
    ),
];

/// Adds entries to the upper layer of linux/amd64.
fn add<const N: usize>(image: &mut Handmade, entries: [Entry; N]) {
    image.platforms[0].app().entries.extend(entries);
}
