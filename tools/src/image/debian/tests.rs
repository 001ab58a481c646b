#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const CONTROL: &str = "Package: tide\nVersion: 1.2-3\nArchitecture: all\n";

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = super::super::ar::MAGIC.to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644).bytes());
        bytes.extend_from_slice(content);
        bytes.extend(vec![b'\n'; size % 2]);
    }
    bytes
}

fn control_tar() -> Vec<u8> {
    tar(&[("./control", CONTROL.as_bytes()), ("./md5sums", b"00  usr/x\n"), ("./postinst", b"")])
}

/// The names of the files in a package.
#[derive(Default)]
struct Names(Vec<String>);

impl Visit for Names {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.0.push(String::from_utf8_lossy(entry.path).into_owned());
        ControlFlow::Continue(())
    }
}

fn read(bytes: &[u8]) -> Result<(Control, Vec<String>), DebianError> {
    let mut package = DebPackage::open(bytes)?;
    let mut names = Names::default();
    package.show(1 << 20, &mut names, |_| false)?;
    Ok((package.control, names.0))
}

#[test]
fn members_are_read_by_what_is_in_them_and_signatures_are_passed_over() {
    let data = tar(&[("./usr/x", b"content")]);
    let zstd = zstd::encode_all(data.as_slice(), 1).unwrap();
    let control = control_tar();
    for (name, data) in [("data.tar", &data), ("data.tar.zst/", &zstd), ("data.tar.gz", &zstd)] {
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            ("_first", b"x"),
            ("control.tar", &control),
            ("_gpgorigin", b"abc"),
            (name, data),
            ("anything", b"behind"),
        ]);
        let (control, names) = read(&bytes).unwrap();
        assert_eq!((control.name.as_str(), control.version.as_str()), ("tide", "1.2-3"));
        assert_eq!(names, ["usr/x"]);
        let package = DebPackage::open(bytes.as_slice()).unwrap();
        assert_eq!(package.control_text.as_ref(), CONTROL.as_bytes());
        assert_eq!(package.md5sums.as_deref(), Some(b"00  usr/x\n".as_slice()));
    }
}

#[test]
fn what_is_no_package_is_told_in_words() {
    let (control, data) = (control_tar(), tar(&[]));
    let binary = ("debian-binary", b"2.0\n".as_slice());
    let (control, data) = (("control.tar", control.as_slice()), ("data.tar", data.as_slice()));
    for (members, message) in [
        (vec![], "it ends before `debian-binary`"),
        (vec![control], "it begins with `control.tar`, not with `debian-binary`"),
        (vec![("debian-binary", b"0.939000\n"), control], "it has the format `0.939000`"),
        (vec![("debian-binary", b"3.0\n"), control], "it has the format `3.0`"),
        (vec![binary], "it ends before `control.tar`"),
        (vec![binary, control], "it ends before `data.tar`"),
        (vec![binary, data, control], "it has `data.tar` where `control.tar` must be"),
        (vec![binary, ("x", b""), control, data], "it has `x` where `control.tar` must be"),
        (vec![binary, control, ("data.tar.bz2", b"BZh9")], "`data.tar.bz2` is compressed in a way"),
        (vec![binary, control, ("data.tar", b"BZh91AY")], "`data.tar` is compressed in a way"),
        (vec![binary, control, ("data.tar.lzma", b"]")], "`data.tar.lzma` is compressed in a way"),
        (vec![binary, control, ("data.tar.gz", b"\x1f\x8bxx")], "`data.tar.gz` cannot be unpacked"),
        (vec![binary, control, ("data.tar", &[7; 600])], "`data.tar` is no tar"),
        (vec![binary, ("control.tar", b""), data], "it ends before `control`"),
    ] {
        let error = read(&ar(&members)).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} is not {message:?}");
    }
    assert!(read(b"PK\x03\x04").unwrap_err().to_string().starts_with("it is not a Debian package"));
}

#[test]
fn a_package_cut_anywhere_is_an_error() {
    let data = tar(&[("./usr/x", &[b'x'; 3000])]);
    let control = control_tar();
    for packed in [data.clone(), zstd::encode_all(data.as_slice(), 1).unwrap()] {
        let members = [
            ("debian-binary", b"2.0\n".as_slice()),
            ("control.tar", &control),
            ("data.tar", &packed),
        ];
        let bytes = ar(&members);
        let whole = bytes.len() - packed.len() % 2;
        assert!(read(&bytes[..whole]).is_ok());
        for cut in (0..whole).step_by(13).chain([whole - 1]) {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}

#[test]
fn sizes_over_the_bounds_are_refused_before_they_are_held() {
    let mut header = tar::Header::new_gnu();
    header.set_path("control").unwrap();
    header.set_size(8 << 30);
    header.set_cksum();
    let binary = ("debian-binary", b"2.0\n".as_slice());
    let bytes = ar(&[binary, ("control.tar", header.as_bytes()), ("data.tar", b"")]);
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, DebianError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
    // A bomb: zeros behind the end of the tar.
    let bomb = zstd::encode_all(io::repeat(0).take(CONTROL_TAR_BYTES_MAX + (1 << 20)), 1).unwrap();
    let bytes = ar(&[binary, ("control.tar.zst", &bomb), ("data.tar", b"")]);
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, DebianError::TooLarge { .. }), "{error}");
    let (control, data) =
        (control_tar(), zstd::encode_all(io::repeat(0).take(2 << 20), 1).unwrap());
    let bytes = ar(&[binary, ("control.tar", &control), ("data.tar.zst", &data)]);
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, DebianError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
}
