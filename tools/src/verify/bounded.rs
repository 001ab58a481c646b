//! Keeps a list of faults short, for any image.

use std::collections::{HashMap, HashSet};

use crate::image::facts::{Fault, FaultKind};

/// How many faults of one kind are named; the rest is counted, and weighs as much.
const NAMED_MAX: usize = 500;

/// Each fault once, and of each kind the first.
pub(super) fn bounded(faults: Vec<Fault>) -> Vec<Fault> {
    let mut seen = HashSet::new();
    let mut counts: HashMap<FaultKind, (usize, Fault)> = HashMap::new();
    let mut kept = Vec::new();
    for fault in faults {
        let (count, _) = counts.entry(fault.kind).or_insert_with(|| (0, fault.clone()));
        if *count >= NAMED_MAX {
            *count += 1;
        } else if seen.insert(fault.clone()) {
            *count += 1;
            kept.push(fault);
        }
    }
    let mut more: Vec<(usize, Fault)> =
        counts.into_values().filter(|(count, _)| *count > NAMED_MAX).collect();
    more.sort_by_key(|(_, fault)| fault.digest);
    kept.extend(more.into_iter().map(|(count, first)| {
        let message = format!("the same of {} more places", count - NAMED_MAX);
        Fault { path: None, message, ..first }
    }));
    kept
}

#[cfg(test)]
mod tests {
    use wharf_oci::{Algorithm, Digester};

    use super::*;
    use crate::image::facts::EngineRefusal;

    #[test]
    fn faults_are_named_once_and_those_past_the_bound_counted_by_kind() {
        let digest = Digester::digest(Algorithm::Sha256, b"x");
        let remark = |number: usize| {
            Fault::new(digest, FaultKind::Entry(EngineRefusal::None), format!("it is {number}"))
        };
        let mut faults: Vec<Fault> = (0..NAMED_MAX + 7).map(remark).collect();
        faults.extend([remark(1), Fault::new(digest, FaultKind::Digest, "grave".to_owned())]);
        let kept = bounded(faults);
        assert_eq!(kept.len(), NAMED_MAX + 2);
        assert_eq!(kept.iter().filter(|at| at.kind == FaultKind::Digest).count(), 1);
        assert!(kept.last().is_some_and(|last| last.message.contains("8 more places")));
    }
}
