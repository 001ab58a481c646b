#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

/// Path, kind, link and size.
type Seen = (Vec<u8>, TarEntryKind, Vec<u8>, u64);

fn walk(bytes: &[u8], step: usize) -> Result<Vec<Seen>, TarFault> {
    let mut seen = Vec::new();
    let mut walk = TarWalk::new();
    for piece in bytes.chunks(step.max(1)) {
        walk.update(piece, &mut |entry| {
            seen.push((entry.path.to_vec(), entry.kind, entry.link.to_vec(), entry.size_bytes));
            ControlFlow::Continue(())
        })?;
    }
    walk.finish()?;
    Ok(seen)
}

/// A tar by another writer, with long names in both forms.
fn sample() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(600);
    header.set_mode(0o755);
    header.set_cksum();
    builder.append_data(&mut header, "l".repeat(200), [7_u8; 600].as_slice()).unwrap();
    let path = [b"17 path=a/../b/c\n".as_slice(), b"11 size=10\n"].concat();
    let mut pax = tar::Header::new_ustar();
    pax.set_entry_type(tar::EntryType::XHeader);
    pax.set_size(path.len() as u64);
    pax.set_cksum();
    builder.append(&pax, path.as_slice()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(10);
    header.set_cksum();
    builder.append(&header, [1_u8; 10].as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "etc/link", "t".repeat(150)).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn names_sizes_and_links_are_read_for_any_split() {
    let bytes = sample();
    let whole = walk(&bytes, bytes.len()).unwrap();
    assert_eq!(whole.len(), 3);
    assert_eq!(whole[0].0, "l".repeat(200).as_bytes());
    assert_eq!((whole[0].1, whole[0].3), (TarEntryKind::File, 600));
    assert_eq!(whole[1].0, b"a/../b/c");
    assert_eq!(whole[2].2, "t".repeat(150).as_bytes());
    for step in [1, 7, 511, 512, 513, 4096] {
        assert_eq!(walk(&bytes, step).unwrap(), whole, "pieces of {step}");
    }
}

#[test]
fn a_tar_cut_anywhere_is_truncated_or_ends_between_entries() {
    let bytes = sample();
    let whole = walk(&bytes, 4096).unwrap();
    for cut in (0..bytes.len()).step_by(64) {
        match walk(&bytes[..cut], 4096) {
            // The bytes after the last entry are not read, so a cut may be anywhere in them.
            Ok(seen) => assert!(whole.starts_with(&seen), "{cut}"),
            Err(fault) => assert_eq!(fault, TarFault::Truncated { offset: cut as u64 }),
        }
    }
}

#[test]
fn only_the_padding_of_the_last_entry_may_be_missing() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(100);
    tar.append_data(&mut header, "file", [7; 100].as_slice()).unwrap();
    let bytes = tar.into_inner().unwrap();
    for cut in [512 + 100, 512 + 101, 512 + 511, 1024] {
        assert_eq!(walk(&bytes[..cut], 64).unwrap().len(), 1, "{cut}");
    }
    for cut in [1, 511, 512, 512 + 99, 1025] {
        let fault = walk(&bytes[..cut], 64).unwrap_err();
        assert_eq!(fault, TarFault::Truncated { offset: cut as u64 });
    }
}

#[test]
fn a_long_name_of_gigabytes_is_refused_before_it_is_held() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(8 << 30);
    header.set_cksum();
    assert_eq!(walk(header.as_bytes(), 512), Err(TarFault::Extension { offset: 0 }));
}

#[test]
fn text_is_not_a_tar() {
    let bytes = [b'x'; 1024];
    assert_eq!(walk(&bytes, 512), Err(TarFault::NotAHeader { offset: 0 }));
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        step in 1_usize..700,
    ) {
        let _ = walk(&bytes, step);
    }

    #[test]
    fn a_damaged_tar_is_walked_without_panic(at in any::<prop::sample::Index>(), value: u8) {
        let mut bytes = sample();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = walk(&bytes, 999);
    }
}
