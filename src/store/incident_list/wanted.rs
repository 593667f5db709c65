//! What is looked for in the list, in the words of the database, and the one condition that finds it.

use serde_json::{Value, json};

use crate::domain::{
    id::{IncidentId, OperatorId},
    incident::{IncidentState, Severity},
    search::{Filter, Owner, Trait},
};

/// What is looked for, in the words of the database.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub(super) filter: Filter,
    pub(super) states: Option<Vec<String>>,
    pub(super) severities: Option<Vec<i16>>,
    /// Whether it matters whose they are, whose, and whether nobody's count.
    pub(super) owners: Option<Vec<i64>>,
    pub(super) nobody: bool,
    pub(super) not_owners: Vec<i64>,
    pub(super) not_nobody: bool,
    pub(super) sources: Option<Vec<i64>>,
    pub(super) not_sources: Vec<i64>,
    pub(super) labels: Option<Value>,
    pub(super) not_labels: Vec<Value>,
    pub(super) incidents: Option<Vec<i64>>,
    pub(super) not_incidents: Vec<i64>,
    pub(super) words: Option<String>,
    pub(super) under: Option<i64>,
    pub(super) folds: Folds,
}

/// What becomes of incidents that another one stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folds {
    /// They are listed like any other.
    #[default]
    Listed,
    /// Left out under one that is open.
    HiddenUnderOpen,
    /// Left out under whichever.
    Hidden,
}

impl Wanted {
    /// A filter, asked by somebody, with what it names known by number. An unknown name is nobody's.
    pub fn of(filter: &Filter, me: OperatorId, names: &Names) -> Self {
        let ids = |owners: &[Owner]| -> Vec<i64> {
            let known = owners.iter().filter_map(|owner| match owner {
                Owner::Me => Some(me.0),
                Owner::Nobody => None,
                Owner::Named(name) => number(&names.people, name),
            });
            known.collect()
        };
        let of_sources = |some: &[String]| -> Vec<i64> {
            some.iter()
                .filter_map(|name| number(&names.sources, name))
                .collect()
        };
        let label = |(name, value): &(String, String)| json!({ name: value });
        let mut labels = serde_json::Map::new();
        for (name, value) in &filter.labels {
            labels.insert(name.clone(), Value::String(value.clone()));
        }
        Self {
            states: filter.states.as_ref().map(|some| state_names(some)),
            severities: filter.severities.as_ref().map(|some| numbers(some)),
            owners: (!filter.owners.is_empty()).then(|| ids(&filter.owners)),
            nobody: filter.owners.contains(&Owner::Nobody),
            not_owners: ids(&filter.not_owners),
            not_nobody: filter.not_owners.contains(&Owner::Nobody),
            sources: (!filter.sources.is_empty()).then(|| of_sources(&filter.sources)),
            not_sources: of_sources(&filter.not_sources),
            labels: (!labels.is_empty()).then_some(Value::Object(labels)),
            not_labels: filter.not_labels.iter().map(label).collect(),
            incidents: (!filter.incidents.is_empty())
                .then(|| filter.incidents.iter().map(|id| id.0).collect()),
            not_incidents: filter.not_incidents.iter().map(|id| id.0).collect(),
            words: words(&filter.words),
            under: None,
            folds: Folds::Listed,
            filter: filter.clone(),
        }
    }

    /// Whether incidents that are over are counted below others, not open ones only.
    pub fn counts_all(&self) -> bool {
        self.folds == Folds::Hidden
    }

    /// The same with the folded ones treated so.
    pub fn folds(mut self, folds: Folds) -> Self {
        self.folds = folds;
        self
    }

    /// Only those folded under this one.
    pub fn under(mut self, parent: Option<IncidentId>) -> Self {
        self.under = parent.map(|id| id.0);
        self
    }

    /// The same in the other states, when it is about some.
    pub fn other_states(&self) -> Option<Self> {
        let some = self.filter.states.as_ref()?;
        let others = IncidentState::ALL
            .into_iter()
            .filter(|state| !some.contains(state));
        Some(Self {
            states: Some(state_names(&others.collect::<Vec<_>>())),
            ..self.clone()
        })
    }

    /// The same with the other severities, when it is about some.
    pub fn other_severities(&self) -> Option<Self> {
        let some = self.filter.severities.as_ref()?;
        let others = Severity::ALL
            .into_iter()
            .filter(|severity| !some.contains(severity));
        Some(Self {
            severities: Some(numbers(&others.collect::<Vec<_>>())),
            ..self.clone()
        })
    }

    /// The same whoever's they are, when it is about that.
    pub fn any_owner(&self) -> Option<Self> {
        let is_about_owners = self.owners.is_some() || self.not_nobody || !self.not_owners.is_empty();
        is_about_owners.then(|| Self {
            owners: None,
            nobody: false,
            not_owners: Vec::new(),
            not_nobody: false,
            ..self.clone()
        })
    }

    /// The same for every service, when it is about some.
    pub fn any_service(&self) -> Option<Self> {
        let is_about_services = !self.filter.services.is_empty() || !self.filter.not_services.is_empty();
        let mut wanted = self.clone();
        wanted.filter.services.clear();
        wanted.filter.not_services.clear();
        is_about_services.then_some(wanted)
    }

    pub(super) fn some<T>(list: &[T]) -> Option<&[T]> {
        (!list.is_empty()).then_some(list)
    }

    pub(super) fn fold_rule(&self) -> i16 {
        self.folds as i16
    }

    /// Nothing can be so: some things contradict each other.
    pub(super) fn is_nothing(&self) -> bool {
        self.filter.is_impossible()
    }

    /// Whether drills are wanted instead of what is real; the two are never listed together, unless incidents are named
    /// by their numbers.
    pub(super) fn wants_drills(&self) -> Option<bool> {
        let asked = self.filter.asks(Trait::Drill);
        asked.or(self.filter.incidents.is_empty().then_some(false))
    }
}

fn state_names(states: &[IncidentState]) -> Vec<String> {
    states.iter().map(|state| state.name().to_owned()).collect()
}

fn numbers(severities: &[Severity]) -> Vec<i16> {
    severities.iter().map(|severity| severity.number()).collect()
}

/// What people and sources are called, each with its number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The people who can own an incident.
    pub people: Vec<(i64, String)>,
    /// The sources.
    pub sources: Vec<(i64, String)>,
}

/// What has that name, whichever way it is written.
pub fn number(known: &[(i64, String)], name: &str) -> Option<i64> {
    let name = name.to_lowercase();
    let found = known.iter().find(|(_, other)| other.to_lowercase() == name);
    found.map(|(number, _)| *number)
}

/// Words as a text query: each is the beginning of one, those that are not wanted are turned round.
fn words(words: &[(String, bool)]) -> Option<String> {
    let terms: Vec<String> = words
        .iter()
        .map(|(word, wanted)| {
            let word = word.replace('\0', " ").replace('\\', "\\\\").replace('\'', "''");
            let not = if *wanted { "" } else { "!" };
            format!("{not}'{word}':*")
        })
        .collect();
    (!terms.is_empty()).then(|| terms.join(" & "))
}

/// One statement over the incidents `i` that are wanted: what stands before the condition, what after, the filter, and
/// further parameters from `$25`.
macro_rules! found {
    ($head:tt, $tail:tt, $wanted:expr $(, $more:expr)* $(,)?) => {
        sqlx::query!(
            $head + " from incidents i
              where ($1::text[] is null or i.state = any($1))
                and ($2::smallint[] is null or i.severity = any($2))
                and ($3::bigint[] is null or i.acknowledged_by = any($3) or $4::bool and i.acknowledged_by is null)
                and ($5::bigint[] is null or i.acknowledged_by is null or i.acknowledged_by <> all($5))
                and not ($6::bool and i.acknowledged_by is null)
                and ($7::text[] is null or i.service = any($7))
                and ($8::text[] is null or i.service is null or i.service <> all($8))
                and ($9::bigint[] is null or i.source_id = any($9))
                and ($10::bigint[] is null or i.source_id <> all($10))
                and ($11::jsonb is null or i.context -> 'labels' @> $11)
                and ($12::jsonb[] is null
                     or not exists (select from unnest($12) l (label) where i.context -> 'labels' @> l.label))
                and ($13::bigint[] is null or i.id = any($13))
                and ($14::bigint[] is null or i.id <> all($14))
                and ($15::text is null or i.words @@ to_tsquery('simple', $15))
                and ($16::bool is null
                     or $16 = ((select r.id from runs r where r.incident_id = i.id limit 1) is not null))
                and ($17::bool is null or $17 = (i.id = any(array(select incident_id from run_queue))))
                and ($18::bool is null
                     or $18 = (i.id = any(array(select incident_id from approvals where state = 'pending'))))
                and ($19::bool is null or $19 = (i.calm_due is not null))
                and ($20::bool is null or $20 = (i.folded_under is not null))
                and case when $21::bigint is not null then i.folded_under = $21
                         when $22::smallint = 0 then true
                         else i.folded_under is null or $22 = 1 and not exists (
                             select from incidents p where p.id = i.folded_under
                                and p.state in ('triggered', 'acknowledged', 'mitigated')) end
                and not $23::bool
                and ($24::bool is null or $24 = (i.drill_id is not null)) " + $tail,
            $wanted.states.as_deref() as Option<&[String]>,
            $wanted.severities.as_deref() as Option<&[i16]>,
            $wanted.owners.as_deref() as Option<&[i64]>,
            $wanted.nobody,
            Wanted::some(&$wanted.not_owners) as Option<&[i64]>,
            $wanted.not_nobody,
            Wanted::some(&$wanted.filter.services) as Option<&[String]>,
            Wanted::some(&$wanted.filter.not_services) as Option<&[String]>,
            $wanted.sources.as_deref() as Option<&[i64]>,
            Wanted::some(&$wanted.not_sources) as Option<&[i64]>,
            $wanted.labels.as_ref() as Option<&Value>,
            Wanted::some(&$wanted.not_labels) as Option<&[Value]>,
            $wanted.incidents.as_deref() as Option<&[i64]>,
            Wanted::some(&$wanted.not_incidents) as Option<&[i64]>,
            $wanted.words.as_deref() as Option<&str>,
            $wanted.filter.asks(Trait::Ran) as Option<bool>,
            $wanted.filter.asks(Trait::Running) as Option<bool>,
            $wanted.filter.asks(Trait::Waiting) as Option<bool>,
            $wanted.filter.asks(Trait::Flapping) as Option<bool>,
            $wanted.filter.asks(Trait::Folded) as Option<bool>,
            $wanted.under as Option<i64>,
            $wanted.fold_rule(),
            $wanted.is_nothing(),
            $wanted.wants_drills() as Option<bool>,
            $($more),*
        )
    };
}
pub(super) use found;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_never_becomes_an_operator_of_the_query() {
        let typed = |word: &str| words(&[(word.to_owned(), true)]).unwrap();
        assert_eq!(typed("db"), "'db':*");
        assert_eq!(typed("o'clock & !x | (y)"), "'o''clock & !x | (y)':*");
        assert_eq!(typed("a\\'b"), "'a\\\\''b':*");
        assert_eq!(
            words(&[("a".to_owned(), true), ("b".to_owned(), false)]).unwrap(),
            "'a':* & !'b':*"
        );
        assert_eq!(words(&[]), None);
    }
}
