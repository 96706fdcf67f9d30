//! Tokens in cookies, for browsers: out of reach of scripts, sent over TLS only, and never with another site's requests.
//!
//! `SameSite=Strict` keeps other sites out; the CSRF token, which only our own page knows, keeps out what `SameSite` does
//! not cover, such as a sibling domain (OWASP CSRF Prevention Cheat Sheet, "HMAC based token pattern").

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use wardbook_events::{SessionId, TenantId};
use wardbook_keys::TokenError;

use crate::app::App;

/// The access token. `__Host-` ties it to this very host.
pub const ACCESS: &str = "__Host-wardbook";
/// The refresh token; sent to the routes of logins only.
pub const REFRESH: &str = "__Secure-wardbook-refresh";
/// The token of the device; sent to the routes of logins only.
pub const DEVICE: &str = "__Secure-wardbook-device";
/// Name of the header with the CSRF token.
pub const X_CSRF_TOKEN: &str = "x-csrf-token";

/// How long a device is remembered by its browser.
const DEVICE_S: u32 = 365 * 24 * 3600;
/// Longest `Cookie` header that is looked at, in bytes.
const HEADER_MAX: usize = 16 * 1024;

/// The value of a cookie in a `Cookie` header (RFC 6265 section 4.2.1); `None` if there is none, or more than one: which
/// of them is ours cannot be known, so neither is.
#[must_use]
pub fn parse<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    if header.len() > HEADER_MAX {
        return None;
    }
    let mut values = header.split(';').filter_map(|pair| {
        let (key, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        (key == name).then_some(value)
    });
    let value = values.next()?;
    let octet = |b: u8| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    (values.next().is_none() && value.bytes().all(octet)).then_some(value)
}

/// The value of a cookie of a request.
#[must_use]
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(COOKIE);
    let line = lines.next()?.to_str().ok()?;
    // A second header would be a second place to smuggle a cookie in.
    if lines.next().is_some() { None } else { parse(line, name) }
}

/// What a browser keeps of a login.
#[derive(Default)]
pub struct Jar(Vec<String>);

impl Jar {
    /// The access token; kept as long as the session may last, so that an expired one is answered like any other.
    pub fn access(&mut self, token: &str, seconds: u32) {
        self.set(ACCESS, token, "/", seconds);
    }
    /// The refresh token.
    pub fn refresh(&mut self, token: &str, seconds: u32) {
        self.set(REFRESH, token, "/v1/auth", seconds);
    }
    /// The token of the device.
    pub fn device(&mut self, token: &str) {
        self.set(DEVICE, token, "/v1/auth", DEVICE_S);
    }
    /// Takes the session's cookies away; the device stays known.
    pub fn clear(&mut self) {
        self.access("", 0);
        self.refresh("", 0);
    }
    fn set(&mut self, name: &str, value: &str, path: &str, seconds: u32) {
        self.0.push(format!("{name}={value}; Path={path}; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"));
    }
    /// Adds the headers.
    pub fn put(self, headers: &mut HeaderMap) {
        for line in self.0 {
            // Tokens are letters, digits, `.`, `-` and `_`.
            if let Ok(value) = HeaderValue::from_str(&line) {
                headers.append(SET_COOKIE, value);
            }
        }
    }
}

/// The CSRF token of a session: a keyed hash, so that it needs no place and survives a restart.
///
/// # Errors
/// If the key store fails.
pub fn csrf_token(app: &App, tenant: TenantId, session: SessionId) -> Result<String, TokenError> {
    app.keys().command_digest(tenant, format!("csrf token of session {session}").as_bytes())
}

/// Whether the request proves that it comes from our own page.
///
/// # Errors
/// If the key store fails.
pub fn has_csrf_token(
    app: &App,
    headers: &HeaderMap,
    tenant: TenantId,
    session: SessionId,
) -> Result<bool, TokenError> {
    let given = headers.get(X_CSRF_TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    // Hashes are compared in constant time.
    Ok(blake3::hash(given) == blake3::hash(csrf_token(app, tenant, session)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_cookie_is_found_and_two_of_a_name_are_none() {
        assert_eq!(parse("a=1; __Host-wardbook=x.y-z_; b=2", ACCESS), Some("x.y-z_"));
        assert_eq!(parse("__Host-wardbook=", ACCESS), Some(""));
        for header in [
            "",
            "=",
            "__Host-wardbook",
            "__host-wardbook=x",
            "x__Host-wardbook=x",
            "__Host-wardbook=x; __Host-wardbook=y",
            "__Host-wardbook=x; a=1;__Host-wardbook=x",
            "__Host-wardbook=\"x\"",
            "__Host-wardbook=x y",
            "__Host-wardbook =x",
        ] {
            assert_eq!(parse(header, ACCESS), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(header in ".*") {
            if let Some(value) = parse(&header, ACCESS) {
                prop_assert!(header.contains(value));
            }
        }
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
        let mut jar = Jar::default();
        jar.access("a", 1);
        jar.refresh("r", 1);
        jar.device("d");
        let mut headers = HeaderMap::new();
        jar.put(&mut headers);
        let lines: Vec<_> = headers.get_all(SET_COOKIE).map(|value| value.to_str().unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(line.ends_with("; Secure; HttpOnly; SameSite=Strict") && !line.contains("Domain"), "{line}");
        }
    }
}
