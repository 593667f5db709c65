//! Which inputs each action knows: the one table behind `with`.

use super::{
    reader::{Faults, Fields},
    tree::{Node, Tree},
};
use crate::domain::step::ActionKind;

/// The keys an action reads besides `target`, required ones first with a mark.
fn known(action: ActionKind) -> &'static [(&'static str, bool)] {
    match action {
        ActionKind::Http => &[
            ("method", false),
            ("path", false),
            ("query", false),
            ("headers", false),
            ("body", false),
        ],
        ActionKind::Tcp => &[],
        ActionKind::Postgres => &[("query", true), ("params", false)],
        ActionKind::Prometheus => &[("query", true)],
        ActionKind::Haproxy => &[
            ("backend", true),
            ("enable", false),
            ("disable", false),
            ("drain", false),
        ],
        ActionKind::Loki => &[("query", true), ("since", false), ("limit", false)],
        ActionKind::Elasticsearch => &[
            ("index", true),
            ("query", true),
            ("since", false),
            ("limit", false),
            ("time_field", false),
        ],
        ActionKind::File => &[("lines", false), ("contains", false)],
        ActionKind::Command => &[("program", true), ("args", false), ("stdin", false)],
    }
}

/// Checks the keys of a `with` map and that it names a target.
pub(super) fn check(action: ActionKind, with: &Node, path: &str, faults: &mut Faults) {
    let Some(mut fields) = Fields::open(with.clone(), path, faults) else {
        return;
    };
    match fields.take("target").map(|node| (node.at, node.value)) {
        Some((_, Tree::Text(_))) => {}
        Some((at, other)) => {
            faults.add(
                at,
                &fields.path_of("target"),
                format!("expected a target's name, found {}", other.kind()),
            );
        }
        None => fields.missing("target", faults),
    }
    for (key, required) in known(action) {
        if fields.take(key).is_none() && *required {
            fields.missing(key, faults);
        }
    }
    fields.close(faults);
}
