//! Passwords that guessers try first: common ones from known breaches, with what people usually put around them, and
//! those made of the person's own name or ours.
//!
//! The list `common.txt` is that of the zxcvbn project (MIT licence, Copyright 2012-2016 Dan Wheeler and Dropbox, Inc.),
//! 30,000 passwords in lower case, sorted; it is searched as it stands, so it costs no memory but its own.

/// The common passwords, one a line, sorted by bytes.
const COMMON: &str = include_str!("common.txt");

/// What stands before or after a common password that makes it no better: up to so many digits and signs.
const PADDING_CHARS_MAX: usize = 8;
/// A piece that is only repeated makes a password when it is longer than this.
const REPEATED_CHARS_MAX: usize = 4;
/// Parts of a name shorter than this stand in many good passwords.
const NAME_PART_CHARS_MIN: usize = 3;
/// What must be left of a password without the names in it.
const OWN_CHARS_MIN: usize = 6;

const IS_COMMON: &str = "guessers try this one first: it is a common password, or nearly";
const IS_A_NAME: &str = "it is little more than your name or Muster's";

/// Why this person should not choose that password; `None` when they may.
pub fn fault(password: &str, name: &str) -> Option<&'static str> {
    if is_common(password) {
        return Some(IS_COMMON);
    }
    let without = without_names(password, name)?;
    let left = without.chars().filter(|c| c.is_alphanumeric()).count();
    (left < OWN_CHARS_MIN || is_common(&without)).then_some(IS_A_NAME)
}

/// The password in lower case without the names; `None` when none stands in it.
fn without_names(password: &str, name: &str) -> Option<String> {
    let lower = password.to_lowercase();
    let name = name.to_lowercase();
    let parts = name
        .split(|c: char| !c.is_alphanumeric())
        .chain([name.as_str(), "muster"])
        .filter(|part| part.chars().count() >= NAME_PART_CHARS_MIN);
    let mut left = lower.clone();
    for part in parts {
        left = left.replace(part, "");
    }
    (left != lower).then_some(left)
}

/// Whether guessers have this one early.
fn is_common(password: &str) -> bool {
    let lower = password.trim().to_lowercase();
    if is_sequence(&lower) || is_listed(&lower) {
        return true;
    }
    let bare = lower.trim_matches(|c: char| !c.is_alphabetic());
    let padding = lower.chars().count() - bare.chars().count();
    let is_padded = padding <= PADDING_CHARS_MAX && (is_listed(bare) || is_listed(&unleeted(bare)));
    is_padded || is_listed(&unleeted(&lower)) || is_repeated(&lower)
}

fn is_listed(text: &str) -> bool {
    let (mut from, mut to) = (0, COMMON.len());
    while from < to {
        let middle = (from + to) / 2;
        let start = COMMON[..middle].rfind('\n').map_or(0, |at| at + 1);
        let end = COMMON[start..].find('\n').map_or(COMMON.len(), |at| start + at);
        match COMMON[start..end].cmp(text) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = end + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    false
}

/// The letters that signs and digits are often put for.
fn unleeted(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            c => c,
        })
        .collect()
}

/// `abcabcabc`, `aaaaaaaaaa`, `passwordpassword`.
fn is_repeated(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 2).any(|length| {
        let repeats = chars.chunks(length).all(|piece| chars.starts_with(piece));
        let piece: String = chars[..length].iter().collect();
        repeats && (length <= REPEATED_CHARS_MAX || is_listed(&piece))
    })
}

/// `abcdefghij`, `9876543210`.
fn is_sequence(text: &str) -> bool {
    let steps: Vec<i64> = text
        .chars()
        .zip(text.chars().skip(1))
        .map(|(one, next)| i64::from(u32::from(next)) - i64::from(u32::from(one)))
        .collect();
    // 0 follows 9 on a keyboard, and 9 comes before 0.
    let is_step = |step: i64| move |found: &i64| *found == step || *found == -9 * step;
    !steps.is_empty() && (steps.iter().all(is_step(1)) || steps.iter().all(is_step(-1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_line_is_found() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert_eq!(lines.len(), 30_000);
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(lines.iter().all(|line| is_listed(line)));
        for absent in ["", "\n", "123456\n", "zzzzzzzzzzzzzz", "correct horse", "Ünïcode"] {
            assert!(!is_listed(absent), "{absent:?}");
        }
    }

    #[test]
    fn common_passwords_are_known_in_their_usual_clothes() {
        for common in [
            "password123",
            "Password123!",
            "P@ssw0rd2026",
            "1qaz2wsx3edc",
            "qwertyuiop",
            "aaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghij",
            "1234567890",
            "9876543210",
            "PasswordPassword",
            "!!!dragon!!!",
            " iloveyou123 ",
        ] {
            assert!(fault(common, "").is_some(), "{common}");
        }
        for fine in [
            "correct horse battery",
            "monkey sees the incident",
            "password but longer",
            "t4bl3 l4mp w1nd0w",
            "8d2kf0q3mz",
        ] {
            assert_eq!(fault(fine, ""), None, "{fine}");
        }
    }

    #[test]
    fn a_password_is_more_than_a_name() {
        for (password, name) in [
            ("ana.kovac.2026", "Ana Kovac"),
            ("anakovac!!", "ana kovac"),
            ("Muster2026!", "ben"),
            ("mustermuster", "ben"),
            ("anapassword", "ana"),
        ] {
            assert!(fault(password, name).is_some(), "{password}");
        }
        assert_eq!(fault("ana has seventeen goats", "ana"), None);
        assert_eq!(fault("al dente spaghetti", "al"), None);
    }
}
