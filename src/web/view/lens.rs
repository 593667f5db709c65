//! What of a timeline a person asks for: which groups, which words, from where on, in which order. All of it stands in the
//! address, so that it survives Back and can be sent to somebody.

use serde::Deserialize;

use super::text;
use crate::{
    domain::{
        event::Event,
        id::IncidentId,
        sentence::{self, Category},
    },
    store::timelines::KindCount,
};

/// The longest text that is looked for, in characters.
const FIND_CHARS_MAX: usize = 200;

/// Which groups of events are shown. Decisions always are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The groups.
    pub shown: Vec<Category>,
    /// As the address has it; empty for the usual choice.
    pub parameter: String,
}

impl Filter {
    /// Reads the address's `show`: names with commas, `all`, or nothing for everything but Muster's bookkeeping.
    pub fn read(parameter: &str) -> Self {
        let named = |category: &Category| parameter.split(',').any(|name| name == category.name());
        let shown: Vec<Category> = match parameter {
            "all" => Category::ALL.to_vec(),
            names if Category::ALL.iter().any(named) && !names.is_empty() => Category::ALL
                .into_iter()
                .filter(|category| named(category) || *category == Category::Decision)
                .collect(),
            _ => {
                return Self {
                    shown: usual(),
                    parameter: String::new(),
                };
            }
        };
        Self {
            parameter: parameter_of(&shown),
            shown,
        }
    }

    /// Whether these events are shown.
    pub fn shows(&self, event: &Event) -> bool {
        self.shown.contains(&sentence::category(event))
    }

    /// The names of the shown kinds among those a timeline holds.
    pub fn kinds(&self, kinds: &[KindCount]) -> Vec<String> {
        kinds
            .iter()
            .filter(|kind| self.shows(&kind.example))
            .map(|kind| kind.kind.clone())
            .collect()
    }

    /// The same with one group switched.
    pub fn toggled(&self, category: Category) -> String {
        let shown: Vec<Category> = Category::ALL
            .into_iter()
            .filter(|other| self.shown.contains(other) != (*other == category))
            .collect();
        match shown == usual() {
            true => String::new(),
            false => parameter_of(&shown),
        }
    }
}

fn usual() -> Vec<Category> {
    let all = Category::ALL.into_iter();
    all.filter(|category| *category != Category::System).collect()
}

fn parameter_of(shown: &[Category]) -> String {
    if shown.len() == Category::ALL.len() {
        return "all".to_owned();
    }
    let names: Vec<&str> = shown.iter().map(|category| category.name()).collect();
    names.join(",")
}

/// The parameters of an incident's address that are about its timeline.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// Which groups of events: names with commas, `all`, or nothing.
    #[serde(default)]
    pub show: String,
    /// Words that all have to occur.
    #[serde(default)]
    pub find: String,
    /// `oldest` for the oldest first.
    #[serde(default)]
    pub order: String,
    /// Only events after this one.
    pub since: Option<i64>,
    /// Rows before this event, the newest of them first.
    pub before: Option<i64>,
    /// Rows after this event, the oldest of them first.
    pub after: Option<i64>,
    /// The rows around this event.
    pub row: Option<i64>,
}

/// What of a timeline is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lens {
    /// Which groups.
    pub filter: Filter,
    /// Words that all have to occur, as they were typed.
    pub find: String,
    /// Whether the oldest come first.
    pub is_oldest_first: bool,
    /// Only events after this one; 0 for all.
    pub since: i64,
    /// Only rows before this event.
    pub before: Option<i64>,
    /// Only rows after this event.
    pub after: Option<i64>,
    /// The event that somebody pointed at.
    pub row: Option<i64>,
}

impl Lens {
    /// Reads what was asked.
    pub fn read(asked: &Asked) -> Self {
        Self {
            filter: Filter::read(&asked.show),
            find: asked.find.trim().chars().take(FIND_CHARS_MAX).collect(),
            is_oldest_first: asked.order == "oldest",
            since: asked.since.unwrap_or(0).max(0),
            before: asked.before,
            after: asked.after,
            row: asked.row,
        }
    }

    /// Whether the newest row is on top, so that a newer one can be put there.
    pub fn grows_on_top(&self) -> bool {
        !self.is_oldest_first && self.find.is_empty() && self.before.is_none() && self.row.is_none()
    }

    /// The parameters that another one at the same groups, words and order needs; empty ones are left out.
    pub fn parameters(&self) -> [(&'static str, String); 4] {
        let order = if self.is_oldest_first { "oldest" } else { "" };
        let since = match self.since {
            0 => String::new(),
            since => since.to_string(),
        };
        [
            ("show", self.filter.parameter.clone()),
            ("find", self.find.clone()),
            ("order", order.to_owned()),
            ("since", since),
        ]
    }

    /// The address of the timeline seen like this, with these parameters in place of its own.
    pub fn address(&self, incident: IncidentId, changes: &[(&str, &str)]) -> String {
        let own = self.parameters();
        let kept = own
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let parameters: Vec<(&str, &str)> = kept.chain(changes.iter().copied()).collect();
        let address = text::with_query(&format!("/incidents/{incident}"), &parameters);
        format!("{address}#timeline")
    }

    /// Whether an event has all the words, in its sentence or in the name of who caused it.
    pub fn finds(&self, sentence: &str, actor: &str) -> bool {
        let (sentence, actor) = (sentence.to_lowercase(), actor.to_lowercase());
        self.find
            .to_lowercase()
            .split_whitespace()
            .all(|word| sentence.contains(word) || actor.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_reads_back_what_it_writes_and_never_hides_a_decision() {
        let usual = Filter::read("");
        assert!(!usual.shown.contains(&Category::System));
        assert_eq!(usual.parameter, "");
        let notes = Filter::read("notes,nonsense");
        assert_eq!(notes.shown, [Category::Decision, Category::Note]);
        assert_eq!(notes.parameter, "decisions,notes");
        assert_eq!(Filter::read(&notes.parameter), notes);
        assert_eq!(Filter::read("all").parameter, "all");
        assert_eq!(Filter::read("nonsense"), usual);
        assert_eq!(usual.toggled(Category::System), "all");
        assert_eq!(notes.toggled(Category::Step), "decisions,steps,notes");
        assert_eq!(Filter::read("all").toggled(Category::System), "");
    }

    #[test]
    fn an_address_keeps_all_but_what_is_changed() {
        let lens = Lens::read(&Asked {
            show: "notes".to_owned(),
            find: " replica lag ".to_owned(),
            order: "oldest".to_owned(),
            since: Some(8),
            ..Asked::default()
        });
        let address = lens.address(IncidentId(4), &[("find", ""), ("before", "12")]);
        assert_eq!(
            address,
            "/incidents/4?show=decisions%2Cnotes&order=oldest&since=8&before=12#timeline"
        );
        assert!(lens.finds("Replica x has a LAG", "Muster"));
        assert!(!lens.finds("replica", "Muster"));
        assert!(!lens.grows_on_top());
    }
}
