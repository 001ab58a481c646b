//! Contents of every kind for tests.

/// Compressible text, with runs of incompressible noise.
pub(crate) fn text(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            _ => bytes.extend_from_slice(format!("line {} of a file\n", state % 977).as_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}

/// Bytes without any order.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    random(length, 56)
}

/// Noise of four letters: every place has many matches.
pub(crate) fn letters(length: usize) -> Vec<u8> {
    random(length, 62)
}

fn random(length: usize, shift: u32) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> shift).unwrap_or_default()
    };
    (0..length).map(next).collect()
}
