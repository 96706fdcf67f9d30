//! Takes out of an image what is not the image: where and when it was taken, with what, by whom, thumbnails of what was cut
//! off, and whatever else a camera or program wrote into it. What is needed to show it stays: colours, and which way is up.

mod exif;
mod jpeg;

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use img_parts::png::{Png, PngChunk};
use img_parts::riff::{RiffChunk, RiffContent};
use img_parts::webp::WebP;
use wardbook_events::documents::MediaType;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// The image cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StripError {
    /// It is broken.
    #[error("the image is damaged, or not of the form that was said: open and save it with another program")]
    Broken,
    /// Frames may hold what is not looked for.
    #[error("animated images are not taken: send single pictures")]
    Animated,
}

/// An image without what was taken out.
pub struct Stripped {
    /// The image; wiped when dropped.
    pub image: Zeroizing<Vec<u8>>,
    /// Names of what was taken out, such as `exif`.
    pub removed: BTreeSet<&'static str>,
}

/// Takes out what is not the image. Other documents are not touched: this is not for them.
///
/// # Errors
/// If the image cannot be read, or is animated.
pub fn strip(kind: MediaType, image: Zeroizing<Vec<u8>>) -> Result<Stripped, StripError> {
    match kind {
        MediaType::Jpeg => jpeg::strip(&image),
        // Both keep their bytes in place: the parts are slices of one buffer that is wiped with the last of them.
        MediaType::Png => png(Bytes::from_owner(image)),
        MediaType::WebP => webp(Bytes::from_owner(image)),
        _ => Ok(Stripped { image, removed: BTreeSet::new() }),
    }
}

/// Chunks that are needed to show a PNG as it was meant (PNG 3rd edition, sections 11.2 and 11.3).
const PNG_KEPT: [&[u8; 4]; 19] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST",
    b"pHYs", b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi", b"sTER",
];

fn png(image: Bytes) -> Result<Stripped, StripError> {
    let length = image.len();
    let mut png = Png::from_bytes(image).map_err(|_| StripError::Broken)?;
    let has = |png: &Png, kind: &[u8; 4]| png.chunk_by_type(*kind).is_some();
    if !has(&png, b"IHDR") || !has(&png, b"IDAT") || !has(&png, b"IEND") {
        return Err(StripError::Broken);
    }
    if has(&png, b"acTL") {
        return Err(StripError::Animated);
    }
    let mut removed = BTreeSet::new();
    if png.len() < length {
        removed.insert("trailing data");
    }
    let turned = png.chunk_by_type(*b"eXIf").and_then(|chunk| exif::orientation(chunk.contents()));
    for chunk in png.chunks() {
        if !PNG_KEPT.contains(&&chunk.kind()) {
            removed.insert(match &chunk.kind() {
                b"eXIf" => "exif",
                b"tEXt" | b"zTXt" | b"iTXt" => "text",
                b"tIME" => "time",
                _ => "other",
            });
        }
    }
    png.chunks_mut().retain(|chunk| PNG_KEPT.contains(&&chunk.kind()));
    if let Some(turned) = turned {
        // After IHDR, which is first, and before the image.
        png.chunks_mut().insert(1, PngChunk::new(*b"eXIf", Bytes::from(exif::only(turned))));
    }
    let mut writer = writer(png.len());
    png.encoder().write_to(&mut *writer).map_err(|_| StripError::Broken)?;
    Ok(Stripped { image: writer, removed })
}

fn webp(image: Bytes) -> Result<Stripped, StripError> {
    let length = image.len();
    let mut webp = WebP::from_bytes(image).map_err(|_| StripError::Broken)?;
    let has = |webp: &WebP, id: &[u8; 4]| webp.has_chunk(*id);
    if has(&webp, b"ANIM") || has(&webp, b"ANMF") {
        return Err(StripError::Animated);
    }
    if !has(&webp, b"VP8 ") && !has(&webp, b"VP8L") {
        return Err(StripError::Broken);
    }
    let mut removed = BTreeSet::new();
    if usize::try_from(webp.len()).is_ok_and(|known| known < length) {
        removed.insert("trailing data");
    }
    let turned = webp.chunk_by_id(*b"EXIF").and_then(|chunk| exif::orientation(chunk.content().data()?));
    let kept = |id: &[u8; 4]| matches!(id, b"VP8 " | b"VP8L" | b"VP8X" | b"ALPH" | b"ICCP");
    for chunk in webp.chunks().iter().filter(|chunk| !kept(&chunk.id())) {
        removed.insert(match &chunk.id() {
            b"EXIF" => "exif",
            b"XMP " => "xmp",
            _ => "other",
        });
    }
    webp.chunks_mut().retain(|chunk| kept(&chunk.id()));
    if let Some(turned) = turned {
        webp.chunks_mut().push(RiffChunk::new(*b"EXIF", RiffContent::Data(Bytes::from(exif::only(turned)))));
    }
    for chunk in webp.chunks_mut().iter_mut().filter(|chunk| chunk.id() == *b"VP8X") {
        let RiffContent::Data(data) = chunk.content_mut() else { return Err(StripError::Broken) };
        let mut flags = data.to_vec();
        // Says that there is EXIF (bit 3) and XMP (bit 2).
        let Some(first) = flags.first_mut() else { return Err(StripError::Broken) };
        *first = *first & !0b1100 | if turned.is_some() { 0b1000 } else { 0 };
        *data = Bytes::from(flags);
    }
    let mut writer = writer(usize::try_from(webp.len()).unwrap_or_default());
    webp.encoder().write_to(&mut *writer).map_err(|_| StripError::Broken)?;
    Ok(Stripped { image: writer, removed })
}

/// Room for all of it at once: a vector that grows leaves copies behind.
fn writer(length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(length.saturating_add(64)))
}
