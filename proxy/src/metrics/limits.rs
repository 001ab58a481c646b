//! What there is to say of bounds and of TLS towards clients.

use crate::admission::Use;
use crate::tls::TlsState;

/// Name, kind, help, rows.
type Family = (&'static str, &'static str, &'static str, Vec<(String, u64)>);

/// Who was let in, and who was not.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// What is used of each bound.
    pub uses: Vec<Use>,
    /// Who ended at each.
    pub refusals: Vec<(&'static str, u64)>,
    /// Without it, plain HTTP is spoken.
    pub tls: Option<TlsState>,
}

pub(super) fn families(admitted: &Admitted) -> Vec<Family> {
    let label = |limit: &str| format!("{{limit=\"{limit}\"}}");
    let uses = |value: fn(&Use) -> u64| {
        admitted.uses.iter().map(|row| (label(row.limit.as_str()), value(row))).collect()
    };
    let refusals = admitted.refusals.iter().map(|(limit, count)| (label(limit), *count));
    let mut families = vec![
        ("wharfd_limit_used", "gauge", "What is used of a bound.", uses(|row| row.used)),
        ("wharfd_limit_most", "gauge", "What a bound allows.", uses(|row| row.most)),
        (
            "wharfd_limit_refusals_total",
            "counter",
            "Who was turned away or cut off at a bound.",
            refusals.collect(),
        ),
    ];
    families.extend(admitted.tls.iter().flat_map(of_tls));
    families
}

fn of_tls(tls: &TlsState) -> [Family; 3] {
    let by = |name: &str, [first, second]: [(&str, u64); 2]| {
        let row = |(value, count): (&str, u64)| (format!("{{{name}=\"{value}\"}}"), count);
        vec![row(first), row(second)]
    };
    [
        (
            "wharfd_tls_certificate_valid_until_seconds",
            "gauge",
            "When the certificate that clients are shown ends, in seconds since 1970.",
            vec![(String::new(), tls.valid_until)],
        ),
        (
            "wharfd_tls_certificates_total",
            "counter",
            "New certificates that were found in the files.",
            by("result", [("taken", tls.taken), ("refused", tls.refused)]),
        ),
        (
            "wharfd_tls_handshakes_total",
            "counter",
            "Handshakes with clients.",
            by("result", [("done", tls.handshakes), ("failed", tls.failed)]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Limit;

    #[test]
    fn each_bound_has_a_row_in_each_family() {
        let tls = TlsState { valid_until: 7, taken: 1, refused: 2, handshakes: 3, failed: 4 };
        let admitted = Admitted {
            uses: vec![Use { limit: Limit::Connections, used: 5, most: 6 }],
            refusals: vec![("connections", 8)],
            tls: Some(tls),
        };
        let rows: Vec<_> = families(&admitted)
            .into_iter()
            .flat_map(|(name, _, _, rows)| {
                rows.into_iter().map(move |(labels, value)| format!("{name}{labels} {value}"))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "wharfd_limit_used{limit=\"connections\"} 5",
                "wharfd_limit_most{limit=\"connections\"} 6",
                "wharfd_limit_refusals_total{limit=\"connections\"} 8",
                "wharfd_tls_certificate_valid_until_seconds 7",
                "wharfd_tls_certificates_total{result=\"taken\"} 1",
                "wharfd_tls_certificates_total{result=\"refused\"} 2",
                "wharfd_tls_handshakes_total{result=\"done\"} 3",
                "wharfd_tls_handshakes_total{result=\"failed\"} 4",
            ]
        );
    }
}
