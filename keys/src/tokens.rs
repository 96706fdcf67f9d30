//! Blind-index tokens: sealed patients are found by HMAC-SHA-256 tokens under a key of the organisation's own.

use std::collections::BTreeSet;
use std::fmt;

use wardbook_events::values::{BirthDate, Email, Mrn, PersonName, Phone, Ssn};
use wardbook_events::{TenantId, Token, TokenKind};

use crate::error::TokenError;
use crate::forms::{self, Forms, SearchValues};
use crate::keys::Keys;
use crate::ring::TenantRing;
use crate::secrets::mac;
use crate::sounds;

/// Bytes of the hash that make a token: enough that no two values of an organisation meet by chance.
const TOKEN: usize = 16;

/// How the words of a name are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Matching {
    /// Each is a whole name or a word of one.
    #[default]
    Exact,
    /// Each is the beginning of a word. One that is shorter than what is indexed must be a whole word.
    Prefix,
    /// Each is a name, or sounds like one.
    Sounds,
}

/// What a patient is searched by. Several terms narrow the search. Holds PHI: its `Debug` prints nothing of it.
#[derive(Clone, Default)]
pub struct SearchTerms {
    /// Words of a name, in any order.
    pub name: Option<String>,
    /// How they are compared.
    pub matching: Matching,
    /// Birth date.
    pub birth_date: Option<BirthDate>,
    /// Social security number.
    pub ssn: Option<Ssn>,
    /// Medical record number.
    pub mrn: Option<Mrn>,
    /// One of the e-mail addresses.
    pub email: Option<Email>,
    /// One of the telephone numbers.
    pub phone: Option<Phone>,
}

impl SearchTerms {
    /// What is searched by, without the values.
    #[must_use]
    pub fn kinds(&self) -> Vec<TokenKind> {
        let name: &[TokenKind] = match (&self.name, self.matching) {
            (None, _) => &[],
            (_, Matching::Exact) => &[TokenKind::FamilyName, TokenKind::GivenName],
            (_, Matching::Prefix) => &[TokenKind::FamilyPrefix, TokenKind::GivenPrefix],
            (_, Matching::Sounds) => {
                &[TokenKind::FamilyName, TokenKind::GivenName, TokenKind::FamilySound, TokenKind::GivenSound]
            }
        };
        let others = [
            self.birth_date.map(|_| TokenKind::BirthDate),
            self.ssn.as_ref().map(|_| TokenKind::Ssn),
            self.mrn.as_ref().map(|_| TokenKind::Mrn),
            self.email.as_ref().map(|_| TokenKind::Email),
            self.phone.as_ref().map(|_| TokenKind::Phone),
        ];
        name.iter().copied().chain(others.into_iter().flatten()).collect()
    }

    /// Whether a name that was found by its first letters begins with all that was typed.
    #[must_use]
    pub fn fits(&self, name: &PersonName) -> bool {
        if self.matching != Matching::Prefix {
            return true;
        }
        let names = forms::words(&name.normalised());
        let asked = forms::words(self.name.as_deref().unwrap_or_default());
        asked.iter().all(|word| names.iter().any(|name| name.starts_with(word)))
    }
}

impl fmt::Debug for SearchTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchTerms(..)")
    }
}

/// Tokens of which a patient must have at least one.
pub type AnyOf = Vec<Token>;

/// The tokens that one version of the index key makes.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    pub version: u32,
    pub key: &'a [u8; 64],
}

impl Index<'_> {
    fn token(self, kind: TokenKind, normalised: &str) -> Token {
        // The name of a kind has no zero byte, so no value of one kind can pass for one of another.
        let hash = mac(self.key, &[kind.name().as_bytes(), &[0], normalised.as_bytes()]);
        Token { kind, index: self.version, value: hex::encode(hash.first_chunk::<TOKEN>().unwrap_or(&[0; TOKEN])) }
    }

    pub(crate) fn tokens(self, values: &SearchValues, how: &Forms) -> BTreeSet<Token> {
        let forms = values.forms(how);
        let mut tokens: BTreeSet<_> = forms.iter().map(|(kind, form)| self.token(*kind, form)).collect();
        let mark = self.mark(&tokens);
        tokens.extend(mark);
        tokens
    }

    /// The mark of name and birth date, by which a second registration of the same person is known. It is made from the tokens of
    /// all three, so that it needs no order of the given names. Nothing if name or birth date is missing.
    fn mark(self, tokens: &BTreeSet<Token>) -> Option<Token> {
        let of = |kind| tokens.iter().filter(move |token| token.kind == kind).map(|token| token.value.as_str());
        let parts = [TokenKind::FamilyName, TokenKind::GivenName, TokenKind::BirthDate]
            .map(|kind| of(kind).collect::<Vec<_>>());
        let [family, given, birth] = &parts;
        if birth.is_empty() || (family.is_empty() && given.is_empty()) {
            return None;
        }
        let text = parts.iter().map(|values| values.join(" ")).collect::<Vec<_>>().join("\n");
        Some(self.token(TokenKind::NameAndBirthDate, &text))
    }

    fn search(self, terms: &SearchTerms, how: &Forms) -> Vec<AnyOf> {
        let name = forms::words(terms.name.as_deref().unwrap_or_default());
        let mut all: Vec<AnyOf> = name.iter().map(|word| self.word(word, terms.matching, how)).collect();
        let one = |kind, form: &str| vec![self.token(kind, form)];
        all.extend(terms.birth_date.map(|date| one(TokenKind::BirthDate, &date.date().to_string())));
        all.extend(terms.ssn.as_ref().map(|ssn| one(TokenKind::Ssn, ssn.digits())));
        all.extend(terms.mrn.as_ref().map(|mrn| one(TokenKind::Mrn, &forms::mrn_form(mrn))));
        all.extend(terms.email.as_ref().map(|email| one(TokenKind::Email, &email.normalised())));
        // What is no number is had by nobody.
        all.extend(terms.phone.as_ref().map(|phone| match phone.normalised(&how.country) {
            Some(digits) => one(TokenKind::Phone, &digits),
            None => Vec::new(),
        }));
        all
    }

    fn word(self, word: &str, matching: Matching, how: &Forms) -> AnyOf {
        let both = |kinds: [TokenKind; 2], form: &str| kinds.map(|kind| self.token(kind, form)).to_vec();
        let exact = || both([TokenKind::FamilyName, TokenKind::GivenName], word);
        match matching {
            Matching::Exact => exact(),
            Matching::Prefix => match how.longest_prefix(word) {
                Some(prefix) => both([TokenKind::FamilyPrefix, TokenKind::GivenPrefix], prefix),
                None => exact(),
            },
            Matching::Sounds => {
                let sounds = sounds::codes(word);
                let alike = sounds.iter().flat_map(|code| both([TokenKind::FamilySound, TokenKind::GivenSound], code));
                exact().into_iter().chain(alike).collect()
            }
        }
    }
}

impl TenantRing {
    /// The versions of the index key that are in use, oldest first.
    pub(crate) fn indexes(&self) -> Vec<Index<'_>> {
        self.index_keys().map(|key| Index { version: key.version, key: key.tokens.bytes() }).collect()
    }
}

impl Keys {
    /// Every token under which a patient of these values is to be found, under each version of the index key that is in use.
    ///
    /// # Errors
    /// If the key store fails.
    pub fn tokens(&self, tenant: TenantId, values: &SearchValues) -> Result<BTreeSet<Token>, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        Ok(ring.indexes().into_iter().flat_map(|index| index.tokens(values, self.forms())).collect())
    }

    /// What a patient must match to be found: every [`AnyOf`], each by one of its tokens. One such list for each version of the
    /// index key that is in use, the oldest first: who matches one of the lists is found. They must be looked up in this order:
    /// a patient who is re-indexed meanwhile goes from an older to a newer one, never back. Empty terms give empty lists, which
    /// the caller must not take for "everybody".
    ///
    /// # Errors
    /// If the key store fails.
    pub fn search_tokens(&self, tenant: TenantId, terms: &SearchTerms) -> Result<Vec<Vec<AnyOf>>, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        Ok(ring.indexes().into_iter().map(|index| index.search(terms, self.forms())).collect())
    }
}
