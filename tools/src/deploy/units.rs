//! Ports, cores and gigabytes in the words of Kubernetes.

use super::workload::Workload;
use crate::offer::values::{ExposedPort, Protocol};

/// The name of a port: at most 15 characters with a letter.
pub(super) fn port_name(port: ExposedPort) -> String {
    format!("{}-{}", protocol(port).to_ascii_lowercase(), port.number)
}

pub(super) const fn protocol(port: ExposedPort) -> &'static str {
    match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// Whether every version of Kubernetes takes a variable, or a key of a Secret, of this name.
pub(super) fn is_variable(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || "-._".contains(c);
    let is_word = name.chars().all(|c| starts(c) || c.is_ascii_digit());
    name.starts_with(starts) && is_word && !matches!(name, "." | "..") && name.len() <= 253
}

/// A number of cores as Kubernetes writes it: `2`, `500m`.
pub(super) fn cores(cpu: f64) -> String {
    quantity(cpu, 1_000.0, "m")
}

/// Gigabytes as Kubernetes writes them: `2Gi`, `1536Mi`. Both services of Azure count in 2^30.
pub(super) fn gigabytes(memory: f64) -> String {
    match quantity(memory, 1_024.0, "Mi") {
        whole if whole.bytes().all(|c| c.is_ascii_digit()) => format!("{whole}Gi"),
        parts => parts,
    }
}

/// A whole number, or as many of the smaller unit, at least one.
fn quantity(number: f64, parts: f64, unit: &str) -> String {
    if number.fract() == 0.0 {
        return number.to_string();
    }
    format!("{}{unit}", (number * parts).ceil().max(1.0))
}

/// Whether ports below 1024 are among them; only root may open these by itself.
pub(super) fn has_low_port(workload: &Workload) -> bool {
    const FIRST_FREE: u16 = 1024;
    workload.ports.iter().any(|port| port.number < FIRST_FREE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole() {
        for (cpu, text) in [(1.0, "1"), (0.5, "500m"), (1.25, "1250m"), (0.0001, "1m")] {
            assert_eq!(cores(cpu), text);
        }
        for (memory, text) in [(2.0, "2Gi"), (1.5, "1536Mi"), (0.1, "103Mi"), (240.0, "240Gi")] {
            assert_eq!(gigabytes(memory), text);
        }
    }
}
