#![allow(clippy::unwrap_used)]
use super::*;

fn file(path: &str) -> ListedFile {
    let digests = FileDigests { sha256: [0xab; 32], sha1: [1; 20] };
    ListedFile { path: path.to_owned(), digests }
}

fn part(name: &str, version: &str) -> SbomPart {
    let (name, version) = (name.to_owned(), version.to_owned());
    let package = Package {
        manager: Manager::Dpkg,
        source: name.clone(),
        name,
        architecture: "amd64".to_owned(),
        version,
    };
    SbomPart { package, licence: None, archive: None }
}

#[test]
fn files_are_cut_with_their_number() {
    let few = ListedFiles::new([file("a"), file("b")].into_iter(), 2);
    assert_eq!((few.listed().len(), few.cut()), (2, 0));
    let many = (0..FILES_MAX + 7).map(|number| file(&format!("{number:08}")));
    let many = ListedFiles::new(many, FILES_MAX + 7);
    assert_eq!((many.listed().len(), many.cut()), (FILES_MAX, 7));
}

#[test]
fn long_paths_are_bounded_by_what_they_take_in_json() {
    let long = |number: usize| file(&format!("{number:04}{}", "\u{1}".repeat(4000)));
    let files = ListedFiles::new((0..400).map(long), 400);
    let bytes: usize = files.listed().iter().map(|file| json_len(&file.path)).sum();
    assert!(bytes <= PATH_BYTES_MAX && files.cut() > 0, "{bytes}");
}

#[test]
fn a_package_known_twice_is_one_with_all_that_is_known() {
    let digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let licence = PackageLicence::named("MIT").unwrap();
    let from_archive = SbomPart { archive: Some(digest), ..part("curl", "8") };
    let from_record = SbomPart { licence: Some(licence), ..part("curl", "8") };
    let both = Packages::new(vec![part("zlib", "1"), from_record, part("curl", "7"), from_archive]);
    assert_eq!(both.listed().len(), 3);
    let curl = both.listed().iter().find(|part| part.package.version == "8").unwrap();
    assert!(curl.archive.is_some() && curl.licence.is_some());
}

#[test]
fn os_release_is_read_with_and_without_quotes() {
    let debian = b"PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n";
    assert_eq!(System::parse(debian).unwrap().to_string(), "debian-12");
    assert_eq!(System::parse(b"ID='alpine'\n").unwrap().to_string(), "alpine");
    assert_eq!(System::parse(b"ID=a b\n"), None);
    assert_eq!(System::parse(b"VERSION_ID=1\n\xff"), None);
}

#[test]
fn hexadecimal_is_lowercase_and_paths_that_are_no_text_stay_apart() {
    assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    assert_eq!(path_text(b"a/\xff"), "a/\\xff");
    assert_eq!(path_text("é".as_bytes()), "é");
}
