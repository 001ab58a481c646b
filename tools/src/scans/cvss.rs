//! CVSS v3: the base score, from its vector where only the vector is given. First's specifications
//! 3.0 and 3.1, section 7.1 (equations) and 7.4 (weights); of base scores both say the same.

use std::fmt;
use std::str::FromStr;

/// Longest vector, in bytes; one with all metrics has 150.
const VECTOR_BYTES_MAX: usize = 400;

/// A base score of CVSS v3, in tenths: 0 to 100. Whole numbers keep 7.0 exactly 7.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseScore(u8);

impl BaseScore {
    /// The least score Microsoft's certification refuses.
    pub const BLOCKING: Self = Self(70);

    /// A score as reports state it; `None` when it is none.
    #[must_use]
    pub fn from_number(number: f64) -> Option<Self> {
        let tenths = (number * 10.0).round();
        let is_score = number.is_finite() && (0.0..=10.0).contains(&number);
        // Reports round to tenths; more digits would be another kind of number.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        is_score.then_some(Self(tenths as u8))
    }

    /// Whether an image with it is refused.
    #[must_use]
    pub fn blocks(self) -> bool {
        self >= Self::BLOCKING
    }
}

impl fmt::Display for BaseScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Why a text is no vector of CVSS v3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no vector of CVSS 3.0 or 3.1 with all base metrics")]
pub struct VectorError;

/// A vector of CVSS v3, as far as the base score needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vector {
    is_changed: bool,
    exploitability: f64,
    impact: [f64; 3],
}

/// The base metrics with the weights of their values, in the order of the specification. `PR` has
/// its weights for an unchanged scope here; see [`privileges`].
const METRICS: [(&str, &[(&str, f64)]); 8] = [
    ("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)]),
    ("AC", &[("L", 0.77), ("H", 0.44)]),
    ("PR", &[("N", 0.85), ("L", 0.62), ("H", 0.27)]),
    ("UI", &[("N", 0.85), ("R", 0.62)]),
    ("S", &[("U", 0.0), ("C", 1.0)]),
    ("C", &[("H", 0.56), ("L", 0.22), ("N", 0.0)]),
    ("I", &[("H", 0.56), ("L", 0.22), ("N", 0.0)]),
    ("A", &[("H", 0.56), ("L", 0.22), ("N", 0.0)]),
];

/// The weight of the privileges an attack needs: more when it reaches beyond its component.
fn privileges(weight: f64, is_changed: bool) -> f64 {
    match (is_changed, weight) {
        (true, 0.62) => 0.68,
        (true, 0.27) => 0.5,
        _ => weight,
    }
}

impl FromStr for Vector {
    type Err = VectorError;

    fn from_str(text: &str) -> Result<Self, VectorError> {
        if text.len() > VECTOR_BYTES_MAX {
            return Err(VectorError);
        }
        let rest = text.strip_prefix("CVSS:3.1/").or_else(|| text.strip_prefix("CVSS:3.0/"));
        let mut weights = [None; METRICS.len()];
        for metric in rest.ok_or(VectorError)?.split('/') {
            let (name, value) = metric.split_once(':').ok_or(VectorError)?;
            // Temporal and environmental metrics change nothing of the base score.
            let Some(place) = METRICS.iter().position(|(known, _)| *known == name) else {
                continue;
            };
            let (Some(weight), Some((_, values))) = (weights.get_mut(place), METRICS.get(place))
            else {
                continue;
            };
            let found = values.iter().find(|(known, _)| *known == value).ok_or(VectorError)?;
            if weight.replace(found.1).is_some() {
                return Err(VectorError);
            }
        }
        let [Some(vector), Some(complexity), Some(needed), Some(user), Some(scope), c, i, a] =
            weights
        else {
            return Err(VectorError);
        };
        let (Some(c), Some(i), Some(a)) = (c, i, a) else { return Err(VectorError) };
        let is_changed = scope > 0.5;
        let exploitability = 8.22 * vector * complexity * privileges(needed, is_changed) * user;
        Ok(Self { is_changed, exploitability, impact: [c, i, a] })
    }
}

impl Vector {
    /// The base score the specification computes from it.
    #[must_use]
    pub fn base_score(&self) -> BaseScore {
        let [c, i, a] = self.impact;
        let base = 1.0 - (1.0 - c) * (1.0 - i) * (1.0 - a);
        let impact = if self.is_changed {
            7.52 * (base - 0.029) - 3.25 * (base - 0.02).powi(15)
        } else {
            6.42 * base
        };
        if impact <= 0.0 {
            return BaseScore(0);
        }
        let factor = if self.is_changed { 1.08 } else { 1.0 };
        let score = (factor * (impact + self.exploitability)).min(10.0);
        BaseScore::from_number(round_up(score) / 10.0).unwrap_or(BaseScore(100))
    }
}

/// Tenths, rounded up as 3.1 defines it (appendix A): by whole numbers, so noise in the last binary
/// digits does not make 4.0 a 4.1.
fn round_up(score: f64) -> f64 {
    let whole = (score * 100_000.0).round();
    if whole % 10_000.0 == 0.0 { whole / 10_000.0 } else { (whole / 10_000.0).floor() + 1.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn score(vector: &str) -> String {
        vector.parse::<Vector>().unwrap().base_score().to_string()
    }

    #[test]
    fn vectors_of_both_specifications_give_the_scores_that_first_publishes() {
        // Vectors and scores of the specification's own examples and calculator.
        for (metrics, v30, v31) in [
            ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "9.8", "9.8"),
            ("AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "10.0", "10.0"),
            ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "7.5", "7.5"),
            ("AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", "7.8", "7.8"),
            ("AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", "6.4", "6.4"),
            ("AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", "3.1", "3.1"),
            ("AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "6.1", "6.1"),
            ("AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", "4.7", "4.7"),
            ("AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "6.8", "6.8"),
            ("AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H", "7.0", "7.0"),
            ("AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", "5.9", "5.9"),
            ("AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", "4.2", "4.2"),
            ("AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:H", "8.2", "8.2"),
            ("AV:N/AC:H/PR:L/UI:N/S:C/C:H/I:H/A:H", "8.5", "8.5"),
            ("AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "0.0", "0.0"),
            ("AV:P/AC:H/PR:L/UI:R/S:U/C:L/I:H/A:H", "5.8", "5.8"),
        ] {
            assert_eq!(score(&format!("CVSS:3.0/{metrics}")), v30, "{metrics}");
            assert_eq!(score(&format!("CVSS:3.1/{metrics}")), v31, "{metrics}");
        }
    }

    #[test]
    fn the_scores_of_all_vectors_come_to_what_another_calculator_says() {
        let values = METRICS.map(|(name, values)| {
            let value = |(value, _): &(&str, f64)| format!("/{name}:{value}");
            values.iter().map(value).collect::<Vec<_>>()
        });
        let extend = |so_far: Vec<String>, next: Vec<String>| {
            let with =
                |head: &String| next.iter().map(move |tail| format!("{head}{tail}")).collect();
            so_far.iter().flat_map(|head: &String| -> Vec<String> { with(head) }).collect()
        };
        let all = values.into_iter().fold(vec!["CVSS:3.1".to_owned()], extend);
        let scores: Vec<BaseScore> =
            all.iter().map(|text| text.parse::<Vector>().unwrap().base_score()).collect();
        // As the package `cvss` 3.6 of Red Hat computes them with decimal numbers.
        assert_eq!(scores.len(), 2592);
        assert_eq!(scores.iter().map(|score| u32::from(score.0)).sum::<u32>(), 142_706);
        assert_eq!(scores.iter().filter(|score| score.blocks()).count(), 616);
    }

    #[test]
    fn temporal_and_environmental_metrics_change_nothing() {
        let base = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N";
        assert_eq!(score(&format!("{base}/E:P/RL:O/RC:C/MAV:L/CR:L")), score(base));
    }

    #[test]
    fn what_is_no_vector_of_v3_is_refused() {
        for text in [
            "",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            "AV:N/AC:L/Au:N/C:P/I:N/A:N",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
            "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/",
        ] {
            assert!(text.parse::<Vector>().is_err(), "{text}");
        }
        let long = format!("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H{}", "/E:P".repeat(200));
        assert!(long.parse::<Vector>().is_err());
    }

    #[test]
    fn numbers_outside_of_the_scale_are_no_scores() {
        for number in [-0.1, 10.1, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(BaseScore::from_number(number), None, "{number}");
        }
        assert!(BaseScore::from_number(7.0).unwrap().blocks());
        assert!(!BaseScore::from_number(6.9).unwrap().blocks());
        assert_eq!(BaseScore::from_number(9.8).unwrap().to_string(), "9.8");
    }

    proptest! {
        #[test]
        fn any_vector_has_a_score_of_the_scale(
            v in "[30]", av in "[NALP]", ac in "[LH]", pr in "[NLH]", ui in "[NR]", s in "[UC]",
            c in "[HLN]", i in "[HLN]", a in "[HLN]",
        ) {
            let version = if v == "3" { "3.1" } else { "3.0" };
            let text =
                format!("CVSS:{version}/AV:{av}/AC:{ac}/PR:{pr}/UI:{ui}/S:{s}/C:{c}/I:{i}/A:{a}");
            let score = text.parse::<Vector>().unwrap().base_score();
            prop_assert!(score <= BaseScore::from_number(10.0).unwrap());
            let harmless = c == "N" && i == "N" && a == "N";
            prop_assert_eq!(score == BaseScore(0), harmless);
        }

        #[test]
        fn any_text_is_a_vector_or_refused(text in "\\PC{0,60}") {
            let _ = text.parse::<Vector>();
        }
    }
}
