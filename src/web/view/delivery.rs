//! The deliveries that came in, and why some were rejected.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{At, Badge, Said, at, said},
};
use crate::store::deliveries::DeliveryRow;

/// Rows on a page.
pub const ROWS_MAX: usize = 50;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "delivery/list.html")]
pub struct DeliveriesPage {
    /// The frame.
    pub frame: Frame,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether only rejected ones are shown.
    pub only_rejected: bool,
    /// Address of older rows.
    pub older: Option<String>,
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// When it arrived.
    pub at: At,
    /// From which source.
    pub source: Said,
    /// From which address.
    pub remote: Said,
    /// What became of it.
    pub badge: Badge,
    /// Why it was rejected.
    pub reason: Said,
    /// What was in it.
    pub alerts: String,
    /// How often the same came in its minute.
    pub repeats: Option<String>,
    /// Size of the kept body; `None` when none was kept.
    pub size: Option<String>,
}

impl Row {
    /// The row of a delivery.
    pub fn of(row: &DeliveryRow, now: DateTime<Utc>) -> Self {
        Self {
            id: row.id,
            at: at(row.received_at, now),
            source: said(row.source.as_deref().unwrap_or("no source of that name")),
            remote: said(&row.remote),
            badge: match row.outcome.as_str() {
                "applied" => Badge::new("done", "check", "Applied"),
                _ => Badge::new("sev1", "cross", "Rejected"),
            },
            reason: said(&row.reason),
            alerts: format::count(i64::from(row.alerts), "alert", "alerts"),
            repeats: (row.repeats > 1).then(|| format!("{} times within its minute", row.repeats)),
            size: (row.body_bytes > 0).then(|| format::size(i64::from(row.body_bytes))),
        }
    }
}
