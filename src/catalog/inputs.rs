//! Checking `with` against what the action knows.

use super::{
    reader::{Faults, Fields},
    tree::{Node, Tree},
};
use crate::domain::step::ActionKind;

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
    for (key, required) in action.inputs() {
        if fields.take(key).is_none() && *required {
            fields.missing(key, faults);
        }
    }
    fields.close(faults);
}
