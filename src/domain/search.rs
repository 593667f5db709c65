//! What a person types to find incidents: `sev:1 state:open owner:me -service:checkout label:region=eu database`. Terms of
//! one kind widen each other, terms of different kinds narrow; a `-` before a term turns it round. Reading it is
//! `read`; here it becomes a [`Filter`] and is changed term by term, as the links of the page do.

mod read;

use std::fmt;

use super::{
    id::IncidentId,
    incident::{IncidentState, Severity},
};

pub use read::{Fault, QUERY_CHARS_MAX, TERMS_MAX, read};

/// What was asked, term by term, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// In the order they were typed.
    pub terms: Vec<Term>,
}

/// One condition; two are equal wherever they were typed.
#[derive(Clone, Debug, Eq)]
pub struct Term {
    /// Whether it is turned round.
    pub not: bool,
    /// What is asked.
    pub what: What,
    /// Where it was typed, from 1; 0 when nobody typed it.
    pub column: usize,
}

/// What a term asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `sev:1,2`
    Severity(Vec<Severity>),
    /// `state:open`
    State(Vec<IncidentState>),
    /// `owner:me`
    Owner(Vec<Owner>),
    /// `service:checkout`
    Service(Vec<String>),
    /// `source:prom-eu`
    Source(Vec<String>),
    /// `label:region=eu`
    Label(String, String),
    /// `is:flapping`, `has:run`
    Is(Trait),
    /// `INC-204`
    Incident(IncidentId),
    /// A word of the title, or its beginning.
    Word(String),
}

/// Whose an incident is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Who asks.
    Me,
    /// Nobody's.
    Nobody,
    /// The person of that name.
    Named(String),
}

/// What is true of an incident or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    /// A runbook was started in it.
    Ran,
    /// A run is going on.
    Running,
    /// A decision waits in it.
    Waiting,
    /// It comes and goes.
    Flapping,
    /// Another one stands for it in the list.
    Folded,
    /// It is practice.
    Drill,
}

impl Trait {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ran,
        Self::Running,
        Self::Waiting,
        Self::Flapping,
        Self::Folded,
        Self::Drill,
    ];

    /// As it is typed: key and value.
    pub fn typed(self) -> (&'static str, &'static str) {
        match self {
            Self::Ran => ("has", "run"),
            Self::Running => ("is", "running"),
            Self::Waiting => ("is", "waiting"),
            Self::Flapping => ("is", "flapping"),
            Self::Folded => ("is", "folded"),
            Self::Drill => ("is", "drill"),
        }
    }
}

/// The states in which something can still be done.
pub const OPEN: [IncidentState; 3] = [
    IncidentState::Triggered,
    IncidentState::Acknowledged,
    IncidentState::Mitigated,
];

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        (self.not, &self.what) == (other.not, &other.what)
    }
}

impl From<What> for Term {
    fn from(what: What) -> Self {
        Self {
            not: false,
            what,
            column: 0,
        }
    }
}

impl Search {
    /// The incidents that are open: what the list shows by itself.
    pub fn open() -> Self {
        Self {
            terms: vec![What::State(OPEN.to_vec()).into()],
        }
    }

    /// Whether nothing but the state is asked, so that an incident may stand for those folded under it.
    pub fn is_plain(&self) -> bool {
        self.terms.iter().all(|term| matches!(term.what, What::State(_)))
    }

    /// Whether exactly this is asked for its kind.
    pub fn has(&self, what: &What) -> bool {
        let mut same = self.terms.iter().filter(|term| term.what.is_like(what));
        same.next().is_some_and(|term| !term.not && term.what == *what) && same.next().is_none()
    }

    /// The same with this instead of whatever was asked of its kind; without it when it was asked already.
    pub fn toggled(&self, what: What) -> Self {
        let had = self.has(&what);
        let mut terms = self.terms.clone();
        terms.retain(|term| !term.what.is_like(&what));
        if !had {
            terms.push(what.into());
        }
        Self { terms }
    }

    /// The same without the terms that this keeps out.
    pub fn without(&self, out: impl Fn(&Term) -> bool) -> Self {
        let terms = self.terms.iter().filter(|term| !out(term)).cloned();
        Self {
            terms: terms.collect(),
        }
    }

    /// What it comes to.
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        for term in &self.terms {
            filter.take(term);
        }
        filter
    }
}

impl What {
    /// Whether both are of one kind: one of them takes the other's place when it is chosen on the page.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Is(one), Self::Is(other)) => one == other,
            (Self::Label(one, _), Self::Label(other, _)) => one == other,
            (Self::Word(one), Self::Word(other)) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// Conditions that can be asked of the database, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these; all when it is none.
    pub states: Option<Vec<IncidentState>>,
    /// Any of these; all when it is none.
    pub severities: Option<Vec<Severity>>,
    /// Any of these, unless there is none.
    pub owners: Vec<Owner>,
    /// None of these.
    pub not_owners: Vec<Owner>,
    /// Any of these, unless there is none.
    pub services: Vec<String>,
    /// None of these.
    pub not_services: Vec<String>,
    /// Any of these, unless there is none.
    pub sources: Vec<String>,
    /// None of these.
    pub not_sources: Vec<String>,
    /// Each of these.
    pub labels: Vec<(String, String)>,
    /// None of these.
    pub not_labels: Vec<(String, String)>,
    /// Any of these, unless there is none.
    pub incidents: Vec<IncidentId>,
    /// None of these.
    pub not_incidents: Vec<IncidentId>,
    /// Each of these is so, or is not.
    pub traits: Vec<(Trait, bool)>,
    /// Each of these begins a word of the title, or does not.
    pub words: Vec<(String, bool)>,
}

impl Filter {
    fn take(&mut self, term: &Term) {
        let not = term.not;
        match &term.what {
            What::State(some) => choose(&mut self.states, &IncidentState::ALL, some, not),
            What::Severity(some) => choose(&mut self.severities, &Severity::ALL, some, not),
            What::Owner(some) => either(&mut self.owners, &mut self.not_owners, some, not),
            What::Service(some) => either(&mut self.services, &mut self.not_services, some, not),
            What::Source(some) => either(&mut self.sources, &mut self.not_sources, some, not),
            What::Label(name, value) => {
                let label = [(name.clone(), value.clone())];
                either(&mut self.labels, &mut self.not_labels, &label, not);
            }
            What::Incident(id) => either(&mut self.incidents, &mut self.not_incidents, &[*id], not),
            What::Is(what) => self.traits.push((*what, !not)),
            What::Word(word) => self.words.push((word.clone(), !not)),
        }
    }

    /// Whether that is asked to be so or not to be; contradictions are kept by [`Self::is_impossible`].
    pub fn asks(&self, what: Trait) -> Option<bool> {
        let mut asked = self.traits.iter().filter(|(other, _)| *other == what);
        asked.next().map(|(_, so)| *so)
    }

    /// Whether it contradicts itself, so that nothing can be found.
    pub fn is_impossible(&self) -> bool {
        let torn = |what: Trait| {
            let mut asked = self.traits.iter().filter(|(other, _)| *other == what);
            let first = asked.next();
            asked.any(|other| Some(other) != first)
        };
        Trait::ALL.into_iter().any(torn)
            || self.labels.iter().any(|(name, value)| {
                self.labels
                    .iter()
                    .any(|(other, another)| other == name && another != value)
            })
    }
}

/// Any of several asked for widen each other; one that is not wanted narrows.
fn choose<T: Copy + PartialEq>(chosen: &mut Option<Vec<T>>, all: &[T], some: &[T], not: bool) {
    let before = chosen.take();
    *chosen = Some(match (before, not) {
        (None, false) => some.to_vec(),
        (None, true) => all.iter().filter(|one| !some.contains(one)).copied().collect(),
        (Some(mut before), false) => {
            before.extend(
                some.iter()
                    .filter(|one| !before.contains(one))
                    .copied()
                    .collect::<Vec<T>>(),
            );
            before
        }
        (Some(mut before), true) => {
            before.retain(|one| !some.contains(one));
            before
        }
    });
}

fn either<T: Clone>(wanted: &mut Vec<T>, unwanted: &mut Vec<T>, some: &[T], not: bool) {
    let into = if not { unwanted } else { wanted };
    into.extend(some.iter().cloned());
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not {
            f.write_str("-")?;
        }
        self.what.fmt(f)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Severity(some) => {
                let numbers: Vec<String> = some.iter().map(|one| one.number().to_string()).collect();
                write!(f, "sev:{}", numbers.join(","))
            }
            Self::State(some) if **some == OPEN => f.write_str("state:open"),
            Self::State(some) if **some == IncidentState::ALL => f.write_str("state:all"),
            Self::State(some) => {
                let names: Vec<&str> = some.iter().map(|one| one.name()).collect();
                write!(f, "state:{}", names.join(","))
            }
            Self::Owner(some) => {
                let names: Vec<String> = some
                    .iter()
                    .map(|owner| match owner {
                        Owner::Me => "me".to_owned(),
                        Owner::Nobody => "nobody".to_owned(),
                        Owner::Named(name) => quoted(name),
                    })
                    .collect();
                write!(f, "owner:{}", names.join(","))
            }
            Self::Service(some) => write!(f, "service:{}", joined(some)),
            Self::Source(some) => write!(f, "source:{}", joined(some)),
            Self::Label(name, value) => write!(f, "label:{}={}", quoted(name), quoted(value)),
            Self::Is(what) => {
                let (key, value) = what.typed();
                write!(f, "{key}:{value}")
            }
            Self::Incident(id) => write!(f, "INC-{id}"),
            Self::Word(word) => f.write_str(&match word.starts_with('-') || is_number_of_ours(word) {
                true => format!("\"{word}\""),
                false => quoted(word),
            }),
        }
    }
}

fn joined(some: &[String]) -> String {
    some.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(",")
}

/// In quotes where it would be read as something else without. No text holds a quote: there is no way to type one.
fn quoted(text: &str) -> String {
    match text.is_empty() || text.contains([' ', '\t', '\n', ':', ',', '=']) {
        true => format!("\"{text}\""),
        false => text.to_owned(),
    }
}

fn is_number_of_ours(word: &str) -> bool {
    read::incident(word).is_some()
}

#[cfg(test)]
mod tests;
