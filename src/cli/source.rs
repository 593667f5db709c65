//! `muster source`: senders and their tokens, on the database itself.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::say;
use crate::{
    config::SourceCommand,
    domain::{
        operator::Actor,
        source::{AskedSettings, SourceSettings},
    },
    sources as acts,
    store::{sources, tokens},
    web::{
        sources::FIRST_TOKEN,
        view::{sender, text::visible},
    },
};

/// Does what the person at the terminal asks, and answers them.
pub async fn run(conn: &mut PgConnection, command: &SourceCommand, now: DateTime<Utc>) -> anyhow::Result<()> {
    let answer = match command {
        SourceCommand::Add {
            name,
            format,
            heartbeat,
            url,
            ..
        } => {
            let settings = SourceSettings {
                format: *format,
                heartbeat_within: *heartbeat,
                ..SourceSettings::default()
            };
            add(conn, name, &settings, url, now).await?
        }
        SourceCommand::List { .. } => list(conn).await?,
        SourceCommand::Token {
            name,
            words,
            revoke: Some(id),
            ..
        } => {
            let mut tx = conn.begin().await?;
            acts::revoke(&mut tx, name, *id, words, &Actor::Terminal, now).await?;
            tx.commit().await?;
            format!("Token {id} of {name} opens nothing any more.")
        }
        SourceCommand::Token { name, words, .. } => {
            let mut tx = conn.begin().await?;
            let issued = acts::issue(&mut tx, name, words, &Actor::Terminal, now).await?;
            tx.commit().await?;
            format!("Token {}: {}\nIt is not shown again.", issued.id, issued.token)
        }
    };
    say(&answer);
    Ok(())
}

async fn add(
    conn: &mut PgConnection,
    name: &str,
    settings: &SourceSettings,
    url: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let mut tx = conn.begin().await?;
    acts::make(
        &mut tx,
        name,
        &AskedSettings::from(settings),
        &Actor::Terminal,
        now,
    )
    .await?;
    let token = acts::issue(&mut tx, name, FIRST_TOKEN, &Actor::Terminal, now)
        .await?
        .token;
    tx.commit().await?;
    let base = url.trim_end_matches('/');
    let mut answer = format!(
        "Post to   {}\nToken     {token}\n",
        sender::address(settings.format, base, name)
    );
    for piece in sender::snippets(settings, base, name, &token) {
        write!(answer, "\n{}:\n\n{}", piece.place, piece.text)?;
        if !piece.note.is_empty() {
            writeln!(answer, "\n{}", piece.note)?;
        }
    }
    write!(answer, "\nThe token is not shown again.")?;
    Ok(answer)
}

async fn list(conn: &mut PgConnection) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for source in sources::list(conn).await? {
        let disabled = if source.disabled_at.is_some() {
            ", disabled"
        } else {
            ""
        };
        lines.push(format!("{} ({}{disabled})", source.name, source.settings.format));
        for token in tokens::list(conn, source.id).await? {
            let used = token.last_used_at.map_or_else(
                || "never used".to_owned(),
                |used| format!("last used {}", used.format("%-d %b %Y %H:%M UTC")),
            );
            let prefix = if token.prefix.is_empty() { "" } else { "…, " };
            lines.push(format!(
                "  token {}: {}{prefix}{}, {used}",
                token.id,
                token.prefix,
                visible(&token.name)
            ));
        }
    }
    Ok(match lines.is_empty() {
        true => "No sender is known; muster source add makes one.".to_owned(),
        false => lines.join("\n"),
    })
}
