//! How far an incident's page has come.

use std::fmt;

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::IncidentId;

/// Other open incidents of its service that are counted; a page tells of fewer.
const OTHERS_COUNTED: i64 = 20;

/// Where an open page of an incident stands. Two pages with the same cursor show the same facts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// Its newest event.
    pub seq: i64,
    /// What else it shows has come to: how many preflights are over, how long the timelines of what lives in it are
    /// together, and how many other incidents its service has. None of these is an event of its own; people wait for them.
    pub beside: i64,
}

impl Cursor {
    /// As an address carries it. What cannot be read stands before everything.
    pub fn read(text: &str) -> Self {
        let (seq, beside) = text.split_once('.').unwrap_or((text, ""));
        Self {
            seq: seq.parse().unwrap_or(0),
            beside: beside.parse().unwrap_or(0),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.beside)
    }
}

/// How far the page of an incident has come, `None` when there is no such incident: one cheap question a wake-up.
pub async fn find(conn: &mut PgConnection, incident: IncidentId) -> Result<Option<Cursor>, StoreError> {
    Ok(sqlx::query_as!(
        Cursor,
        r#"select next_seq - 1 as "seq!",
                  (select count(*) from preflights where incident_id = $1 and finished_at is not null)
                + (select coalesce(sum(next_seq), 0)::bigint from incidents where lives_in = $1)
                + (select count(*) from (
                       select from incidents o where o.service = i.service and o.id <> i.id
                              and o.state in ('triggered', 'acknowledged', 'mitigated') limit $2) o) as "beside!"
           from incidents i where id = $1"#,
        incident.0,
        OTHERS_COUNTED
    )
    .fetch_optional(conn)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { seq: 12, beside: 3 };
        assert_eq!(Cursor::read(&cursor.to_string()), cursor);
        assert_eq!(Cursor::read("12"), Cursor { seq: 12, beside: 0 });
        for nonsense in ["", "x", ".", "-.-", "99999999999999999999"] {
            assert_eq!(Cursor::read(nonsense), Cursor::default(), "{nonsense:?}");
        }
    }
}
