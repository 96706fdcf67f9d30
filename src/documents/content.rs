//! Whether a document's bytes are what its uploader says they are.

use wardbook_events::documents::MediaType;

/// Why the content is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// This server does not take such documents.
    #[error("this server does not take {0}: see documents.media_types of its settings")]
    NotTaken(&'static str),
    /// The bytes are something else.
    #[error("the content is not {0}, as was said: send it with its true media type, if that is taken here")]
    NotWhatWasSaid(&'static str),
    /// It is larger than this server takes.
    #[error("a document of this type may have at most {max} bytes")]
    TooLarge {
        /// Bytes at most.
        max: u64,
    },
}

/// From so many bytes on, or when there are no more, a type is told by its beginning.
pub const HEAD: usize = 4096;

/// Text that a program would run or show as something else. By other marks notes are mistaken: `BMI 24` begins like a bitmap.
const NOT_PLAIN: [&str; 6] =
    ["text/html", "text/xml", "text/x-shellscript", "application/pdf", "application/postscript", "application/rtf"];

/// Checks the beginning of a document.
///
/// # Errors
/// [`ContentError::NotWhatWasSaid`].
pub fn check_head(said: MediaType, head: &[u8]) -> Result<(), ContentError> {
    let found = infer::get(head).map(|kind| kind.mime_type());
    let fits = match said {
        MediaType::Pdf | MediaType::Jpeg | MediaType::Png | MediaType::WebP | MediaType::Dicom => {
            found == Some(said.name())
        }
        MediaType::Text => found.is_none_or(|found| !NOT_PLAIN.contains(&found)),
        MediaType::Cda => {
            let text = String::from_utf8_lossy(head);
            let start = text.trim_start_matches('\u{feff}').trim_start();
            start.starts_with('<') && text.contains("ClinicalDocument") && text.contains("urn:hl7-org:v3")
        }
    };
    if fits { Ok(()) } else { Err(ContentError::NotWhatWasSaid(said.name())) }
}

/// Looks at a document as it goes by.
pub struct Checker {
    said: MediaType,
    head: bool,
    /// The beginning of a character whose rest is in the next chunk.
    rest: Vec<u8>,
}

impl Checker {
    pub const fn new(said: MediaType) -> Self {
        Self { said, head: false, rest: Vec::new() }
    }

    /// The next chunk, which is larger than [`HEAD`] unless it is the last.
    pub fn look(&mut self, chunk: &[u8]) -> Result<(), ContentError> {
        if !self.head {
            check_head(self.said, chunk.get(..HEAD).unwrap_or(chunk))?;
            self.head = true;
        }
        if matches!(self.said, MediaType::Text | MediaType::Cda) { self.text(chunk) } else { Ok(()) }
    }

    /// UTF-8 without control characters but those that part lines, pages and columns.
    fn text(&mut self, chunk: &[u8]) -> Result<(), ContentError> {
        let refused = ContentError::NotWhatWasSaid(self.said.name());
        let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
        if chunk.iter().any(is_control) {
            return Err(refused);
        }
        let mut bytes = std::mem::take(&mut self.rest);
        let joined;
        let text = if bytes.is_empty() {
            chunk
        } else {
            bytes.extend_from_slice(chunk);
            joined = zeroize::Zeroizing::new(bytes);
            joined.as_slice()
        };
        match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.rest = text.get(error.valid_up_to()..).unwrap_or_default().to_vec();
                Ok(())
            }
            Err(_) => Err(refused),
        }
    }

    /// Nothing may be left over.
    pub fn finish(self) -> Result<(), ContentError> {
        if self.rest.is_empty() && self.head { Ok(()) } else { Err(ContentError::NotWhatWasSaid(self.said.name())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: MediaType, content: &[u8]) -> bool {
        let mut checker = Checker::new(said);
        checker.look(content).and_then(|()| checker.finish()).is_ok()
    }

    #[test]
    fn what_is_said_must_be_true() {
        let mut dicom = vec![0; 128];
        dicom.extend_from_slice(b"DICM....");
        let cda = br#"<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"></ClinicalDocument>"#;
        let files: [(MediaType, &[u8]); 7] = [
            (MediaType::Pdf, b"%PDF-1.7\nx"),
            (MediaType::Jpeg, &[0xff, 0xd8, 0xff, 0xe0, 0, 16]),
            (MediaType::Png, b"\x89PNG\r\n\x1a\n...."),
            (MediaType::WebP, b"RIFF\x10\0\0\0WEBPVP8 "),
            (MediaType::Dicom, &dicom),
            (MediaType::Text, "Befund: unauffällig".as_bytes()),
            (MediaType::Cda, cda),
        ];
        for (said, _) in files {
            for (is, content) in files {
                assert_eq!(check(said, content), said == is, "{is:?} as {said:?}");
            }
        }
        for program in [
            &b"MZ\x90\0"[..],
            b"\x7fELF\x02\x01\x01",
            b"#!/bin/sh\n",
            b"<html><script>",
            b"PK\x03\x04....",
            b"<!DOCTYPE html>",
        ] {
            for (said, _) in files {
                assert!(!check(said, program), "{program:?} as {said:?}");
            }
        }
        assert!(!check(MediaType::Cda, b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>"));
    }

    #[test]
    fn text_may_be_cut_within_a_character_but_not_end_there() {
        let text = "Größe 1,80 m – gut".as_bytes();
        for cut in 1..text.len() {
            let mut checker = Checker::new(MediaType::Text);
            checker.look(&text[..cut]).unwrap();
            checker.look(&text[cut..]).unwrap();
            checker.finish().unwrap();
        }
        assert!(!check(MediaType::Text, &text[..3]), "half of a character is left");
        assert!(!check(MediaType::Text, b"a\0b") && !check(MediaType::Text, b"\xff\xfea"));
        assert!(!check(MediaType::Text, b"\x1b[31m"));
        assert!(check(MediaType::Text, b"BMI 24, good"), "no bitmap");
    }
}
