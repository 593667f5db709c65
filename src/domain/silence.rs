//! Silences in an Alertmanager: which alerts they hold back, for how long, and the mark by which one is found again.

use super::{labels::Labels, matcher::MatchOp, matcher::Matcher, span::Span};

/// Where a silence that a person asked for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// It is to be made.
    Asked,
    /// It holds.
    Holds,
    /// It could not be made.
    Failed,
    /// It is to be ended before its time.
    Ending,
    /// It is over.
    Over,
}

impl SilenceState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Asked, Self::Holds, Self::Failed, Self::Ending, Self::Over];

    /// Its name in the database and the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Holds => "holds",
            Self::Failed => "failed",
            Self::Ending => "ending",
            Self::Over => "over",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The shortest silence: below this it would be over before anybody saw it.
pub const SHORTEST: Span = Span::from_secs(60);
/// The longest silence.
pub const LONGEST: Span = Span::from_secs(30 * 24 * 3600);
/// The most matchers of one silence.
pub const MATCHERS_MAX: usize = 50;
/// The longest comment, in characters.
pub const COMMENT_CHARS_MAX: usize = 1000;
/// The longest line of matchers, in bytes.
pub const MATCHERS_BYTES_MAX: usize = 8000;

/// What stands at the end of a silence's comment: the key of the request that made it. A silence has no key of its own,
/// so this is how the same request, sent again, finds that it was carried out.
pub fn mark(key: &str) -> String {
    format!("[muster {key}]")
}

/// Whether a silence with this comment was made by the request with that key.
pub fn is_marked(comment: &str, key: &str) -> bool {
    comment.trim_end().ends_with(&mark(key))
}

/// Reads the matchers of a silence, one a line or in one list; or says what is wrong with them. One that every alert
/// meets would silence everything, and Alertmanager refuses it too.
pub fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    if text.len() > MATCHERS_BYTES_MAX {
        return Err(format!("the matchers are longer than {MATCHERS_BYTES_MAX} bytes"));
    }
    let mut matchers = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        matchers.extend(Matcher::parse_list(line).map_err(|error| format!("“{}”: {error}", line.trim()))?);
    }
    check(&matchers)?;
    Ok(matchers)
}

/// Whether a silence may have these matchers; or what is wrong with them.
pub fn check(matchers: &[Matcher]) -> Result<(), String> {
    if matchers.len() > MATCHERS_MAX {
        return Err(format!("at most {MATCHERS_MAX} matchers"));
    }
    let nothing = Labels::default();
    match matchers.iter().any(|matcher| !matcher.holds(&nothing)) {
        true => Ok(()),
        false => Err("name at least one label with a value, or everything would be silenced".to_owned()),
    }
}

/// Matchers that hold for every one of these alerts: what all of them share. Alerts that share nothing but differ in
/// name are held by their names.
pub fn propose<'a>(alerts: impl IntoIterator<Item = &'a Labels>) -> Vec<Matcher> {
    let mut alerts = alerts.into_iter();
    let Some(first) = alerts.next() else {
        return Vec::new();
    };
    let rest: Vec<&Labels> = alerts.collect();
    let shared = |(name, value): &(&String, &String)| {
        !value.is_empty() && rest.iter().all(|labels| labels.get(name) == value.as_str())
    };
    let shared = first.0.iter().filter(shared);
    let shared: Vec<Matcher> = shared
        .filter_map(|(name, value)| Matcher::new(name, MatchOp::Equal, value).ok())
        .take(MATCHERS_MAX)
        .collect();
    if !shared.is_empty() {
        return shared;
    }
    let mut names: Vec<String> = std::iter::once(first)
        .chain(rest)
        .map(|labels| regex::escape(labels.get("alertname")))
        .collect();
    names.sort();
    names.dedup();
    match names.iter().any(String::is_empty) {
        true => Vec::new(),
        false => Matcher::new("alertname", MatchOp::Matches, &names.join("|"))
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_alerts_share_is_proposed_and_holds_for_each() {
        let one = Labels::from([("alertname", "Down"), ("cluster", "a\"b"), ("instance", "db-1")]);
        let two = Labels::from([("alertname", "Down"), ("cluster", "a\"b"), ("instance", "db-2")]);
        let other = Labels::from([("alertname", "Disk.full")]);
        let proposed = propose([&one, &two]);
        let words: Vec<String> = proposed.iter().map(Matcher::to_string).collect();
        assert_eq!(words, [r#"alertname="Down""#, r#"cluster="a\"b""#]);
        assert!(
            proposed
                .iter()
                .all(|matcher| matcher.holds(&one) && matcher.holds(&two))
        );
        let by_name = propose([&one, &other]);
        assert_eq!(by_name.len(), 1);
        assert!(by_name[0].holds(&one) && by_name[0].holds(&other));
        assert!(!by_name[0].holds(&Labels::from([("alertname", "DiskXfull")])));
        assert!(propose([]).is_empty());
        assert!(propose([&one, &Labels::default()]).is_empty());
    }

    #[test]
    fn matchers_are_read_line_by_line_and_never_hold_for_everything() {
        let read = parse("alertname=\"Down\"\n\ncluster=~\"a|b\", env!=\"dev\"\n");
        assert_eq!(read.map(|matchers| matchers.len()), Ok(3));
        for (text, problem) in [
            ("", "everything"),
            ("env!=\"dev\"", "everything"),
            ("a=~\".*\"", "everything"),
            ("a=\"b\"\nc", "“c”"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_mark_is_found_at_the_end_and_for_its_own_key_only() {
        let comment = format!("maintenance {}", mark("k-1"));
        assert!(is_marked(&comment, "k-1"));
        assert!(!is_marked(&comment, "k-2") && !is_marked(&comment, "-1"));
        assert!(!is_marked(&format!("{} but not last", mark("k-1")), "k-1"));
    }
}
