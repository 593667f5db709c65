//! The redactor: takes the secrets of one call out of everything that leaves it, in every form they may have taken,
//! and takes out what looks like a credential even when it is not one of ours.

use std::{collections::BTreeSet, sync::LazyLock};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use regex::Regex;
use serde_json::Value;

use super::secret::Secret;

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";
/// Anything shorter is too common a text to be replaced by value.
const FORM_BYTES_MIN: usize = 4;

/// Hides secrets by value and credentials by shape. The default one knows only the shapes.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first, so that a part never breaks the whole.
    forms: Vec<String>,
}

/// What credentials look like, and what is left of each.
const PATTERNS: [(&str, &str); 12] = [
    // A login in an address.
    (
        r"(?i)\b([a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s/@]+@",
        "$1:[redacted]@",
    ),
    // A key in an address.
    (
        r#"(?i)([?&](?:access_token|auth_token|token|api_?key|client_secret|secret|sig|signature|password|passwd|pwd)=)[^&\s"'<>#\[]+"#,
        "$1[redacted]",
    ),
    (r"(?i)\b(bearer\s+)[a-z0-9._~+/\-]{16,}=*", "$1[redacted]"),
    (
        r#"(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:basic|bearer|token|digest|apikey)\s+)[^\s"',]+"#,
        "$1[redacted]",
    ),
    (
        r#"(?i)\b((?:x-(?:api-key|auth-token|vault-token|muster-token)|(?:set-)?cookie)["']?\s*[:=]\s*["']?)[^\n"'\[]+"#,
        "$1[redacted]",
    ),
    (
        r#"(?i)((?:password|passwd|pgpassword|secret[_-]?(?:access[_-]?)?key|api[_-]?key|client[_-]?secret|(?:access|refresh|auth)[_-]?token)["']?\s*[:=]\s*["']?)[^\s"',;&\[]+"#,
        "$1[redacted]",
    ),
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        "[redacted]",
    ),
    // A signed token (JWT): header, claims, signature.
    (
        r"\beyJ[A-Za-z0-9_\-]{6,}\.eyJ[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]*",
        "[redacted]",
    ),
    // Amazon, by the kind of key.
    (r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", "[redacted]"),
    // GitHub, GitLab, Slack, Stripe, Google.
    (
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{16,}|xox[abeprs]-[A-Za-z0-9\-]{10,}|[sr]k_live_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_\-]{30,})",
        "[redacted]",
    ),
    // Addresses that are a secret as a whole.
    (
        r"(https://hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_\-]+",
        "$1[redacted]",
    ),
    // Muster's own; the first letters are what people tell them by.
    (r"\b(mst_[A-Za-z0-9_\-]{6})[A-Za-z0-9_\-]{10,}", "$1[redacted]"),
];

static SHAPES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    PATTERNS
        .into_iter()
        .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
        .collect()
});

/// How a key in text form begins and ends.
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "-----END ";

/// A line that names what may be a credential in the next one.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = "bearer|basic|token|digest|apikey|authorization|cookie|password|passwd|key|secret";
    Regex::new(&format!(r#"(?i)(?:{words})["']?\s*[:=]?\s*["']?\s*\z"#)).ok()
});

impl Redactor {
    /// Hides these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            let value = secret.reveal();
            let parts = value
                // A Basic secret is `user:password`; a key file may be printed line by line.
                .split_once(':')
                .map(|(_, password)| password)
                .into_iter()
                .chain(
                    value
                        .lines()
                        .filter(|line| line.len() >= 8 && !line.starts_with("-----")),
                );
            for part in parts.chain([value]) {
                forms.extend(forms_of(part));
            }
        }
        let mut forms: Vec<String> = forms
            .into_iter()
            .filter(|form| form.len() >= FORM_BYTES_MIN)
            .collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), REDACTED);
            }
        }
        for (shape, with) in SHAPES.iter() {
            if shape.is_match(&text) {
                text = shape.replace_all(&text, *with).into_owned();
            }
        }
        text
    }

    /// The start of a text that was cut off somewhere: its last bytes may be the beginning of a secret, so as many as
    /// the longest one could have there go too.
    pub fn cut_text(&self, text: &str) -> String {
        let text = self.text(text);
        let longest = self.forms.first().map_or(0, String::len);
        let end = text.floor_char_boundary(text.len().saturating_sub(longest.saturating_sub(1)));
        text[..end].to_owned()
    }

    /// How much of these whole lines can be said before the next ones are known: up to where a secret may have begun that
    /// goes on in them.
    pub fn safe_end(&self, text: &str) -> usize {
        let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
        let mut end = text.len();
        loop {
            let said = &text[..end];
            let key = said
                .rfind(KEY_BEGIN)
                .filter(|begin| !said[*begin..].contains(KEY_END));
            let form = self.forms.iter().flat_map(|form| {
                let begun = form.match_indices('\n').map(|(at, _)| &form[..=at]);
                begun
                    .filter(|begun| said.ends_with(begun))
                    .map(|begun| said.len() - begun.len())
            });
            let last = line_start(said.len().saturating_sub(1));
            let named = NAMED.as_ref().is_some_and(|named| named.is_match(&said[last..]));
            let begins = key.into_iter().chain(form).chain(named.then_some(last)).min();
            match begins {
                Some(at) => end = line_start(at),
                None => return end,
            }
        }
    }

    /// The tree without secrets: in texts, keys and numbers.
    pub fn tree(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.tree(item)).collect(),
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, value)| (self.text(&key), self.tree(value)))
                    .collect(),
            ),
            Value::Number(number) => {
                let text = number.to_string();
                match self.forms.iter().any(|form| text.contains(form.as_str())) {
                    true => Value::String(REDACTED.to_owned()),
                    false => Value::Number(number),
                }
            }
            scalar => scalar,
        }
    }
}

/// Every way a value is commonly written: as it is, in JSON, in a URL, in hex and in base64, there also inside a
/// longer text that was encoded as a whole.
fn forms_of(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let quoted = Value::from(value).to_string();
    let in_json = quoted[1..quoted.len() - 1].to_owned();
    let twice = Value::from(in_json.as_str()).to_string();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let strict = percent(bytes, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let loose = percent(bytes, |b| {
        b.is_ascii_graphic() && !b"\"#<>?`{}%/:;=@[]^|\\&+".contains(&b)
    });
    let mut forms = vec![
        value.to_owned(),
        in_json.replace('/', "\\/"),
        twice[1..twice.len() - 1].to_owned(),
        in_json,
        form.to_lowercase(),
        form,
        strict.to_lowercase(),
        strict,
        loose,
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        BASE64.encode(bytes),
        BASE64_NOPAD.encode(bytes),
        BASE64URL_NOPAD.encode(bytes),
    ];
    if bytes.len() >= FORM_BYTES_MIN {
        for (before, first) in [(0, 0), (1, 2), (2, 3)] {
            let mut shifted = vec![0; before];
            shifted.extend_from_slice(bytes);
            // The last character also carries bits of what follows, unless the bytes end on a group of three.
            let rest = usize::from(!shifted.len().is_multiple_of(3));
            for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
                let text = alphabet.encode(&shifted);
                forms.push(text[first..text.len() - rest].to_owned());
            }
        }
    }
    forms
}

fn percent(bytes: &[u8], plain: impl Fn(u8) -> bool) -> String {
    bytes
        .iter()
        .map(|b| match plain(*b) {
            true => char::from(*b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let canary = "p@ss \"w/örd\\+=&9f3a";
        let redactor = Redactor::new([&Secret::new(canary)]);
        let form: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
        let url = url::Url::parse_with_params("http://x/", [("a", canary)]).unwrap();
        for text in [
            canary.to_owned(),
            form,
            url.to_string(),
            json!({"deep": canary}).to_string(),
            json!(json!({"deep": canary}).to_string()).to_string(),
            BASE64.encode(canary.as_bytes()),
            BASE64.encode(format!("u:{canary}").as_bytes()),
            BASE64.encode(format!("user:{canary}!!").as_bytes()),
            BASE64URL_NOPAD.encode(format!("use:{canary}!").as_bytes()),
            HEXLOWER.encode(canary.as_bytes()),
        ] {
            let hidden = redactor.text(&format!("<{text}>"));
            assert!(hidden.contains(REDACTED), "{text} became {hidden}");
            assert!(
                !hidden.contains("9f3a") && !hidden.contains("39663361"),
                "{hidden}"
            );
        }
        assert_eq!(
            redactor.tree(json!({canary: [canary, 1], "n": null})),
            json!({REDACTED: [REDACTED, 1], "n": null})
        );
        let number = Redactor::new([&Secret::new("123456")]);
        assert_eq!(number.tree(json!([123456, 12])), json!([REDACTED, 12]));
    }

    #[test]
    fn a_part_of_a_secret_is_hidden_too() {
        let basic = Redactor::new([&Secret::new("user:hunter22")]);
        assert_eq!(
            basic.text("password hunter22 is wrong"),
            "password [redacted] is wrong"
        );
        let key = Redactor::new([&Secret::new("first-line-of-it\nsecond-line-of-it")]);
        assert_eq!(key.text("> second-line-of-it"), "> [redacted]");
        let cut = Redactor::new([&Secret::new("hunter22hunter22")]);
        for end in 0..16 {
            let text = format!("{} {}", "x".repeat(100), &"hunter22hunter22"[..end]);
            assert!(!cut.cut_text(&text).contains("hu"), "{end}");
        }
    }

    #[test]
    fn what_looks_like_a_credential_is_hidden() {
        let redactor = Redactor::default();
        for (text, hidden) in [
            ("postgres://app:s3cr3t@db/x", "postgres://app:[redacted]@db/x"),
            ("got Bearer abcdefghijklmnop123==", "got Bearer [redacted]"),
            ("Authorization: Basic dXNlcg==", "Authorization: Basic [redacted]"),
            (
                "host=db password=abc user=x",
                "host=db password=[redacted] user=x",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
                "[redacted]",
            ),
            (
                "https://api/failover at 12:30 by a@b",
                "https://api/failover at 12:30 by a@b",
            ),
            ("the bearer of bad news", "the bearer of bad news"),
            (
                "GET /x?a=b&access_token=s3cr3t&c=d",
                "GET /x?a=b&access_token=[redacted]&c=d",
            ),
            ("https://h/x?token=s3cr3t#top", "https://h/x?token=[redacted]#top"),
            ("Authorization: Digest user=x", "Authorization: Digest [redacted]"),
            ("X-Api-Key: s3cr3t", "X-Api-Key: [redacted]"),
            ("Set-Cookie: sid=s3cr3t; Path=/", "Set-Cookie: [redacted]"),
            (r#"{"cookie": "sid=s3cr3t"}"#, r#"{"cookie": "[redacted]"}"#),
            (
                r#"{"api_key":"s3cr3t","a":1}"#,
                r#"{"api_key":"[redacted]","a":1}"#,
            ),
            (
                "aws_secret_access_key = abc/def",
                "aws_secret_access_key = [redacted]",
            ),
            ("client_secret=abc&x=y", "client_secret=[redacted]&x=y"),
            ("key AKIAIOSFODNN7EXAMPLE is", "key [redacted] is"),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!",
                "[redacted]!",
            ),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted]"),
            ("xoxb-1234567890-abcdefghij", "[redacted]"),
            ("glpat-abcdefghijklmnopqrst", "[redacted]"),
            (
                "https://hooks.slack.com/services/T0/B0/xyz",
                "https://hooks.slack.com/services/[redacted]",
            ),
            ("mst_abcdefghijklmnopqrstuvwxyz", "mst_abcdef[redacted]"),
            // What people write about such things stays readable.
            ("the token of the source is old", "the token of the source is old"),
            ("password: wrong; cookie jar", "password: [redacted]; cookie jar"),
            ("a basic authorization problem", "a basic authorization problem"),
            ("the api key was renewed", "the api key was renewed"),
            ("eyJ is how it begins", "eyJ is how it begins"),
        ] {
            assert_eq!(redactor.text(text), hidden);
        }
        assert_eq!(SHAPES.len(), PATTERNS.len(), "every pattern compiles");
    }
}
