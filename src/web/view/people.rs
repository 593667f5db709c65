//! People and teams: the list, and the page of one person.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    layout::Frame,
    parts::{Ago, At, Hidden, Said, ago, at, hidden, said},
};
use crate::{
    domain::{
        approval::may_decide,
        id::OperatorId,
        operator::{Operator, Role},
        permission::Permission,
        step::GateRule,
    },
    rights::people::NAME_CHARS_MAX,
    store::{people::Person, runbooks::Version, teams::Team},
};

/// What was typed into a form.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// A name.
    pub name: String,
    /// Name of a role.
    pub role: String,
    /// Names of teams.
    pub teams: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A field that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    form: &'static str,
    field: &'static str,
    message: String,
}

impl Refused {
    /// What is wrong with a field of a form.
    pub fn new(form: &'static str, field: &'static str, message: String) -> Self {
        Self { form, field, message }
    }
}

/// One role to choose, with what it adds to the one before.
#[derive(Clone, Debug)]
struct RoleChoice {
    name: &'static str,
    adds: String,
    is_chosen: bool,
}

fn roles(chosen: &str) -> Vec<RoleChoice> {
    let adds = |role: Role| {
        let own = Permission::ALL
            .into_iter()
            .filter(|permission| permission.least() == role);
        own.map(Permission::words).collect::<Vec<_>>().join("; ")
    };
    let choice = |role: Role| RoleChoice {
        name: role.name(),
        adds: adds(role),
        is_chosen: role.name() == chosen,
    };
    Role::ALL.into_iter().map(choice).collect()
}

/// The list.
#[derive(Clone, Debug, Template)]
#[template(path = "people/list.html")]
pub struct PeoplePage {
    frame: Frame,
    rows: Vec<Row>,
    teams: Vec<Team>,
    roles: Vec<RoleChoice>,
    typed: Typed,
    fault: Option<Refused>,
    name_max: usize,
}

#[derive(Clone, Debug)]
struct Row {
    id: OperatorId,
    name: Said,
    role: Role,
    teams: String,
    seen: Option<Ago>,
    disabled: Option<At>,
    has_way_in: bool,
    /// At how many gates they may decide; nothing while there is no gate.
    decides: String,
}

/// The gates of the runbooks in use, and at which of them somebody may decide.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    all: usize,
    open: BTreeMap<OperatorId, Vec<String>>,
}

impl Gates {
    /// Those of these runbooks, for these people, in runs that somebody else started.
    pub fn of(versions: &[Version], people: &[Operator]) -> Self {
        let gates: Vec<(String, &GateRule)> = versions
            .iter()
            .flat_map(|version| {
                let slug = &version.runbook.slug;
                let gates = version.runbook.gates();
                gates.map(move |(step, rule)| (format!("{slug}: {step}"), rule))
            })
            .collect();
        let open_to = |person: &Operator| {
            let open = gates
                .iter()
                .filter(|(_, rule)| may_decide(rule, person, None).is_ok());
            (person.id, open.map(|(name, _)| name.clone()).collect())
        };
        Self {
            all: gates.len(),
            open: people.iter().map(open_to).collect(),
        }
    }

    fn open_to(&self, person: OperatorId) -> &[String] {
        self.open.get(&person).map_or(&[], Vec::as_slice)
    }

    fn words(&self, person: OperatorId) -> String {
        match (self.all, self.open_to(person).len()) {
            (0, _) => String::new(),
            (_, 0) => "may decide at no gate".to_owned(),
            (all, open) if all == open => "may decide at every gate".to_owned(),
            (all, open) => format!("may decide at {open} of {all} gates"),
        }
    }
}

impl PeoplePage {
    /// The list, with what was typed into one of its forms.
    pub fn of(
        frame: Frame,
        people: &[Person],
        gates: &Gates,
        teams: Vec<Team>,
        typed: Typed,
        fault: Option<Refused>,
        now: DateTime<Utc>,
    ) -> Self {
        let row = |person: &Person| Row {
            id: person.id,
            name: said(&person.name),
            role: person.role,
            teams: person.teams.join(", "),
            seen: person.seen_at.map(|seen| ago(seen, now)),
            disabled: person.disabled_at.map(|disabled| at(disabled, now)),
            has_way_in: person.has_way_in,
            decides: match person.disabled_at {
                None => gates.words(person.id),
                Some(_) => String::new(),
            },
        };
        let chosen = match typed.role.is_empty() {
            true => Role::Responder.name(),
            false => &typed.role,
        };
        Self {
            frame,
            rows: people.iter().map(row).collect(),
            teams,
            roles: roles(chosen),
            typed,
            fault,
            name_max: NAME_CHARS_MAX,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn fault_of(&self, form: &str, field: &str) -> Option<&str> {
        fault_of(self.fault.as_ref(), form, field)
    }

    fn typed_into(&self, form: &str) -> &str {
        let is_it = self.fault.as_ref().is_some_and(|fault| fault.form == form);
        if is_it { &self.typed.name } else { "" }
    }

    fn is_ticked(&self, team: &Team) -> bool {
        self.typed.teams.contains(&team.name)
    }
}

fn fault_of<'a>(fault: Option<&'a Refused>, form: &str, field: &str) -> Option<&'a str> {
    fault
        .filter(|fault| fault.form == form && fault.field == field)
        .map(|fault| fault.message.as_str())
}

/// The page of a person.
#[derive(Clone, Debug, Template)]
#[template(path = "people/show.html")]
pub struct PersonPage {
    frame: Frame,
    id: OperatorId,
    name: Said,
    /// As it is, for addresses.
    plain_name: String,
    role: Role,
    since: At,
    seen: Option<Ago>,
    sessions: i64,
    tokens: i64,
    disabled: Option<At>,
    has_way_in: bool,
    teams: Vec<TeamChoice>,
    roles: Vec<RoleChoice>,
    shut: Vec<String>,
    /// Gates at which they may decide.
    decides: Vec<String>,
    link: Option<String>,
    typed: Typed,
    fault: Option<Refused>,
}

#[derive(Clone, Debug)]
struct TeamChoice {
    name: String,
    is_chosen: bool,
}

impl PersonPage {
    /// The page of a person; `shut` are gates that would be out of reach without them, `link` is shown this once.
    pub fn of(
        frame: Frame,
        person: &Person,
        teams: Vec<Team>,
        (gates, shut): (&Gates, Vec<String>),
        link: Option<String>,
        (typed, fault): (Typed, Option<Refused>),
        now: DateTime<Utc>,
    ) -> Self {
        let choose = |team: Team| TeamChoice {
            is_chosen: person.teams.contains(&team.name),
            name: team.name,
        };
        Self {
            frame,
            id: person.id,
            name: said(&person.name),
            plain_name: person.name.clone(),
            role: person.role,
            since: at(person.created_at, now),
            seen: person.seen_at.map(|seen| ago(seen, now)),
            sessions: person.sessions,
            tokens: person.tokens,
            disabled: person.disabled_at.map(|disabled| at(disabled, now)),
            has_way_in: person.has_way_in,
            teams: teams.into_iter().map(choose).collect(),
            roles: roles(person.role.name()),
            shut,
            decides: gates.open_to(person.id).to_vec(),
            link,
            typed,
            fault,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn fault_of(&self, form: &str) -> Option<&str> {
        self.fault
            .as_ref()
            .filter(|fault| fault.form == form)
            .map(|fault| fault.message.as_str())
    }

    fn reason_in(&self, form: &str) -> &str {
        let is_it = self.fault.as_ref().is_some_and(|fault| fault.form == form);
        if is_it { &self.typed.reason } else { "" }
    }
}
