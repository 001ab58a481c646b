//! The rows of the matrix: what goes wrong at which request, and whether a client may notice.
//!
//! A row that is hidden when its fault happens each time is one that changes no byte.

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

/// One fault, or several that belong together.
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

    /// A body that breaks off in the middle, and this at the request that goes on.
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

/// Bodies of the storage that are wrong, slow, or break off.
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
            // Rubbish behind the body is nobody's; here it costs a connection.
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

/// Bodies that break off when tokens and links end.
pub(super) fn expiries() -> Vec<Row> {
    let (early, late) =
        (Fault::ExpireAndCut { after: 100 }, Fault::ExpireAndCut { after: 1_500_000 });
    all(Kind::StorageGet, [(early, Hidden::Once), (late, Hidden::Always)])
}

/// Answers of the storage that are refusals, late, or lie in their heads.
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
            // The wait for an answer is all the patience that one request has.
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

/// What goes wrong when a body that broke off is taken up again.
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

/// What the registry says in place of a good link.
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

/// Answers of the token endpoint that do not come, or are none.
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

/// Pauses that are handed on to clients, because they are longer than one can be made to wait.
pub(super) fn long_pauses() -> Vec<Row> {
    let pause = Fault::TooManyRequests { retry_after_s: 21 };
    vec![Row::new(Kind::BlobGet, pause, Hidden::Never)]
}
