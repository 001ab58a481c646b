//! PAX records (POSIX, "pax Header Block"), as Go's reader takes them.

use super::{SparsePart, Time};

/// How many extended attributes an entry may have: they are looked through for each other one.
const ATTRIBUTES_MAX: usize = 1000;

/// The values of a PAX header for the entry after it.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    /// Extended attributes: names and values.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Size of the whole sparse file; the tar holds only the parts with data.
    pub(super) sparse_bytes: Option<u64>,
    /// The places of those parts, and whether the map stands before them in the content instead.
    pub(super) parts: Vec<SparsePart>,
    pub(super) map_in_content: bool,
}

/// GNU tar's account of a sparse file, in three forms.
#[derive(Default)]
struct Sparse<'a> {
    major: &'a [u8],
    minor: &'a [u8],
    name: Option<&'a [u8]>,
    size_bytes: Option<u64>,
    real_bytes: Option<u64>,
    map: Option<&'a [u8]>,
    /// The oldest form with repeated keys: offsets and lengths in turn.
    numbers: Vec<u64>,
}

impl Pax {
    /// Reads records of the form `LENGTH KEY=VALUE\n`; `None` when they are not. Of two with one
    /// key the last counts, and one without a value says nothing.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut pax = Self::default();
        let mut sparse = Sparse::default();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|c| *c == b' ')?;
            let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
            let record = bytes.get(space + 1..length)?;
            bytes = bytes.get(length..)?;
            let record = record.strip_suffix(b"\n")?;
            let equals = record.iter().position(|c| *c == b'=')?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            if !value.is_empty() {
                pax.take(key, value, &mut sparse)?;
            }
        }
        pax.expand(sparse)?;
        Some(pax)
    }

    fn take<'a>(&mut self, key: &[u8], value: &'a [u8], sparse: &mut Sparse<'a>) -> Option<()> {
        const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size_bytes = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.major" => sparse.major = value,
            b"GNU.sparse.minor" => sparse.minor = value,
            b"GNU.sparse.name" => sparse.name = Some(value),
            b"GNU.sparse.size" => sparse.size_bytes = Some(decimal(value)?),
            b"GNU.sparse.realsize" => sparse.real_bytes = Some(decimal(value)?),
            b"GNU.sparse.map" => sparse.map = Some(value),
            b"GNU.sparse.offset" if sparse.numbers.len().is_multiple_of(2) => {
                sparse.numbers.push(decimal(value)?);
            }
            b"GNU.sparse.numbytes" if !sparse.numbers.len().is_multiple_of(2) => {
                sparse.numbers.push(decimal(value)?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => return None,
            key => {
                if let Some(name) = key.strip_prefix(ATTRIBUTE).filter(|name| !name.is_empty()) {
                    self.attributes.retain(|(known, _)| known != name);
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        (self.attributes.len() <= ATTRIBUTES_MAX).then_some(())
    }

    /// Makes name, size and parts from the account of a sparse file; `None` if it is not complete.
    fn expand(&mut self, sparse: Sparse<'_>) -> Option<()> {
        let has_map = sparse.map.is_some() || !sparse.numbers.is_empty();
        let in_content = match (sparse.major, sparse.minor) {
            (b"0", b"0" | b"1") => false,
            (b"1", b"0") => true,
            _ if has_map => false,
            _ => return Some(()),
        };
        if let Some(name) = sparse.name {
            self.path = Some(name.to_vec());
        }
        self.sparse_bytes = sparse.size_bytes.or(sparse.real_bytes);
        self.map_in_content = in_content && self.sparse_bytes.is_some();
        if in_content || self.sparse_bytes.is_none() {
            return Some(());
        }
        let numbers = match sparse.map {
            Some(map) => map.split(|c| *c == b',').map(decimal).collect::<Option<Vec<u64>>>()?,
            None => sparse.numbers,
        };
        let pairs = numbers.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return None;
        }
        self.parts = pairs
            .filter_map(|pair| match pair {
                [offset, bytes] => Some(SparsePart { offset: *offset, size_bytes: *bytes }),
                _ => None,
            })
            .collect();
        Some(())
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, c| match c {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(c - b'0')),
        _ => None,
    })
}

/// A time, possibly negative and with a fraction.
fn time(value: &[u8]) -> Option<Time> {
    let (is_negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |c| *c == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = digits.fold(0, |sum, c| sum * 10 + u32::from(c - b'0'));
    Some(match (is_negative, nanos) {
        (false, nanos) => Time { seconds: whole, nanos },
        (true, 0) => Time { seconds: -whole, nanos: 0 },
        (true, nanos) => Time { seconds: -whole - 1, nanos: 1_000_000_000 - nanos },
    })
}
