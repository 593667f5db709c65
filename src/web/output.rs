//! What an attempt wrote: the window of it that a page shows, what came since, and all of it as a file.

use std::ops::RangeInclusive;

use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use sqlx::{Connection, PgConnection, PgPool};

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    state::AppState,
    steps::StepQuery,
    view::{
        log::{Asked, Search, WINDOW_LINES, Window},
        output::Output,
        step_page::Written,
    },
};
use crate::{
    domain::{
        drill::name as name_of,
        id::{RunId, StepId},
        output::{Extent, OutputChunk, last_line},
    },
    store::{StoreError, attempts, drills, outputs, runs},
};

/// Chunks read at once where all are read: 2 MB, unless single lines are long.
const CHUNKS_AT_ONCE: i64 = 32;

/// What a page shows of what an attempt wrote on its way. That it cannot be read leaves the rest of the page as it is.
pub async fn load(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    asked: &Asked,
) -> Written {
    let read = async {
        let mut part = conn.begin().await?;
        let written = read(&mut part, run, step, attempt, asked).await?;
        part.commit().await?;
        Ok::<_, StoreError>(written)
    };
    read.await.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, run.id = run.0, step.id = %step, "the output of a step cannot be read");
        Written::Unreadable
    })
}

async fn read(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    asked: &Asked,
) -> Result<Written, StoreError> {
    let Some((extent, stored)) = outputs::extent(conn, run, step, attempt).await? else {
        return Ok(Written::Nothing);
    };
    let mut window = beside(extent);
    if let Some(mut search) = Search::of(asked) {
        let mut after = 0;
        loop {
            let chunks = outputs::list_after(conn, run, step, attempt, after, CHUNKS_AT_ONCE).await?;
            for (number, line) in chunks.iter().flat_map(OutputChunk::numbered) {
                if search.holds(&line.text) {
                    search.keep((number as usize, line));
                }
            }
            after = last_line(&chunks);
            if (chunks.len() as i64) < CHUNKS_AT_ONCE {
                break;
            }
        }
        window.found = Some(search.found());
        window.lines = search.into_lines();
        return Ok(Written::Lines(window, stored));
    }
    let end = match asked.to {
        Some(to) => {
            let to = (to.max(1) as i64).min(extent.lines);
            // Where those lines were let go, what was kept before them is shown.
            outputs::last_kept(conn, run, step, attempt, to).await?
        }
        None => extent.lines,
    };
    let lines = (end - WINDOW_LINES as i64 + 1).max(1)..=end;
    window.lines = between(conn, run, step, attempt, lines).await?;
    Ok(Written::Lines(window, stored))
}

/// What was written after that line; nothing when there is no more. Of more than a window its end.
pub async fn since(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    line: i64,
) -> Result<Option<Window>, StoreError> {
    let Some((extent, _)) = outputs::extent(conn, run, step, attempt).await? else {
        return Ok(None);
    };
    if extent.lines <= line {
        return Ok(None);
    }
    let first = (line + 1).max(extent.lines - WINDOW_LINES as i64 + 1);
    Ok(Some(Window {
        lines: between(conn, run, step, attempt, first..=extent.lines).await?,
        ..beside(extent)
    }))
}

fn beside(extent: Extent) -> Window {
    Window {
        total: extent.lines as usize,
        gone: (extent.gone_lines, extent.gone_bytes),
        size: extent.bytes - extent.gone_bytes,
        ..Window::default()
    }
}

async fn between(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    lines: RangeInclusive<i64>,
) -> Result<Vec<(usize, crate::domain::output::OutputLine)>, StoreError> {
    let chunks = outputs::window(conn, run, step, attempt, *lines.start(), *lines.end()).await?;
    Ok(chunks
        .iter()
        .flat_map(OutputChunk::numbered)
        .filter(|(number, _)| lines.contains(number))
        .map(|(number, line)| (number as usize, line))
        .collect())
}

/// `GET /runs/{run}/steps/{step}/output`: all that is kept of what one attempt wrote, redacted as it was kept.
pub async fn download(
    State(app): State<AppState>,
    _: Reads,
    Path((run, step)): Path<(RunId, StepId)>,
    Query(query): Query<StepQuery>,
) -> Result<Response, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = attempts::find(&mut conn, run, &step, query.attempt)
        .await?
        .ok_or_else(|| WebError::not_found("attempt"))?;
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let drill = match runs::find(&mut conn, run).await? {
        Some(found) => drills::of_incident(&mut conn, found.incident).await?,
        None => None,
    };
    let mark = drill.map_or_else(String::new, |drill| format!("{}-", name_of(drill)));
    let name: String = step.0.chars().map(plain).collect();
    let number = found.row.attempt;
    let name = format!("{mark}run-{run}-{name}-{number}.txt");
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    let body = match outputs::extent(&mut conn, run, &step, number).await? {
        Some(_) => Body::from_stream(whole(app.db.clone(), run, step, number)),
        None => {
            let output = found.row.result.as_ref().map(Output::of).unwrap_or_default();
            Body::from(output.text)
        }
    };
    Ok((head, body).into_response())
}

/// All that is kept, piece by piece; a line says where something is missing.
fn whole(
    db: PgPool,
    run: RunId,
    step: StepId,
    attempt: i32,
) -> impl futures_util::Stream<Item = Result<String, StoreError>> {
    stream::try_unfold((db, step, 0), move |(db, step, after)| async move {
        let mut conn = db.acquire().await?;
        let chunks = outputs::list_after(&mut conn, run, &step, attempt, after, CHUNKS_AT_ONCE).await?;
        drop(conn);
        if chunks.is_empty() {
            return Ok(None);
        }
        let mut text = String::new();
        let mut last = after;
        for chunk in &chunks {
            let missing = chunk.first_line - last - 1;
            if missing > 0 {
                text.push_str(&format!("[{missing} lines were let go here]\n"));
            }
            text.push_str(&chunk.text);
            last = last_line(std::slice::from_ref(chunk));
        }
        Ok(Some((text, (db, step, last))))
    })
}
