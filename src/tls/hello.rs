//! The first words of clients that rustls would not speak for: old versions and weak suites (RFC 5246 section 7.4.1.2).

/// How much of an answer tells whether it was taken: record, handshake and version.
pub const ANSWER_BYTES: u64 = 11;

/// RSA key exchange, then CBC with ephemeral keys: what old clients know. Nothing of it is to be taken.
const WEAK: [u16; 20] = [
    0x0005, 0x000a, 0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d, 0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024,
    0xc027, 0xc028, 0x0033, 0x0039, 0x0067, 0x006b,
];

/// A client that speaks one version and weak suites only.
pub struct Hello {
    version: u16,
}

/// One of this version, such as 0x0302 for TLS 1.1.
pub const fn with_version(version: u16) -> Hello {
    Hello { version }
}

impl Hello {
    /// The record with the hello.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([0x57; 32]); // nobody relies on this client's random numbers
        body.push(0); // no session
        body.extend(sized(&WEAK.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>()));
        body.extend([1, 0]); // no compression
        if self.version > 0x0300 {
            let named = sized(&[&[0][..], &sized(name.as_bytes())].concat());
            let extensions = [
                extension(0, &named),
                extension(10, &sized(&[0, 23, 0, 24])),
                extension(11, &[1, 0]),
                extension(13, &sized(&[4, 1, 5, 1, 2, 1, 4, 3])),
            ];
            body.extend(sized(&extensions.concat()));
        }
        let mut handshake = vec![1, 0];
        handshake.extend(sized(&body));
        [&[22, 3, u8::from(self.version > 0x0300)][..], &sized(&handshake)].concat()
    }

    /// Whether the server said hello in the same version.
    pub fn is_taken_by(&self, answer: &[u8]) -> bool {
        let [high, low] = self.version.to_be_bytes();
        matches!(answer, [22, _, _, _, _, 2, _, _, _, major, minor, ..] if (*major, *minor) == (high, low))
    }
}

/// With its length in two bytes before it.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(content)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up() {
        for version in [0x0300, 0x0301, 0x0302, 0x0303] {
            let bytes = with_version(version).bytes("wardbook.example");
            assert_eq!(usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), bytes.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([bytes[7], bytes[8]])), bytes.len() - 9);
            assert_eq!(bytes[9..11], version.to_be_bytes());
        }
    }

    #[test]
    fn only_a_hello_of_the_same_version_takes_it() {
        let hello = with_version(0x0302);
        assert!(hello.is_taken_by(&[22, 3, 2, 0, 60, 2, 0, 0, 56, 3, 2]));
        for other in
            [&[22, 3, 1, 0, 60, 2, 0, 0, 56, 3, 1][..], &[21, 3, 2, 0, 2, 2, 70], &[], &[22, 3, 2, 0, 60, 2, 0, 0, 56]]
        {
            assert!(!hello.is_taken_by(other), "{other:?}");
        }
    }
}
