//! The page of the audit: who decided what, and whether the record of it holds.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format::grouped,
    layout::Frame,
    parts::{At, Badge, Said, at, said},
    text::with_query,
};
use crate::{
    audit::list::{About, Decision},
    domain::{access, act::ActKind, id::is_slug, operator::Operator, permission::Permission},
    store::audit_checks::Check,
};

/// Rows on a page of the list.
pub const ROWS_MAX: usize = 100;
/// Newer decisions that are counted; more are said to be more.
pub const NEWER_MAX: usize = 100;

/// Kinds of events that are decisions, with words for them; the first few are those that Muster decides too.
pub const EVENT_KINDS: &[(&str, &str)] = &[
    ("run_started", "run started"),
    ("start_held_back", "start held back"),
    ("gate_expired", "gate expired"),
    ("gate_voided", "approval voided"),
    ("recovered", "recovered by itself"),
    ("gate_approval", "gate approved"),
    ("gate_rejected", "gate rejected"),
    ("gate_broken", "gate opened alone"),
    ("gate_withdrawn", "approval taken back"),
    ("gate_sent_back", "gate sent back"),
    ("glass_reviewed", "opened gate reviewed"),
    ("acknowledged", "acknowledged"),
    ("mitigated", "mitigated"),
    ("resolved", "resolved"),
    ("closed", "closed"),
    ("severity_changed", "severity changed"),
    ("merged_into", "merged"),
    ("unmerged", "taken out again"),
    ("folded", "folded"),
    ("silence_asked", "silence asked for"),
    ("silence_end_asked", "silence ended"),
    ("alerts_settled", "alerts said to be over"),
    ("pause_requested", "run paused"),
    ("pause_ended", "run went on"),
    ("stop_requested", "run stopped"),
    ("undo_requested", "run undone"),
    ("step_skipped", "step skipped"),
    ("manual_done", "manual step done"),
    ("unknown_decided", "unknown outcome decided"),
];

/// What a person asks the list for, as it stands in the address.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Name of who decided.
    pub actor: String,
    /// Name of the kind.
    pub kind: String,
    /// The object.
    pub object: String,
    /// Not older than this.
    pub from: String,
    /// Older than this.
    pub to: String,
}

impl Asked {
    /// This list at that address, with one more parameter.
    pub fn address(&self, path: &str, name: &str, value: &str) -> String {
        let parameters = [
            ("actor", self.actor.as_str()),
            ("kind", &self.kind),
            ("object", &self.object),
            ("from", &self.from),
            ("to", &self.to),
            (name, value),
        ];
        with_query(path, &parameters)
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "audit/list.html")]
pub struct AuditPage {
    /// The frame.
    pub frame: Frame,
    /// Whether the chains hold.
    pub chains: Vec<ChainLine>,
    /// What was asked for.
    pub asked: Asked,
    /// Whether anything was.
    pub is_filtered: bool,
    /// Whether these are not the newest.
    pub is_older: bool,
    /// How many newer ones there are, as far as they were counted.
    pub newer: usize,
    /// The rows.
    pub rows: Vec<Row>,
    /// Address of older rows.
    pub older: Option<String>,
    /// The most rows of an exported file.
    pub export_rows_max: String,
}

/// How a chain was found.
#[derive(Clone, Debug)]
pub struct ChainLine {
    badge: Badge,
    words: String,
    checked: Option<At>,
}

impl ChainLine {
    /// The line of a chain, whose links are called `links`.
    pub fn of(name: &str, links: &str, check: &Check, now: DateTime<Utc>) -> Self {
        let (badge, words) = match (&check.broken, check.whole) {
            (Some(broken), whole) => {
                let held = if whole.is_some() { ". It last held" } else { "" };
                let words = format!("{name}: {broken}{held}");
                (Badge::new("sev1", "cross", "Broken"), words)
            }
            (None, Some((count, _))) => {
                let words = format!("{name}: {} {links}, unbroken, checked to the end", grouped(count));
                (Badge::new("done", "check", "Unbroken"), words)
            }
            (None, None) => {
                let words = format!("{name}: {} {links} hold so far", grouped(check.walked));
                (Badge::new("quiet", "clock", "Not checked to the end yet"), words)
            }
        };
        Self {
            badge,
            words,
            checked: check.whole.map(|(_, whole)| at(whole, now)),
        }
    }
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Row {
    at: At,
    who: Said,
    via: Said,
    sentence: Said,
    href: Option<String>,
    about: Said,
    before: Said,
    after: Said,
    reason: Said,
}

impl Row {
    /// The row of a decision.
    pub fn of(decision: &Decision, me: &Operator, now: DateTime<Utc>) -> Self {
        let about = decision.about();
        let (before, after) = decision.change();
        // The object stands beside the words, as a link.
        let words = match decision {
            Decision::Act(row) => row.act.kind_words().to_owned(),
            Decision::Event(..) => decision.sentence(),
        };
        let may_people = access::may(me, Permission::People).is_ok();
        let href = href(&about, decision.place().seq)
            .filter(|_| may_people || !matches!(about.kind.as_str(), "person" | "team"));
        let name = match (about.name.as_str(), &href) {
            ("", Some(_)) => "System",
            (name, _) => name,
        };
        Self {
            at: at(decision.place().at, now),
            who: said(&decision.actor().to_string()),
            via: said(&decision.via()),
            sentence: said(&words),
            about: said(name),
            href,
            before: said(&before),
            after: said(&after),
            reason: said(decision.reason()),
        }
    }

    fn has_change(&self) -> bool {
        !self.before.is_empty() || !self.after.is_empty()
    }
}

/// Where the object of a decision is shown; `seq` is the decision's own number.
fn href(about: &About, seq: i64) -> Option<String> {
    let id = &about.id;
    let is_number = id.parse::<i64>().is_ok();
    match about.kind.as_str() {
        "incident" => Some(format!("/incidents/{id}#e{seq}")),
        "approval" if is_number => Some(format!("/approvals/{id}")),
        "source" | "source_token" if is_slug(id) => Some(format!("/sources/{id}")),
        "runbook" if is_slug(id) => Some(format!("/runbooks/{id}")),
        "person" if is_number => Some(format!("/settings/people/{id}")),
        "team" => Some("/settings/people".to_owned()),
        "automation" => Some("/system#automation".to_owned()),
        "target" if is_slug(id) => Some(format!("/settings/targets/{id}")),
        "scenario" if is_slug(id) => Some(format!("/drills/scenarios/{id}")),
        "drill" if is_number => Some(format!("/drills/{id}")),
        "action_item" => Some("/action-items?which=all".to_owned()),
        "freeze" => Some("/system#freezes".to_owned()),
        "routing_rule" => Some("/routing".to_owned()),
        _ => None,
    }
}

impl AuditPage {
    /// What the list can be asked for by kind: the name, its words, whether it is asked for.
    pub fn kinds(&self) -> Vec<(&'static str, &'static str, bool)> {
        let acts = ActKind::ALL
            .iter()
            .filter(|kind| **kind != ActKind::TimelinesMarked);
        let acts = acts.map(|kind| (kind.name(), kind.words()));
        let all = acts.chain(EVENT_KINDS.iter().copied());
        all.map(|(name, words)| (name, words, name == self.asked.kind))
            .collect()
    }
}
