//! What is to be done after an incident, as its postmortem tells it: who, until when, how it stands, where it is kept, and
//! whether the night that must pass has been played again.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::{DateTime, NaiveDate, Utc};

use super::postmortem::escape;
use crate::{
    domain::{
        action_item::{ItemState, Played},
        drill::name,
        id::ActionItemId,
    },
    store::action_items::{ActionItem, Origin},
};

/// Items one document tells, the newest; more than these are left out, and that is said.
pub const ITEMS_MAX: usize = 200;

/// The action items of a postmortem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    lines: Vec<(ActionItem, Option<Played>)>,
    is_cut: bool,
    today: NaiveDate,
}

impl Actions {
    /// Those found, of which there may be one more than are told, and how the nights that they demand were played.
    pub fn of(
        mut found: Vec<ActionItem>,
        mut played: BTreeMap<ActionItemId, Played>,
        now: DateTime<Utc>,
    ) -> Self {
        let is_cut = found.len() > ITEMS_MAX;
        found.truncate(ITEMS_MAX);
        // What is to be done comes first, and of that what is due first.
        found.sort_by_key(|item| {
            let is_closed = item.state != ItemState::Open;
            (is_closed, item.due.is_none(), item.due, Reverse(item.id))
        });
        Self {
            lines: found
                .into_iter()
                .map(|item| {
                    let played = played.remove(&item.id);
                    (item, played)
                })
                .collect(),
            is_cut,
            today: now.date_naive(),
        }
    }

    /// One line each as Markdown, with links that begin with `base`.
    pub(super) fn markdown(&self, base: &str) -> Vec<String> {
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .map(|(item, played)| line(item, played.as_ref(), self.today, base))
            .collect();
        if self.is_cut {
            lines.push(format!(
                "\nOnly the newest {ITEMS_MAX} are told here; [the list]({base}/action-items?which=all) has all."
            ));
        }
        lines
    }
}

fn line(item: &ActionItem, played: Option<&Played>, today: NaiveDate, base: &str) -> String {
    let mark = match item.state {
        ItemState::Open => "[ ] ",
        ItemState::Done => "[x] ",
        ItemState::Dropped => "",
    };
    let mut parts = vec![
        format!("{mark}{}", escape(&item.text)),
        format!("who: {}", escape(&item.owner_name)),
    ];
    parts.push(match item.due {
        None => "due: no day".to_owned(),
        Some(due) if item.state == ItemState::Open && due < today => format!("due: {due}, overdue"),
        Some(due) => format!("due: {due}"),
    });
    let by = item.closed_by.as_deref().map_or_else(String::new, |by| {
        let day = item.closed_at.map(|at| format!(" on {}", at.date_naive()));
        format!(" by {}{}", escape(by), day.unwrap_or_default())
    });
    let remark = match item.remark.is_empty() {
        true => String::new(),
        false => format!(" ({})", escape(&item.remark)),
    };
    parts.push(format!("state: {}{by}{remark}", item.state.name()));
    if let (Some(incident), Some(played)) = (item.proof, played) {
        let drill = |drill| format!("[{}]({base}/drills/{drill}/score)", name(drill));
        let how = match played {
            Played::Passed(id) => format!("passed in {}", drill(*id)),
            Played::Short { drill: id, why } => {
                format!("did not pass in {}: {}", drill(*id), escape(why))
            }
            Played::Never => "must pass, and no drill of it counts yet".to_owned(),
        };
        parts.push(format!("proof: INC-{incident} played again {how}"));
    }
    let page = match item.origin {
        Origin::Incident(id) => format!("/incidents/{id}/postmortem"),
        Origin::Drill(id) => format!("/drills/{id}/score"),
    };
    parts.push(format!("[item {}]({base}{page}#item-{})", item.id, item.id));
    format!("- {}", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{DrillId, IncidentId, OperatorId};

    fn item(id: i64, state: ItemState) -> ActionItem {
        let is_open = state == ItemState::Open;
        ActionItem {
            id: ActionItemId(id),
            origin: Origin::Incident(IncidentId(7)),
            text: "Alert on <disk>".to_owned(),
            owner: OperatorId(1),
            owner_name: "Ana".to_owned(),
            due: NaiveDate::from_ymd_opt(2026, 3, 31),
            proof: None,
            state,
            proven_by: None,
            remark: String::new(),
            made_by: "Ana".to_owned(),
            made_at: DateTime::default(),
            closed_by: (!is_open).then(|| "Bo".to_owned()),
            closed_at: (!is_open).then(DateTime::default),
        }
    }

    fn told(items: Vec<ActionItem>, played: &[(i64, Played)], day: &str) -> Vec<String> {
        let played = played.iter().cloned();
        let played = played.map(|(id, played)| (ActionItemId(id), played)).collect();
        let now = format!("{day}T00:00:00Z").parse().unwrap();
        Actions::of(items, played, now).markdown("https://m.test")
    }

    #[test]
    fn an_item_says_who_until_when_and_how_it_stands() {
        let open = "- [ ] Alert on \\<disk\\>; who: Ana; due: 2026-03-31; state: open; \
                    [item 1](https://m.test/incidents/7/postmortem#item-1)";
        assert_eq!(told(vec![item(1, ItemState::Open)], &[], "2026-03-31"), [open]);
        let late = told(vec![item(1, ItemState::Open)], &[], "2026-04-01");
        assert!(late[0].contains("due: 2026-03-31, overdue;"), "{late:?}");
        let dropped = ActionItem {
            remark: "the *service* is gone".to_owned(),
            ..item(1, ItemState::Dropped)
        };
        let dropped = told(vec![dropped], &[], "2026-04-01");
        assert!(
            dropped[0].starts_with("- Alert on")
                && dropped[0].contains("state: dropped by Bo on 1970-01-01 (the \\*service\\* is gone);")
                && !dropped[0].contains("overdue"),
            "{dropped:?}"
        );
    }

    #[test]
    fn a_proof_says_how_the_night_was_played_again() {
        let asked = |id, state| ActionItem {
            proof: Some(IncidentId(7)),
            ..item(id, state)
        };
        for (state, played, words) in [
            (
                ItemState::Done,
                Played::Passed(DrillId(4)),
                "proof: INC-7 played again passed in [DRILL-4](https://m.test/drills/4/score);",
            ),
            (
                ItemState::Open,
                Played::Short {
                    drill: DrillId(5),
                    why: "late".to_owned(),
                },
                "proof: INC-7 played again did not pass in [DRILL-5](https://m.test/drills/5/score): late;",
            ),
            (
                ItemState::Open,
                Played::Never,
                "proof: INC-7 played again must pass, and no drill of it counts yet;",
            ),
        ] {
            let lines = told(vec![asked(1, state)], &[(1, played)], "2026-03-01");
            assert!(lines[0].contains(words), "{lines:?}");
        }
    }

    #[test]
    fn what_is_to_be_done_comes_first_and_what_is_left_out_is_said() {
        let undated = ActionItem {
            due: None,
            ..item(3, ItemState::Open)
        };
        let items = vec![undated, item(2, ItemState::Done), item(1, ItemState::Open)];
        let order: Vec<char> = told(items, &[], "2026-03-01")
            .iter()
            .filter_map(|line| line.chars().rev().nth(1))
            .collect();
        assert_eq!(order, ['1', '3', '2']);
        let many = (0..=ITEMS_MAX as i64)
            .map(|id| item(id, ItemState::Open))
            .collect();
        let lines = told(many, &[], "2026-03-01");
        assert_eq!(lines.len(), ITEMS_MAX + 1);
        assert!(
            lines[ITEMS_MAX].contains("Only the newest 200"),
            "{}",
            lines[ITEMS_MAX]
        );
    }
}
