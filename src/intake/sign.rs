//! Whether a body was signed with a shared secret: HMAC-SHA256, compared in constant time.
//!
//! A signature says nothing of when: only Grafana can sign a time as well, and whoever reads the clock compares it.

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::hmac;

/// Signatures of one header that are tried; PagerDuty sends one for each secret while they are exchanged.
const SIGNATURES_MAX: usize = 8;

/// Whether Grafana signed the body: hex of the HMAC, in a header that its contact point names. `timestamp` is the
/// value of the header named for times there; with one it is signed too.
pub fn grafana(secret: &[u8], timestamp: Option<&str>, body: &[u8], signature: &str) -> bool {
    let parts = match timestamp {
        Some(timestamp) => [timestamp.as_bytes(), b":", body],
        None => [b"".as_slice(), b"", body],
    };
    is_signed(secret, &parts, signature)
}

/// Whether PagerDuty signed the body, by the value of `X-PagerDuty-Signature`: `v1=` and hex, several with commas.
pub fn pagerduty(secret: &[u8], body: &[u8], header: &str) -> bool {
    header
        .split(',')
        .filter_map(|part| part.trim().strip_prefix("v1="))
        .take(SIGNATURES_MAX)
        .any(|signature| is_signed(secret, &[body], signature))
}

fn is_signed(secret: &[u8], parts: &[&[u8]], signature: &str) -> bool {
    // An empty secret would let everyone sign.
    if secret.is_empty() {
        return false;
    }
    let Ok(signature) = HEXLOWER_PERMISSIVE.decode(signature.trim().as_bytes()) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, &parts.concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, case 2.
    const KEY: &[u8] = b"Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn grafana_signs_in_bare_hex() {
        assert!(grafana(KEY, None, BODY, SIGNATURE));
        assert!(grafana(KEY, None, BODY, &SIGNATURE.to_uppercase()));
        // The same bytes, cut where a time would end.
        assert!(grafana(KEY, Some("12"), b"34", &hex(KEY, b"12:34")));
        for (secret, timestamp, body, signature) in [
            (KEY, None, BODY, ""),
            (KEY, None, BODY, &SIGNATURE[..62]),
            (KEY, None, BODY, "not hex"),
            (KEY, None, &BODY[1..], SIGNATURE),
            (KEY, Some("12"), BODY, SIGNATURE),
            (b"jefe", None, BODY, SIGNATURE),
            (b"", None, BODY, &hex(b"", BODY)),
        ] {
            assert!(
                !grafana(secret, timestamp, body, signature),
                "{secret:?} {timestamp:?} {signature}"
            );
        }
    }

    #[test]
    fn pagerduty_sends_a_signature_for_each_secret() {
        let zeros = "0".repeat(64);
        for header in [
            format!("v1={SIGNATURE}"),
            format!("v1={zeros},v1={SIGNATURE}"),
            format!("v0=ff, v1={SIGNATURE}"),
        ] {
            assert!(pagerduty(KEY, BODY, &header), "{header}");
        }
        let crowd = format!("v1={zeros},").repeat(SIGNATURES_MAX);
        for header in [
            String::new(),
            SIGNATURE.to_owned(),
            format!("v2={SIGNATURE}"),
            format!("v1={zeros}"),
            format!("{crowd}v1={SIGNATURE}"),
        ] {
            assert!(!pagerduty(KEY, BODY, &header), "{header}");
        }
    }

    fn hex(key: &[u8], text: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        HEXLOWER_PERMISSIVE.encode(hmac::sign(&key, text).as_ref())
    }
}
