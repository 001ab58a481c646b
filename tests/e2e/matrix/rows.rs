//! The rows of the matrix: the fault, its request, and whether a client may notice it.
//!
//! A row hidden even with its fault on every request changes no byte.

use wharf_double::{Fault, FaultRule, Kind};

/// How often a fault happens to one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Times {
    Once,
    EachTime,
}

/// Whether clients get the right bytes in spite of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    Never,
    /// When it happens once.
    Once,
    /// However often it happens.
    Always,
}

/// One fault, or several related ones.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) rules: Vec<FaultRule>,
    hidden: Hidden,
}

impl Row {
    fn new(kind: Kind, fault: Fault, hidden: Hidden) -> Self {
        let name = format!("{kind:?} {fault:?}");
        Self { name, rules: vec![FaultRule::next(kind, fault)], hidden }
    }

    /// A body broken in the middle, and this fault at the resumed request.
    fn then(kind: Kind, fault: Fault, hidden: Hidden) -> Self {
        let cut = FaultRule::next(Kind::StorageGet, CUT).unranged();
        // The first request has no range, and the registry gave the first link unharmed.
        let rule = match kind {
            Kind::StorageGet => FaultRule::next(kind, fault).ranged(),
            _ => FaultRule::next(kind, fault).after(1),
        };
        let name = format!("cut, then {kind:?} {fault:?}");
        Self { name, rules: vec![cut, rule], hidden }
    }

    /// Whether a client gets the right bytes.
    pub(super) fn is_hidden(&self, times: Times) -> bool {
        self.hidden == Hidden::Always || (self.hidden == Hidden::Once && times == Times::Once)
    }
}

const CUT: Fault = Fault::CutBody { after: 1_500_000 };
const LOOK_AGAIN: Fault = Fault::TooManyRequests { retry_after_s: 1 };

const fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after_s: None }
}

fn all<const N: usize>(kind: Kind, faults: [(Fault, Hidden); N]) -> Vec<Row> {
    faults.into_iter().map(|(fault, hidden)| Row::new(kind, fault, hidden)).collect()
}

/// Wrong, slow and broken bodies of the storage.
pub(super) fn storage_bodies() -> Vec<Row> {
    use Hidden::{Always, Never, Once};
    all(
        Kind::StorageGet,
        [
            (Fault::WrongBytes, Never),
            (Fault::WrongByteAt { offset: 2_000_000 }, Never),
            (Fault::ShortBody { bytes: 1 }, Never),
            (Fault::ShortBody { bytes: 2_000_000 }, Never),
            (Fault::LongBody { bytes: 1 }, Never),
            (Fault::LongBody { bytes: 1_000_000 }, Never),
            (Fault::Endless { length_header: false }, Never),
            // Surplus bytes after the body belong to no response; here they cost a connection.
            (Fault::Endless { length_header: true }, Always),
            (CUT, Always),
            (Fault::CutBody { after: 0 }, Once),
            (Fault::Reset { after: 1_500_000 }, Always),
            (Fault::Stall { after: 1_500_000 }, Always),
            (Fault::Stall { after: 0 }, Once),
            (Fault::Slow { bytes_per_s: 1_000 }, Once),
            (Fault::WrongLength { bytes: 1_000_000 }, Never),
            (Fault::WrongLength { bytes: 9_000_000 }, Never),
            (Fault::NoLength, Always),
        ],
    )
}

/// Bodies broken at the expiry of tokens and links.
pub(super) fn expiries() -> Vec<Row> {
    let (early, late) =
        (Fault::ExpireAndCut { after: 100 }, Fault::ExpireAndCut { after: 1_500_000 });
    all(Kind::StorageGet, [(early, Hidden::Once), (late, Hidden::Always)])
}

/// Refused and late responses of the storage, and wrong heads.
pub(super) fn storage_answers() -> Vec<Row> {
    use Hidden::{Always, Never, Once};
    all(
        Kind::StorageGet,
        [
            (LOOK_AGAIN, Once),
            (Fault::TooManyRequests { retry_after_s: 60 }, Never),
            (Fault::Unavailable, Once),
            (status(400), Once),
            (status(401), Once),
            (status(404), Never),
            (status(408), Once),
            (status(410), Once),
            (status(416), Never),
            (status(500), Once),
            (status(502), Once),
            (status(504), Once),
            (Fault::ExpiredLink, Once),
            // The wait for one response uses up the whole time of a request.
            (Fault::Hang, Never),
            (Fault::HangUp { reset: false }, Once),
            (Fault::HangUp { reset: true }, Once),
            (Fault::WrongDigestHeader, Always),
            (Fault::NoDigestHeader, Always),
            (Fault::WrongContentType, Always),
            (Fault::FalseGzip, Always),
            (Fault::RedirectLoop, Never),
            (Fault::RedirectHops { hops: 3 }, Once),
            (Fault::RedirectHops { hops: 9 }, Never),
            (Fault::RedirectElsewhere, Always),
        ],
    )
}

/// Faults at the resumption of a broken body.
pub(super) fn resumes() -> Vec<Row> {
    use Hidden::{Always, Never, Once};
    let at_the_storage = [
        (Fault::RangeIgnored, Always),
        (Fault::OtherRange { by: 1 }, Once),
        (Fault::WrongRangeStart { by: 1 }, Once),
        (Fault::WrongRangeTotal { by: 1 }, Once),
        (Fault::NoContentRange, Once),
        (Fault::CutBody { after: 100_000 }, Once),
        (Fault::Reset { after: 0 }, Once),
        (Fault::WrongBytes, Never),
        (Fault::ShortBody { bytes: 1 }, Once),
        (Fault::LongBody { bytes: 1 }, Once),
        (Fault::WrongLength { bytes: 9_000_000 }, Once),
        (Fault::NoLength, Always),
        (Fault::Unavailable, Once),
        (LOOK_AGAIN, Once),
        (Fault::ExpiredLink, Once),
        (Fault::HangUp { reset: true }, Once),
        (Fault::Hang, Once),
        (Fault::RedirectElsewhere, Always),
        (status(404), Never),
        (status(416), Once),
    ];
    let at_the_registry = [
        (Fault::NoRedirect, Once),
        (Fault::ExpiredLink, Once),
        (status(404), Never),
        (status(502), Once),
    ];
    let resumed = |kind| move |(fault, hidden)| Row::then(kind, fault, hidden);
    let storage = at_the_storage.into_iter().map(resumed(Kind::StorageGet));
    storage.chain(at_the_registry.into_iter().map(resumed(Kind::BlobGet))).collect()
}

/// The registry's responses in place of a good link.
pub(super) fn registry() -> Vec<Row> {
    use Hidden::{Always, Never, Once};
    all(
        Kind::BlobGet,
        [
            (LOOK_AGAIN, Once),
            (Fault::Unavailable, Once),
            (status(401), Never),
            (status(403), Never),
            (status(404), Never),
            (status(500), Once),
            (Fault::Hang, Never),
            (Fault::HangUp { reset: false }, Once),
            (Fault::HangUp { reset: true }, Once),
            (Fault::ExpiredLink, Once),
            (Fault::BadLocation, Never),
            (Fault::NoLocation, Never),
            (Fault::WrongDigestHeader, Always),
            (Fault::NoDigestHeader, Always),
            (Fault::RedirectLoop, Never),
            (Fault::RedirectHops { hops: 3 }, Once),
            (Fault::RedirectHops { hops: 9 }, Never),
            (Fault::RedirectElsewhere, Always),
            (Fault::NoRedirect, Always),
        ],
    )
}

/// Refusals of the token endpoint; every cell has a repository of its own, so each needs a token.
pub(super) fn token_refusals() -> Vec<Row> {
    use Hidden::{Never, Once};
    all(
        Kind::Token,
        [(LOOK_AGAIN, Once), (Fault::Unavailable, Once), (status(401), Never), (status(500), Once)],
    )
}

/// Missing and invalid responses of the token endpoint.
pub(super) fn token_answers() -> Vec<Row> {
    use Hidden::{Always, Never, Once};
    all(
        Kind::Token,
        [
            (Fault::Hang, Never),
            (Fault::HangUp { reset: true }, Once),
            (Fault::WrongBytes, Once),
            (Fault::CutBody { after: 10 }, Once),
            (Fault::NoLength, Always),
        ],
    )
}

/// Pauses passed on to clients, because they are too long for a request to wait.
pub(super) fn long_pauses() -> Vec<Row> {
    let pause = Fault::TooManyRequests { retry_after_s: 21 };
    vec![Row::new(Kind::BlobGet, pause, Hidden::Never)]
}
