use proptest::prelude::*;

use super::*;

/// EXIF with an orientation, a camera and a place in GPS coordinates, in either byte order.
fn exif_of(orientation: u16, big: bool) -> Vec<u8> {
    let (u16_, u32_) = (
        |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() },
        |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() },
    );
    let mut tiff = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    tiff.extend(u32_(8));
    tiff.extend(u16_(3));
    for (tag, kind, count, value) in [(0x010f_u16, 2_u16, 9_u32, 50_u32), (0x8825, 4, 1, 60)] {
        tiff.extend(u16_(tag));
        tiff.extend(u16_(kind));
        tiff.extend(u32_(count));
        tiff.extend(u32_(value));
    }
    tiff.extend(u16_(0x0112));
    tiff.extend(u16_(3));
    tiff.extend(u32_(1));
    tiff.extend(u16_(orientation));
    tiff.extend([0, 0]);
    tiff.extend(u32_(0));
    tiff.extend_from_slice(b"CameraCo\0 GPS 52.5200N 13.4050E");
    tiff
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, marker];
    bytes.extend(u16::try_from(content.len() + 2).unwrap().to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

fn jpeg(orientation: u16, big: bool) -> Vec<u8> {
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(exif_of(orientation, big));
    let parts = [
        vec![0xff, 0xd8],
        segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        segment(0xe1, &exif),
        segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>GPS 52.5200N</x:xmpmeta>"),
        segment(0xe2, b"ICC_PROFILE\0\x01\x01colours"),
        segment(0xe2, b"MPF\0GPS"),
        segment(0xed, b"Photoshop 3.0\0GPS"),
        segment(0xfe, b"taken by Dr. GPS"),
        segment(0xdb, &[1; 65]),
        segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56],
        // Between two scans, as in a progressive image.
        segment(0xfe, b"GPS again"),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0x78, 0x9a],
        vec![0xff, 0xd9],
        b"a film and GPS 52.5200N after the end".to_vec(),
    ];
    parts.concat()
}

fn holds(image: &[u8], what: &[u8]) -> bool {
    image.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_jpeg_keeps_its_image_its_colours_and_which_way_is_up() {
    for (orientation, big) in [(6, true), (6, false), (1, true)] {
        let Stripped { image, removed } = strip(MediaType::Jpeg, Zeroizing::new(jpeg(orientation, big))).unwrap();
        for secret in [&b"GPS"[..], b"CameraCo", b"xmpmeta", b"Photoshop"] {
            assert!(!holds(&image, secret), "{secret:?}");
        }
        for kept in
            [&b"JFIF"[..], b"ICC_PROFILE", &[0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56], &[0x78, 0x9a, 0xff, 0xd9]]
        {
            assert!(holds(&image, kept), "{kept:?}");
        }
        let all = ["comment", "exif", "further images", "iptc", "trailing data", "xmp"];
        assert_eq!(removed, all.into_iter().collect());
        let kept = exif_in(&image).and_then(exif::orientation);
        assert_eq!(kept, (orientation == 6).then_some(6));
        let again = strip(MediaType::Jpeg, image.clone()).unwrap();
        assert_eq!(again.image, image, "what was stripped once stays as it is");
    }
}

/// What stands in the EXIF segment.
fn exif_in(image: &[u8]) -> Option<&[u8]> {
    let at = image.windows(6).position(|window| window == b"Exif\0\0")?;
    image.get(at..at + 40)
}

#[test]
fn a_thumbnail_in_the_header_goes() {
    let mut image = vec![0xff, 0xd8];
    image.extend(segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01RGB"));
    image.extend(segment(0xe0, b"JFXX\0\x10thumb"));
    image.extend(segment(0xda, &[1, 1, 0, 0, 63, 0]));
    image.extend([0x78, 0xff, 0xd9]);
    let Stripped { image, removed } = strip(MediaType::Jpeg, Zeroizing::new(image)).unwrap();
    assert!(!holds(&image, b"RGB") && !holds(&image, b"thumb"));
    assert_eq!(removed, ["other", "thumbnail"].into_iter().collect());
}

fn png_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in chunks {
        PngChunk::new(**kind, Bytes::copy_from_slice(content)).encoder().write_to(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn a_png_keeps_its_image_its_colours_and_which_way_is_up() {
    let exif = exif_of(8, false);
    let mut image = png_of(&[
        (b"IHDR", &[0; 13]),
        (b"gAMA", &[0, 0, 0, 1]),
        (b"tEXt", b"Author\0GPS"),
        (b"iTXt", b"XML:com.adobe.xmp\0GPS"),
        (b"tIME", &[7; 7]),
        (b"eXIf", &exif),
        (b"prVt", b"GPS"),
        (b"IDAT", b"pixels"),
        (b"IEND", b""),
    ]);
    image.extend_from_slice(b"GPS after the end");
    let Stripped { image, removed } = strip(MediaType::Png, Zeroizing::new(image)).unwrap();
    assert!(
        !holds(&image, b"GPS") && !holds(&image, b"CameraCo") && holds(&image, b"pixels") && holds(&image, b"gAMA")
    );
    assert_eq!(removed, ["exif", "other", "text", "time", "trailing data"].into_iter().collect());
    let read = Png::from_bytes(Bytes::copy_from_slice(&image)).unwrap();
    assert_eq!(exif::orientation(read.chunk_by_type(*b"eXIf").unwrap().contents()), Some(8));
    assert_eq!(strip(MediaType::Png, image.clone()).unwrap().image, image);
    let animated = png_of(&[(b"IHDR", &[0; 13]), (b"acTL", &[0; 8]), (b"IDAT", b"x"), (b"IEND", b"")]);
    assert_eq!(strip(MediaType::Png, Zeroizing::new(animated)).err(), Some(StripError::Animated));
}

fn webp_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let chunk = |(id, data): &(&[u8; 4], &[u8])| RiffChunk::new(**id, RiffContent::Data(Bytes::copy_from_slice(data)));
    let subchunks = chunks.iter().map(chunk).collect();
    let riff = RiffChunk::new(*b"RIFF", RiffContent::List { kind: Some(*b"WEBP"), subchunks });
    let mut bytes = Vec::new();
    riff.encoder().write_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_webp_keeps_its_image_and_which_way_is_up() {
    let exif = exif_of(3, true);
    let image = webp_of(&[
        (b"VP8X", &[0b0010_1100, 0, 0, 0, 7, 0, 0, 7, 0, 0]),
        (b"ICCP", b"colours!"),
        (b"VP8 ", b"pixels"),
        (b"EXIF", &exif),
        (b"XMP ", b"GPS!"),
        (b"OTHR", b"GPS?"),
    ]);
    let Stripped { image, removed } = strip(MediaType::WebP, Zeroizing::new(image)).unwrap();
    assert!(!holds(&image, b"GPS") && holds(&image, b"pixels") && holds(&image, b"colours!"));
    assert_eq!(removed, ["exif", "other", "xmp"].into_iter().collect());
    let read = WebP::from_bytes(Bytes::copy_from_slice(&image)).unwrap();
    let data = |id: &[u8; 4]| read.chunk_by_id(*id).unwrap().content().data().unwrap().clone();
    assert_eq!(data(b"VP8X")[0], 0b0010_1000, "it says that there is EXIF and no XMP");
    assert_eq!(exif::orientation(&data(b"EXIF")), Some(3));
    let animated = webp_of(&[(b"VP8X", &[2; 10]), (b"ANIM", &[0; 6]), (b"ANMF", b"frame!")]);
    assert_eq!(strip(MediaType::WebP, Zeroizing::new(animated)).err(), Some(StripError::Animated));
}

#[test]
fn a_broken_image_is_refused() {
    for (kind, image) in [
        (MediaType::Jpeg, jpeg(1, true)),
        (MediaType::Png, png_of(&[(b"IHDR", &[0; 13]), (b"IDAT", b"pixels"), (b"IEND", b"")])),
        (MediaType::WebP, webp_of(&[(b"VP8 ", b"pixels")])),
    ] {
        assert!(strip(kind, Zeroizing::new(image.clone())).is_ok());
        for length in [0, 1, 5, 11, 20] {
            let cut = strip(kind, Zeroizing::new(image[..length].to_vec()));
            assert_eq!(cut.err(), Some(StripError::Broken), "{kind:?} {length}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
        for (kind, mut image) in [
            (MediaType::Jpeg, jpeg(6, false)),
            (MediaType::Png, png_of(&[(b"IHDR", &[0; 13]), (b"IDAT", b"pixels"), (b"IEND", b"")])),
            (MediaType::WebP, webp_of(&[(b"VP8X", &[8; 10]), (b"VP8 ", b"pixels"), (b"EXIF", &exif_of(3, true))])),
        ] {
            let _ = strip(kind, Zeroizing::new(bytes.clone()));
            let at = at.index(image.len());
            image.splice(at.., bytes.iter().copied());
            let _ = strip(kind, Zeroizing::new(image));
        }
        let _ = exif::orientation(&bytes);
    }
}
