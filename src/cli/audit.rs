//! `muster audit`: whether anybody has changed the record of who decided what, and the record as a file.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::say;
use crate::{
    audit::{
        check::{self, Step, Walk},
        export,
        list::{self, Cursor, Filter},
    },
    domain::{
        audit::{Broken, ExportFormat},
        digest::Digest,
    },
    store::{self, audit, audit_checks::Chain},
    web::view::format::grouped,
};

/// Rows that are read at once.
const BATCH: usize = 500;

/// Goes through both chains to their ends or to the first link that does not hold, and says what it found.
pub async fn verify(pool: &PgPool, expect: Option<(i64, Digest)>) -> anyhow::Result<ExitCode> {
    let mut is_whole = true;
    for (chain, name, links) in [
        (Chain::Acts, "Audit", "acts"),
        (Chain::Timelines, "Timelines", "events"),
    ] {
        let (walk, broken) = walk(pool, chain).await?;
        let count = grouped(walk.walked);
        match broken {
            None => say(&format!("{name}: {count} {links}, unbroken")),
            Some(broken) => {
                is_whole = false;
                say(&format!("{name}: {broken}; {count} {links} before it hold"));
            }
        }
        if chain == Chain::Acts && walk.tail.next > 1 {
            let last = walk.tail.next - 1;
            say(&format!(
                "Keep this elsewhere, and give it to --expect next time: {last}:{}",
                walk.tail.link
            ));
        }
    }
    if let Some((seq, hash)) = expect {
        let mut conn = pool.acquire().await?;
        let row = audit::list_from(&mut conn, seq, 1).await?.pop();
        let stands = row.is_some_and(|row| row.seq == seq && row.hash == hash);
        is_whole &= stands;
        say(&match stands {
            true => format!("Row {seq} is the one that is expected"),
            false => format!("Row {seq} is not the one that is expected: it was taken away or written anew"),
        });
    }
    Ok(match is_whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn walk(pool: &PgPool, chain: Chain) -> anyhow::Result<(Walk, Option<Broken>)> {
    let mut walk = Walk::START;
    loop {
        let mut tx = store::begin_reading(pool).await?;
        match check::step(&mut tx, chain, &mut walk).await? {
            Step::More => {}
            Step::End => return Ok((walk, None)),
            Step::Broken(broken) => return Ok((walk, Some(broken))),
        }
    }
}

/// Writes decisions of a time to standard output, the newest first.
pub async fn export(
    pool: &PgPool,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    format: ExportFormat,
) -> anyhow::Result<()> {
    let filter = Filter {
        from,
        to,
        ..Filter::default()
    };
    let mut conn = pool.acquire().await?;
    let mut lines = export::head(format).to_owned();
    let mut cursor = None;
    loop {
        let found = list::list(&mut conn, &filter, cursor, BATCH).await?;
        lines.extend(found.iter().map(|decision| export::line(format, decision)));
        match io::stdout().write_all(lines.as_bytes()) {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        lines.clear();
        match found.last() {
            Some(last) if found.len() == BATCH => cursor = Some(Cursor(last.place())),
            _ => return Ok(()),
        }
    }
}
