//! Acts: what people decide that is not about one incident. Decisions about an incident are events of its timeline.

use super::{
    drill,
    fields::Fields,
    id::{ActionItemId, ApprovalId, DrillId, FreezeId, OperatorId, RoutingRuleId},
    operator::Actor,
};

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
    /// The circuit of a target was opened by hand.
    CircuitOpened => "circuit_opened", "opened the circuit of";
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
    /// A scenario was made of a real incident.
    ScenarioMade => "scenario_made", "made the scenario";
    /// It was taken out of use.
    ScenarioRetired => "scenario_retired", "took out of use the scenario";
    /// It was brought back into use.
    ScenarioRestored => "scenario_restored", "brought back the scenario";
    /// A drill was planned.
    DrillPlanned => "drill_planned", "planned the drill";
    /// A drill was begun by hand.
    DrillBegun => "drill_begun", "began the drill";
    /// A drill was made to stand still.
    DrillPaused => "drill_paused", "paused the drill";
    /// It was made to go on.
    DrillResumed => "drill_resumed", "resumed the drill";
    /// It was ended, or called off.
    DrillEnded => "drill_ended", "ended the drill";
    /// A fault of a game day was said to be over, without anybody having seen it.
    FaultDeclared => "fault_declared", "declared a real fault over that nobody saw end, of";
    /// Something is to be done after an incident or a drill.
    ActionItemMade => "action_item_made", "made the action item";
    /// It is done, or not to be done any more.
    ActionItemClosed => "action_item_closed", "closed the action item";
    /// Where the timelines stood was marked.
    TimelinesMarked => "timelines_marked", "marked where the timelines stand";
}

impl ActKind {
    /// What is done to what stands over every run; everybody may read of it.
    pub const STANDING: [Self; 14] = [
        Self::Paused,
        Self::Resumed,
        Self::CircuitOpened,
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

    /// A scenario, by its slug.
    pub fn scenario(slug: &str) -> Self {
        Self::new("scenario", slug, slug)
    }

    /// A drill.
    pub fn drill(id: DrillId, title: &str) -> Self {
        Self::new("drill", id, &format!("{}: {title}", drill::name(id)))
    }

    /// Something that is to be done.
    pub fn action_item(id: ActionItemId, text: &str) -> Self {
        Self::new("action_item", id, text)
    }

    /// The timelines of incidents.
    pub fn timelines() -> Self {
        Self::new("timelines", "", "")
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

    /// What was done, in words that stand between the name of who did it and that of the object.
    pub fn kind_words(&self) -> &str {
        ActKind::named(&self.kind).map_or(self.kind.as_str(), |kind| kind.words())
    }

    /// What was done, to be read after a name.
    pub fn words(&self) -> String {
        let words = self.kind_words();
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
        let both = self.before.iter().filter_map(|(name, before)| {
            let after = self.after.get(name)?;
            Some(format!("{name} {} → {}", shown(before), shown(after)))
        });
        both.collect()
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
}
