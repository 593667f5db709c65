//! Codes that open something: session tokens, links and recovery codes. The database holds only their hashes.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

use crate::domain::digest::Digest;

const TOKEN_BYTES: usize = 32;
/// Bytes of a recovery code: 80 bits, so that a plain hash is enough; 16 characters to type.
const RECOVERY_BYTES: usize = 10;
/// Characters between two dashes of a recovery code.
const RECOVERY_GROUP: usize = 4;

/// 256 random bits as text.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// What the database knows a token or a code by.
pub fn token_digest(token: &str) -> Digest {
    Digest::of_bytes(token.as_bytes())
}

/// A recovery code as it is shown: `ABCD-EFGH-IJKL-MNOP`.
pub fn new_recovery_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0; RECOVERY_BYTES];
    getrandom::fill(&mut bytes)?;
    let text = BASE32_NOPAD.encode(&bytes);
    let groups: Vec<&str> = (0..text.len())
        .step_by(RECOVERY_GROUP)
        .map(|at| &text[at..at + RECOVERY_GROUP])
        .collect();
    Ok(groups.join("-"))
}

/// What the database knows a recovery code by, however it was typed: small letters, dashes and spaces do not matter,
/// and 0 and 1, which no code has, are the letters they look like.
pub fn recovery_digest(typed: &str) -> Digest {
    let plain: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            '0' => 'O',
            '1' => 'I',
            c => c,
        })
        .collect();
    token_digest(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_random() {
        let token = new_token().unwrap();
        assert_eq!(token.len(), 43);
        assert_ne!(token, new_token().unwrap());
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let code = new_recovery_code().unwrap();
        assert_eq!(code.len(), 19);
        assert_ne!(code, new_recovery_code().unwrap());
        let digest = recovery_digest(&code);
        assert_eq!(recovery_digest(&code.to_lowercase()), digest);
        assert_eq!(recovery_digest(&format!(" {} ", code.replace('-', " "))), digest);
        assert_eq!(recovery_digest("0o1i"), recovery_digest("OO-II"));
        assert_ne!(recovery_digest(&code[1..]), digest);
    }
}
