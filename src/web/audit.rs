//! Who decided what, as a page and as a file.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::ReadsAudit,
    error::WebError,
    page,
    state::AppState,
    view::{
        audit::{Asked, AuditPage, ChainLine, NEWER_MAX, ROWS_MAX, Row},
        format::grouped,
        layout::Place,
    },
};
use crate::{
    audit::{
        export,
        list::{self, Cursor, Decision, Filter},
    },
    domain::audit::{ExportFormat, moment},
    store::{
        self, StoreError,
        audit_checks::{self, Chain},
    },
};

/// Rows of a file that a browser asks for; the command has no such limit.
pub const EXPORT_ROWS_MAX: usize = 10_000;
/// Rows that are read at once for it.
const EXPORT_BATCH: usize = 500;

/// The list's filter and place, as the address has them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AuditQuery {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    format: String,
}

/// A time of a filter, if there is one.
pub fn time(text: &str, which: &str) -> Result<Option<DateTime<Utc>>, WebError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    moment(text).map(Some).ok_or_else(|| {
        WebError::unreadable(format!(
            "The {which} must be a time like 2026-11-21T03:00, in UTC."
        ))
        .with_next("/audit", "Show all decisions")
    })
}

/// A place in the list, if there is one.
pub fn cursor(text: &str) -> Result<Option<Cursor>, WebError> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = text.parse().map(Some);
    read.map_err(|fault: list::CursorFault| {
        WebError::unreadable(format!("The place in the list cannot be read; {fault}."))
    })
}

impl AuditQuery {
    fn filter(&self) -> Result<Filter, WebError> {
        let text = |text: &str| text.trim().replace('\0', "");
        Ok(Filter {
            actor: text(&self.actor),
            kind: text(&self.kind),
            object: text(&self.object),
            from: time(&self.from, "start")?,
            to: time(&self.to, "end")?,
        })
    }

    fn asked(self) -> Asked {
        Asked {
            actor: self.actor,
            kind: self.kind,
            object: self.object,
            from: self.from,
            to: self.to,
        }
    }
}

/// `GET /audit`
pub async fn show(
    State(app): State<AppState>,
    ReadsAudit(me): ReadsAudit,
    Query(query): Query<AuditQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let (filter, before) = (query.filter()?, cursor(&query.before)?);
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Audit", Place::Audit, now).await?;
    let chains = chains(&mut tx, now).await?;
    let mut found = list::list(&mut tx, &filter, before, ROWS_MAX + 1).await?;
    let has_more = found.len() > ROWS_MAX;
    found.truncate(ROWS_MAX);
    let newer = match before {
        None => 0,
        Some(_) => newer(&mut tx, &filter, found.first()).await?,
    };
    let asked = query.asked();
    let older = found.last().filter(|_| has_more).map(|last| {
        let before = Cursor(last.place()).to_string();
        asked.address("/audit", "before", &before)
    });
    let page = AuditPage {
        frame,
        chains,
        asked,
        is_filtered: !filter.is_open(),
        is_older: before.is_some(),
        newer,
        rows: found.iter().map(|decision| Row::of(decision, &me, now)).collect(),
        older,
        export_rows_max: grouped(EXPORT_ROWS_MAX as i64),
    };
    Ok(Html(page.render()?))
}

/// How many decisions are newer than the first of these, at most [`NEWER_MAX`] + 1.
async fn newer(
    conn: &mut PgConnection,
    filter: &Filter,
    first: Option<&Decision>,
) -> Result<usize, StoreError> {
    let Some(first) = first.map(Decision::place) else {
        return Ok(0);
    };
    let newest = list::list(conn, filter, None, NEWER_MAX + 1).await?;
    Ok(newest
        .iter()
        .take_while(|decision| decision.place() > first)
        .count())
}

async fn chains(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<ChainLine>, StoreError> {
    let mut lines = Vec::new();
    for (chain, name, links) in [
        (Chain::Acts, "Audit", "acts"),
        (Chain::Timelines, "Timelines", "events"),
    ] {
        let check = audit_checks::find(conn, chain, false).await?;
        lines.extend(check.map(|check| ChainLine::of(name, links, &check, now)));
    }
    Ok(lines)
}

/// `GET /audit/export`: the newest decisions that the filter lets through, as a file.
pub async fn export(
    State(app): State<AppState>,
    _: ReadsAudit,
    Query(query): Query<AuditQuery>,
) -> Result<Response, WebError> {
    let format = match query.format.as_str() {
        "" => ExportFormat::Csv,
        name => ExportFormat::named(name)
            .ok_or_else(|| WebError::unreadable("The format must be csv or jsonl."))?,
    };
    let filter = query.filter()?;
    let mut tx = store::begin_reading(&app.db).await?;
    let mut file = export::head(format).to_owned();
    let (mut left, mut before) = (EXPORT_ROWS_MAX, cursor(&query.before)?);
    while left > 0 {
        let batch = left.min(EXPORT_BATCH);
        let found: Vec<Decision> = list::list(&mut tx, &filter, before, batch).await?;
        file.extend(found.iter().map(|decision| export::line(format, decision)));
        left -= found.len();
        before = found.last().map(|last| Cursor(last.place()));
        if found.len() < batch {
            break;
        }
    }
    let kind = match format {
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
        ExportFormat::Jsonl => "application/jsonl; charset=utf-8",
    };
    let name = format!("attachment; filename=\"muster-audit.{}\"", format.name());
    let head = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((head, file).into_response())
}
