//! Which way is up: all of EXIF that is kept (CIPA DC-008, tag 0x0112).

const ORIENTATION: u16 = 0x0112;

/// The orientation that EXIF data in TIFF form states, if it is another one than upright.
pub fn orientation(exif: &[u8]) -> Option<u8> {
    // WebP and some PNG writers put JPEG's mark before it.
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let first: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let first = if big { u32::from_be_bytes(first) } else { u32::from_le_bytes(first) };
    let first = usize::try_from(first).ok()?;
    let entries = usize::from(u16_at(first)?);
    (0..entries)
        .map(|entry| first.saturating_add(2 + entry * 12))
        .find(|at| u16_at(*at) == Some(ORIENTATION))
        .and_then(|at| u16_at(at.checked_add(8)?))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (2..=8).contains(value))
}

/// EXIF data in TIFF form that states an orientation and nothing else.
pub fn only(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    tiff.extend_from_slice(&ORIENTATION.to_be_bytes());
    // Type SHORT, one of them, the value, no second directory.
    tiff.extend_from_slice(&[0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
    tiff
}
