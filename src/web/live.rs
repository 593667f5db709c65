//! Pages that keep themselves up to date: server-sent events with a cursor.
//!
//! The address carries where the page stands (`after`), which was read in the same moment as the page itself, so
//! nothing is missed and nothing comes twice. A stream subscribes to wake-ups before it looks. Messages:
//! `patch` (a part of the page, JSON, with the new cursor as its id on the last part), `tick` (every ten seconds: the
//! time and whether the database answers), `resync` (too much happened: get the page again), `gone` (signed out).
//!
//! A page that may not hold a stream, because other pages of its browser do, asks with `once=yes`: it is told what is new
//! up to the first tick, and the stream ends.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{Query, State},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

use super::{
    audience::{self, Audience, Audiences},
    caller::Reads,
    error::WebError,
    incidents::ListQuery,
    session::SessionToken,
    state::AppState,
    steps::StepQuery,
    view::{
        incident::ACTIONS,
        lens::{Asked, Lens},
    },
    watch::{Counted, Found, Mode, Patch},
};
use crate::{
    domain::{
        digest::Digest,
        id::{ApprovalId, DrillId, IncidentId, RunId, StepId},
        operator::{Operator, Role},
    },
    incident::visits,
    store::{cursors::Cursor, drills, sessions},
};

/// The time between two ticks; whatever a wake-up did not tell is found by then.
const TICK: Duration = Duration::from_secs(10);
/// The time between two looks at the session: with what the answer takes, below
/// [`crate::domain::sign_in::NOTICED_WITHIN`].
const SESSION_LOOK: Duration = Duration::from_secs(4);
/// The shortest time between two looks of one stream: a burst of changes is one patch.
const LOOK_PAUSE: Duration = Duration::from_millis(120);
/// The time between two looks at what an attempt writes.
const OUTPUT_LOOK: Duration = Duration::from_millis(250);
/// The same where only its last lines stand.
const TAIL_LOOK: Duration = Duration::from_secs(1);
/// Ticks between two times that it is kept up to where a person has seen an incident.
const LOOKED_EVERY: u32 = 3;
/// Messages a slow browser may be behind; then its stream waits.
const BACKLOG_MAX: usize = 32;

/// Which page, and where it stands.
#[derive(Clone, Debug, Deserialize)]
pub struct LiveQuery {
    scope: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    show: String,
    /// What the list is searched for; what is open when nothing is said.
    q: Option<String>,
    #[serde(default)]
    find: String,
    #[serde(default)]
    order: String,
    since: Option<i64>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    rows: String,
    /// Of the page of a step: which attempt, and what of its output.
    attempt: Option<i32>,
    to: Option<usize>,
    #[serde(default)]
    wide: String,
    /// `yes` when the page says that automation is paused.
    #[serde(default)]
    paused: String,
    /// `yes` when it is enough to look once.
    #[serde(default)]
    once: String,
}

/// What a stream watches.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    Incident {
        audience: Arc<Audience>,
        lens: Lens,
        rows: bool,
    },
    Approval(ApprovalId),
    Drill(DrillId),
    Run(RunId),
    Step(RunId, StepId, StepQuery),
    List(ListQuery),
    Inbox,
}

impl Scope {
    fn read(query: &LiveQuery, audiences: &Audiences) -> Option<Self> {
        let (kind, id) = query.scope.split_once(':').unwrap_or((&query.scope, ""));
        let number = || id.parse::<i64>().ok();
        Some(match kind {
            "incident" => Self::Incident {
                audience: audiences.join(IncidentId(number()?)),
                lens: Lens::read(&Asked {
                    show: query.show.clone(),
                    find: query.find.clone(),
                    order: query.order.clone(),
                    since: query.since,
                    ..Asked::default()
                }),
                rows: query.rows != "no",
            },
            "approval" => Self::Approval(ApprovalId(number()?)),
            "drill" => Self::Drill(DrillId(number()?)),
            "run" => Self::Run(RunId(number()?)),
            "step" => {
                let (run, step) = id.split_once(':')?;
                let asked = StepQuery {
                    attempt: query.attempt,
                    to: query.to,
                    find: query.find.clone(),
                    wide: query.wide.clone(),
                };
                Self::Step(RunId(run.parse().ok()?), step.into(), asked)
            }
            "incidents" => Self::List(ListQuery {
                q: query.q.clone(),
                state: query.state.clone(),
                ..ListQuery::default()
            }),
            "approvals" => Self::Inbox,
            _ => return None,
        })
    }
}

/// `GET /live`
pub async fn get(
    State(app): State<AppState>,
    Reads(me): Reads,
    token: SessionToken,
    Query(query): Query<LiveQuery>,
) -> Result<Response, WebError> {
    let scope = Scope::read(&query, &app.audiences).ok_or_else(|| WebError::not_found("live scope"))?;
    let place = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        WebError::unavailable("Too many live pages are open; this one is not kept up to date.")
    })?;
    let (messages, inbox) = mpsc::channel(BACKLOG_MAX);
    let looked = app.clock.now();
    let watcher = Watcher {
        app,
        me,
        token,
        cursor: query.after,
        shows_pause: query.paused == "yes",
        once: query.once == "yes",
        ticks: 0,
        counted: None,
        prints: matches!(scope, Scope::Step(..) | Scope::Run(_) | Scope::Incident { .. }),
        only_prints: false,
        scope,
        sent: HashMap::new(),
        looked,
        old: BTreeMap::new(),
        messages,
        _place: place,
    };
    tokio::spawn(watcher.run());
    let head = [
        ("cache-control", "no-store"),
        // A proxy that holds a stream back makes it useless.
        ("x-accel-buffering", "no"),
    ];
    let body = Sse::new(events_of(inbox)).keep_alive(KeepAlive::new().interval(TICK * 2));
    Ok((head, body).into_response())
}

fn events_of(inbox: mpsc::Receiver<Event>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(inbox, |mut inbox| async move {
        inbox.recv().await.map(|event| (Ok(event), inbox))
    })
}

/// One open page.
pub(super) struct Watcher {
    pub(super) app: AppState,
    pub(super) me: Operator,
    token: SessionToken,
    pub(super) scope: Scope,
    pub(super) cursor: String,
    /// Whether the banner of a pause stands on the page, or did.
    pub(super) shows_pause: bool,
    /// Whether the stream ends after the first look.
    once: bool,
    /// Ticks so far.
    ticks: u32,
    /// The counts around the list, when it is one.
    pub(super) counted: Option<Counted>,
    /// Whether what the page shows may be written on at any moment.
    pub(super) prints: bool,
    /// Whether nothing else is to be looked at this time.
    pub(super) only_prints: bool,
    /// Digest of each part as this browser has it, as far as it was sent here.
    sent: HashMap<Cow<'static, str>, Digest>,
    /// When it looked last at an incident, or began: nothing on the page was older then than in the database.
    pub(super) looked: DateTime<Utc>,
    /// The sections that could not be read since, and when they were last as the database had them.
    pub(super) old: BTreeMap<&'static str, DateTime<Utc>>,
    messages: mpsc::Sender<Event>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Looks, sends, waits, until the browser or the session is gone or the process stops.
    async fn run(mut self) {
        let mut changes = self.app.wake.subscribe();
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = self.app.stopping.clone();
        let mut looks = interval_at(Instant::now() + SESSION_LOOK, SESSION_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let often = match self.scope {
            Scope::Step(..) => OUTPUT_LOOK,
            _ => TAIL_LOOK,
        };
        let mut prints = interval_at(Instant::now() + often, often);
        prints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first message tells the browser that the stream stands.
        let mut tick = true;
        let mut since = Instant::now();
        loop {
            let told = *changes.borrow_and_update();
            let looked = self.look(audience::Asked { told, since }).await;
            let healthy = looked.is_ok();
            match looked {
                Ok(Found::Nothing) => {}
                Ok(Found::Patches { patches, cursor }) => {
                    if !self.send(patches, cursor).await {
                        return;
                    }
                }
                // What is gone is for the page itself to say.
                Ok(Found::TooMuch | Found::NotThere) => {
                    _ = self
                        .messages
                        .send(Event::default().event("resync").data("{}"))
                        .await;
                    return;
                }
                Err(error) => tracing::debug!(%error, "a live page could not look"),
            }
            if (tick && !self.tick(healthy).await) || self.once {
                return;
            }
            let messages = self.messages.clone();
            tick = loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = messages.closed() => return,
                    _ = ticks.tick() => {
                        // What another page saw a moment ago will do.
                        since = Instant::now() - TICK / 10;
                        break true;
                    }
                    _ = prints.tick(), if self.prints => {
                        self.only_prints = true;
                        break false;
                    }
                    _ = looks.tick() => if !self.session_stands().await {
                        _ = messages.send(Event::default().event("gone").data("{}")).await;
                        return;
                    },
                    _ = changes.changed() => {
                        sleep(LOOK_PAUSE).await;
                        break false;
                    }
                }
            };
        }
    }

    /// Sends only the parts that are not as this browser has them.
    async fn send(&mut self, patches: Vec<Patch>, cursor: String) -> bool {
        let fresh: Vec<Patch> = patches
            .into_iter()
            .filter(|patch| {
                let digest = Digest::of_bytes(lasting(&patch.target, &patch.html).as_bytes());
                matches!(patch.mode, Mode::Prepend)
                    || self.sent.insert(patch.target.clone(), digest) != Some(digest)
            })
            .collect();
        let last = fresh.len();
        for (index, patch) in fresh.into_iter().enumerate() {
            let data = serde_json::to_string(&patch).unwrap_or_default();
            let mut event = Event::default().event("patch").data(data);
            // The cursor moves when everything up to it is there.
            if index + 1 == last {
                event = event.id(cursor.clone());
            }
            if self.messages.send(event).await.is_err() {
                return false;
            }
        }
        self.cursor = cursor;
        true
    }

    async fn session_stands(&self) -> bool {
        let now = self.app.clock.now();
        match (&self.token.0, self.app.db.acquire().await) {
            (Some(token), Ok(mut conn)) => {
                sessions::stands(&mut conn, *token, now, now - self.app.session_limits.idle)
                    .await
                    // A database that is away ends no session.
                    .unwrap_or(true)
            }
            (Some(_), Err(_)) => true,
            (None, _) => false,
        }
    }

    /// Says that the stream lives; `false` when the session does not.
    async fn tick(&mut self, healthy: bool) -> bool {
        let now = self.app.clock.now();
        let stands = self.session_stands().await;
        if stands && healthy && self.ticks % LOOKED_EVERY == 1 {
            self.looked().await;
        }
        if stands && healthy {
            self.leads().await;
        }
        self.ticks = self.ticks.wrapping_add(1);
        let event = match stands {
            true => {
                let now = now.to_rfc3339_opts(SecondsFormat::Millis, true);
                let data = json!({"now": now, "after": self.cursor, "database": healthy});
                Event::default().event("tick").data(data.to_string())
            }
            false => Event::default().event("gone").data("{}"),
        };
        self.messages.send(event).await.is_ok() && stands
    }
}

impl Watcher {
    /// Keeps up to where the person has seen an incident. A browser closes the stream of a page that nobody has in front of
    /// them, so an open one is the only thing that tells of looking; asking for a page tells nothing, since machines do
    /// that too. Not on the first tick: whoever reloads at once has read nothing yet.
    async fn looked(&self) {
        let Scope::Incident {
            audience, rows: true, ..
        } = &self.scope
        else {
            return;
        };
        let seen = Cursor::read(&self.cursor).seq;
        let now = self.app.clock.now();
        let looked = async {
            let mut conn = self.app.db.acquire().await?;
            visits::look(&mut conn, self.me.id, audience.incident, seen, now).await
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "where a person left off was not kept");
        }
    }
}

impl Watcher {
    /// Keeps it that who leads a drill is there.
    async fn leads(&self) {
        let also = match self.scope {
            Scope::Drill(id) if self.me.role == Role::Admin => Some(id),
            _ => None,
        };
        let now = self.app.clock.now();
        let kept = async {
            let mut conn = self.app.db.acquire().await?;
            drills::leader_seen(&mut conn, self.me.id, also, now).await
        };
        if let Err(error) = kept.await {
            tracing::debug!(%error, "it was not kept that somebody leads a drill");
        }
    }
}

/// The part without what differs each time it is rendered: operation ids, distances in time, which the browser keeps up by
/// itself, and the event up to which a form was seen. The last counts where forms are: what stands there is refused when
/// something bears on it that the person was not shown.
fn lasting(target: &str, html: &str) -> String {
    let marks = [
        ("name=\"op\" value=\"", '"'),
        (" data-relative>", '<'),
        (" data-left>", '<'),
        ("name=\"seen\" value=\"", '"'),
    ];
    let marks = match target == ACTIONS {
        true => &marks[..3],
        false => &marks[..],
    };
    let mut kept = String::with_capacity(html.len());
    let mut rest = html;
    loop {
        let next = marks
            .iter()
            .filter_map(|(mark, end)| Some((rest.find(mark)? + mark.len(), *end)))
            .min();
        let Some((start, end)) = next else {
            kept.push_str(rest);
            return kept;
        };
        kept.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = rest.find(end).map_or("", |at| &rest[at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_only_grew_older_is_not_sent_again() {
        let part = |op: &str, ago: &str| {
            format!(
                "<p><input type=\"hidden\" name=\"op\" value=\"{op}\"> <time data-relative>{ago}</time> x</p>"
            )
        };
        assert_eq!(
            lasting("team", &part("1", "now")),
            lasting("team", &part("22", "4 s ago"))
        );
        assert_eq!(
            lasting("team", &part("1", "now")),
            "<p><input type=\"hidden\" name=\"op\" value=\"\"> <time data-relative></time> x</p>"
        );
    }

    #[test]
    fn only_forms_that_anything_new_may_refuse_are_sent_for_that_alone() {
        let form = |seen: i64| format!("<input type=\"hidden\" name=\"seen\" value=\"{seen}\">");
        assert_eq!(lasting("team", &form(1)), lasting("team", &form(2)));
        assert_ne!(lasting(ACTIONS, &form(1)), lasting(ACTIONS, &form(2)));
    }

    #[test]
    fn only_known_scopes_are_watched() {
        let scope = |text: &str| {
            let query = LiveQuery {
                scope: text.to_owned(),
                after: String::new(),
                show: String::new(),
                q: None,
                order: String::new(),
                since: None,
                state: String::new(),
                rows: String::new(),
                attempt: None,
                to: None,
                find: String::new(),
                wide: String::new(),
                paused: String::new(),
                once: String::new(),
            };
            Scope::read(&query, &Audiences::default())
        };
        for good in [
            "incident:204",
            "approval:7",
            "run:3",
            "step:3:drain",
            "incidents",
            "approvals",
        ] {
            assert!(scope(good).is_some(), "{good}");
        }
        for bad in ["", "incident", "incident:x", "incident:", "step:3", "nonsense:1"] {
            assert!(scope(bad).is_none(), "{bad}");
        }
    }
}
