//! Action items, and a drill beside the real night that it plays again.

use askama::Template;
use chrono::{NaiveDate, TimeDelta};

use super::{Specimen, frame, now, operator};
use crate::{
    domain::{
        action_item::ItemState,
        id::{ActionItemId, DrillId, IncidentId, OperatorId},
        night::{Choice, Compared, GateRow, TimeRow},
        span::Span,
    },
    store::action_items::{ActionItem, Origin},
    web::view::{
        action_item::{ItemsPage, ItemsRecord, Which},
        layout::Place,
    },
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let specimen = |state, html| Specimen {
        page: "action-items",
        state,
        html,
    };
    vec![
        specimen("full", || page(&items())),
        specimen("empty", || page(&[])),
    ]
}

fn page(items: &[ActionItem]) -> askama::Result<String> {
    let frame = frame("Action items", Place::Drills);
    ItemsPage::of(frame, items, 3, Which::Open, false, true, now()).render()
}

fn item(id: i64, state: ItemState, text: &str) -> ActionItem {
    let is_closed = state != ItemState::Open;
    ActionItem {
        id: ActionItemId(id),
        origin: Origin::Incident(IncidentId(198)),
        text: text.to_owned(),
        owner: OperatorId(1),
        owner_name: "ana".to_owned(),
        due: NaiveDate::from_ymd_opt(2026, 1, 31),
        proof: None,
        state,
        proven_by: None,
        remark: String::new(),
        made_by: "ben".to_owned(),
        made_at: now() - TimeDelta::days(40),
        closed_by: is_closed.then(|| "ana".to_owned()),
        closed_at: is_closed.then(|| now() - TimeDelta::days(2)),
    }
}

/// One of each kind.
pub fn items() -> Vec<ActionItem> {
    vec![
        ActionItem {
            proof: Some(IncidentId(198)),
            ..item(5, ItemState::Open, "Let the runbook look at the <lag> first")
        },
        ActionItem {
            proof: Some(IncidentId(198)),
            proven_by: Some(DrillId(16)),
            ..item(4, ItemState::Done, "Alert on the disk before it is full")
        },
        ActionItem {
            remark: "the machine is gone".to_owned(),
            ..item(
                3,
                ItemState::Dropped,
                "a-name-that-goes-on-and-on-without-any-space-in-it-for-the-whole-width",
            )
        },
        item(2, ItemState::Open, "Older than what fits"),
    ]
}

/// Items with the form for another one.
pub fn record() -> ItemsRecord {
    ItemsRecord {
        items: items(),
        people: vec![operator()],
        proof: Some(IncidentId(198)),
    }
}

/// A drill that went otherwise than the real night, and asked what nobody had asked.
pub fn compared() -> Compared {
    let secs = |s| Some(Span::from_secs(s));
    Compared {
        times: vec![
            TimeRow {
                name: "detect",
                real: secs(30),
                drill: secs(30),
            },
            TimeRow {
                name: "mitigate",
                real: secs(412),
                drill: None,
            },
        ],
        gates: vec![GateRow {
            gate: "ask".to_owned(),
            real: Choice {
                word: "approved",
                waited: secs(95),
            },
            drill: Choice {
                word: "none",
                waited: None,
            },
        }],
        differs: vec!["ask was approved on the real night; now it did not ask.".to_owned()],
        not_recorded: vec![("checkout-standby".to_owned(), "select '<lag>'".to_owned())],
    }
}
