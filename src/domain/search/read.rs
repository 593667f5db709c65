//! Reading what was typed: every term that is right is taken, every one that is wrong is answered with its place and what
//! was probably meant.

use super::{OPEN, Owner, Search, Term, Trait, What};
use crate::domain::{
    id::IncidentId,
    incident::{IncidentState, Severity},
    nearest::nearest,
};

/// The longest query, in characters; the rest is not read.
pub const QUERY_CHARS_MAX: usize = 500;
/// Terms of one query; the rest is not read.
pub const TERMS_MAX: usize = 30;

/// What can stand before a colon.
const KEYS: [&str; 8] = ["sev", "state", "owner", "service", "source", "label", "is", "has"];
const SEVERITIES: [&str; 4] = ["1", "2", "3", "4"];
const STATES: [&str; 9] = [
    "open",
    "all",
    "triggered",
    "acknowledged",
    "mitigated",
    "resolved",
    "closed",
    "merged",
    "cancelled",
];

/// A term that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it begins, in characters from 1.
    pub column: usize,
    /// The term as it was typed.
    pub term: String,
    /// What is wrong with it.
    pub message: String,
    /// The term that was probably meant.
    pub instead: Option<String>,
}

impl Fault {
    /// The whole query with the right term in the place of the wrong one.
    pub fn mended(&self, query: &str) -> Option<String> {
        let instead = self.instead.as_ref()?;
        let before: String = query.chars().take(self.column - 1).collect();
        let after = self.term.chars().count();
        let after: String = query.chars().skip(self.column - 1 + after).collect();
        Some(format!("{before}{instead}{after}"))
    }
}

/// Reads a query.
pub fn read(query: &str) -> (Search, Vec<Fault>) {
    let mut search = Search::default();
    let mut faults = Vec::new();
    let words = words(query, &mut faults);
    if words.len() > TERMS_MAX {
        let word = &words[TERMS_MAX];
        faults.push(Fault {
            column: word.column,
            term: word.text.clone(),
            message: format!("the query has more than {TERMS_MAX} terms; the rest is not looked at"),
            instead: None,
        });
    }
    for word in words.iter().take(TERMS_MAX) {
        match term(word) {
            Ok(what) => search.terms.push(Term {
                not: word.not,
                what,
                column: word.column,
            }),
            Err((message, instead)) => faults.push(Fault {
                column: word.column,
                term: word.text.clone(),
                message,
                instead: instead.map(|instead| format!("{}{instead}", if word.not { "-" } else { "" })),
            }),
        }
    }
    faults.sort_by_key(|fault| fault.column);
    (search, faults)
}

/// One term as it was typed.
struct Word {
    column: usize,
    /// As typed, quotes and all.
    text: String,
    not: bool,
    /// What stands before the first colon outside quotes.
    key: Option<String>,
    /// The rest, cut at commas outside quotes, without quotes.
    values: Vec<String>,
    /// Whether quotes stood around any of it.
    is_quoted: bool,
}

/// The terms: what white space outside quotes separates.
fn words(query: &str, faults: &mut Vec<Fault>) -> Vec<Word> {
    // No text in the database holds U+0000.
    let readable = |c| if c == '\0' { ' ' } else { c };
    let chars: Vec<char> = query.chars().take(QUERY_CHARS_MAX).map(readable).collect();
    if query.chars().nth(QUERY_CHARS_MAX).is_some() {
        faults.push(Fault {
            column: QUERY_CHARS_MAX + 1,
            term: String::new(),
            message: format!("only the first {QUERY_CHARS_MAX} characters are read"),
            instead: None,
        });
    }
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        let mut quote = None;
        while at < chars.len() && (quote.is_some() || !chars[at].is_whitespace()) {
            if chars[at] == '"' {
                quote = match quote {
                    Some(_) => None,
                    None => Some(at),
                };
            }
            at += 1;
        }
        if let Some(open) = quote {
            faults.push(Fault {
                column: open + 1,
                term: chars[open..at].iter().collect(),
                message: "this quote does not end".to_owned(),
                instead: Some(format!(
                    "{}\"",
                    chars[open..at].iter().collect::<String>().trim_end()
                )),
            });
        }
        words.push(word(start + 1, &chars[start..at]));
    }
    words
}

fn word(column: usize, chars: &[char]) -> Word {
    let not = chars.len() > 1 && chars[0] == '-';
    let (mut key, mut values, mut value) = (None, Vec::new(), String::new());
    let (mut inside, mut is_quoted) = (false, false);
    for c in &chars[usize::from(not)..] {
        match c {
            '"' => (inside, is_quoted) = (!inside, true),
            ':' if !inside && key.is_none() && !is_quoted => key = Some(std::mem::take(&mut value)),
            ',' if !inside && key.is_some() => values.push(std::mem::take(&mut value)),
            c => value.push(*c),
        }
    }
    values.push(value);
    Word {
        column,
        text: chars.iter().collect(),
        not,
        key,
        values,
        is_quoted,
    }
}

/// What is wrong, and what was probably meant.
type Wrong = (String, Option<String>);

fn term(word: &Word) -> Result<What, Wrong> {
    let Some(key) = &word.key else {
        return free(word);
    };
    let typed = key.to_lowercase();
    let key = match typed.as_str() {
        "severity" => "sev",
        key if KEYS.contains(&key) => key,
        other => return Err(no_key(other, word)),
    };
    let values: Vec<&str> = word.values.iter().map(|value| value.trim()).collect();
    if values.iter().any(|value| value.is_empty()) {
        let message = format!("nothing stands after {key}: or a comma; {}", example(key));
        return Err((message, None));
    }
    match key {
        "sev" => each(key, &values, &SEVERITIES, severity).map(What::Severity),
        "state" => {
            let states: Vec<Vec<IncidentState>> = each(key, &values, &STATES, states)?;
            Ok(What::State(states.concat()))
        }
        "owner" => Ok(What::Owner(values.iter().map(|value| owner(value)).collect())),
        "service" => Ok(What::Service(owned(&values))),
        "source" => Ok(What::Source(owned(&values))),
        "label" => label(&word.values.join(",")),
        key => {
            let known: Vec<&str> = Trait::ALL
                .iter()
                .map(|one| one.typed())
                .filter(|(of, _)| *of == key)
                .map(|(_, value)| value)
                .collect();
            let [value] = values[..] else {
                return Err((format!("write {key}: once for each"), None));
            };
            each(key, &[value], &known, |value| {
                Trait::ALL.into_iter().find(|one| one.typed() == (key, value))
            })
            .map(|found| What::Is(found[0]))
        }
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Every value read, or the first that is none.
fn each<T>(
    key: &str,
    values: &[&str],
    known: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Wrong> {
    values
        .iter()
        .map(|value| {
            let typed = value.to_lowercase();
            read(&typed).ok_or_else(|| {
                let near = nearest(&typed, known.iter().copied());
                let message = format!("{key}: knows no \"{value}\", only {}", known.join(", "));
                (message, near.map(|near| format!("{key}:{near}")))
            })
        })
        .collect()
}

fn severity(value: &str) -> Option<Severity> {
    let number = value.strip_prefix("sev").unwrap_or(value);
    Severity::numbered(number.parse().ok()?)
}

fn states(value: &str) -> Option<Vec<IncidentState>> {
    Some(match value {
        "open" => OPEN.to_vec(),
        "all" => IncidentState::ALL.to_vec(),
        one => vec![IncidentState::named(one)?],
    })
}

fn owner(value: &str) -> Owner {
    match value.to_lowercase().as_str() {
        "me" => Owner::Me,
        "nobody" | "none" => Owner::Nobody,
        _ => Owner::Named(value.to_owned()),
    }
}

fn label(value: &str) -> Result<What, Wrong> {
    match value.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok(What::Label(name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err((format!("a label needs its value; {}", example("label")), None)),
    }
}

fn no_key(key: &str, word: &Word) -> Wrong {
    if let Some(near) = nearest(key, KEYS) {
        let (_, values) = word.text.split_once(':').unwrap_or_default();
        return (
            format!("there is no \"{key}:\""),
            Some(format!("{near}:{values}")),
        );
    }
    let text = word.text.trim_start_matches('-').replace('"', "");
    let message = format!(
        "there is no \"{key}:\", only {}; words with a colon in them need quotes",
        KEYS.join(", ")
    );
    (message, Some(format!("\"{text}\"")))
}

fn example(key: &str) -> String {
    let value = match key {
        "sev" => "1",
        "state" => "open",
        "owner" => "me",
        "service" => "checkout",
        "source" => "prometheus",
        "label" => "region=eu",
        "has" => "run",
        _ => "waiting",
    };
    format!("for example {key}:{value}")
}

/// Words of the title, or the number of an incident.
fn free(word: &Word) -> Result<What, Wrong> {
    let text = word.values.join(",");
    let text = text.trim();
    if !word.is_quoted
        && let Some(id) = incident(text)
    {
        return Ok(What::Incident(id));
    }
    if !text.chars().any(char::is_alphanumeric) {
        return Err((
            "there is no letter and no digit in this to look for".to_owned(),
            None,
        ));
    }
    Ok(What::Word(text.to_owned()))
}

/// `INC-204`, however it is written.
pub(super) fn incident(text: &str) -> Option<IncidentId> {
    let head = text.get(..4).filter(|head| head.eq_ignore_ascii_case("inc-"))?;
    let number = &text[head.len()..];
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| number.parse().ok().map(IncidentId)).flatten()
}
