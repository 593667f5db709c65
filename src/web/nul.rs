//! U+0000 in what people and programs send: Postgres stores it neither in text nor in JSON, so it becomes its picture
//! at the door, once for every form and every body of the API, and no room behind it has to think of it.

use std::borrow::Cow;

/// The picture, as JSON writes it.
const ESCAPED: &[u8] = b"\\u2400";
/// The picture, as a form writes it.
const PERCENT: &[u8] = b"%E2%90%80";
/// The picture itself.
const PLAIN: &[u8] = "\u{2400}".as_bytes();

/// The fields of a form, url-encoded, without U+0000.
pub fn form(fields: &[u8]) -> Cow<'_, [u8]> {
    replaced(fields, |rest| match rest {
        [0, ..] => Found::Picture(1, PLAIN),
        [b'%', b'0', b'0', ..] => Found::Picture(3, PERCENT),
        _ => Found::Other(1),
    })
}

/// A JSON text whose strings and names hold no U+0000. What is no JSON stays none.
pub fn json(text: &[u8]) -> Cow<'_, [u8]> {
    replaced(text, |rest| match rest {
        [b'\\', b'u', b'0', b'0', b'0', b'0', ..] => Found::Picture(6, ESCAPED),
        // An escaped backslash escapes nothing itself.
        [b'\\', _, ..] => Found::Other(2),
        _ => Found::Other(1),
    })
}

/// What stands at the beginning of some bytes, and how many they are.
enum Found {
    Picture(usize, &'static [u8]),
    Other(usize),
}

fn replaced(bytes: &[u8], find: impl Fn(&[u8]) -> Found) -> Cow<'_, [u8]> {
    let mut clean: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        match find(&bytes[at..]) {
            Found::Picture(length, picture) => {
                clean.get_or_insert_with(|| bytes[..at].to_vec()).extend(picture);
                at += length;
            }
            Found::Other(length) => {
                if let Some(clean) = &mut clean {
                    clean.extend(&bytes[at..at + length]);
                }
                at += length;
            }
        }
    }
    clean.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stands_for_it_and_nothing_else_changes() {
        for (fields, expected) in [
            ("op=1&reason=a%00b%2500&x=%0", "op=1&reason=a%E2%90%80b%2500&x=%0"),
            ("reason=\0", "reason=\u{2400}"),
            ("reason=fine", "reason=fine"),
        ] {
            assert_eq!(form(fields.as_bytes()), expected.as_bytes(), "{fields}");
        }
        for (text, expected) in [
            (r#"{"a\u0000": "\u0000b"}"#, "{\"a\u{2400}\": \"\u{2400}b\"}"),
            (
                r#"{"a": "\\u0000 \\\u0000 \n"}"#,
                "{\"a\": \"\\\\u0000 \\\\\u{2400} \\n\"}",
            ),
            (r#"{"a": "\u0041"}"#, r#"{"a": "A"}"#),
        ] {
            let clean: serde_json::Value = serde_json::from_slice(&json(text.as_bytes())).unwrap();
            let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            assert_eq!(clean, expected, "{text}");
        }
        assert!(matches!(json(b"{\"a\": \"b\"}"), Cow::Borrowed(_)));
        assert_eq!(json(b"\"\\"), &b"\"\\"[..]);
    }
}
