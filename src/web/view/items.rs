//! The items of a step that is carried out over a list: how many stand where, and a bounded number of them one by one.

use serde_json::Value;

use super::{
    attempt::AttemptView,
    format,
    parts::{Ago, Badge, Said, said},
    record::RunLog,
    stand, step, text,
};
use crate::domain::{
    id::StepId,
    state::{Stand, StepState},
};

/// Items shown one by one. Those that failed or are at work come before those that are done.
pub const ITEMS_SHOWN_MAX: usize = 100;
/// Characters of an item's value.
const VALUE_CHARS_MAX: usize = 120;
/// Characters of an item's finding.
const FINDING_CHARS_MAX: usize = 200;

/// The items of one step.
#[derive(Clone, Debug)]
pub struct ItemsView {
    /// `12 items: 9 done, 1 failed`
    pub counts: String,
    /// The items that are shown, in the order of the list.
    pub rows: Vec<ItemRow>,
    /// How many are not shown.
    pub hidden: usize,
    /// Whether one failed, or nobody knows of one.
    pub is_trouble: bool,
    /// Whether nothing more happens to any.
    pub is_over: bool,
    /// The attempts of those that are shown.
    pub attempts: Vec<AttemptView>,
}

/// One item.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// Its name: `drain[3]`.
    pub id: String,
    /// Its name on the page.
    pub anchor: String,
    /// Its own page.
    pub href: String,
    /// What it is.
    pub value: Said,
    /// Where it stands.
    pub badge: Badge,
    /// When its next moment comes.
    pub due: Option<Ago>,
    /// The newest finding or fault.
    pub finding: Said,
    /// Whether it failed, or nobody knows.
    pub is_trouble: bool,
}

impl ItemsView {
    /// The items as they stand.
    pub fn of(step: &StepId, items: &[Value], log: &RunLog<'_>) -> Self {
        let ids: Vec<StepId> = (0..items.len()).map(|index| step.item(index)).collect();
        let mut by_need: Vec<usize> = (0..ids.len()).collect();
        by_need.sort_by_key(|&at| {
            let state = log.state(&ids[at]);
            !(stand::is_trouble(state) || stand::is_active(state))
        });
        let mut shown: Vec<usize> = by_need.into_iter().take(ITEMS_SHOWN_MAX).collect();
        shown.sort_unstable();
        let rows = shown.iter().map(|&at| row(&ids[at], &items[at], log)).collect();
        let rows_of = |at: &usize| log.attempts(&ids[*at]).iter();
        Self {
            counts: counts(&ids, log),
            rows,
            hidden: ids.len().saturating_sub(ITEMS_SHOWN_MAX),
            is_trouble: ids.iter().any(|id| stand::is_trouble(log.state(id))),
            is_over: ids.iter().all(|id| stand::is_over(log.state(id))),
            attempts: shown
                .iter()
                .flat_map(rows_of)
                .map(|attempt| AttemptView::of(attempt, log.now))
                .collect(),
        }
    }

    /// Where the step as a whole stands.
    pub fn badge(step: &StepId, items: &[Value], log: &RunLog<'_>) -> Badge {
        let ids: Vec<StepId> = (0..items.len()).map(|index| step.item(index)).collect();
        let count = |holds: fn(&StepState) -> bool| ids.iter().filter(|id| holds(log.state(id))).count();
        let unknown = count(|state| matches!(state, StepState::Unknown { .. }));
        let failed = count(|state| matches!(state, StepState::Failed { .. }));
        let behind = count(StepState::is_behind);
        let of = format!("{behind} of {}", ids.len());
        if unknown > 0 {
            Badge::new("unknown", "question", format!("{unknown} unknown, {of} done"))
        } else if failed > 0 {
            Badge::new("sev1", "cross", format!("{failed} failed, {of} done"))
        } else if ids.is_empty() {
            Badge::new("done", "check", "Nothing to do")
        } else if behind == ids.len() {
            Badge::new("done", "check", format!("{of} done"))
        } else if log.record.is_live() {
            Badge::new("running", "play", format!("{of} done"))
        } else {
            Badge::new("quiet", "barred", format!("{of} done"))
        }
    }
}

fn row(id: &StepId, item: &Value, log: &RunLog<'_>) -> ItemRow {
    let (badge, due) = stand::standing(id, log);
    let value = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    ItemRow {
        id: id.0.clone(),
        anchor: format!("run-{}-{id}", log.record.run.id),
        href: step::href(log.record.run.id, id),
        value: said(&text::cut(&value, VALUE_CHARS_MAX)),
        badge,
        due,
        finding: said(&text::cut(&stand::finding(id, log), FINDING_CHARS_MAX)),
        is_trouble: stand::is_trouble(log.state(id)),
    }
}

/// `12 items: 9 done, 1 failed, 2 not started`
fn counts(ids: &[StepId], log: &RunLog<'_>) -> String {
    let words: [(&str, &[Stand]); 6] = [
        ("done", &[Stand::Succeeded, Stand::Satisfied]),
        ("skipped", &[Stand::Skipped]),
        ("failed", &[Stand::Failed]),
        ("unknown", &[Stand::Unknown]),
        ("at work", &[Stand::Started, Stand::RetryAt]),
        ("not started", &[Stand::Ready]),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .filter_map(|(word, stands)| {
            let here = |id: &&StepId| stands.contains(&log.state(id).stand());
            let count = ids.iter().filter(here).count();
            (count > 0).then(|| format!("{count} {word}"))
        })
        .collect();
    let all = format::count(ids.len() as i64, "item", "items");
    match parts.is_empty() {
        true => all,
        false => format!("{all}: {}", parts.join(", ")),
    }
}
