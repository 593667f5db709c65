//! The one table of what each kind of action takes under `with`.

use crate::domain::step::ActionKind;

/// What one input of an action may look like. Any text may hold templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A text or a list of texts.
    Names,
    /// A list of texts, numbers, booleans and nulls.
    List,
    /// A map of texts, numbers and booleans, or lists of them.
    Pairs,
    /// A whole number from 1 to 500.
    Count,
    /// A length of time from 1 second to 30 days.
    Length,
    /// A text, or a tree that is sent as JSON.
    Tree,
    /// Matchers: a line in Alertmanager's syntax, or a map of labels and their values.
    Matchers,
    /// What is silenced, for how long and why.
    Silence,
}

/// One input of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputKey {
    /// Its key in `with`.
    pub name: &'static str,
    /// What it may look like.
    pub shape: Shape,
    /// Whether the action works without it.
    pub required: bool,
    /// Whether it changes something, so that only a `call` may have it.
    pub changes: bool,
}

const fn needs(name: &'static str, shape: Shape) -> InputKey {
    InputKey {
        name,
        shape,
        required: true,
        changes: false,
    }
}

const fn may(name: &'static str, shape: Shape) -> InputKey {
    InputKey {
        required: false,
        ..needs(name, shape)
    }
}

const fn changes(name: &'static str, shape: Shape) -> InputKey {
    InputKey {
        changes: true,
        ..may(name, shape)
    }
}

const HTTP: &[InputKey] = &[
    may("method", Shape::Text),
    may("path", Shape::Text),
    may("query", Shape::Pairs),
    may("headers", Shape::Pairs),
    may("body", Shape::Tree),
];
const POSTGRES: &[InputKey] = &[needs("query", Shape::Text), may("params", Shape::List)];
const PROMETHEUS: &[InputKey] = &[needs("query", Shape::Text)];
const ALERTMANAGER: &[InputKey] = &[
    changes("silence", Shape::Silence),
    changes("expire", Shape::Text),
    may("matchers", Shape::Matchers),
    may("receiver", Shape::Text),
    may("fingerprints", Shape::Names),
];
const HAPROXY: &[InputKey] = &[
    needs("backend", Shape::Text),
    changes("enable", Shape::Names),
    changes("drain", Shape::Names),
    changes("disable", Shape::Names),
];
const LOKI: &[InputKey] = &[
    needs("query", Shape::Text),
    may("since", Shape::Length),
    may("limit", Shape::Count),
];
const ELASTICSEARCH: &[InputKey] = &[
    needs("index", Shape::Text),
    needs("query", Shape::Text),
    may("since", Shape::Length),
    may("limit", Shape::Count),
];
const FILE: &[InputKey] = &[may("contains", Shape::Text), may("limit", Shape::Count)];
const COMMAND: &[InputKey] = &[
    needs("program", Shape::Text),
    may("args", Shape::List),
    may("params", Shape::Pairs),
    may("stdin", Shape::Text),
];

/// The inputs of an action besides `target`, which every action has.
pub fn input_keys(action: ActionKind) -> &'static [InputKey] {
    match action {
        ActionKind::Http => HTTP,
        ActionKind::Tcp => &[],
        ActionKind::Postgres => POSTGRES,
        ActionKind::Prometheus => PROMETHEUS,
        ActionKind::Alertmanager => ALERTMANAGER,
        ActionKind::Haproxy => HAPROXY,
        ActionKind::Loki => LOKI,
        ActionKind::Elasticsearch => ELASTICSEARCH,
        ActionKind::File => FILE,
        ActionKind::Command => COMMAND,
    }
}
