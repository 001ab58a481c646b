//! The limits of Azure Container Instances (pages on resource and quota limits, and the FAQ, as of
//! 2025-11-17).

use crate::offer::values::ExposedPort;

/// Cores of one container group, at most.
pub const CPU_MAX: f64 = 31.0;
/// Memory of one container group, at most.
pub const MEMORY_GB_MAX: f64 = 240.0;
/// Cores and gigabytes a group is given at least.
pub const GROUP_MIN: f64 = 1.0;
/// The limit of most regions.
pub const CPU_COMMON: f64 = 4.0;
/// The limit of most regions.
pub const MEMORY_GB_COMMON: f64 = 16.0;
/// The default of `az`.
pub const CPU_DEFAULT: f64 = 1.0;
/// The default of `az`.
pub const MEMORY_GB_DEFAULT: f64 = 1.5;
/// Most ports of one address.
pub const PORTS_MAX: usize = 5;
/// Most volumes of one group.
pub const VOLUMES_MAX: usize = 20;
/// The largest image that Azure promises to start, compressed.
pub const IMAGE_BYTES_MAX: u64 = 15_000_000_000;
/// Longest name of a container or group, of a variable, and of a volume.
pub const NAME_CHARS_MAX: usize = 63;

/// Ports the service keeps for itself.
const PORTS_RESERVED: [(u16, u16); 10] = [
    (22, 22),
    (1025, 1027),
    (3389, 3399),
    (9999, 9999),
    (19000, 19000),
    (19080, 19080),
    (19100, 19100),
    (19390, 19390),
    (20000, 30000),
    (49152, 65534),
];

/// Whether the service keeps the port for itself.
#[must_use]
pub fn is_reserved(port: ExposedPort) -> bool {
    PORTS_RESERVED.iter().any(|(from, to)| (*from..=*to).contains(&port.number))
}

/// Whether the service takes a variable of this name: letters, digits and `_`, not `_` at an end.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let is_word = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let ends = name.starts_with('_') || name.ends_with('_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && is_word && !ends
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reserved_ports_and_names_of_variables_are_known() {
        for (port, reserved) in [
            ("22", true),
            ("80", false),
            ("1024", false),
            ("1025", true),
            ("30000/udp", true),
            ("30001", false),
            ("65534", true),
            ("65535", false),
        ] {
            assert_eq!(is_reserved(port.parse().unwrap()), reserved, "{port}");
        }
        let long = "A".repeat(64);
        for (name, good) in [
            ("PATH", true),
            ("a1_b", true),
            ("_A", false),
            ("A_", false),
            ("a.b", false),
            ("", false),
            (long.as_str(), false),
            ("É", false),
        ] {
            assert_eq!(is_variable(name), good, "{name}");
        }
    }
}
