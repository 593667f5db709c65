//! The text of a token: a mark that says what it is, 256 random bits, and a check that a mistyped or cut one fails
//! without anybody asking the database.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use super::digest::Digest;

/// How a token of a person begins, so that people and scanners of leaked secrets know what it is.
pub const PERSONAL_MARK: &str = "msp_";
/// Random bytes of a token.
pub const RANDOM_BYTES: usize = 32;
/// Bytes of the check behind them.
const CHECK_BYTES: usize = 4;
/// How much of a token is kept to tell it by, beside its mark: 36 of its 256 bits.
const PREFIX_CHARS: usize = 6;

/// A token that was just made. It prints as its beginning only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    mark: &'static str,
    text: String,
}

impl Token {
    /// The token of these random bytes.
    pub fn of(mark: &'static str, random: [u8; RANDOM_BYTES]) -> Self {
        let mut bytes = random.to_vec();
        bytes.extend(check(mark, &random));
        Self {
            mark,
            text: format!("{mark}{}", BASE64URL_NOPAD.encode(&bytes)),
        }
    }

    /// The whole text, for the one time it is shown.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// How it begins, to tell it by.
    pub fn prefix(&self) -> &str {
        &self.text[..self.mark.len() + PREFIX_CHARS]
    }

    /// What the database knows it by.
    pub fn digest(&self) -> Digest {
        digest(&self.text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.prefix())
    }
}

/// What the database knows the token of this text by.
pub fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

/// Whether a text can be a token with this mark at all: whole, and not mistyped.
pub fn is_whole(mark: &str, text: &str) -> bool {
    let Some(Ok(bytes)) = text
        .strip_prefix(mark)
        .map(|rest| BASE64URL_NOPAD.decode(rest.as_bytes()))
    else {
        return false;
    };
    bytes.len() == RANDOM_BYTES + CHECK_BYTES && bytes[RANDOM_BYTES..] == check(mark, &bytes[..RANDOM_BYTES])
}

fn check(mark: &str, random: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Digest::of_bytes(&[mark.as_bytes(), random].concat());
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest.0[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_mark_and_whole_or_none() {
        let token = Token::of(PERSONAL_MARK, [7; RANDOM_BYTES]);
        let text = token.reveal();
        assert!(text.starts_with("msp_") && text.len() == 52, "{text}");
        assert!(is_whole(PERSONAL_MARK, text) && !is_whole("mst_", text));
        assert_eq!(format!("{token:?}"), format!("Token({}…)", &text[..10]));
        for at in 0..text.len() {
            let mut typed = text.as_bytes().to_vec();
            typed[at] = if typed[at] == b'A' { b'B' } else { b'A' };
            let typed = String::from_utf8(typed).unwrap();
            assert!(!is_whole(PERSONAL_MARK, &typed), "{typed}");
            assert!(!is_whole(PERSONAL_MARK, &text[..at]));
        }
        assert!(!is_whole(PERSONAL_MARK, "msp_ü"));
    }
}
