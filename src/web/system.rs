//! How Muster itself is: what was looked at, and what it means.

use askama::Template;
use axum::{extract::State, response::Html};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    caller::Reads,
    error::WebError,
    page, standing,
    state::AppState,
    view::{
        format,
        layout::Place,
        parts::Badge,
        system::{Check, SystemPage},
    },
};
use crate::{
    receive::Waiting,
    store::{self, deliveries, own_heartbeats, queue},
};

/// Processes whose signs of life are looked at.
const HEARTBEATS_MAX: i64 = 100;
/// A batch that waits for longer than this waits for a database that is away.
const WAITS_MAX: TimeDelta = TimeDelta::seconds(10);

/// What waits on this machine's disk.
fn spool(waiting: &Waiting, now: DateTime<Utc>) -> Check {
    let age = waiting.oldest.map(|oldest| (now - oldest).max(TimeDelta::zero()));
    let is_late = age.is_some_and(|age| age > WAITS_MAX);
    let batches = format::count(waiting.batches as i64, "batch", "batches");
    let words = match (waiting.bytes, age) {
        (None, _) => format!("no disk to keep deliveries on; {batches} in memory"),
        (Some(_), _) if waiting.batches == 0 => "nothing waits".to_owned(),
        (Some(bytes), Some(age)) => format!(
            "{batches} wait for the database on this machine, {}, the oldest for {}",
            format::size(bytes as i64),
            format::length(age)
        ),
        (Some(_), None) => format!("{batches} on the way to the database"),
    };
    Check {
        name: "Spool",
        badge: match is_late || waiting.bytes.is_none() {
            true => Badge::new("sev3", "triangle", "Look"),
            false => Badge::new("done", "check", "OK"),
        },
        words,
    }
}

/// `GET /system`
pub async fn show(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "System", Place::System, now).await?;
    let ok = || Badge::new("done", "check", "OK");
    let late = || Badge::new("sev3", "triangle", "Look");
    let mut checks = vec![Check {
        name: "Database",
        badge: ok(),
        words: "answers".to_owned(),
    }];
    let next = queue::next_due(&mut tx).await?;
    let overdue = next
        .map(|due| now - due)
        .filter(|late| *late > TimeDelta::seconds(5));
    let live = format::count(queue::count(&mut tx).await?, "live run", "live runs");
    checks.push(match overdue {
        None => Check {
            name: "Workers",
            badge: ok(),
            words: live,
        },
        Some(by) => Check {
            name: "Workers",
            badge: late(),
            words: format!(
                "{live}; one is due since {} and nobody has taken it: is a worker running?",
                format::length(by)
            ),
        },
    });
    let alerts = deliveries::count_alerts_since(&mut tx, now - TimeDelta::hours(24)).await?;
    checks.push(Check {
        name: "Intake",
        badge: ok(),
        words: format!("{} in 24 h", format::count(alerts, "alert", "alerts")),
    });
    if let Some(receiver) = &app.receiver {
        checks.push(spool(&receiver.backlog().await, now));
    }
    let faults = app.faults.list();
    checks.push(match faults.len() {
        0 => Check {
            name: "Runbook and target files",
            badge: ok(),
            words: "no fault".to_owned(),
        },
        n => Check {
            name: "Runbook and target files",
            badge: late(),
            words: format!(
                "{}; see the top of the page",
                format::count(n as i64, "fault", "faults")
            ),
        },
    });
    let signs = own_heartbeats::list(&mut tx, HEARTBEATS_MAX).await?;
    if let Some(worst) = signs
        .iter()
        .find(|sign| !sign.problem.is_empty())
        .or(signs.first())
    {
        let sent = match worst.sent_at {
            Some(at) => format!("sent {} ago", format::length(now - at)),
            None => "never sent".to_owned(),
        };
        checks.push(match worst.problem.as_str() {
            "" => Check {
                name: "Muster's own heartbeat",
                badge: ok(),
                words: sent,
            },
            problem => Check {
                name: "Muster's own heartbeat",
                badge: late(),
                words: format!(
                    "{sent}; the last one failed on replica {}: {problem}",
                    worst.replica
                ),
            },
        });
    }
    let open = super::state::LIVE_STREAMS_MAX - app.streams.available_permits();
    checks.push(Check {
        name: "Live pages",
        badge: ok(),
        words: format!(
            "{} open on this replica",
            format::count(open as i64, "stream", "streams")
        ),
    });
    let page = SystemPage {
        frame,
        checks,
        standing: standing::part(&mut tx, &me, now).await?,
        boot: super::boots::newest(&mut tx, now).await?,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(Html(page.render()?))
}
