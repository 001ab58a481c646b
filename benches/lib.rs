//! The parts common to every benchmark: inputs without a pattern, and a description of the machine
//! behind the figures.

use std::fs;

use bytes::Bytes;

/// Bytes without a pattern, the same in every run (xorshift).
#[must_use]
pub fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

/// Processor, cores and memory, as Linux names them: a figure without them is a rumour.
#[must_use]
pub fn machine() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{processor}, {cores} cores, {memory} of memory")
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_in_every_run_and_does_not_repeat() {
        let bytes = noise(100_000);
        assert_eq!(bytes, noise(100_000));
        assert_ne!(bytes.slice(..1000), bytes.slice(1000..2000));
        assert!(machine().contains("cores"));
    }
}
