//! Rows about bounds and about TLS towards clients.

use crate::http::admission::LimitUsage;
use crate::http::tls::TlsState;
use crate::observe::metrics::page::{Kind, Page};

/// Usage of the bounds on clients, and refusals.
#[derive(Debug, Default)]
pub(crate) struct AdmissionGauges {
    /// The usage of each bound.
    pub uses: Vec<LimitUsage>,
    /// Refusals at each bound.
    pub refusals: Vec<(&'static str, u64)>,
    /// Held requests.
    pub held: u64,
    /// Outcomes of held requests: kind of client, outcome, how often.
    pub holds: Vec<(&'static str, &'static str, u64)>,
    /// Requests that queued at each rate.
    pub waits: Vec<(&'static str, u64)>,
    /// Requests queued at a rate.
    pub waiting: u64,
    /// Without it, plain HTTP is spoken.
    pub tls: Option<TlsState>,
}

pub(super) fn render(page: &mut Page, admitted: &AdmissionGauges) {
    page.family("wharfd_limit_used", Kind::Gauge, "What is used of a bound on clients.");
    for row in &admitted.uses {
        page.row(&[("limit", row.limit.as_str())], row.used);
    }
    page.family("wharfd_limit_most", Kind::Gauge, "What a bound on clients allows.");
    for row in &admitted.uses {
        page.row(&[("limit", row.limit.as_str())], row.most);
    }
    let help = "Who was turned away or cut off at a bound on clients.";
    page.family("wharfd_limit_refusals_total", Kind::Counter, help);
    for (limit, count) in &admitted.refusals {
        page.row(&[("limit", limit)], *count);
    }
    let help = "Requests that are held before they are refused.";
    page.single("wharfd_held_requests", Kind::Gauge, help, admitted.held);
    let help = "Requests that were held, by kind of client and by what became of them.";
    page.family("wharfd_holds_total", Kind::Counter, help);
    for (agent, outcome, count) in &admitted.holds {
        page.row(&[("agent", agent), ("outcome", outcome)], *count);
    }
    let help = "Requests over a rate that waited for their turn, and had it.";
    page.family("wharfd_limit_waits_total", Kind::Counter, help);
    for (limit, count) in &admitted.waits {
        page.row(&[("limit", limit)], *count);
    }
    let help = "Requests over a rate that wait for their turn.";
    page.single("wharfd_limit_waiting", Kind::Gauge, help, admitted.waiting);
    if let Some(tls) = &admitted.tls {
        of_tls(page, tls);
    }
}

fn of_tls(page: &mut Page, tls: &TlsState) {
    page.single(
        "wharfd_tls_certificate_valid_until_seconds",
        Kind::Gauge,
        "When the certificate that clients are shown ends, in seconds since 1970.",
        tls.valid_until,
    );
    let help = "New certificates that were found in the files.";
    page.family("wharfd_tls_certificates_total", Kind::Counter, help)
        .row(&[("result", "taken")], tls.taken)
        .row(&[("result", "refused")], tls.refused);
    page.family("wharfd_tls_handshakes_total", Kind::Counter, "Handshakes with clients.")
        .row(&[("result", "done")], tls.handshakes)
        .row(&[("result", "failed")], tls.failed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admission::Limit;

    #[test]
    fn each_bound_has_a_row_in_each_family() {
        let tls = TlsState { valid_until: 7, taken: 1, refused: 2, handshakes: 3, failed: 4 };
        let admitted = AdmissionGauges {
            uses: vec![LimitUsage { limit: Limit::Connections, used: 5, most: 6 }],
            refusals: vec![("connections", 8)],
            held: 9,
            holds: vec![("docker", "expired", 10)],
            waits: vec![("user_rate", 9)],
            waiting: 10,
            tls: Some(tls),
        };
        let mut page = Page::default();
        render(&mut page, &admitted);
        let page = page.finish();
        let rows: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rows,
            [
                "wharfd_limit_used{limit=\"connections\"} 5",
                "wharfd_limit_most{limit=\"connections\"} 6",
                "wharfd_limit_refusals_total{limit=\"connections\"} 8",
                "wharfd_held_requests 9",
                "wharfd_holds_total{agent=\"docker\",outcome=\"expired\"} 10",
                "wharfd_limit_waits_total{limit=\"user_rate\"} 9",
                "wharfd_limit_waiting 10",
                "wharfd_tls_certificate_valid_until_seconds 7",
                "wharfd_tls_certificates_total{result=\"taken\"} 1",
                "wharfd_tls_certificates_total{result=\"refused\"} 2",
                "wharfd_tls_handshakes_total{result=\"done\"} 3",
                "wharfd_tls_handshakes_total{result=\"failed\"} 4",
            ]
        );
    }
}
