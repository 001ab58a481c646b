//! The model of a registry, in memory: uploads with growth at their end only, and the blobs of
//! repositories. For each act it has the right response. No HTTP.
//!
//! Invariant: a refused act changes nothing, except an end under a wrong digest: it ends the
//! upload.

use std::collections::BTreeSet;

use wharf_oci::{Algorithm, Digest, Digester};
use wharf_testkit::dice::Dice;

/// Repositories of one run; the last is never written to.
pub(super) const REPOS: usize = 4;
/// Contents begin in so many ways; uploads of one way and size are the same blob.
pub(super) const WAYS: usize = 3;
/// Zero, a byte, some, around the border of a segment, above the size stored within a record.
const SIZES: [usize; 6] = [0, 1, 900, 262_144, 262_145, 600_000];
/// A larger upload gets no more bytes.
const UPLOAD_BYTES_MAX: usize = 2_000_000;

/// One client's act. Uploads and blobs are numbers modulo the existing ones, so a run still has a
/// meaning after the removal of acts.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Open {
        repo: usize,
        way: usize,
        algorithm: Option<Algorithm>,
    },
    Patch {
        upload: usize,
        size: usize,
        place: Place,
        chunked: bool,
    },
    /// A PATCH with fewer bytes than its length, and then a close.
    Broken {
        upload: usize,
        size: usize,
    },
    /// Others while a PATCH has sent half.
    Busy {
        upload: usize,
        size: usize,
    },
    Finish {
        upload: usize,
        size: usize,
        place: Place,
        named: Named,
    },
    Status {
        upload: usize,
        foreign: bool,
    },
    Cancel {
        upload: usize,
        foreign: bool,
    },
    Whole {
        repo: usize,
        way: usize,
        size: usize,
        named: Named,
    },
    Mount {
        repo: usize,
        blob: usize,
        from: Option<usize>,
    },
    Head {
        repo: usize,
        blob: usize,
    },
    Get {
        repo: usize,
        blob: usize,
    },
}

/// The value of `Content-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nothing,
    Right,
    Ahead,
    Behind,
    WrongSize,
    Malformed,
}

/// The value of `digest=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Right(Algorithm),
    Wrong,
    Malformed,
    Missing,
}

fn algorithm(dice: &mut Dice) -> Algorithm {
    if dice.percent(20) { Algorithm::Sha512 } else { Algorithm::Sha256 }
}

fn size(dice: &mut Dice) -> usize {
    SIZES[dice.index(SIZES.len())]
}

fn place(dice: &mut Dice) -> Place {
    match dice.below(20) {
        0..8 => Place::Nothing,
        8..15 => Place::Right,
        15 => Place::Ahead,
        16 | 17 => Place::Behind,
        18 => Place::WrongSize,
        _ => Place::Malformed,
    }
}

fn named(dice: &mut Dice) -> Named {
    match dice.below(12) {
        0..9 => Named::Right(algorithm(dice)),
        9 => Named::Wrong,
        10 => Named::Malformed,
        _ => Named::Missing,
    }
}

impl Act {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let (upload, blob) = (dice.index(1000), dice.index(1000));
        let (repo, way) = (dice.index(REPOS - 1), dice.index(WAYS));
        match dice.below(100) {
            0..14 => {
                let algorithm = dice.percent(30).then(|| algorithm(dice));
                Self::Open { repo, way, algorithm }
            }
            14..40 => {
                let (size, place) = (size(dice), place(dice));
                Self::Patch { upload, size, place, chunked: dice.percent(30) }
            }
            40..43 => Self::Broken { upload, size: size(dice) },
            43..46 => Self::Busy { upload, size: size(dice) },
            46..62 => {
                let (size, place) = (size(dice), place(dice));
                Self::Finish { upload, size, place, named: named(dice) }
            }
            62..69 => Self::Status { upload, foreign: dice.percent(20) },
            69..74 => Self::Cancel { upload, foreign: dice.percent(20) },
            74..80 => Self::Whole { repo, way, size: size(dice), named: named(dice) },
            80..87 => Self::Mount { repo, blob, from: dice.percent(75).then(|| dice.index(REPOS)) },
            87..94 => Self::Head { repo: dice.index(REPOS), blob },
            _ => Self::Get { repo: dice.index(REPOS), blob },
        }
    }
}

/// The bytes of one run: where contents begin.
pub(super) struct Contents(pub(super) Vec<Vec<u8>>);

/// A content, by how it begins and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) way: usize,
    pub(super) size: usize,
}

impl Contents {
    pub(super) fn bytes(&self, content: Content) -> &[u8] {
        &self.0[content.way][..content.size]
    }

    pub(super) fn digest(&self, content: Content, algorithm: Algorithm) -> Digest {
        Digester::digest(algorithm, self.bytes(content))
    }
}

pub(super) struct Upload {
    pub(super) repo: usize,
    pub(super) content: Content,
    pub(super) location: String,
    pub(super) open: bool,
    /// The result of a successful end.
    pub(super) ended: Option<(Content, Algorithm)>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) uploads: Vec<Upload>,
    /// Every pushed content, and its algorithm.
    pub(super) pushed: Vec<(Content, Algorithm)>,
    /// The content of each repository.
    has: BTreeSet<(usize, Content, Algorithm)>,
}

/// The right answer to a request about an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) status: u16,
    pub(super) code: &'static str,
}

const UNKNOWN: Right = Right { status: 404, code: "BLOB_UPLOAD_UNKNOWN" };

/// Nothing is the same however it would begin.
fn canonical(mut blob: (Content, Algorithm)) -> (Content, Algorithm) {
    if blob.0.size == 0 {
        blob.0.way = 0;
    }
    blob
}

impl Model {
    /// The upload of a number, if there ever was one.
    pub(super) fn upload(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.uploads.len())
    }

    /// The blob of a number; one number means a missing blob.
    pub(super) fn blob(&self, number: usize) -> (Content, Algorithm) {
        let nobodys = (Content { way: 0, size: 31 }, Algorithm::Sha256);
        self.pushed.get(number % (self.pushed.len() + 1)).copied().unwrap_or(nobodys)
    }

    pub(super) fn has(&self, repo: usize, blob: (Content, Algorithm)) -> bool {
        let blob = canonical(blob);
        self.has.contains(&(repo, blob.0, blob.1))
    }

    pub(super) fn somebody_has(&self, blob: (Content, Algorithm)) -> bool {
        (0..REPOS).any(|repo| self.has(repo, blob))
    }

    pub(super) fn everything(&self) -> impl Iterator<Item = (usize, Content, Algorithm)> {
        self.has.iter().copied()
    }

    pub(super) fn opened(&mut self, repo: usize, way: usize, location: String) {
        let content = Content { way, size: 0 };
        self.uploads.push(Upload { repo, content, location, open: true, ended: None });
    }

    pub(super) fn created(&mut self, repo: usize, blob: (Content, Algorithm)) {
        let blob = canonical(blob);
        self.has.insert((repo, blob.0, blob.1));
        if !self.pushed.contains(&blob) {
            self.pushed.push(blob);
        }
    }

    /// The added part of a wanted size, so no upload grows without end.
    pub(super) fn added(&self, upload: usize, size: usize) -> usize {
        let has = self.uploads[upload].content.size;
        if has + size > UPLOAD_BYTES_MAX { 0 } else { size }
    }

    /// The fault of a request with content, apart from its digest; `None` without a fault.
    pub(super) fn refused(&self, upload: usize, place: Place) -> Option<Right> {
        let invalid = |status, code| Some(Right { status, code });
        match (self.uploads[upload].open, place) {
            (false, _) => Some(UNKNOWN),
            (true, Place::Nothing | Place::Right) => None,
            (true, Place::Ahead | Place::Behind) => invalid(416, "BLOB_UPLOAD_INVALID"),
            (true, Place::WrongSize) => invalid(400, "SIZE_INVALID"),
            (true, Place::Malformed) => invalid(400, "BLOB_UPLOAD_INVALID"),
        }
    }

    /// The response to a status request or a cancellation.
    pub(super) fn about(&self, upload: usize, foreign: bool) -> Right {
        if self.uploads[upload].open && !foreign {
            Right { status: 204, code: "" }
        } else {
            UNKNOWN
        }
    }

    /// The range in the status.
    pub(super) fn range(&self, upload: usize) -> String {
        format!("0-{}", self.uploads[upload].content.size.saturating_sub(1))
    }
}
