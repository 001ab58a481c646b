//! PAX records (POSIX, "pax Header Block"), as Go's reader takes them.

/// What a PAX header says of the entry after it.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    /// The name of an attribute in the namespace `trusted`.
    pub(super) trusted: Option<Vec<u8>>,
    /// Size of the whole file of which the tar holds the parts that are not empty.
    pub(super) sparse_bytes: Option<u64>,
}

/// What GNU tar says of a sparse file, in three forms.
#[derive(Default)]
struct Sparse<'a> {
    major: &'a [u8],
    minor: &'a [u8],
    name: Option<&'a [u8]>,
    size_bytes: Option<u64>,
    real_bytes: Option<u64>,
    has_map: bool,
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
        pax.expand(&sparse);
        Some(pax)
    }

    fn take<'a>(&mut self, key: &[u8], value: &'a [u8], sparse: &mut Sparse<'a>) -> Option<()> {
        const TRUSTED: &[u8] = b"SCHILY.xattr.trusted.";
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size_bytes = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            b"GNU.sparse.major" => sparse.major = value,
            b"GNU.sparse.minor" => sparse.minor = value,
            b"GNU.sparse.name" => sparse.name = Some(value),
            b"GNU.sparse.size" => sparse.size_bytes = Some(decimal(value)?),
            b"GNU.sparse.realsize" => sparse.real_bytes = Some(decimal(value)?),
            b"GNU.sparse.map" | b"GNU.sparse.offset" => sparse.has_map = true,
            key if key.starts_with(TRUSTED) => {
                self.trusted = key.strip_prefix(b"SCHILY.xattr.").map(<[u8]>::to_vec);
            }
            _ => {}
        }
        Some(())
    }

    fn expand(&mut self, sparse: &Sparse<'_>) {
        let is_known = matches!((sparse.major, sparse.minor), (b"0", b"0" | b"1") | (b"1", b"0"));
        if !is_known && !sparse.has_map {
            return;
        }
        if let Some(name) = sparse.name {
            self.path = Some(name.to_vec());
        }
        self.sparse_bytes = sparse.size_bytes.or(sparse.real_bytes);
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

/// Whole seconds of a time that may be negative and have a fraction; rounded down.
fn seconds(value: &[u8]) -> Option<i64> {
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
    let is_partial = fraction.iter().any(|c| *c != b'0');
    Some(if is_negative { -whole - i64::from(is_partial) } else { whole })
}
