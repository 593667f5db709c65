//! What people decide about a new episode before it opens an incident: maintenance windows, thresholds, severities.
//! Pure; every answer names the rule that gave it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    id::{RoutingRuleId, SourceId},
    incident::Severity,
    labels::Labels,
    matcher::Matcher,
    span::Span,
    window::Schedule,
};

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 100;
/// The longest line of matchers, in characters.
const MATCHERS_CHARS_MAX: usize = 1000;
/// The most matchers in a line.
const MATCHERS_MAX: usize = 20;
/// Where a rule stands that nobody gave a place.
pub const PLACE: i32 = 100;
/// The last place.
const PLACE_MAX: i32 = 10_000;
/// Alerts that may be asked for before an incident opens.
const COUNT: std::ops::RangeInclusive<u32> = 2..=1000;
/// How long alerts may be held to be counted.
const WITHIN: std::ops::RangeInclusive<Span> = Span::from_secs(10)..=Span::from_secs(24 * 3600);

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Terms {
    /// While it is open, a new episode opens nothing and starts nothing; what still fires at its end does.
    Maintenance {
        /// When.
        schedule: Schedule,
    },
    /// An incident opens only once so many alerts of a group fire that came within that time. One that ends before is
    /// forgotten; one that still fires after that time opens an incident all the same, so that none is lost.
    Threshold {
        /// How many alerts it takes.
        count: u32,
        /// Within which time they must have come.
        within: Span,
    },
    /// How bad it is.
    Severity {
        /// As bad as that.
        severity: Severity,
    },
}

impl Terms {
    /// Its name in the database and in addresses.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Maintenance { .. } => "maintenance",
            Self::Threshold { .. } => "threshold",
            Self::Severity { .. } => "severity",
        }
    }

    /// What it says, in one line.
    pub fn words(&self) -> String {
        match self {
            Self::Maintenance { schedule } => schedule.to_string(),
            Self::Threshold { count, within } => {
                format!("open only after {count} alerts of a group in {within}")
            }
            Self::Severity { severity } => severity.to_string(),
        }
    }
}

/// A rule that was made and that no person has ended.
#[derive(Clone, Debug)]
pub struct RoutingRule {
    /// Its number.
    pub id: RoutingRuleId,
    /// What people call it.
    pub title: String,
    /// For the alerts of this sender; `None` for those of every one.
    pub source: Option<SourceId>,
    /// That sender's name.
    pub source_name: Option<String>,
    /// Which alerts: all of these hold. None for every alert.
    pub matchers: Vec<Matcher>,
    /// Where it stands among its kind.
    pub place: i32,
    /// What it says.
    pub terms: Terms,
    /// Why, in the words of who made it.
    pub reason: String,
    /// Name of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl RoutingRule {
    /// Whether it is about this alert.
    fn is_about(&self, source: SourceId, labels: &Labels) -> bool {
        self.source.is_none_or(|own| own == source)
            && self.matchers.iter().all(|matcher| matcher.holds(labels))
    }
}

/// A threshold that is asked of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold<'r> {
    /// The rule's number.
    pub rule: RoutingRuleId,
    /// Its title.
    pub title: &'r str,
    /// How many alerts it takes.
    pub count: u32,
    /// Within which time they must have come.
    pub within: Span,
}

/// All rules, in the order in which they are asked: a sender's own first, then by their places, then the oldest.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<RoutingRule>);

impl Rules {
    /// These rules, in any order.
    pub fn new(mut rules: Vec<RoutingRule>) -> Self {
        rules.sort_by_key(|rule| (rule.source.is_none(), rule.place, rule.id));
        Self(rules)
    }

    /// Each rule, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &RoutingRule> {
        self.0.iter()
    }

    /// What people call the rule of that number, when it stands.
    pub fn title(&self, id: RoutingRuleId) -> Option<&str> {
        let rule = self.0.iter().find(|rule| rule.id == id);
        rule.map(|rule| rule.title.as_str())
    }

    fn about<'r>(&'r self, source: SourceId, labels: &Labels) -> impl Iterator<Item = &'r RoutingRule> {
        self.0.iter().filter(move |rule| rule.is_about(source, labels))
    }

    /// The maintenance window that is open for this alert and when it closes; of several the one that closes last.
    pub fn window(
        &self,
        source: SourceId,
        labels: &Labels,
        now: DateTime<Utc>,
    ) -> Option<(RoutingRuleId, DateTime<Utc>)> {
        self.0
            .iter()
            .filter_map(|rule| match &rule.terms {
                Terms::Maintenance { schedule } => Some((rule, schedule.open_until(now)?)),
                _ => None,
            })
            .filter(|(rule, _)| rule.is_about(source, labels))
            .map(|(rule, until)| (rule.id, until))
            .max_by_key(|(id, until)| (*until, std::cmp::Reverse(*id)))
    }

    /// Whether any alert of this sender may be held to be counted.
    pub fn counts(&self, source: SourceId) -> bool {
        self.0.iter().any(|rule| {
            matches!(rule.terms, Terms::Threshold { .. }) && rule.source.is_none_or(|own| own == source)
        })
    }

    /// How many alerts it takes to open an incident for this one; the first rule that is about it.
    pub fn threshold(&self, source: SourceId, labels: &Labels) -> Option<Threshold<'_>> {
        self.about(source, labels).find_map(|rule| match rule.terms {
            Terms::Threshold { count, within } => Some(Threshold {
                rule: rule.id,
                title: &rule.title,
                count,
                within,
            }),
            _ => None,
        })
    }

    /// How bad this alert is, and the first rule that says so; without one its `severity` label says it.
    pub fn severity(&self, source: SourceId, labels: &Labels) -> (Severity, Option<&RoutingRule>) {
        let ruled = self.about(source, labels).find_map(|rule| match rule.terms {
            Terms::Severity { severity } => Some((severity, rule)),
            _ => None,
        });
        match ruled {
            Some((severity, rule)) => (severity, Some(rule)),
            None => (Severity::of(labels), None),
        }
    }
}

/// What a person asks for, as they wrote it; what the kind does not need is left empty.
#[derive(Clone, Debug, Default)]
pub struct AskedRule {
    /// `maintenance`, `threshold` or `severity`
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// Which alerts, one line in Alertmanager's syntax; empty for all.
    pub matchers: String,
    /// Whether it is for one sender only.
    pub is_for_one: bool,
    /// Where it stands among its kind.
    pub place: Option<i32>,
    /// A window that comes once: from when; from now when absent.
    pub starts_at: Option<DateTime<Utc>>,
    /// A window that comes once: until when.
    pub ends_at: Option<DateTime<Utc>>,
    /// A window that comes every week: on which days, like `sat, sun`.
    pub days: String,
    /// From which time of the day, like `02:00`.
    pub at: String,
    /// For how long, like `2h`.
    pub length: String,
    /// The clock of which place, like `+02:00`; UTC when empty.
    pub offset: String,
    /// A threshold: how many alerts.
    pub count: Option<u32>,
    /// A threshold: within which time, like `10m`.
    pub within: String,
    /// A severity: `sev1` to `sev4`.
    pub severity: String,
}

/// A rule that may be made.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// What people call it.
    pub title: String,
    /// Which alerts: all of these hold.
    pub matchers: Vec<Matcher>,
    /// Where it stands among its kind.
    pub place: i32,
    /// What it says.
    pub terms: Terms,
}

/// Why a rule cannot be made; in words for who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleFault {
    /// Which field of [`AskedRule`], or `source` or `reason`, which come beside it.
    pub field: &'static str,
    /// What is wrong, and what to write instead.
    pub message: String,
}

fn fault<T>(field: &'static str, words: impl Into<String>) -> Result<T, RuleFault> {
    Err(RuleFault {
        field,
        message: words.into(),
    })
}

impl AskedRule {
    /// The rule, or the first thing that is wrong with it.
    pub fn check(&self, now: DateTime<Utc>) -> Result<NewRule, RuleFault> {
        let title = self.title.trim();
        if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX || title.contains(char::is_control) {
            return fault(
                "title",
                format!("the title must have 1 to {TITLE_CHARS_MAX} characters in one line"),
            );
        }
        let place = self.place.unwrap_or(PLACE);
        if !(0..=PLACE_MAX).contains(&place) {
            return fault("place", format!("the place must be from 0 to {PLACE_MAX}"));
        }
        let (matchers, terms) = (self.matchers()?, self.terms(now)?);
        if matchers.is_empty() && !self.is_for_one && matches!(terms, Terms::Maintenance { .. }) {
            return fault(
                "matchers",
                "a window needs matchers or a source: it would hold every alert of every sender",
            );
        }
        Ok(NewRule {
            title: title.to_owned(),
            matchers,
            place,
            terms,
        })
    }

    fn matchers(&self) -> Result<Vec<Matcher>, RuleFault> {
        let line = self.matchers.trim();
        if line.is_empty() {
            return Ok(Vec::new());
        }
        let most = format!(
            "the matchers must be one line of at most {MATCHERS_CHARS_MAX} characters and {MATCHERS_MAX} matchers"
        );
        if line.chars().count() > MATCHERS_CHARS_MAX || line.contains(char::is_control) {
            return fault("matchers", most);
        }
        match Matcher::parse_list(line) {
            Err(unreadable) => fault("matchers", format!("the matchers cannot be read, {unreadable}")),
            Ok(matchers) if matchers.len() > MATCHERS_MAX => fault("matchers", most),
            Ok(matchers) => Ok(matchers),
        }
    }

    fn terms(&self, now: DateTime<Utc>) -> Result<Terms, RuleFault> {
        match self.kind.trim() {
            "maintenance" => {
                let is_weekly = !self.days.trim().is_empty();
                let schedule = match (is_weekly, self.ends_at) {
                    (true, None) => Schedule::weekly(&self.days, &self.at, &self.length, &self.offset),
                    (false, Some(ends_at)) => Schedule::once(self.starts_at.unwrap_or(now), ends_at, now),
                    _ => {
                        return fault(
                            "ends_at",
                            "say either when it ends, for a window that comes once, or on which days it comes",
                        );
                    }
                };
                match schedule {
                    Ok(schedule) => Ok(Terms::Maintenance { schedule }),
                    Err(wrong) => fault(wrong.field, wrong.message),
                }
            }
            "threshold" => {
                let count = self.count.filter(|count| COUNT.contains(count));
                let within = self.within.parse::<Span>().ok();
                match (count, within.filter(|within| WITHIN.contains(within))) {
                    (Some(count), Some(within)) => Ok(Terms::Threshold { count, within }),
                    (None, _) => fault(
                        "count",
                        format!(
                            "the number of alerts must be from {} to {}",
                            COUNT.start(),
                            COUNT.end()
                        ),
                    ),
                    (_, None) => fault(
                        "within",
                        format!(
                            "the time must be from {} to {}, like 10m",
                            WITHIN.start(),
                            WITHIN.end()
                        ),
                    ),
                }
            }
            "severity" => {
                let asked = self.severity.trim();
                let known = Severity::ALL
                    .into_iter()
                    .find(|severity| severity.to_string().eq_ignore_ascii_case(asked));
                match known {
                    Some(severity) => Ok(Terms::Severity { severity }),
                    None => fault("severity", "the severity must be one of sev1, sev2, sev3, sev4"),
                }
            }
            _ => fault("kind", "the kind must be one of maintenance, threshold, severity"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }

    fn rule(id: i64, source: Option<i64>, place: i32, matchers: &str, terms: Terms) -> RoutingRule {
        RoutingRule {
            id: RoutingRuleId(id),
            title: format!("rule {id}"),
            source: source.map(SourceId),
            source_name: None,
            matchers: match matchers {
                "" => Vec::new(),
                line => Matcher::parse_list(line).unwrap(),
            },
            place,
            terms,
            reason: "why not".to_owned(),
            created_by: "ana".to_owned(),
            created_at: now(),
        }
    }

    #[test]
    fn the_first_rule_about_an_alert_says_how_bad_it_is() {
        let severity = |severity| Terms::Severity { severity };
        let rules = Rules::new(vec![
            rule(1, None, 100, "team=shop", severity(Severity::Sev2)),
            rule(2, None, 50, "team=shop, env=prod", severity(Severity::Sev1)),
            rule(3, Some(7), 900, "env=prod", severity(Severity::Sev4)),
            rule(4, None, 100, "team=shop", severity(Severity::Sev3)),
        ]);
        for (source, labels, expected) in [
            (1, vec![("team", "shop")], (Severity::Sev2, Some(1))),
            (
                1,
                vec![("team", "shop"), ("env", "prod")],
                (Severity::Sev1, Some(2)),
            ),
            (
                7,
                vec![("team", "shop"), ("env", "prod")],
                (Severity::Sev4, Some(3)),
            ),
            (7, vec![("team", "shop")], (Severity::Sev2, Some(1))),
            (1, vec![("severity", "critical")], (Severity::Sev1, None)),
            (1, vec![], (Severity::Sev3, None)),
        ] {
            let pairs = labels.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
            let labels = Labels(pairs.collect());
            let (severity, by) = rules.severity(SourceId(source), &labels);
            assert_eq!(
                (severity, by.map(|rule| rule.id.0)),
                expected,
                "{source} {labels:?}"
            );
        }
    }

    #[test]
    fn of_several_open_windows_the_one_that_closes_last_holds() {
        let until = |hours: i64| Terms::Maintenance {
            schedule: Schedule::Once {
                starts_at: now(),
                ends_at: now() + chrono::TimeDelta::hours(hours),
            },
        };
        let rules = Rules::new(vec![
            rule(1, None, 1, "env=prod", until(1)),
            rule(2, Some(7), 1, "", until(2)),
            rule(3, None, 1, "env=dev", until(9)),
        ]);
        let found = |source, env, hours: i64| {
            let at = now() + chrono::TimeDelta::hours(hours);
            let window = rules.window(SourceId(source), &Labels::from([("env", env)]), at);
            window.map(|(id, until)| (id.0, (until - now()).num_hours()))
        };
        for (source, env, hour, expected) in [
            (1, "prod", 0, Some((1, 1))),
            (7, "prod", 0, Some((2, 2))),
            (1, "prod", 1, None),
            (7, "test", 1, Some((2, 2))),
            (7, "dev", 0, Some((3, 9))),
            (1, "test", 0, None),
        ] {
            assert_eq!(found(source, env, hour), expected, "{source} {env} {hour}");
        }
        assert!(!rules.counts(SourceId(7)));
    }

    #[test]
    fn only_a_whole_rule_can_be_made() {
        let asked = |kind: &str| AskedRule {
            kind: kind.to_owned(),
            title: " Sunday work ".to_owned(),
            matchers: "env=prod".to_owned(),
            ..AskedRule::default()
        };
        let window = AskedRule {
            days: "sun".to_owned(),
            at: "02:00".to_owned(),
            length: "2h".to_owned(),
            ..asked("maintenance")
        };
        let threshold = AskedRule {
            count: Some(3),
            within: "10m".to_owned(),
            ..asked("threshold")
        };
        let severity = AskedRule {
            severity: "SEV1".to_owned(),
            ..asked("severity")
        };
        for whole in [&window, &threshold, &severity] {
            let made = whole.check(now()).unwrap();
            assert_eq!((made.title.as_str(), made.place), ("Sunday work", PLACE));
            assert_eq!(made.terms.kind(), whole.kind);
            let json = serde_json::to_value(&made.terms).unwrap();
            assert_eq!(serde_json::from_value::<Terms>(json).unwrap(), made.terms);
        }
        let with = |asked: &AskedRule, change: fn(&mut AskedRule)| {
            let mut asked = asked.clone();
            change(&mut asked);
            asked
        };
        for (asked, words) in [
            (with(&window, |asked| asked.title = " ".to_owned()), "the title"),
            (with(&window, |asked| asked.kind = String::new()), "the kind"),
            (with(&window, |asked| asked.place = Some(-1)), "the place"),
            (
                with(&window, |asked| asked.matchers = "env".to_owned()),
                "cannot be read",
            ),
            (
                with(&window, |asked| asked.matchers = "a=b\nc=d".to_owned()),
                "one line",
            ),
            (
                with(&window, |asked| asked.matchers = String::new()),
                "every alert of every sender",
            ),
            (with(&window, |asked| asked.ends_at = Some(now())), "say either"),
            (with(&window, |asked| asked.days = String::new()), "say either"),
            (
                with(&threshold, |asked| asked.count = Some(1)),
                "number of alerts",
            ),
            (with(&threshold, |asked| asked.count = None), "number of alerts"),
            (
                with(&threshold, |asked| asked.within = "2d".to_owned()),
                "the time",
            ),
            (
                with(&severity, |asked| asked.severity = "5".to_owned()),
                "one of sev1",
            ),
        ] {
            let fault = asked.check(now()).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
        let all = with(&threshold, |asked| asked.matchers = String::new());
        assert!(all.check(now()).is_ok(), "a threshold may be for every alert");
    }
}
