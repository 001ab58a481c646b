//! The upstream's faults, and their requests: one line of the table each.

use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind, Says};

/// How much of the table is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A few cells with short times.
    Short,
    /// All of it, with the times of the field.
    Long,
}

/// The client's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Pull,
    Push,
    /// The client lists the attachments of an image.
    Discover,
}

/// How the upstream is odd.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// It is as usual.
    Nothing,
    /// It follows these orders.
    Rules(Vec<FaultRule>),
    /// It follows this order for the largest blob.
    OnLargest(FaultRule),
    /// It refuses connections for so long from the start of the client on.
    Refuses(Duration),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) way: Way,
    pub(super) trouble: Trouble,
    /// Lines at the begin of wharfd's configuration.
    pub(super) lines: &'static str,
    /// Whether pushes are staged.
    pub(super) staged: bool,
}

/// How long things last.
struct Times {
    /// The length of a temporary refusal, and of the work behind a late response.
    pause: Duration,
    outage: Duration,
    silence: Duration,
}

impl Times {
    fn of(form: Form) -> Self {
        let seconds = Duration::from_secs;
        match form {
            Form::Short => Self { pause: seconds(6), outage: seconds(8), silence: seconds(12) },
            Form::Long => Self { pause: seconds(25), outage: seconds(36), silence: seconds(15) },
        }
    }
}

/// Tight `[limits]`: without a burst the second request within a moment is one too many.
const REQUESTS: &str = "[limits]\nrequests_per_second = 5\nrequests_burst = 1\n";
const TRANSFERS: &str = "[limits]\ntransfers_per_second = 1\ntransfers_burst = 1\n";

const ONCE: Fault = Fault::Status { code: 429, retry_after_s: None };

/// All lines of a form.
pub(super) fn all(form: Form) -> Vec<Case> {
    let times = Times::of(form);
    match form {
        Form::Short => short(&times),
        Form::Long => [pulls(&times), pushes(&times), staged(&times), referrers()].concat(),
    }
}

fn case(way: Way, name: impl Into<String>, trouble: Trouble) -> Case {
    let direction = match way {
        Way::Pull => "pull",
        Way::Push => "push",
        Way::Discover => "referrers",
    };
    let name = format!("{direction}, {}", name.into());
    Case { name, way, trouble, lines: "", staged: false }
}

fn rule(way: Way, name: impl Into<String>, rule: FaultRule) -> Case {
    case(way, name, Trouble::Rules(vec![rule]))
}

/// 429 to the first request of a kind.
fn once(way: Way, what: &str, kind: Kind) -> Case {
    rule(way, format!("{what}: 429 once"), FaultRule::next(kind, ONCE))
}

/// 429 to every request of a kind, for as long as a pause takes from the first of them on.
fn paused(way: Way, what: &str, kind: Kind, says: Says, times: &Times) -> Case {
    let form = match says {
        Says::Nothing => "untold",
        Says::Seconds => "told in seconds",
        Says::Date => "told as a date",
    };
    let busy = FaultRule::next(kind, Fault::Busy { says, left_s: 1 }).pause(times.pause);
    rule(way, format!("{what}: 429 for {} s, {form}", times.pause.as_secs()), busy)
}

/// A response with a delay as long as a pause.
fn late(what: &str, kind: Kind, done: bool, times: &Times) -> Case {
    let by_ms = milliseconds(times.pause);
    let when = if done { "done at once" } else { "done at the end" };
    let name = format!("{what}: answered after {} s, {when}", times.pause.as_secs());
    rule(Way::Push, name, FaultRule::next(kind, Fault::Late { by_ms, done }))
}

fn outage(way: Way, times: &Times) -> Case {
    let name = format!("everything: 503 for {} s", times.outage.as_secs());
    rule(way, name, FaultRule::any(Fault::Unavailable).pause(times.outage))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn silent_download(times: &Times) -> Case {
    let silence = Fault::Silence { after: 100_000, for_ms: milliseconds(times.silence) };
    let name = format!("a body: silent for {} s half-way", times.silence.as_secs());
    case(Way::Pull, name, Trouble::OnLargest(FaultRule::next(Kind::StorageGet, silence)))
}

fn limited(way: Way) -> [Case; 2] {
    let of = |name, lines| Case { lines, ..case(way, name, Trouble::Nothing) };
    [of("requests_per_second = 5", REQUESTS), of("transfers_per_second = 1", TRANSFERS)]
}

fn short(times: &Times) -> Vec<Case> {
    use Way::{Pull, Push};
    let all = [
        paused(Pull, "blob GET", Kind::BlobGet, Says::Seconds, times),
        outage(Pull, times),
        silent_download(times),
        paused(Push, "manifest PUT", Kind::ManifestPut, Says::Seconds, times),
        late("commit", Kind::UploadPut, true, times),
    ];
    let [requests, transfers] = limited(Pull);
    all.into_iter().chain([requests, transfers]).collect()
}

fn pulls(times: &Times) -> Vec<Case> {
    use Way::Pull;
    let mut all = Vec::new();
    for (what, kind) in [("blob GET", Kind::BlobGet), ("manifest GET", Kind::ManifestGet)] {
        all.push(once(Pull, what, kind));
        all.push(paused(Pull, what, kind, Says::Nothing, times));
        all.push(paused(Pull, what, kind, Says::Seconds, times));
    }
    all.push(paused(Pull, "blob GET", Kind::BlobGet, Says::Date, times));
    all.push(paused(Pull, "bytes of blobs", Kind::StorageGet, Says::Seconds, times));
    all.push(paused(Pull, "token", Kind::Token, Says::Seconds, times));
    all.push(outage(Pull, times));
    let name = format!("everything: connections refused for {} s", times.outage.as_secs());
    all.push(case(Pull, name, Trouble::Refuses(times.outage)));
    let cut = FaultRule::next(Kind::StorageGet, Fault::CutBody { after: 100_000 });
    all.push(case(Pull, "a body: cut off half-way", Trouble::OnLargest(cut)));
    all.push(silent_download(times));
    all.extend(limited(Pull));
    all
}

fn pushes(times: &Times) -> Vec<Case> {
    use Way::Push;
    let mut all = Vec::new();
    for (what, kind) in UPLOADING {
        all.push(once(Push, what, kind));
        all.push(paused(Push, what, kind, Says::Nothing, times));
        all.push(paused(Push, what, kind, Says::Seconds, times));
    }
    all.push(paused(Push, "manifest PUT", Kind::ManifestPut, Says::Date, times));
    all.push(paused(Push, "token", Kind::Token, Says::Seconds, times));
    for (what, kind) in [("commit", Kind::UploadPut), ("manifest PUT", Kind::ManifestPut)] {
        all.push(late(what, kind, true, times));
        all.push(late(what, kind, false, times));
    }
    for (what, kind) in [("bytes", Kind::UploadPatch), ("commit", Kind::UploadPut)] {
        let lost = FaultRule::next(kind, Fault::LoseUpload);
        all.push(rule(Push, format!("{what}: the session is gone (404)"), lost));
    }
    let silence = Fault::Silence { after: 100, for_ms: milliseconds(times.silence) };
    let name = format!("bytes: not taken for {} s half-way", times.silence.as_secs());
    all.push(rule(Push, name, FaultRule::next(Kind::UploadPatch, silence)));
    let reset = FaultRule::next(Kind::UploadPatch, Fault::Reset { after: 100 });
    all.push(rule(Push, "bytes: reset half-way", reset));
    all.extend(limited(Push));
    all
}

const UPLOADING: [(&str, Kind); 4] = [
    ("POST", Kind::UploadPost),
    ("bytes", Kind::UploadPatch),
    ("commit", Kind::UploadPut),
    ("manifest PUT", Kind::ManifestPut),
];

fn staged(times: &Times) -> Vec<Case> {
    use Way::Push;
    let mut all = vec![once(Push, "manifest PUT", Kind::ManifestPut)];
    for (what, kind) in UPLOADING {
        all.push(paused(Push, what, kind, Says::Seconds, times));
    }
    all.push(paused(Push, "token", Kind::Token, Says::Seconds, times));
    all.push(late("commit", Kind::UploadPut, false, times));
    all.push(late("manifest PUT", Kind::ManifestPut, true, times));
    let lost = FaultRule::next(Kind::UploadPut, Fault::LoseUpload);
    all.push(rule(Push, "commit: the session is gone (404)", lost));
    all.push(outage(Push, times));
    all.into_iter()
        .map(|case| Case { name: format!("staged {}", case.name), staged: true, ..case })
        .collect()
}

fn referrers() -> Vec<Case> {
    let of = |code| {
        let fault = Fault::Status { code, retry_after_s: None };
        let ordered = FaultRule::next(Kind::Referrers, fault).times(u64::MAX);
        rule(Way::Discover, format!("answered {code}"), ordered)
    };
    [400, 405, 501].map(of).to_vec()
}
