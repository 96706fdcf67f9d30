//! Which passwords are good enough (IAM-03).
//!
//! Classes of characters are what the course asks for; guessability is what protects (NIST SP 800-63B section 5.1.1.2).
//! Both are asked. Guesses are counted by zxcvbn; besides, a password must be on no list of breaches ([`super::known`]), and have
//! enough in it that is no date, no run on the keyboard and no name of the house ([`super::predictable`]). Nothing leaves the
//! machine.

use secrecy::{ExposeSecret, SecretString};
use zxcvbn::{Score, zxcvbn};

use super::{known, predictable};
use crate::config;

/// A rule that a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Fewer characters than the settings ask for.
    #[error("it must have at least {0} characters")]
    Short(usize),
    /// More characters than [`LENGTH_MAX`].
    #[error("it must have at most {LENGTH_MAX} characters")]
    Long,
    /// A class of characters is missing.
    #[error("it must have an upper-case letter, a lower-case letter, a digit and another character")]
    Classes,
    /// The user's own name is in it.
    #[error("it must not contain the user name")]
    Name,
    /// On a list of passwords from breaches, or a word of one with digits and signs around it.
    #[error("it is known from breaches: use several unrelated words, or a password manager")]
    Known,
    /// Little is left of it without dates, runs on the keyboard, counting, and names of the house.
    #[error(
        "it is little more than a date, a run on the keyboard or a name: use several unrelated words, or a password manager"
    )]
    Predictable,
    /// Soon guessed.
    #[error("it is soon guessed: use several unrelated words, or a password manager")]
    Guessable,
    /// It was the user's password before.
    #[error("it must not be one of your last {0} passwords")]
    Used(usize),
}

/// Characters a password may have at most (NIST asks for at least 64 to be allowed).
pub const LENGTH_MAX: usize = 256;
/// A name shorter than this is in too many words to be looked for.
const NAME_MIN: usize = 4;
/// Signs that must be left when every predictable part counts as one.
const SURPRISING_MIN: usize = 8;

/// Whether the password is good enough for the user of this name.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(config: &config::Passwords, password: &SecretString, username: &str) -> Result<(), Weakness> {
    let password = password.expose_secret();
    let length = password.chars().count();
    if length < config.length_min {
        return Err(Weakness::Short(config.length_min));
    }
    if length > LENGTH_MAX {
        return Err(Weakness::Long);
    }
    if config.classes && !has_classes(password) {
        return Err(Weakness::Classes);
    }
    let (lower, username) = (password.to_lowercase(), username.to_lowercase());
    let names = username.split(|sign: char| !sign.is_alphanumeric()).chain([username.as_str()]);
    if names.clone().any(|name| name.len() >= NAME_MIN && lower.contains(name)) {
        return Err(Weakness::Name);
    }
    if known::is_known(password) {
        return Err(Weakness::Known);
    }
    let house = config.words.iter().map(|word| word.to_lowercase());
    let words: Vec<_> = house.chain(names.map(str::to_owned)).chain(["wardbook".to_owned()]).collect();
    if predictable::surprising(password, &words) < SURPRISING_MIN {
        return Err(Weakness::Predictable);
    }
    let inputs: Vec<_> = words.iter().map(String::as_str).collect();
    let score = zxcvbn(password, &inputs).score();
    let enough = Score::try_from(config.guess_score_min).unwrap_or(Score::Three);
    if score < enough { Err(Weakness::Guessable) } else { Ok(()) }
}

fn has_classes(password: &str) -> bool {
    let has = |class: fn(char) -> bool| password.chars().any(class);
    has(char::is_uppercase)
        && has(char::is_lowercase)
        && has(char::is_numeric)
        && has(|letter| !letter.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(password: &str) -> Result<(), Weakness> {
        check(&config::Passwords::default(), &password.into(), "dr.osei")
    }

    #[test]
    fn good_ones_pass_and_every_rule_has_its_sentence() {
        assert_eq!(checked("Kettle-93-violet-Harbour"), Ok(()));
        assert_eq!(checked("Ä9 glühende Brücken?"), Ok(()));
        assert_eq!(checked("Xk3-vT9q"), Err(Weakness::Short(12)));
        assert_eq!(checked(&"Xk3-vT9q".repeat(40)), Err(Weakness::Long));
        for missing in
            ["kettle-93-violet-harbour", "KETTLE-93-VIOLET-HARBOUR", "Kettle-violet-Harbour", "Kettle93violetHarbour"]
        {
            assert_eq!(checked(missing), Err(Weakness::Classes), "{missing}");
        }
        assert_eq!(checked("Dr.Osei-93-violet"), Err(Weakness::Name));
        assert_eq!(checked("Osei-93-violet-Kettle"), Err(Weakness::Name), "a part of it");
        assert_eq!(checked("Zlqg-Zlqg-Zlqg-1"), Err(Weakness::Guessable), "repeated");
    }

    #[test]
    fn what_people_take_when_they_must_take_one_is_refused() {
        let config = config::Passwords { words: vec!["Riverside".to_owned()], ..Default::default() };
        for (bad, weakness) in [
            ("January-2026!", Weakness::Known),
            ("Winter2025!!!", Weakness::Known),
            ("P@ssw0rd2026!", Weakness::Known),
            ("Welcome@12345", Weakness::Known),
            ("Liverpool1892!", Weakness::Known),
            ("DragonDragon1!", Weakness::Known),
            ("Qwertyuiop12!", Weakness::Known),
            ("1qaz@WSX3edc", Weakness::Predictable),
            ("Abcdefg-1234567", Weakness::Known),
            ("Aaaaaaaaaaa1!", Weakness::Known),
            ("Abcdefgh!Hgfedcba1", Weakness::Predictable),
            ("Riverside-2026-May", Weakness::Predictable),
            ("Monday-Tuesday-12", Weakness::Predictable),
        ] {
            assert_eq!(check(&config, &bad.into(), "dr.osei"), Err(weakness), "{bad}");
        }
    }

    #[test]
    fn the_settings_decide() {
        let config = config::Passwords { classes: false, length_min: 15, ..Default::default() };
        assert_eq!(check(&config, &"kettle violet harbour oak".into(), "x"), Ok(()));
        assert_eq!(check(&config, &"kettle violet".into(), "x"), Err(Weakness::Short(15)));
    }

    #[test]
    fn the_longest_password_is_judged_in_a_moment() {
        let began = std::time::Instant::now();
        let longest: String = "aB3-".chars().cycle().take(LENGTH_MAX).collect();
        _ = checked(&longest);
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
