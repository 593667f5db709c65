//! Decisions of both kinds in one list: acts from the audit, and what people and Muster decided in timelines.

use std::{collections::BTreeMap, str::FromStr};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        audit::RecordedAct,
        digest::Digest,
        drill,
        event::{Event, IncidentFact, Recorded},
        id::{DrillId, IncidentId},
        operator::{Actor, TERMINAL, Via},
        run::RunFact,
        sentence,
    },
    store::{
        StoreError,
        audit::{self, Place, Wanted},
        decisions, drills,
    },
};

/// What incidents are called.
const INCIDENT_MARK: &str = "INC-";

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// About what is not one incident.
    Act(RecordedAct),
    /// In a timeline, that of a drill maybe.
    Event(IncidentId, Option<DrillId>, Recorded),
}

/// What a decision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is: `incident`, `run`, `approval`, `source` …
    pub kind: String,
    /// How its address names it; empty where it has none.
    pub id: String,
    /// What people call it; text of people.
    pub name: String,
}

impl Decision {
    /// Where it stands in the list.
    pub fn place(&self) -> Place {
        match self {
            Self::Act(row) => Place {
                at: row.at,
                incident: 0,
                seq: row.seq,
            },
            Self::Event(incident, _, row) => Place {
                at: row.recorded_at,
                incident: incident.0,
                seq: row.seq,
            },
        }
    }

    /// The link of its chain.
    pub fn hash(&self) -> Digest {
        match self {
            Self::Act(row) => row.hash,
            Self::Event(_, _, row) => row.hash,
        }
    }

    /// Who decided.
    pub fn actor(&self) -> &Actor {
        match self {
            Self::Act(row) => &row.act.actor,
            Self::Event(_, _, row) => &row.actor,
        }
    }

    /// What they showed to be let in; `break-glass` for a gate that somebody opened alone. Empty for what nobody showed
    /// anything for.
    pub fn via(&self) -> String {
        if let Self::Event(_, _, row) = self
            && matches!(row.event, Event::Run(_, RunFact::GateBroken { .. }))
        {
            return "break-glass".to_owned();
        }
        match self.actor() {
            Actor::Person { via, .. } => via.to_string(),
            Actor::Terminal => Via::Terminal.to_string(),
            Actor::Source { .. } | Actor::Automation | Actor::Stranger => String::new(),
        }
    }

    /// Name of its kind.
    pub fn kind(&self) -> String {
        match self {
            Self::Act(row) => row.act.kind.clone(),
            Self::Event(_, _, row) => row.event.kind(),
        }
    }

    /// What was decided, as a sentence; that of an act is to be read after the name of who did it.
    pub fn sentence(&self) -> String {
        match self {
            Self::Act(row) => row.act.words(),
            Self::Event(_, None, row) => sentence::sentence(&row.event),
            Self::Event(_, Some(drill), row) => {
                format!("{}: {}", drill::name(*drill), sentence::sentence(&row.event))
            }
        }
    }

    /// What it is about.
    pub fn about(&self) -> About {
        let (kind, id, name) = match self {
            Self::Act(row) => {
                let object = &row.act.object;
                (object.kind.as_str(), object.id.clone(), object.name.clone())
            }
            Self::Event(incident, ..) => (
                "incident",
                incident.to_string(),
                format!("{INCIDENT_MARK}{incident}"),
            ),
        };
        About {
            kind: kind.to_owned(),
            id,
            name,
        }
    }

    /// What was true before, and what is since; each may be empty.
    pub fn change(&self) -> (String, String) {
        match self {
            Self::Act(row) => (row.act.before.to_string(), row.act.after.to_string()),
            Self::Event(_, _, row) => moved(&row.event),
        }
    }

    /// Why, in the words of who decided; empty where the sentence has them.
    pub fn reason(&self) -> &str {
        match self {
            Self::Act(row) => &row.act.reason,
            Self::Event(..) => "",
        }
    }
}

/// What an event moved, where it says so by itself.
fn moved(event: &Event) -> (String, String) {
    let (before, after) = match event {
        Event::Incident(IncidentFact::SeverityChanged { from, to, .. }) => {
            return (from.to_string(), to.to_string());
        }
        Event::Incident(fact) => match fact {
            IncidentFact::Acknowledged => ("triggered", "acknowledged"),
            IncidentFact::Mitigated { .. } => ("", "mitigated"),
            IncidentFact::Resolved { .. } | IncidentFact::Recovered { .. } => ("", "resolved"),
            IncidentFact::Closed => ("resolved", "closed"),
            IncidentFact::MergedInto { .. } => ("", "merged"),
            _ => ("", ""),
        },
        Event::Run(_, fact) => match fact {
            RunFact::GateApproval { given, needed, .. } => {
                let before = format!("{} of {needed}", given.saturating_sub(1));
                return (before, format!("{given} of {needed}"));
            }
            RunFact::GateBroken { .. } => ("pending", "approved"),
            RunFact::GateRejected { .. } => ("pending", "rejected"),
            RunFact::GateWithdrawn { .. } => ("", "withdrawn"),
            RunFact::GateSentBack { .. } => ("pending", "returned"),
            RunFact::GateExpired { unused: false, .. } => ("pending", "expired"),
            RunFact::GateExpired { unused: true, .. } => ("approved", "expired"),
            RunFact::GateVoided { .. } => ("", "void"),
            RunFact::RunStarted { .. } => ("", "running"),
            RunFact::StepSkipped { .. } => ("", "skipped"),
            RunFact::ManualDone { .. } => ("", "done"),
            _ => ("", ""),
        },
    };
    (before.to_owned(), after.to_owned())
}

/// Which decisions are asked for. What is empty asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Name of who decided: a person, `Muster`, `the command line`.
    pub actor: String,
    /// Name of the kind.
    pub kind: String,
    /// The object: `INC-7` for an incident, else its name or id.
    pub object: String,
    /// Not older than this.
    pub from: Option<DateTime<Utc>>,
    /// Older than this.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether it asks for everything.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    fn wanted(&self) -> Wanted {
        let text = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let actor = text(&self.actor);
        let by = match actor.as_deref() {
            Some(name) if name.eq_ignore_ascii_case("muster") => Some("automation".to_owned()),
            Some(TERMINAL) => Some("terminal".to_owned()),
            _ => None,
        };
        let object = text(&self.object);
        let incident = object.as_deref().and_then(|name| {
            let number = name
                .get(..INCIDENT_MARK.len())
                .filter(|mark| mark.eq_ignore_ascii_case(INCIDENT_MARK));
            number.and_then(|_| name[INCIDENT_MARK.len()..].parse::<i64>().ok())
        });
        Wanted {
            name: actor.filter(|_| by.is_none()),
            by,
            kind: text(&self.kind),
            object,
            incident,
            from: self.from,
        }
    }
}

/// A [`Place`] in an address: the time in microseconds, the incident, the number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Place);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { at, incident, seq } = self.0;
        write!(f, "{}.{incident}.{seq}", at.timestamp_micros())
    }
}

/// A cursor that no answer of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("take it from the answer before, as it stands there")]
pub struct CursorFault;

impl FromStr for Cursor {
    type Err = CursorFault;

    fn from_str(text: &str) -> Result<Self, CursorFault> {
        let numbers: Result<Vec<i64>, _> = text.splitn(3, '.').map(str::parse).collect();
        let [micros, incident, seq] = numbers.map_err(|_| CursorFault)?[..] else {
            return Err(CursorFault);
        };
        let at =
            DateTime::from_timestamp_micros(micros).filter(|at| *at >= DateTime::UNIX_EPOCH && *at <= END);
        let at = at.ok_or(CursorFault)?;
        Ok(Self(Place { at, incident, seq }))
    }
}

/// After everything: the last second of the year 9999.
const END: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(end) => end,
    None => DateTime::UNIX_EPOCH,
};

/// Decisions before the cursor, or the newest, the newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Decision>, StoreError> {
    let wanted = filter.wanted();
    let newest = Place {
        at: filter.to.unwrap_or(END).min(END),
        // Before the whole of that moment, so that the time itself is left out.
        incident: -1,
        seq: 0,
    };
    let place = before.map_or(newest, |cursor| cursor.0.min(newest));
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let acts = match wanted.incident {
        Some(_) => Vec::new(),
        None => audit::list_before(conn, &wanted, place, rows).await?,
    };
    let events = match (&wanted.object, wanted.incident) {
        (Some(_), None) => Vec::new(),
        _ => decisions::list_before(conn, &wanted, place, rows).await?,
    };
    let ids: Vec<IncidentId> = events.iter().map(|(incident, _)| *incident).collect();
    let practised = match ids.is_empty() {
        true => BTreeMap::new(),
        false => drills::of_incidents(conn, &ids).await?,
    };
    let acts = acts.into_iter().map(Decision::Act);
    let events = events
        .into_iter()
        .map(|(incident, row)| Decision::Event(incident, practised.get(&incident).copied(), row));
    let mut both: Vec<Decision> = acts.chain(events).collect();
    both.sort_by_key(|decision| std::cmp::Reverse(decision.place()));
    both.truncate(limit);
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let place = Place {
            at: "2026-11-21T03:12:07.123456Z".parse().unwrap(),
            incident: 7,
            seq: 12,
        };
        assert_eq!(Cursor(place).to_string().parse(), Ok(Cursor(place)));
        for wrong in [
            "",
            "1",
            "1.2",
            "a.b.c",
            "1.2.3.4",
            "-5.1.1",
            "9223372036854775807.1.1",
            "1.2.+x",
        ] {
            assert_eq!(wrong.parse::<Cursor>(), Err(CursorFault), "{wrong}");
        }
    }

    #[test]
    fn an_incident_and_the_actors_without_a_name_are_told_from_names() {
        let filter = |actor: &str, object: &str| Filter {
            actor: actor.to_owned(),
            object: object.to_owned(),
            ..Filter::default()
        };
        assert_eq!(filter("Muster", "inc-7").wanted().incident, Some(7));
        assert_eq!(filter("Muster", "").wanted().by.as_deref(), Some("automation"));
        assert_eq!(filter(TERMINAL, "").wanted().by.as_deref(), Some("terminal"));
        let ana = filter(" ana ", "größe").wanted();
        assert_eq!(
            (ana.name.as_deref(), ana.object.as_deref(), ana.incident),
            (Some("ana"), Some("größe"), None)
        );
    }
}
