//! Sources: the list, the form, and the page of one with its tokens, its sender's configuration and its deliveries.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    delivery, format,
    layout::Frame,
    parts::{Ago, At, Badge, Hidden, Said, ago, at, hidden, said},
    sender::{self, NO_TOKEN, Snippet},
    source_settings::{SettingsForm, fault},
    spark::Spark,
};
use crate::{
    domain::source::{AskedSettings, Fault, SourceKind, SourceSettings},
    sources::TOKEN_NAME_CHARS_MAX,
    store::{
        sources::{COUNTED_MAX, Pulse, Source},
        tokens::{LIVE_MAX, Token},
    },
};

/// The list.
#[derive(Clone, Debug, Template)]
#[template(path = "source/list.html")]
pub struct SourcesPage {
    /// The frame.
    pub frame: Frame,
    /// The sources.
    pub rows: Vec<SourceRow>,
    /// Whether this person may make one.
    pub may_change: bool,
    /// What the commonest senders need, while there is no source.
    pub samples: Vec<(&'static str, Vec<Snippet>)>,
}

/// The configuration of the three commonest senders, for a source called after each.
pub fn samples(base: &str) -> Vec<(&'static str, Vec<Snippet>)> {
    [
        SourceKind::Alertmanager,
        SourceKind::Prometheus,
        SourceKind::Grafana,
    ]
    .map(|format| {
        let settings = SourceSettings {
            format,
            ..SourceSettings::default()
        };
        let snippets = sender::snippets(&settings, base, format.name(), NO_TOKEN);
        (format.title(), snippets)
    })
    .into()
}

/// One source of the list.
#[derive(Clone, Debug)]
pub struct SourceRow {
    name: String,
    format: &'static str,
    badge: Badge,
    pulse: PulseView,
    /// What came in each hour.
    spark: Option<Spark>,
}

impl SourceRow {
    /// The row of a source.
    pub fn of(source: &Source, pulse: &Pulse, now: DateTime<Utc>) -> Self {
        Self {
            name: source.name.clone(),
            format: source.settings.format.title(),
            badge: badge(source, pulse, now),
            pulse: PulseView::of(pulse, now),
            spark: Spark::of(&pulse.hours, pulse.deliveries > COUNTED_MAX, now),
        }
    }
}

/// How a source stands, in one word: whether alerts reach us.
fn badge(source: &Source, pulse: &Pulse, now: DateTime<Utc>) -> Badge {
    let is_silent = pulse.silence.is_some() || pulse.beat_due.is_some_and(|due| due < now);
    match source.settings.heartbeat_within {
        _ if source.disabled_at.is_some() => Badge::new("quiet", "barred", "Disabled"),
        _ if pulse.tokens == 0 => Badge::new("sev3", "lock", "No token"),
        Some(_) if pulse.heartbeats == 0 => Badge::new("quiet", "clock", "No heartbeat yet"),
        Some(_) if is_silent => Badge::new("sev1", "triangle", "Heartbeat silent"),
        Some(_) => Badge::new("done", "check", "Heartbeat alive"),
        None if pulse.last_delivery_at.is_none() => Badge::new("quiet", "circle-open", "Nothing came"),
        None if pulse.rejected > 0 => Badge::new("sev3", "triangle", "Some rejected"),
        None => Badge::new("done", "check", "Delivers"),
    }
}

/// How deliveries and heartbeats are doing.
#[derive(Clone, Debug)]
struct PulseView {
    last: Option<Ago>,
    counts: String,
    rejected: Option<String>,
    beat: Option<At>,
    due: Option<At>,
    tokens: String,
    used: Option<Ago>,
}

impl PulseView {
    fn of(pulse: &Pulse, now: DateTime<Utc>) -> Self {
        let many = |n: i64| match n > COUNTED_MAX {
            true => format!("more than {COUNTED_MAX} deliveries"),
            false => format::count(n, "delivery", "deliveries"),
        };
        Self {
            last: pulse.last_delivery_at.map(|last| ago(last, now)),
            counts: format!("{} in 24 h", many(pulse.deliveries)),
            rejected: (pulse.rejected > 0).then(|| format!("{} rejected", pulse.rejected)),
            beat: pulse.last_beat_at.map(|last| at(last, now)),
            due: pulse.beat_due.map(|due| at(due, now)),
            tokens: format::count(pulse.tokens, "live token", "live tokens"),
            used: pulse.token_used_at.map(|used| ago(used, now)),
        }
    }
}

/// The form that makes a source.
#[derive(Clone, Debug, Template)]
#[template(path = "source/new.html")]
pub struct NewSourcePage {
    /// The frame.
    pub frame: Frame,
    /// The name as it was typed.
    pub name: String,
    /// What is wrong, for the summary: the field and the words.
    pub faults: Vec<Fault>,
    /// Its settings.
    pub settings: SettingsForm,
}

impl NewSourcePage {
    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn name_fault(&self) -> Option<String> {
        fault(&self.faults, "name")
    }
}

/// Which form of a source's page was not accepted, with what was typed and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// The form's address below the page: empty for the settings, `disable`, `tokens`, `tokens/7/revoke`.
    pub form: String,
    /// The settings as they were typed.
    pub asked: Option<AskedSettings>,
    /// The reason, or the name of the token, as it was typed.
    pub text: String,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// A small form with one line of words.
#[derive(Clone, Debug, Template)]
#[template(path = "source/_act.html")]
struct ActForm {
    action: String,
    id: String,
    label: &'static str,
    field: &'static str,
    value: String,
    fault: Option<String>,
    button: &'static str,
    tint: &'static str,
    chars_max: usize,
}

impl HtmlSafe for ActForm {}

impl ActForm {
    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// A live token.
#[derive(Clone, Debug)]
struct TokenRow {
    prefix: String,
    name: Said,
    made: At,
    used: Option<Ago>,
    revoke: ActForm,
}

/// What [`SourcePage`] is made of.
pub struct SourceFacts<'a> {
    /// The source.
    pub source: &'a Source,
    /// How it is doing.
    pub pulse: &'a Pulse,
    /// Its live tokens; empty for who may not see them.
    pub tokens: &'a [Token],
    /// Its newest deliveries.
    pub deliveries: Vec<delivery::Row>,
    /// Scheme, host and path by which senders reach Muster.
    pub base: &'a str,
    /// The token that was just issued.
    pub issued: Option<&'a str>,
    /// The form that was not accepted.
    pub refused: Refused,
    /// Whether this person may change it.
    pub may_change: bool,
    /// Whether this Muster asks clients for a certificate.
    pub asks_clients: bool,
}

/// The page of one source.
#[derive(Clone, Debug, Template)]
#[template(path = "source/show.html")]
pub struct SourcePage {
    frame: Frame,
    name: String,
    badge: Badge,
    format: &'static str,
    address: String,
    pulse: PulseView,
    has_heartbeat: bool,
    disabled: Option<At>,
    /// The client certificate that is needed and that nobody can show here.
    unshowable: Option<String>,
    set: Vec<(&'static str, Said)>,
    issued: Option<String>,
    snippets: Vec<Snippet>,
    doors: Vec<Snippet>,
    may_change: bool,
    tokens: Vec<TokenRow>,
    issue: Option<ActForm>,
    settings: SettingsForm,
    faults: Vec<Fault>,
    reason: String,
    reason_fault: Option<String>,
    seen: i64,
    toggle: ActForm,
    deliveries: Vec<delivery::Row>,
    /// Whether a mapping can be tried.
    has_mapping: bool,
}

impl SourcePage {
    /// The page.
    pub fn of(frame: Frame, facts: SourceFacts<'_>, now: DateTime<Utc>) -> Self {
        let SourceFacts { source, refused, .. } = &facts;
        let name = &source.name;
        let act = |path: &str, words: [&'static str; 3], tint| {
            let [label, field, button] = words;
            let is_it = refused.form == path;
            ActForm {
                action: format!("/sources/{name}/{path}"),
                id: format!("act-{}", path.replace('/', "-")),
                label,
                field,
                value: if is_it {
                    refused.text.clone()
                } else {
                    String::new()
                },
                fault: fault(&refused.faults, field).filter(|_| is_it),
                button,
                tint,
                chars_max: if field == "token_name" {
                    TOKEN_NAME_CHARS_MAX
                } else {
                    2000
                },
            }
        };
        let tokens = facts.tokens.iter().map(|token| TokenRow {
            prefix: match token.prefix.as_str() {
                "" => "given".to_owned(),
                prefix => format!("{prefix}…"),
            },
            name: said(&token.name),
            made: at(token.created_at, now),
            used: token.last_used_at.map(|used| ago(used, now)),
            revoke: act(
                &format!("tokens/{}/revoke", token.id),
                ["Why it is taken away", "reason", "Revoke"],
                "",
            ),
        });
        let has_room = (facts.tokens.len() as i64) < LIVE_MAX;
        let current = AskedSettings::from(&source.settings);
        let is_settings = refused.form.is_empty() && refused.asked.is_some();
        let asked = refused.asked.as_ref().unwrap_or(&current);
        let faults = if is_settings {
            refused.faults.clone()
        } else {
            Vec::new()
        };
        let toggle = match source.disabled_at {
            None => act(
                "disable",
                ["Why it is closed", "reason", "Disable source"],
                "danger",
            ),
            Some(_) => act("enable", ["Why it may send again", "reason", "Enable source"], ""),
        };
        Self {
            badge: badge(source, facts.pulse, now),
            format: source.settings.format.title(),
            address: sender::address(source.settings.format, facts.base, name),
            pulse: PulseView::of(facts.pulse, now),
            has_heartbeat: source.settings.heartbeat_within.is_some(),
            disabled: source.disabled_at.map(|since| at(since, now)),
            unshowable: match facts.asks_clients {
                true => None,
                false => source.settings.client_name.clone(),
            },
            set: settings(&current),
            issued: facts.issued.map(str::to_owned),
            snippets: sender::snippets(
                &source.settings,
                facts.base,
                name,
                facts.issued.unwrap_or(NO_TOKEN),
            ),
            doors: sender::doors(
                &source.settings,
                facts.base,
                name,
                facts.issued.unwrap_or(NO_TOKEN),
            ),
            may_change: facts.may_change,
            tokens: tokens.collect(),
            issue: has_room.then(|| act("tokens", ["Who will use it", "token_name", "Issue token"], "")),
            settings: SettingsForm::of(asked, &faults, facts.asks_clients),
            reason: if is_settings {
                refused.text.clone()
            } else {
                String::new()
            },
            reason_fault: fault(&faults, "reason"),
            faults,
            seen: source.revision,
            toggle,
            has_mapping: source.settings.format == SourceKind::Generic,
            name: name.clone(),
            deliveries: facts.deliveries,
            frame,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }

    fn op(&self) -> Hidden {
        hidden(None)
    }
}

/// The settings to be read.
fn settings(settings: &AskedSettings) -> Vec<(&'static str, Said)> {
    let or = |text: &str, without: &str| said(if text.is_empty() { without } else { text });
    let storm = format!("{} within {}", settings.storm_starts, settings.storm_within);
    vec![
        (
            "Groups by",
            or(&settings.correlate_by.join(", "), "the sender's grouping"),
        ),
        ("Stale after", or(&settings.stale_after, "never")),
        ("Alertmanager asked", or(&settings.alertmanager, "nobody")),
        ("Heartbeat within", or(&settings.heartbeat_within, "no heartbeat")),
        ("Automatic starts", said(&storm)),
        ("Folds incidents over", or(&settings.storm_fold, "never")),
        ("Signed with", or(&settings.sign_with, "not signed")),
        ("Topic", or(&settings.topic_arn, "any")),
        ("Client certificate", or(&settings.client_name, "not needed")),
    ]
}
