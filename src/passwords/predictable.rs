//! How much of a password is not predictable: months and years, runs on the keyboard, counting, repeating and names of the
//! house count as one sign each, since a guesser tries them as one (NIST SP 800-63B 5.1.1.2).

/// Names of times, which people take when a password must be changed again.
const TIMES: [&str; 24] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "spring",
    "summer",
    "autumn",
    "winter",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "today",
];
/// Rows of a keyboard.
const ROWS: [&str; 5] = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop"];
/// What the digits' keys give with shift.
const SHIFTED: &str = "!@#$%^&*()";
/// Keys of one run at least: shorter ones are in words.
const RUN_MIN: usize = 4;
/// Signs that repeat or count at least.
const REPEAT_MIN: usize = 3;

/// The number of signs, each predictable part taken as one. `words` in lower case.
#[must_use]
pub fn surprising(password: &str, words: &[String]) -> usize {
    let signs: Vec<char> = password.to_lowercase().chars().collect();
    let (mut at, mut count) = (0, 0);
    while let Some(rest) = signs.get(at..).filter(|rest| !rest.is_empty()) {
        at += part(rest, words).max(1);
        count += 1;
    }
    count
}

/// Signs of the longest predictable part that this begins with.
fn part(rest: &[char], words: &[String]) -> usize {
    let word = |word: &str| {
        let length = word.chars().count();
        if length >= 3 && word.chars().eq(rest.iter().copied().take(length)) { length } else { 0 }
    };
    let words = words.iter().map(String::as_str).chain(TIMES).map(word).max().unwrap_or(0);
    [words, year(rest), steps(rest), keys(rest)].into_iter().max().unwrap_or(0)
}

/// A year of the last or this century.
fn year(rest: &[char]) -> usize {
    let century = matches!(rest, ['1', '9', ..] | ['2', '0', ..]);
    let is_year = century && rest.get(2..4).is_some_and(|rest| rest.iter().all(char::is_ascii_digit));
    if is_year { 4 } else { 0 }
}

/// Signs that repeat, count up or count down.
fn steps(rest: &[char]) -> usize {
    let step = |pair: &[char]| match pair {
        [one, other] => i64::from(u32::from(*other)) - i64::from(u32::from(*one)),
        _ => i64::MAX,
    };
    let first = rest.get(..2).map_or(i64::MAX, step);
    if !(-1..=1).contains(&first) {
        return 0;
    }
    let length = 1 + rest.windows(2).take_while(|pair| step(pair) == first).count();
    if length >= REPEAT_MIN { length } else { 0 }
}

/// Keys that lie beside, above or below each other, with shift or without.
fn keys(rest: &[char]) -> usize {
    let length = 1 + rest.windows(2).take_while(|pair| matches!(pair, [one, other] if are_near(*one, *other))).count();
    if length >= RUN_MIN { length } else { 0 }
}

fn are_near(one: char, other: char) -> bool {
    let (one, other) = (unshifted(one), unshifted(other));
    let place = |row: &str, sign| row.chars().position(|key| key == sign);
    let beside = |row: &str| matches!((place(row, one), place(row, other)), (Some(one), Some(other)) if one.abs_diff(other) == 1);
    let below = |rows: &[&str]| match rows {
        [upper, lower] => {
            let column = |sign| place(upper, sign).map(|at| (0, at)).or(place(lower, sign).map(|at| (1, at)));
            matches!((column(one), column(other)), (Some((a, x)), Some((b, y))) if a != b && x == y)
        }
        _ => false,
    };
    ROWS.iter().any(|row| beside(row)) || ROWS.get(..4).unwrap_or_default().windows(2).any(below)
}

fn unshifted(sign: char) -> char {
    SHIFTED.chars().zip("1234567890".chars()).find(|(shifted, _)| *shifted == sign).map_or(sign, |(_, digit)| digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_everybody_would_try_counts_as_one_sign() {
        let words = ["osei".to_owned(), "harbour".to_owned()];
        for (password, count) in [
            ("January-2026!", 4),
            ("Winter2025!!!", 3),
            ("1qaz2WSX3edc$RFV", 4),
            ("QwertyUiop12345!", 3),
            ("asdfGHJKL;1999", 3),
            ("Abcdefgh-87654321", 3),
            ("AAAAaaaa1111!!!!", 3),
            ("Osei-Harbour-2024", 5),
            ("Kettle-93-violet", 16),
            ("", 0),
        ] {
            assert_eq!(surprising(password, &words), count, "{password}");
        }
    }

    proptest! {
        #[test]
        fn it_is_never_more_than_there_is(password in ".*") {
            prop_assert!(surprising(&password, &[]) <= password.to_lowercase().chars().count());
        }
    }
}
