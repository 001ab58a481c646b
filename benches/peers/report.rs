//! Tables: figures of several programs under one case, each the median of its runs, with the ratio
//! to the best peer and the target. Measures nothing.

use std::fmt::Write as _;

/// The column of ours.
pub(crate) const OURS: &str = "wharfd";
/// The column of the upper bound, a direct connection; it is no peer.
pub(crate) const DIRECT: &str = "direct";

/// The upper bound of a push-through's other leg: a push into a stand-alone registry.
pub(crate) const STAND_ALONE: &str = "stand-alone";

/// The unit of a figure, and its better direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    name: &'static str,
    more_is_better: bool,
    digits: usize,
}

impl Unit {
    pub(crate) const GB_PER_SECOND: Self = Self::rate("GB/s", 2);
    pub(crate) const PER_SECOND: Self = Self::rate("requests/s", 0);
    pub(crate) const SECONDS: Self = Self::cost("s", 3);
    pub(crate) const TTFB_MS: Self = Self::cost("ms to first byte", 1);
    pub(crate) const KEPT: Self = Self::cost("s until kept", 3);
    pub(crate) const P50: Self = Self::cost("s, p50", 3);
    pub(crate) const P99: Self = Self::cost("s, p99", 3);
    pub(crate) const P99_MS: Self = Self::cost("ms, p99", 2);
    pub(crate) const CPU_PER_GIB: Self = Self::cost("CPU-s/GiB", 2);
    pub(crate) const CPU_MICROS: Self = Self::cost("CPU-us/request", 1);
    pub(crate) const CPU: Self = Self::cost("CPU-s", 2);
    pub(crate) const GETS: Self = Self::cost("upstream GETs", 0);
    pub(crate) const REQUESTS: Self = Self::cost("upstream requests", 0);
    pub(crate) const SENT_MIB: Self = Self::cost("MiB sent to the upstream", 1);
    pub(crate) const FAILED: Self = Self::cost("clients failed", 0);
    pub(crate) const PEAK: Self = Self::cost("MiB peak memory", 0);
    pub(crate) const REST: Self = Self::cost("MiB at rest", 0);

    const fn rate(name: &'static str, digits: usize) -> Self {
        Self { name, more_is_better: true, digits }
    }

    const fn cost(name: &'static str, digits: usize) -> Self {
        Self { name, more_is_better: false, digits }
    }
}

/// The basis of a target's multiple.
#[derive(Clone)]
pub(crate) enum Basis {
    BestPeer,
    Column(&'static str),
    /// The larger of [`DIRECT`] and [`STAND_ALONE`].
    SlowerLeg,
    /// Ours in another case, in the same unit.
    Case(String),
    One,
}

/// A multiple of the basis: our figure must reach it or stay under it, by the unit's better
/// direction.
#[derive(Clone)]
struct Target {
    factor: f64,
    basis: Basis,
}

struct Line {
    case: String,
    unit: Unit,
    /// The figures of each run, by column.
    runs: Vec<Vec<f64>>,
    target: Option<Target>,
}

/// One table and the text before it.
pub(crate) struct Table {
    title: &'static str,
    text: &'static str,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
}

impl Table {
    /// Ours is the first column.
    pub(crate) fn new(title: &'static str, text: &'static str, others: &[&'static str]) -> Self {
        let columns = std::iter::once(OURS).chain(others.iter().copied()).collect();
        Self { title, text, columns, lines: Vec::new() }
    }

    /// Adds the figure of one run.
    pub(crate) fn add(&mut self, case: &str, unit: Unit, column: &str, figure: f64) {
        let index = self.columns.iter().position(|name| *name == column);
        let line = self.line(case, unit);
        if let Some(runs) = index.and_then(|index| line.runs.get_mut(index)) {
            runs.push(figure);
        }
    }

    /// Several figures of one run.
    pub(crate) fn add_all(&mut self, case: &str, column: &str, figures: &[(Unit, f64)]) {
        for (unit, figure) in figures {
            self.add(case, *unit, column, *figure);
        }
    }

    pub(crate) fn target(&mut self, case: &str, unit: Unit, factor: f64, basis: Basis) {
        self.line(case, unit).target = Some(Target { factor, basis });
    }

    fn line(&mut self, case: &str, unit: Unit) -> &mut Line {
        let is_it = |line: &Line| line.case == case && line.unit == unit;
        let index = self.lines.iter().position(is_it).unwrap_or(self.lines.len());
        if index == self.lines.len() {
            let runs = vec![Vec::new(); self.columns.len()];
            // Cases stay together, in the order of their first figure.
            self.lines.push(Line { case: case.to_owned(), unit, runs, target: None });
        }
        self.lines.get_mut(index).expect("it was found or added")
    }

    /// The median of ours in another case.
    fn ours(&self, case: &str, unit: Unit) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.case == case && line.unit == unit)?;
        median(line.runs.first()?)
    }

    fn column(&self, line: &Line, name: &str) -> Option<f64> {
        let index = self.columns.iter().position(|column| *column == name)?;
        median(line.runs.get(index)?)
    }

    fn best_peer(&self, line: &Line) -> Option<f64> {
        let others = [OURS, DIRECT, STAND_ALONE];
        let peers = self.columns.iter().filter(|name| !others.contains(name));
        let figures = peers.filter_map(|name| self.column(line, name));
        if line.unit.more_is_better { figures.reduce(f64::max) } else { figures.reduce(f64::min) }
    }

    /// The target in words, and whether it is met.
    fn judge(&self, line: &Line) -> (String, String) {
        let Some(Target { factor, basis }) = &line.target else {
            return (String::new(), String::new());
        };
        let (name, value) = match basis {
            Basis::BestPeer => ("best peer", self.best_peer(line)),
            Basis::Column(name) => (*name, self.column(line, name)),
            Basis::SlowerLeg => {
                let legs = [DIRECT, STAND_ALONE].map(|name| self.column(line, name));
                ("slower leg", legs.into_iter().flatten().reduce(f64::max))
            }
            Basis::Case(case) => (case.as_str(), self.ours(case, line.unit)),
            Basis::One => ("", Some(1.0)),
        };
        let sign = if line.unit.more_is_better { ">=" } else { "<=" };
        let words = match basis {
            Basis::One => format!("{sign} {factor}"),
            _ => format!("{sign} {factor} x {name}"),
        };
        let ours = median(line.runs.first().map_or(&[], Vec::as_slice));
        let verdict = match (ours, value) {
            (Some(ours), Some(value)) => {
                let ratio = ours / value;
                let met =
                    if line.unit.more_is_better { ratio >= *factor } else { ratio <= *factor };
                format!("{} ({ratio:.2})", if met { "yes" } else { "**no**" })
            }
            _ => "not measured".to_owned(),
        };
        (words, verdict)
    }

    /// The table as Markdown, readable as plain text too.
    pub(crate) fn markdown(&self) -> String {
        let mut rows = vec![self.head()];
        let mut last = "";
        for line in &self.lines {
            let digits = line.unit.digits;
            let show = |figure: Option<f64>| figure.map_or("-".into(), |f| format!("{f:.digits$}"));
            let mut row = vec![
                if last == line.case { String::new() } else { line.case.clone() },
                line.unit.name.to_owned(),
            ];
            last = &line.case;
            row.extend(line.runs.iter().map(|runs| show(median(runs))));
            let ours = line.runs.first().and_then(|runs| median(runs));
            let ratio = ours.zip(self.best_peer(line)).filter(|(_, best)| *best > 0.0);
            row.push(ratio.map_or("-".into(), |(ours, best)| format!("{:.2}", ours / best)));
            let (target, met) = self.judge(line);
            row.extend([target, met]);
            rows.push(row);
        }
        format!("## {}\n\n{}\n\n{}", self.title, self.text, grid(&rows))
    }

    fn head(&self) -> Vec<String> {
        let words = ["case", "figure"].into_iter().chain(self.columns.iter().copied());
        words.chain(["ours / best peer", "target", "met"]).map(str::to_owned).collect()
    }
}

/// The rows in aligned columns, with a rule under the first row.
fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "| {} ", "-".repeat((*width).max(3)));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The middle one; of an even number, the upper of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    percentile(figures, 50)
}

/// A percentile of the figures.
pub(crate) fn percentile(figures: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied()
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// Gigabytes (10⁹) in a second.
pub(crate) fn gbps(bytes: u64, seconds: f64) -> f64 {
    float(bytes) / 1e9 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("hot", "How.", &["a", "b", DIRECT]);
        for figure in [1.0, 9.0, 4.0] {
            table.add("1 GiB", Unit::GB_PER_SECOND, OURS, figure);
        }
        table.add("1 GiB", Unit::GB_PER_SECOND, "a", 3.0);
        table.add("1 GiB", Unit::GB_PER_SECOND, "b", 2.0);
        table.add("1 GiB", Unit::GB_PER_SECOND, DIRECT, 8.0);
        table
    }

    #[test]
    fn the_median_stands_against_the_best_peer() {
        let mut table = table();
        table.target("1 GiB", Unit::GB_PER_SECOND, 1.5, Basis::BestPeer);
        let text = table.markdown();
        assert!(text.contains("| 4.00 "), "{text}");
        assert!(text.contains("| 1.33 "), "{text}");
        assert!(text.contains(">= 1.5 x best peer | **no** (1.33)"), "{text}");
    }

    #[test]
    fn costs_are_met_from_above_and_bases_are_chosen() {
        let mut table = table();
        table.add("cold", Unit::SECONDS, OURS, 2.0);
        table.add("cold", Unit::SECONDS, "b", 5.0);
        table.target("cold", Unit::SECONDS, 0.4, Basis::Column("b"));
        assert!(table.markdown().contains("<= 0.4 x b"), "{}", table.markdown());
        assert!(table.markdown().contains("yes (0.40)"), "{}", table.markdown());
        table.target("cold", Unit::SECONDS, 1.0, Basis::Column("a"));
        assert!(table.markdown().contains("not measured"), "{}", table.markdown());
        table.add("warm", Unit::SECONDS, OURS, 1.0);
        table.target("cold", Unit::SECONDS, 1.3, Basis::Case("warm".into()));
        assert!(table.markdown().contains("**no** (2.00)"), "{}", table.markdown());
    }

    #[test]
    fn percentiles_are_among_the_figures() {
        let figures: Vec<f64> = (1..=100).map(float).collect();
        assert_eq!(percentile(&figures, 99), Some(100.0));
        assert_eq!(percentile(&figures, 50), Some(51.0));
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }
}
