//! JPEG (ITU-T T.81, annex B), marker by marker to the end of the image: a camera writes not only before it, but also
//! between its scans and after its end.

use std::collections::BTreeSet;

use super::{StripError, Stripped, exif, writer};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP13: u8 = 0xed;
const APP14: u8 = 0xee;
const COM: u8 = 0xfe;

/// A JFIF header without a thumbnail ends here.
const JFIF: usize = 14;

/// Takes everything out that does not say how the image looks.
pub fn strip(image: &[u8]) -> Result<Stripped, StripError> {
    let mut rest = image.strip_prefix(&[0xff, SOI]).ok_or(StripError::Broken)?;
    let mut out = writer(image.len());
    out.extend_from_slice(&[0xff, SOI]);
    let (mut removed, mut turned, mut seen_scan) = (BTreeSet::new(), None, false);
    loop {
        let (marker, after) = marker(rest)?;
        rest = after;
        if marker == EOI {
            break;
        }
        // A restart, or a marker for private use that has no length: none may stand outside a scan.
        if matches!(marker, 0x00 | 0x01 | 0xd0..=SOI) {
            return Err(StripError::Broken);
        }
        let (length, _) = rest.split_first_chunk::<2>().ok_or(StripError::Broken)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (segment, after) = rest.split_at_checked(length).filter(|_| length >= 2).ok_or(StripError::Broken)?;
        let content = segment.get(2..).unwrap_or_default();
        rest = after;
        match kept(marker, content) {
            Ok(content) => {
                // The orientation stands where EXIF stood: before the image, after the header.
                if marker != APP0
                    && let Some(turned) = turned.take()
                {
                    let tiff = exif::only(turned);
                    push(&mut out, APP1, &[b"Exif\0\0", tiff.as_slice()].concat());
                }
                push(&mut out, marker, content);
            }
            Err(what) => {
                if what == "exif" && !seen_scan {
                    turned = turned.or_else(|| exif::orientation(content));
                }
                removed.insert(what);
            }
        }
        if marker == SOS {
            seen_scan = true;
            let end = scan(rest);
            let (scan, after) = rest.split_at(end);
            out.extend_from_slice(scan);
            rest = after;
        }
    }
    if !seen_scan {
        return Err(StripError::Broken);
    }
    if !rest.is_empty() {
        removed.insert("trailing data");
    }
    out.extend_from_slice(&[0xff, EOI]);
    Ok(Stripped { image: out, removed })
}

/// What of a segment is kept, or the name of what is taken out.
fn kept(marker: u8, content: &[u8]) -> Result<&[u8], &'static str> {
    match marker {
        APP0 if content.starts_with(b"JFIF\0") => match content.get(..JFIF) {
            // Its last two bytes are width and height of a thumbnail.
            Some(header) if header.ends_with(&[0, 0]) && content.len() == JFIF => Ok(header),
            _ => Err("thumbnail"),
        },
        APP1 if content.starts_with(b"Exif\0") => Err("exif"),
        APP1 => Err("xmp"),
        APP2 if content.starts_with(b"ICC_PROFILE\0") => Ok(content),
        APP2 if content.starts_with(b"MPF\0") => Err("further images"),
        APP13 => Err("iptc"),
        // How the colours are stored.
        APP14 if content.starts_with(b"Adobe") => Ok(content),
        COM => Err("comment"),
        APP0..=0xef => Err("other"),
        _ => Ok(content),
    }
}

fn push(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(content);
}

/// The next marker; any number of 0xff may stand before it.
fn marker(rest: &[u8]) -> Result<(u8, &[u8]), StripError> {
    let filled = rest.iter().take_while(|byte| **byte == 0xff).count();
    if filled == 0 {
        return Err(StripError::Broken);
    }
    let (marker, after) = rest.get(filled..).and_then(<[u8]>::split_first).ok_or(StripError::Broken)?;
    Ok((*marker, after))
}

/// Length of the entropy-coded data: up to a marker that is neither a stuffed zero nor a restart.
fn scan(rest: &[u8]) -> usize {
    let ends = |pair: &[u8]| matches!(pair, [0xff, marker] if !matches!(marker, 0x00 | 0xff | 0xd0..=0xd7));
    rest.windows(2).position(ends).unwrap_or(rest.len())
}
