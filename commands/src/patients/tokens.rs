//! Tokens of a patient's values, and the mark by which a second registration of the same person is known.

use std::collections::BTreeSet;

use wardbook_events::values::{BirthDate, GivenNames, Mrn, NamePart, PersonName, Ssn};
use wardbook_events::{TenantId, Token, TokenKind};
use wardbook_keys::{Keys, TokenError};

/// The tokens of new values, without the mark of name and birth date: [`mark`] needs those that are kept, too.
pub(super) fn of_values(
    keys: &Keys,
    tenant: TenantId,
    name: Option<&PersonName>,
    birth_date: Option<BirthDate>,
    ssn: Option<&Ssn>,
    mrn: Option<&Mrn>,
) -> Result<BTreeSet<Token>, TokenError> {
    let name = name.map(word_by_word);
    let tokens = keys.tokens_for_patient(tenant, name.as_ref(), birth_date, ssn, mrn)?;
    Ok(tokens.into_iter().filter(|token| token.kind != TokenKind::NameAndBirthDate).collect())
}

/// "Anna Maria" as one given name and as two are the same, so each word becomes a name of its own.
fn word_by_word(name: &PersonName) -> PersonName {
    let words = name.given.parts().iter().flat_map(|part| part.as_str().split_whitespace());
    let parts: Vec<NamePart> = words.filter_map(|word| NamePart::new(word).ok()).collect();
    let given = GivenNames::try_from(parts).unwrap_or_else(|_| name.given.clone());
    PersonName { given, ..name.clone() }
}

/// The mark of name and birth date, made from the tokens of both. When one of the two is corrected, the tokens of the
/// other are still there, so its value need not be opened. Nothing if one of the two is missing.
pub(super) fn mark(keys: &Keys, tenant: TenantId, tokens: &BTreeSet<Token>) -> Result<Option<Token>, TokenError> {
    let of = |kind| tokens.iter().filter(move |token| token.kind == kind).map(|token| token.value.as_str());
    let parts =
        [TokenKind::FamilyName, TokenKind::GivenName, TokenKind::BirthDate].map(|kind| of(kind).collect::<Vec<_>>());
    let [family, given, birth] = &parts;
    if birth.is_empty() || (family.is_empty() && given.is_empty()) {
        return Ok(None);
    }
    let text = parts.iter().map(|values| values.join(" ")).collect::<Vec<_>>().join("\n");
    keys.token(tenant, TokenKind::NameAndBirthDate, &text).map(Some)
}
