//! What attempts have written, in chunks of lines. A page reads the chunks of its window and no others.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{StoreError, queue::Claim};
use crate::domain::{
    id::{IncidentId, RunId, StepId},
    output::{Batch, CHUNK_LINES_MAX, Extent, OutputChunk},
};

/// Chunks of one window at most: each holds one line at least.
const WINDOW_CHUNKS_MAX: i64 = 4 * CHUNK_LINES_MAX as i64;

/// Characters of a tail, and the chunks they are taken from: more than a page shows of it.
const TAIL_CHARS: i32 = 2000;
const TAIL_CHUNKS: i64 = 8;
/// Attempts on their way whose tails are read.
const TAILS_MAX: i64 = 20;

/// Stores chunks under a claim, and lets older ones go; `false` when the claim is over. Chunks that are there already
/// stay as they are. The disk need not have it: what people wait for is synced by the write that follows.
pub async fn insert(
    conn: &mut PgConnection,
    claim: Claim,
    step: &StepId,
    attempt: i32,
    batch: &Batch,
) -> Result<bool, StoreError> {
    let mut tx = conn.begin().await?;
    let held = sqlx::query!(
        "select set_config('synchronous_commit', 'off', true) from run_queue
         where run_id = $1 and fence = $2 and state = 1 for share",
        claim.run.0,
        claim.fence
    );
    if held.fetch_optional(&mut *tx).await?.is_none() {
        return Ok(false);
    }
    let chunks = &batch.chunks;
    let first_lines: Vec<i64> = chunks.iter().map(|chunk| chunk.first_line).collect();
    let lines: Vec<i32> = chunks.iter().map(|chunk| chunk.lines).collect();
    let first_bytes: Vec<i64> = chunks.iter().map(|chunk| chunk.first_byte).collect();
    // A list of lists of different lengths is nothing that Postgres knows; as texts they can be taken apart again.
    let errors: Vec<String> = chunks.iter().map(|chunk| list(&chunk.errors)).collect();
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    sqlx::query!(
        "insert into output_chunks (run_id, step, attempt, first_line, lines, first_byte, bytes, gone_lines,
                                    gone_bytes, errors, text)
         select $1, $2, $3, c.first_line, c.lines, c.first_byte, octet_length(c.text), $4, $5, c.errors::integer[],
                c.text
         from unnest($6::bigint[], $7::integer[], $8::bigint[], $9::text[], $10::text[])
                  as c (first_line, lines, first_byte, errors, text)
         on conflict do nothing",
        claim.run.0,
        step.0,
        attempt,
        batch.gone_lines,
        batch.gone_bytes,
        &first_lines,
        &lines,
        &first_bytes,
        &errors,
        &texts as &[&str]
    )
    .execute(&mut *tx)
    .await?;
    if let Some(range) = &batch.let_go {
        sqlx::query!(
            "delete from output_chunks
             where run_id = $1 and step = $2 and attempt = $3 and first_line between $4 and $5",
            claim.run.0,
            step.0,
            attempt,
            range.start(),
            range.end()
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Numbers as Postgres writes a list of them.
fn list(numbers: &[i32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}

/// How much an attempt has written so far, and when the last of it was stored; nothing when it wrote nothing.
pub async fn extent(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
) -> Result<Option<(Extent, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query!(
        "select first_line, lines, first_byte, bytes, gone_lines, gone_bytes, written_at from output_chunks
         where run_id = $1 and step = $2 and attempt = $3 order by first_line desc limit 1",
        run.0,
        step.0,
        attempt
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let extent = Extent {
            lines: row.first_line + i64::from(row.lines) - 1,
            bytes: row.first_byte + i64::from(row.bytes),
            gone_lines: row.gone_lines,
            gone_bytes: row.gone_bytes,
        };
        (extent, row.written_at)
    }))
}

/// The end of what an attempt has written so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Of which run.
    pub run: RunId,
    /// Of which step.
    pub step: StepId,
    /// The end of its text, from anywhere in a line on; empty when it has written nothing.
    pub text: String,
}

/// What the attempts that are on their way have written last: those of live runs of an incident, or of one of them.
pub async fn tails(
    conn: &mut PgConnection,
    incident: IncidentId,
    run: Option<RunId>,
) -> Result<Vec<Tail>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.run_id as "run_id!", a.step as "step!", coalesce(right(string_agg(c.text, '' order by c.first_line), $3), '') as "text!"
           from runs r join attempts a on a.run_id = r.id and a.state = 'started'
           left join lateral (
               select right(text, $3) as text, first_line from output_chunks c
               where c.run_id = a.run_id and c.step = a.step and c.attempt = a.attempt
               order by first_line desc limit $4) c on true
           where r.incident_id = $1 and r.finished_at is null and ($2::bigint is null or r.id = $2)
           group by a.run_id, a.step, a.attempt order by a.run_id, a.step limit $5"#,
        incident.0,
        run.map(|run| run.0),
        TAIL_CHARS,
        TAIL_CHUNKS,
        TAILS_MAX
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Tail {
            run: RunId(row.run_id),
            step: StepId(row.step),
            text: row.text,
        })
        .collect())
}

/// The last line that is kept, up to this one; 0 when there is none.
pub async fn last_kept(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    to: i64,
) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        "select first_line, lines from output_chunks
         where run_id = $1 and step = $2 and attempt = $3 and first_line <= $4 order by first_line desc limit 1",
        run.0,
        step.0,
        attempt,
        to
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map_or(0, |row| to.min(row.first_line + i64::from(row.lines) - 1)))
}

/// The chunks that hold any of the lines `from` to `to`, in order.
pub async fn window(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    from: i64,
    to: i64,
) -> Result<Vec<OutputChunk>, StoreError> {
    // A chunk that begins earlier than this ends before the window.
    let first = from.saturating_sub(CHUNK_LINES_MAX as i64);
    Ok(sqlx::query_as!(
        OutputChunk,
        "select first_line, lines, first_byte, errors, text from output_chunks
         where run_id = $1 and step = $2 and attempt = $3 and first_line > $4 and first_line <= $6
           and first_line + lines > $5
         order by first_line limit $7",
        run.0,
        step.0,
        attempt,
        first,
        from,
        to,
        WINDOW_CHUNKS_MAX
    )
    .fetch_all(conn)
    .await?)
}

/// The chunks that begin after that line, at most `limit` of them, in order.
pub async fn list_after(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<OutputChunk>, StoreError> {
    Ok(sqlx::query_as!(
        OutputChunk,
        "select first_line, lines, first_byte, errors, text from output_chunks
         where run_id = $1 and step = $2 and attempt = $3 and first_line > $4
         order by first_line limit $5",
        run.0,
        step.0,
        attempt,
        after,
        limit
    )
    .fetch_all(conn)
    .await?)
}
