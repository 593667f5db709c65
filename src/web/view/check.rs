//! One thing that Muster looked at about itself: its state, since when, and what to do about it.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::{
    format,
    parts::{Ago, Badge, Said, ago, said},
};
use crate::{
    domain::audit::Broken,
    receive::Waiting,
    store::{audit_checks, health::Database, own_heartbeats::OwnHeartbeat},
};

/// A run that nobody has taken for this long finds no worker.
const DUE_MAX: TimeDelta = TimeDelta::seconds(5);
/// A timer that nobody has handled for this long is late.
const TIMER_MAX: TimeDelta = TimeDelta::seconds(60);
/// Two clocks that are this far apart are one too many.
const CLOCKS_MAX: TimeDelta = TimeDelta::seconds(2);
/// A database that takes longer for the smallest question is slow.
const ANSWER_MAX: TimeDelta = TimeDelta::milliseconds(250);
/// A batch that waits for longer than this waits for a database that is away.
const WAITS_MAX: TimeDelta = TimeDelta::seconds(10);
/// With no more than this many in a hundred places free, pages will soon find none.
const PLACES_FREE_MIN: usize = 10;

/// For how long deliveries have waited on this machine, when that is too long.
pub fn late(waiting: &Waiting, now: DateTime<Utc>) -> Option<TimeDelta> {
    let age = waiting.oldest.map(|oldest| now - oldest);
    age.filter(|age| *age > WAITS_MAX)
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Degraded,
    /// It does not work.
    Down,
    /// The look itself had no answer.
    CannotTell,
    /// Nobody looks.
    NotWatched,
}

impl State {
    fn badge(self) -> Badge {
        match self {
            Self::Ok => Badge::new("done", "check", "OK"),
            Self::Degraded => Badge::new("sev3", "triangle", "Degraded"),
            Self::Down => Badge::new("sev1", "cross", "Down"),
            Self::CannotTell => Badge::new("unknown", "question", "Cannot tell"),
            Self::NotWatched => Badge::new("quiet", "circle-open", "Not watched"),
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Template)]
#[template(path = "system/_check.html")]
pub struct Check {
    /// Where a link may lead to it.
    id: &'static str,
    name: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen.
    words: Said,
    since: Option<Ago>,
    /// What to do about it; empty when there is nothing.
    advice: &'static str,
    /// What belongs to it, line by line.
    lines: Vec<Said>,
}

impl HtmlSafe for Check {}

/// Processes and the runs they work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Processes that live.
    pub replicas: i64,
    /// When the oldest of them started.
    pub oldest: Option<DateTime<Utc>>,
    /// Runs that have something to do.
    pub runs: i64,
    /// When the first of those that nobody has taken is due.
    pub due: Option<DateTime<Utc>>,
}

impl Check {
    fn new(id: &'static str, name: &'static str, state: State, words: impl AsRef<str>) -> Self {
        Self {
            id,
            name,
            state,
            words: said(words.as_ref()),
            since: None,
            advice: "",
            lines: Vec::new(),
        }
    }

    fn cannot_tell(id: &'static str, name: &'static str) -> Self {
        Self::new(id, name, State::CannotTell, "there was no answer in time").advice(
            "Reload in a moment. If it stays, the database is slow or away: look at its log and its load.",
        )
    }

    fn since(mut self, since: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        self.since = Some(ago(since, now));
        self
    }

    fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    fn badge(&self) -> Badge {
        self.state.badge()
    }

    /// The address that people and senders are given, beside the one this request came to.
    pub fn address(public: Option<&Url>, here: &str, is_https: bool) -> Self {
        let (id, name) = ("address", "Address");
        let is_local = ["//localhost", "//127.0.0.1", "//[::1]"]
            .iter()
            .any(|host| here.contains(host));
        match public.map(|url| url.as_str().trim_end_matches('/')) {
            None if is_local => Self::new(id, name, State::Ok, format!("{here}, on this machine only"))
                .advice(
                    "Before anybody else uses it, set --public-url: links, cookies and passkeys go by it.",
                ),
            None => Self::new(id, name, State::Degraded, "no public address is set").advice(
                "Set --public-url to the address that people use: links, cookies and passkeys go by it.",
            ),
            Some(public) if host(public) != host(here) => Self::new(
                id,
                name,
                State::Degraded,
                format!("links lead to {public}, and you came by {here}"),
            )
            .advice(
                "Open this page at that address. If it does not come, --public-url or the proxy is wrong.",
            ),
            Some(public) if !is_https => Self::new(
                id,
                name,
                State::Degraded,
                format!("{public}, without TLS"),
            )
            .advice(
                "Sign-ins can be read on the way. Give --tls-cert and --tls-key, or put a proxy before it.",
            ),
            Some(public) => Self::new(id, name, State::Ok, public),
        }
    }

    /// The database, and how long the question took.
    pub fn database(found: Option<&Database>, took: TimeDelta) -> Self {
        let (id, name) = ("database", "Database");
        let Some(found) = found else {
            return Self::cannot_tell(id, name);
        };
        let words = format!(
            "answers in {}; PostgreSQL {}, {}",
            format::length(took),
            found.version,
            format::size(found.bytes)
        );
        match took > ANSWER_MAX {
            false => Self::new(id, name, State::Ok, words),
            true => Self::new(id, name, State::Degraded, words)
                .advice("It is slow. Look at its load, its disk and the network between."),
        }
    }

    /// The clock of this machine beside the database's.
    pub fn clock(apart: Option<TimeDelta>) -> Self {
        let (id, name) = ("clock", "Clock");
        let Some(apart) = apart else {
            return Self::cannot_tell(id, name);
        };
        let words = format!("{} apart from the database's", format::length(apart.abs()));
        match apart.abs() > CLOCKS_MAX {
            false => Self::new(id, name, State::Ok, words),
            true => Self::new(id, name, State::Degraded, words)
                .advice("Times on the pages are wrong by as much. Let both machines keep time by NTP."),
        }
    }

    /// The processes that carry out runs.
    pub fn workers(found: Option<&Workers>, now: DateTime<Utc>) -> Self {
        let (id, name) = ("workers", "Workers");
        let Some(found) = found else {
            return Self::cannot_tell(id, name);
        };
        let words = format!(
            "{} alive, {}",
            format::count(found.replicas, "replica", "replicas"),
            format::count(found.runs, "live run", "live runs")
        );
        let overdue = found.due.filter(|due| now - *due > DUE_MAX);
        match (overdue, found.replicas, found.oldest) {
            (Some(due), 0, _) => Self::new(
                id,
                name,
                State::Down,
                format!("{words}; nobody has taken one that was due"),
            )
            .since(due, now)
            .advice("No process takes runs. Start muster serve with this database, or look why it ends."),
            (Some(due), ..) => Self::new(
                id,
                name,
                State::Degraded,
                format!("{words}; nobody has taken one that was due"),
            )
            .since(due, now)
            .advice(
                "Every worker may be busy: --runs-at-once is the bound. Or one hangs: its log says where.",
            ),
            (None, _, Some(oldest)) => Self::new(
                id,
                name,
                State::Ok,
                format!("{words}; the oldest replica started"),
            )
            .since(oldest, now),
            (None, ..) => Self::new(id, name, State::Ok, words),
        }
    }

    /// The timer that is due longest, if there is one.
    pub fn timers(oldest: Option<Option<DateTime<Utc>>>, now: DateTime<Utc>) -> Self {
        let (id, name) = ("timers", "Timers");
        match oldest {
            None => Self::cannot_tell(id, name),
            Some(Some(due)) if now - due > TIMER_MAX => {
                Self::new(id, name, State::Degraded, "one is overdue; it was due")
                    .since(due, now)
                    .advice(
                        "Decisions lapse and silences are told late. The log says why upkeep does not pass.",
                    )
            }
            Some(_) => Self::new(id, name, State::Ok, "none is overdue"),
        }
    }

    /// Alerts of a day, and when the newest delivery arrived.
    pub fn intake(found: Option<(i64, Option<DateTime<Utc>>)>, now: DateTime<Utc>) -> Self {
        let (id, name) = ("intake", "Intake");
        let Some((alerts, last)) = found else {
            return Self::cannot_tell(id, name);
        };
        let words = format!("{} in 24 h", format::count(alerts, "alert", "alerts"));
        match last {
            Some(last) => {
                Self::new(id, name, State::Ok, format!("{words}; newest delivery")).since(last, now)
            }
            None => Self::new(id, name, State::Ok, format!("{words}; no delivery is kept"))
                .advice("Make a source and send a test alert, so that you know that alerts arrive."),
        }
    }

    /// What waits on this machine's disk.
    pub fn spool(waiting: Option<Waiting>, now: DateTime<Utc>) -> Self {
        let (id, name) = ("spool", "Spool");
        let Some(waiting) = waiting else {
            return Self::new(
                id,
                name,
                State::CannotTell,
                "this machine's disk does not answer in time",
            );
        };
        let batches = format::count(waiting.batches as i64, "batch", "batches");
        let Some(bytes) = waiting.bytes else {
            let words = format!("no disk to keep deliveries on; {batches} in memory");
            return Self::new(id, name, State::Degraded, words).advice(
                "While the database is away, senders are refused and must send again. Give --spool a folder.",
            );
        };
        if waiting.batches == 0 {
            return Self::new(id, name, State::Ok, "nothing waits");
        }
        match (late(&waiting, now), waiting.oldest) {
            (Some(_), Some(oldest)) => {
                let words = format!(
                    "{batches} wait for the database on this machine, {}, the oldest came",
                    format::size(bytes as i64)
                );
                Self::new(id, name, State::Degraded, words).since(oldest, now).advice(
                    "They are kept and come as soon as the database takes them. Do not delete the spool's folder.",
                )
            }
            _ => Self::new(
                id,
                name,
                State::Ok,
                format!("{batches} on the way to the database"),
            ),
        }
    }

    /// Open pages that are kept up to date by this process.
    pub fn live(open: usize, max: usize) -> Self {
        let words = format!(
            "{} of {max} open on this replica",
            format::count(open as i64, "stream", "streams")
        );
        let (id, name) = ("live", "Live pages");
        match (max - open.min(max)) * 100 < max * PLACES_FREE_MIN {
            false => Self::new(id, name, State::Ok, words),
            true => Self::new(id, name, State::Degraded, words)
                .advice("Further pages are not kept up to date. Close some, or add a replica."),
        }
    }

    /// The files of runbooks and targets.
    pub fn files(faults: &[String]) -> Self {
        let (id, name) = ("files", "Runbook and target files");
        if faults.is_empty() {
            return Self::new(id, name, State::Ok, "no fault");
        }
        let words = format::count(faults.len() as i64, "fault", "faults");
        let mut check = Self::new(
            id,
            name,
            State::Degraded,
            format!("{words}; the last good ones are in use"),
        )
        .advice("muster lint says the same, with lines and columns.");
        check.lines = faults.iter().map(|fault| said(fault)).collect();
        check
    }

    /// Muster's own sign of life; `None` when it sends none.
    pub fn heartbeat(signs: Option<&[OwnHeartbeat]>, now: DateTime<Utc>) -> Option<Self> {
        let (id, name) = ("heartbeat", "Muster's own heartbeat");
        let Some(signs) = signs else {
            return Some(Self::cannot_tell(id, name));
        };
        let worst = signs
            .iter()
            .find(|sign| !sign.problem.is_empty())
            .or(signs.first())?;
        let sent = match worst.sent_at {
            Some(at) => format!("sent {} ago", format::length(now - at)),
            None => "never sent".to_owned(),
        };
        Some(match worst.problem.as_str() {
            "" => Self::new(id, name, State::Ok, sent),
            problem => Self::new(
                id,
                name,
                State::Degraded,
                format!(
                    "{sent}; the last one failed on replica {}: {problem}",
                    worst.replica
                ),
            )
            .advice("Whoever watches Muster from outside may raise the alarm."),
        })
    }

    /// Whether the record of who decided what holds.
    pub fn record(
        check: Option<Option<audit_checks::Check>>,
        broken: Option<Option<Broken>>,
        now: DateTime<Utc>,
    ) -> Self {
        let (id, name) = ("record", "Record of decisions");
        match (check, broken) {
            (_, Some(Some(broken))) => Self::new(id, name, State::Down, broken.to_string()).advice(
                "Somebody changed it behind Muster. Keep a copy of the database before anything else.",
            ),
            (Some(check), Some(None)) => match check.and_then(|check| check.whole) {
                Some((_, at)) => Self::new(id, name, State::Ok, "unbroken, gone through").since(at, now),
                None => Self::new(id, name, State::Ok, "not gone through to its end yet"),
            },
            _ => Self::cannot_tell(id, name),
        }
    }

    /// Copies of the database, which Muster does not see.
    pub fn backups() -> Self {
        Self::new(
            "backups",
            "Backups, and room on the disks",
            State::NotWatched,
            "Muster does not look at them",
        )
        .advice(
            "Whoever runs Postgres watches both, and tries now and then whether a backup can be restored.",
        )
    }
}

/// Host and port of an address, without the scheme, which a proxy may have changed on the way.
fn host(address: &str) -> &str {
    address.split("://").nth(1).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T03:12:07Z".parse().unwrap()
    }

    #[test]
    fn what_cannot_be_looked_at_is_never_ok() {
        for check in [
            Check::database(None, TimeDelta::zero()),
            Check::clock(None),
            Check::workers(None, now()),
            Check::timers(None, now()),
            Check::intake(None, now()),
            Check::spool(None, now()),
            Check::record(None, None, now()),
            Check::record(Some(None), None, now()),
        ] {
            assert_eq!(check.state, State::CannotTell, "{}", check.name);
        }
        assert_eq!(Check::heartbeat(None, now()).unwrap().state, State::CannotTell);
        assert_eq!(Check::backups().state, State::NotWatched);
    }

    #[test]
    fn a_run_that_is_due_with_nobody_alive_is_worse_than_one_among_the_busy() {
        let workers = |replicas, late| Workers {
            replicas,
            oldest: None,
            runs: 1,
            due: Some(now() - TimeDelta::seconds(late)),
        };
        for (replicas, late, state) in [
            (0, 6, State::Down),
            (2, 6, State::Degraded),
            (2, 4, State::Ok),
            (0, -60, State::Ok),
        ] {
            let found = Check::workers(Some(&workers(replicas, late)), now());
            assert_eq!(found.state, state, "{replicas} {late}");
        }
    }
}
