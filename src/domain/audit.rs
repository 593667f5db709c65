//! The audit: what people decide that is not about one incident, with what it changed, in one hash chain. Decisions about
//! an incident are in its timeline, which has a chain of its own.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    digest::Digest,
    event::Tail,
    id::{ApprovalId, FreezeId, IncidentId, OperatorId, RoutingRuleId},
    operator::Actor,
};

/// The longest value that is kept as it is, in characters; of a longer one its beginning is kept, and a digest.
pub const VALUE_CHARS_MAX: usize = 500;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $name:literal, $words:literal;)*) => {
        /// What was done. Kinds are only ever added: their names stand in chains.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ActKind {
            $($(#[$doc])* $kind,)*
        }

        impl ActKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name in the database and in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// What somebody did, in words that stand between their name and that of the object.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$kind => $words,)*
                }
            }
        }
    };
}

kinds! {
    /// All automation was paused.
    Paused => "paused", "paused all automation";
    /// It was resumed.
    Resumed => "resumed", "resumed automation";
    /// The circuit of a target was closed by hand.
    CircuitClosed => "circuit_closed", "closed the circuit of";
    /// A freeze was made.
    FreezeMade => "freeze_made", "made the freeze";
    /// A freeze was ended before its time.
    FreezeEnded => "freeze_ended", "ended the freeze";
    /// A source was made.
    SourceMade => "source_made", "made the source";
    /// Settings of a source were changed.
    SourceChanged => "source_changed", "changed the source";
    /// A source was closed to its sender.
    SourceDisabled => "source_disabled", "disabled the source";
    /// It was opened again.
    SourceEnabled => "source_enabled", "enabled the source";
    /// A token of a source was made.
    TokenIssued => "source_token_issued", "issued a token of the source";
    /// A token of a source was taken away.
    TokenRevoked => "source_token_revoked", "revoked a token of the source";
    /// A rule about new episodes was made.
    RoutingRuleMade => "routing_rule_made", "made the routing rule";
    /// It was ended.
    RoutingRuleEnded => "routing_rule_ended", "ended the routing rule";
    /// A person was let in for the first time.
    PersonMade => "person_made", "added the person";
    /// Their role, name or teams were changed.
    PersonChanged => "person_changed", "changed the person";
    /// They cannot sign in any more.
    PersonDisabled => "person_disabled", "disabled the person";
    /// They can again.
    PersonEnabled => "person_enabled", "enabled the person";
    /// A team was made.
    TeamMade => "team_made", "made the team";
    /// Its name or its members were changed.
    TeamChanged => "team_changed", "changed the team";
    /// It was taken away.
    TeamRemoved => "team_removed", "removed the team";
    /// Somebody signed in.
    SignedIn => "signed_in", "signed in";
    /// Somebody tried to sign in and was refused.
    SignInFailed => "sign_in_failed", "refused a sign-in as";
    /// Sessions were ended from outside them.
    SessionsRevoked => "sessions_revoked", "ended sessions of";
    /// A person chose another password.
    PasswordChanged => "password_changed", "changed the password of";
    /// A person added a passkey.
    PasskeyAdded => "passkey_added", "added a passkey of";
    /// A person removed one.
    PasskeyRemoved => "passkey_removed", "removed a passkey of";
    /// A person made recovery codes.
    RecoveryCodesMade => "recovery_codes_made", "made recovery codes of";
    /// A recovery code was used up.
    RecoveryCodeUsed => "recovery_code_used", "used a recovery code of";
    /// A link was made by which a person chooses a password.
    PersonInvited => "person_invited", "made a link to come in for";
    /// A provider said that a person has another role.
    RoleChanged => "role_changed", "changed the role of";
    /// A token that acts for a person was made.
    ApiTokenIssued => "api_token_issued", "issued an API token of";
    /// It was taken away.
    ApiTokenRevoked => "api_token_revoked", "revoked an API token of";
    /// A version of a runbook was published.
    RunbookPublished => "runbook_published", "published the runbook";
    /// A version of a runbook was proposed.
    RunbookProposed => "runbook_proposed", "proposed a version of the runbook";
    /// A proposal of somebody else was approved.
    ProposalApproved => "proposal_approved", "approved a proposal of the runbook";
    /// A proposal was sent back with a word.
    ProposalSentBack => "proposal_sent_back", "sent back a proposal of the runbook";
    /// A proposal was taken back by its author.
    ProposalWithdrawn => "proposal_withdrawn", "took back a proposal of the runbook";
    /// A link to a gate was made for one person.
    LinkMade => "link_made", "made a link to the request";
    /// Somebody followed a link that was made for somebody else.
    LinkRefused => "link_refused", "followed a link of somebody else to the request";
    /// Where the timelines stood was marked.
    TimelinesMarked => "timelines_marked", "marked where the timelines stand";
}

impl ActKind {
    /// What is done to what stands over every run; everybody may read of it.
    pub const STANDING: [Self; 13] = [
        Self::Paused,
        Self::Resumed,
        Self::CircuitClosed,
        Self::FreezeMade,
        Self::FreezeEnded,
        Self::SourceMade,
        Self::SourceChanged,
        Self::SourceDisabled,
        Self::SourceEnabled,
        Self::TokenIssued,
        Self::TokenRevoked,
        Self::RoutingRuleMade,
        Self::RoutingRuleEnded,
    ];

    /// The kind of that name; `None` for one of a newer release.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// What was acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is: `source`, `freeze` …
    pub kind: String,
    /// How its address names it; empty where it has none.
    pub id: String,
    /// What people call it; text of people.
    pub name: String,
}

impl Object {
    fn new(kind: &str, id: impl ToString, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_string(),
            name: name.to_owned(),
        }
    }

    /// All automation.
    pub fn automation() -> Self {
        Self::new("automation", "", "")
    }

    /// A target, by its name.
    pub fn target(name: &str) -> Self {
        Self::new("target", name, name)
    }

    /// A freeze.
    pub fn freeze(id: FreezeId, title: &str) -> Self {
        Self::new("freeze", id, title)
    }

    /// A source, by its name.
    pub fn source(name: &str) -> Self {
        Self::new("source", name, name)
    }

    /// A token of a source: what it is told by, never the token.
    pub fn source_token(source: &str, which: &str) -> Self {
        Self::new("source_token", source, &format!("{source}, {which}"))
    }

    /// A rule about new episodes.
    pub fn routing_rule(id: RoutingRuleId, title: &str) -> Self {
        Self::new("routing_rule", id, title)
    }

    /// A person.
    pub fn person(id: OperatorId, name: &str) -> Self {
        Self::new("person", id, name)
    }

    /// Somebody who may be nobody, by the name they gave.
    pub fn stranger(name: &str) -> Self {
        Self::new("person", "", name)
    }

    /// A team, by its name.
    pub fn team(name: &str) -> Self {
        Self::new("team", name, name)
    }

    /// A runbook, by its slug.
    pub fn runbook(slug: &str) -> Self {
        Self::new("runbook", slug, slug)
    }

    /// A request for a decision at a gate.
    pub fn approval(id: ApprovalId, title: &str) -> Self {
        Self::new("approval", id, title)
    }

    /// The timelines of incidents.
    pub fn timelines() -> Self {
        Self::new("timelines", "", "")
    }
}

/// Values by field, as texts: what was true before an act, or is after it. Never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// These fields.
    pub fn of<const N: usize>(fields: [(&str, String); N]) -> Self {
        fields.into_iter().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One value.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// Only those fields whose values differ, on both sides; a field that one side lacks stands there empty.
    pub fn difference(before: &Self, after: &Self) -> (Self, Self) {
        let names = before.0.keys().chain(after.0.keys());
        let differing = names.filter(|name| before.0.get(*name) != after.0.get(*name));
        let sides = differing.map(|name| {
            let side = |fields: &Self| (name.clone(), fields.0.get(name).cloned().unwrap_or_default());
            (side(before), side(after))
        });
        let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) = sides.unzip();
        (Self(before), Self(after))
    }
}

impl<'a> FromIterator<(&'a str, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(fields: I) -> Self {
        let kept = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), keep(value)));
        Self(kept.collect())
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(
                f,
                "{comma}{name} {}",
                if value.is_empty() { "none" } else { value }
            )?;
        }
        Ok(())
    }
}

/// A value as it is kept: two long ones that differ still do.
fn keep(value: String) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        None => value,
        Some((at, _)) => format!(
            "{}… (sha256 {})",
            &value[..at],
            Digest::of_bytes(value.as_bytes()).short()
        ),
    }
}

/// Where an act came from, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What a session is told by; never its token.
    pub session: Option<String>,
    /// The address of whoever asked.
    pub address: Option<String>,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who did it, and what they showed.
    pub actor: Actor,
    /// Name of its [`ActKind`]; one that a newer release wrote may be unknown here.
    pub kind: String,
    /// To what.
    pub object: Object,
    /// What changed, as it was.
    pub before: Fields,
    /// The same as it is now.
    pub after: Fields,
    /// Why, in their words; may be empty.
    pub reason: String,
    /// From where.
    pub origin: Origin,
}

impl Act {
    /// An act that changed nothing that had been there.
    pub fn new(actor: Actor, kind: ActKind, object: Object, reason: &str) -> Self {
        Self {
            actor,
            kind: kind.name().to_owned(),
            object,
            before: Fields::default(),
            after: Fields::default(),
            reason: reason.to_owned(),
            origin: Origin::default(),
        }
    }

    /// The same with what it changed.
    pub fn changing(self, before: Fields, after: Fields) -> Self {
        Self {
            before,
            after,
            ..self
        }
    }

    /// The same with where it came from.
    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// What was done, to be read after a name.
    pub fn words(&self) -> String {
        let kind = ActKind::named(&self.kind);
        let words = kind.map_or(self.kind.as_str(), |kind| kind.words());
        match self.object.name.is_empty() {
            true => words.to_owned(),
            false => format!("{words} {}", self.object.name),
        }
    }

    /// What it was done to, with each field that changed.
    pub fn subject(&self) -> String {
        match ActKind::named(&self.kind) == Some(ActKind::SourceChanged) && !self.after.is_empty() {
            true => format!("{}: {}", self.object.name, self.changes().join("; ")),
            false => self.object.name.clone(),
        }
    }

    /// Each field that changed, as `field before → after`.
    pub fn changes(&self) -> Vec<String> {
        let shown = |value: &str| {
            if value.is_empty() {
                "none".to_owned()
            } else {
                value.to_owned()
            }
        };
        let both = self.before.0.iter().filter_map(|(name, before)| {
            let after = self.after.get(name)?;
            Some(format!("{name} {} → {}", shown(before), shown(after)))
        });
        both.collect()
    }
}

/// An act as the chain holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAct {
    /// Its place: 1, 2, 3 … without gaps, in commit order.
    pub seq: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// It.
    pub act: Act,
    /// The chain up to and including it.
    pub hash: Digest,
}

/// The link of an act, from the link before it and everything it says. A migration makes the same text in SQL.
pub fn chain(previous: Digest, seq: i64, act: &Act, at: DateTime<Utc>) -> Digest {
    Digest::chained(
        previous,
        &json!({
            "seq": seq,
            "at_us": at.timestamp_micros(),
            "actor": act.actor,
            "kind": act.kind,
            "object_kind": act.object.kind,
            "object_id": act.object.id,
            "object": act.object.name,
            "before": act.before,
            "after": act.after,
            "reason": act.reason,
            "session": act.origin.session,
            "address": act.origin.address,
        }),
    )
}

/// What decisions are exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values (RFC 4180), with a head.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl ExportFormat {
    /// Its name, which is also how its files end.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Csv, Self::Jsonl]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// A moment as people write it, in UTC: a day, a minute or a second of it, or RFC 3339. `None` for anything else, and for
/// years that no database knows.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let minute = || {
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];
        forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let exact = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.naive_utc());
    let at = day().or_else(minute).or_else(exact)?;
    (1970..=9999).contains(&at.year()).then(|| at.and_utc())
}

/// Where a timeline stood when it was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub incident: IncidentId,
    /// The number of its last event.
    pub seq: i64,
    /// That event's link.
    pub hash: Digest,
}

/// What an act says of the marks that were made with it, which stand in the order of their incidents.
pub fn digest_of(marks: &[Mark]) -> Digest {
    let lines: Vec<String> = marks
        .iter()
        .map(|mark| format!("{} {} {}\n", mark.incident, mark.seq, mark.hash))
        .collect();
    Digest::of_bytes(lines.concat().as_bytes())
}

/// The first place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The incident whose timeline it is; `None` for the audit.
    pub incident: Option<IncidentId>,
    /// The number of the row.
    pub seq: i64,
    /// The time that the row names, where there is one.
    pub at: Option<DateTime<Utc>>,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incident {
            None => write!(f, "the audit is broken at #{}", self.seq)?,
            Some(incident) => write!(f, "the timeline of INC-{incident} is broken at #{}", self.seq)?,
        }
        if let Some(at) = self.at {
            write!(f, " ({})", at.format("%-d %b %Y %H:%M:%S UTC"))?;
        }
        write!(f, ": {}", self.why)
    }
}

/// The end of the audit once this act is added to it, or what is wrong with the act.
pub fn follow(tail: Tail, recorded: &RecordedAct) -> Result<Tail, Broken> {
    let broken = |why: String| Broken {
        incident: None,
        seq: recorded.seq,
        at: Some(recorded.at),
        why,
    };
    if recorded.seq != tail.next {
        return Err(broken(format!("#{} should stand here", tail.next)));
    }
    let link = chain(tail.link, recorded.seq, &recorded.act, recorded.at);
    match link == recorded.hash {
        true => Ok(Tail {
            next: tail.next + 1,
            link,
        }),
        false => Err(broken(
            "its hash does not follow from it and the row before".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_standing_kinds_are_kinds() {
        for kind in ActKind::ALL {
            assert_eq!(ActKind::named(kind.name()), Some(*kind));
        }
        let names: std::collections::BTreeSet<_> = ActKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ActKind::ALL.len());
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let before = Fields::of([
            ("a", "1".to_owned()),
            ("b", "2".to_owned()),
            ("gone", "x".to_owned()),
        ]);
        let after = Fields::of([("a", "1".to_owned()), ("b", "3".to_owned())]);
        let (before, after) = Fields::difference(&before, &after);
        let act = Act::new(
            Actor::Terminal,
            ActKind::SourceChanged,
            Object::source("team"),
            "why",
        );
        let act = act.changing(before, after);
        assert_eq!(act.changes(), ["b 2 → 3", "gone x → none"]);
        assert_eq!(act.words(), "changed the source team");
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, at) in [
            ("2026-11-21", Some("2026-11-21T00:00:00Z")),
            (" 2026-11-21T03:12 ", Some("2026-11-21T03:12:00Z")),
            ("2026-11-21T03:12:07", Some("2026-11-21T03:12:07Z")),
            ("2026-11-21T05:12:07+02:00", Some("2026-11-21T03:12:07Z")),
            ("yesterday", None),
            ("99999-01-01", None),
            ("0001-01-01", None),
        ] {
            assert_eq!(moment(text), at.map(|at| at.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn long_values_are_cut_and_still_told_apart() {
        let long = |last: &str| Fields::of([("mapping", "ä".repeat(VALUE_CHARS_MAX) + last)]);
        let (one, other) = (long("x"), long("y"));
        assert_ne!(one, other);
        assert!(one.get("mapping").unwrap().chars().count() < VALUE_CHARS_MAX + 40);
    }

    #[test]
    fn a_link_depends_on_everything() {
        let at: DateTime<Utc> = "2026-11-21T03:12:07Z".parse().unwrap();
        let act = Act::new(Actor::Terminal, ActKind::Paused, Object::automation(), "why");
        let link = chain(Digest::ZERO, 1, &act, at);
        let changed = [
            Act {
                actor: Actor::Automation,
                ..act.clone()
            },
            Act {
                kind: "resumed".to_owned(),
                ..act.clone()
            },
            Act {
                object: Object::target("lb"),
                ..act.clone()
            },
            Act {
                before: Fields::of([("a", String::new())]),
                ..act.clone()
            },
            Act {
                after: Fields::of([("a", String::new())]),
                ..act.clone()
            },
            Act {
                reason: "what".to_owned(),
                ..act.clone()
            },
            Act {
                origin: Origin {
                    session: Some("s".to_owned()),
                    address: None,
                },
                ..act.clone()
            },
            Act {
                origin: Origin {
                    session: None,
                    address: Some("s".to_owned()),
                },
                ..act.clone()
            },
        ];
        for act in changed {
            assert_ne!(chain(Digest::ZERO, 1, &act, at), link, "{act:?}");
        }
        assert_ne!(chain(link, 1, &act, at), link);
        assert_ne!(chain(Digest::ZERO, 2, &act, at), link);
    }
}
