//! When distributions stop mending their releases: a table, because a rule asks no network.
//!
//! Source: Debian and Ubuntu from Debian's package distro-info-data 0.58+deb12u6 (Debian until the
//! end of LTS, Ubuntu until the end of free updates); the others from the life cycle pages of their
//! makers, as of 2025-06. A release absent from this table is an unknown one.

use wharf_oci::Timestamp;

/// `ID` and start of `VERSION_ID` of os-release, and the last day with free updates.
#[rustfmt::skip]
const ENDS: &[(&str, &str, &str)] = &[
    ("debian", "6", "2016-02-29"),
    ("debian", "7", "2018-05-31"),
    ("debian", "8", "2020-06-30"),
    ("debian", "9", "2022-06-30"),
    ("debian", "10", "2024-06-30"),
    ("debian", "11", "2026-08-31"),
    ("debian", "12", "2028-06-30"),
    ("debian", "13", "2030-06-30"),
    ("ubuntu", "12.04", "2017-04-28"),
    ("ubuntu", "12.10", "2014-05-16"),
    ("ubuntu", "13.04", "2014-01-27"),
    ("ubuntu", "13.10", "2014-07-17"),
    ("ubuntu", "14.04", "2019-04-25"),
    ("ubuntu", "14.10", "2015-07-23"),
    ("ubuntu", "15.04", "2016-02-04"),
    ("ubuntu", "15.10", "2016-07-28"),
    ("ubuntu", "16.04", "2021-04-30"),
    ("ubuntu", "16.10", "2017-07-20"),
    ("ubuntu", "17.04", "2018-01-13"),
    ("ubuntu", "17.10", "2018-07-19"),
    ("ubuntu", "18.04", "2023-05-31"),
    ("ubuntu", "18.10", "2019-07-18"),
    ("ubuntu", "19.04", "2020-01-23"),
    ("ubuntu", "19.10", "2020-07-17"),
    ("ubuntu", "20.04", "2025-05-29"),
    ("ubuntu", "20.10", "2021-07-22"),
    ("ubuntu", "21.04", "2022-01-20"),
    ("ubuntu", "21.10", "2022-07-14"),
    ("ubuntu", "22.04", "2027-06-01"),
    ("ubuntu", "22.10", "2023-07-20"),
    ("ubuntu", "23.04", "2024-01-25"),
    ("ubuntu", "23.10", "2024-07-11"),
    ("ubuntu", "24.04", "2029-05-31"),
    ("ubuntu", "24.10", "2025-07-10"),
    ("ubuntu", "25.04", "2026-01-15"),
    ("ubuntu", "25.10", "2026-07-09"),
    ("ubuntu", "26.04", "2031-05-29"),
    ("alpine", "3.10", "2021-05-01"),
    ("alpine", "3.11", "2021-11-01"),
    ("alpine", "3.12", "2022-05-01"),
    ("alpine", "3.13", "2022-11-01"),
    ("alpine", "3.14", "2023-05-01"),
    ("alpine", "3.15", "2023-11-01"),
    ("alpine", "3.16", "2024-05-23"),
    ("alpine", "3.17", "2024-11-22"),
    ("alpine", "3.18", "2025-05-09"),
    ("alpine", "3.19", "2025-11-01"),
    ("alpine", "3.20", "2026-04-01"),
    ("alpine", "3.21", "2026-11-01"),
    ("alpine", "3.22", "2027-05-01"),
    ("centos", "6", "2020-11-30"),
    ("centos", "7", "2024-06-30"),
    ("centos", "8", "2024-05-31"),
    ("rhel", "6", "2020-11-30"),
    ("rhel", "7", "2024-06-30"),
    ("rhel", "8", "2029-05-31"),
    ("rhel", "9", "2032-05-31"),
    ("rocky", "8", "2029-05-31"),
    ("rocky", "9", "2032-05-31"),
    ("almalinux", "8", "2029-03-01"),
    ("almalinux", "9", "2032-05-31"),
    ("ol", "6", "2021-03-31"),
    ("ol", "7", "2024-12-31"),
    ("ol", "8", "2029-07-31"),
    ("ol", "9", "2032-06-30"),
    ("amzn", "1", "2023-12-31"),
    ("amzn", "2018.03", "2023-12-31"),
    ("fedora", "36", "2023-05-16"),
    ("fedora", "37", "2023-12-05"),
    ("fedora", "38", "2024-05-21"),
    ("fedora", "39", "2024-11-26"),
    ("fedora", "40", "2025-05-13"),
    ("mariner", "1.0", "2023-07-31"),
    ("mariner", "2.0", "2025-07-31"),
    ("photon", "1.0", "2022-02-28"),
    ("photon", "2.0", "2022-12-31"),
    ("photon", "3.0", "2024-03-01"),
    ("opensuse-leap", "15.3", "2022-12-31"),
    ("opensuse-leap", "15.4", "2023-12-07"),
    ("opensuse-leap", "15.5", "2024-12-31"),
];

/// The last day of a release's updates, as `YYYY-MM-DD`; `None` when unknown.
#[must_use]
pub(super) fn end_of(id: &str, version: &str) -> Option<&'static str> {
    let is_release = |release: &str| {
        version.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let known = ENDS.iter().find(|(of, release, _)| *of == id && is_release(release));
    known.map(|(_, _, end)| *end)
}

/// Whether the day is over.
#[must_use]
pub(super) fn is_over(day: &str, now: Timestamp) -> bool {
    let end = format!("{day}T23:59:59Z").parse::<Timestamp>();
    end.is_ok_and(|end| end < now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_day_of_the_table_is_one() {
        for (id, version, day) in ENDS {
            assert!(format!("{day}T00:00:00Z").parse::<Timestamp>().is_ok(), "{id} {version}");
        }
    }

    #[test]
    fn releases_are_known_with_their_updates_and_no_others() {
        assert_eq!(end_of("alpine", "3.17.3"), Some("2024-11-22"));
        assert_eq!(end_of("alpine", "3.1"), None);
        assert_eq!(end_of("debian", "11"), Some("2026-08-31"));
        assert_eq!(end_of("debian", "110"), None);
        assert_eq!(end_of("rhel", "8.9"), Some("2029-05-31"));
        assert_eq!(end_of("wolfi", "20230201"), None);
    }

    #[test]
    fn a_release_has_its_last_day_to_the_end() {
        assert!(!is_over("2026-08-31", "2026-08-31T23:59:59Z".parse().unwrap()));
        assert!(is_over("2026-08-31", "2026-09-01T00:00:00Z".parse().unwrap()));
    }
}
