//! Which passwords are good enough (IAM-03).
//!
//! Classes of characters are what the course asks for; guessability is what protects (NIST SP 800-63B section 5.1.1.2).
//! Both are asked. Guesses are counted by zxcvbn, which has the 30,000 most used passwords of breaches, the words and names
//! of English, keyboards and dates compiled in: nothing leaves the machine.

use secrecy::{ExposeSecret, SecretString};
use zxcvbn::{Score, zxcvbn};

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
    /// Known from breaches, or soon guessed.
    #[error("it is known from breaches or soon guessed: use several unrelated words, or a password manager")]
    Guessable,
    /// It was the user's password before.
    #[error("it must not be one of your last {0} passwords")]
    Used(usize),
}

/// Characters a password may have at most (NIST asks for at least 64 to be allowed).
pub const LENGTH_MAX: usize = 256;
/// A name shorter than this is in too many words to be looked for.
const NAME_MIN: usize = 4;

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
    if username.len() >= NAME_MIN && password.to_lowercase().contains(&username.to_lowercase()) {
        return Err(Weakness::Name);
    }
    let score = zxcvbn(password, &[username, "wardbook"]).score();
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
        for guessable in ["P@ssword12345", "Qwertyuiop1!", "Aaaaaaaaaaa1!"] {
            assert_eq!(checked(guessable), Err(Weakness::Guessable), "{guessable}");
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
