//! Blind-index tokens: sealed patients are found by HMAC-SHA-256 tokens under a key of the organisation's own.

use std::collections::BTreeSet;
use std::fmt;

use wardbook_events::values::{BirthDate, Mrn, PersonName, Ssn, normalise};
use wardbook_events::{TenantId, Token, TokenKind};

use crate::error::TokenError;
use crate::keys::Keys;
use crate::ring::TenantRing;
use crate::secrets::mac;
use crate::sounds;

/// Bytes of the hash that make a token: enough that no two values of an organisation meet by chance.
const TOKEN: usize = 16;

/// What a patient is searched by. Several terms narrow the search. Holds PHI: its `Debug` prints nothing of it.
#[derive(Clone, Default)]
pub struct SearchTerms {
    /// Words of a name, in any order; each must be a family or a given name.
    pub name: Option<String>,
    /// Whether names that sound alike are found too.
    pub sounds_like: bool,
    /// Birth date.
    pub birth_date: Option<BirthDate>,
    /// Social security number.
    pub ssn: Option<Ssn>,
    /// Medical record number.
    pub mrn: Option<Mrn>,
}

impl fmt::Debug for SearchTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchTerms(..)")
    }
}

/// Tokens of which a patient must have at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf(pub Vec<Token>);

fn token(ring: &TenantRing, kind: TokenKind, normalised: &str) -> Token {
    // The name of a kind has no zero byte, so no value of one kind can pass for one of another.
    let hash = mac(ring.tokens.bytes(), &[kind.name().as_bytes(), &[0], normalised.as_bytes()]);
    Token { kind, value: hex::encode(hash.first_chunk::<TOKEN>().unwrap_or(&[0; TOKEN])) }
}

/// Record numbers are compared without regard to case.
fn mrn_form(mrn: &Mrn) -> String {
    mrn.as_str().to_ascii_uppercase()
}

/// The whole of a name part, and its words where there are several (`van der Berg`).
fn forms(part: &str) -> BTreeSet<String> {
    let whole = normalise(part);
    whole.split(' ').chain([whole.as_str()]).filter(|form| !form.is_empty()).map(str::to_owned).collect()
}

impl Keys {
    /// A token of a value that is normalised already (see [`TokenKind`] for the form of each kind).
    ///
    /// # Errors
    /// If the key store fails.
    pub fn token(&self, tenant: TenantId, kind: TokenKind, normalised: &str) -> Result<Token, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        Ok(token(&ring, kind, normalised))
    }

    /// Every token under which a patient is to be found; each once, in a fixed order.
    ///
    /// # Errors
    /// If the key store fails.
    pub fn tokens_for_patient(
        &self,
        tenant: TenantId,
        name: Option<&PersonName>,
        birth_date: Option<BirthDate>,
        ssn: Option<&Ssn>,
        mrn: Option<&Mrn>,
    ) -> Result<Vec<Token>, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        let mut tokens = BTreeSet::new();
        let mut add = |kind, value: &str| tokens.insert(token(&ring, kind, value));
        if let Some(name) = name {
            let family = [(&name.family, TokenKind::FamilyName, TokenKind::FamilySound)];
            let given = name.given.parts().iter().map(|part| (part, TokenKind::GivenName, TokenKind::GivenSound));
            for (part, written, sound) in family.into_iter().chain(given) {
                for form in forms(part.as_str()) {
                    add(written, &form);
                    for code in sounds::codes(&form) {
                        add(sound, &code);
                    }
                }
            }
            let whole = name.normalised();
            if let Some(date) = birth_date.filter(|_| !whole.is_empty()) {
                add(TokenKind::NameAndBirthDate, &format!("{whole}\n{}", date.date()));
            }
        }
        if let Some(date) = birth_date {
            add(TokenKind::BirthDate, &date.date().to_string());
        }
        if let Some(ssn) = ssn {
            add(TokenKind::Ssn, ssn.digits());
        }
        if let Some(mrn) = mrn {
            add(TokenKind::Mrn, &mrn_form(mrn));
        }
        Ok(tokens.into_iter().collect())
    }

    /// What a patient must match to be found: every [`AnyOf`], each by one of its tokens. Empty terms give an empty
    /// list, which the caller must not take for "everybody".
    ///
    /// # Errors
    /// If the key store fails.
    pub fn search_tokens(&self, tenant: TenantId, terms: &SearchTerms) -> Result<Vec<AnyOf>, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        let mut all = Vec::new();
        for word in normalise(terms.name.as_deref().unwrap_or_default()).split(' ').filter(|word| !word.is_empty()) {
            let mut any = vec![token(&ring, TokenKind::FamilyName, word), token(&ring, TokenKind::GivenName, word)];
            if terms.sounds_like {
                for code in sounds::codes(word) {
                    any.push(token(&ring, TokenKind::FamilySound, &code));
                    any.push(token(&ring, TokenKind::GivenSound, &code));
                }
            }
            all.push(AnyOf(any));
        }
        let date = terms.birth_date.map(|date| (TokenKind::BirthDate, date.date().to_string()));
        let ssn = terms.ssn.as_ref().map(|ssn| (TokenKind::Ssn, ssn.digits().to_owned()));
        let mrn = terms.mrn.as_ref().map(|mrn| (TokenKind::Mrn, mrn_form(mrn)));
        all.extend([date, ssn, mrn].into_iter().flatten().map(|(kind, value)| AnyOf(vec![token(&ring, kind, &value)])));
        Ok(all)
    }
}
