//! The twin of a Postgres server: the wire protocol, as far as one statement on a connection of its own needs it. Logins
//! are believed, and there is no TLS.
//!
//! A statement is asked of the oracle when it is executed and never before, since to ask may change the world. So what
//! columns it has is not known when the driver wants them described: it is told of none, and the description is sent with
//! the rows, which the driver takes as it does after a simple query. A server for other clients could not do that.

mod rows;
mod wire;

use std::{collections::BTreeMap, io, time::Duration};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{
    Asked, Reply,
    post::{self, Desk},
};
use rows::Table;
use wire::{Fields, Message, Out};

/// The most statements of one connection.
const STATEMENTS_MAX: usize = 64;
/// How long a login may take.
const LOGIN_MAX: Duration = Duration::from_secs(30);
/// What a refusal is called that does not say its own code: raised by somebody, for reasons of theirs.
const RAISED: &str = "P0001";
/// Statements that a read-only transaction refuses, by their first word.
const WRITING: [&str; 13] = [
    "ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "MERGE", "REINDEX", "REVOKE",
    "TRUNCATE", "UPDATE", "VACUUM",
];

pub(super) async fn serve(desk: &Desk, mut stream: TcpStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    timeout(LOGIN_MAX, wire::login(&mut reader, &mut writer)).await??;
    let mut session = Session {
        desk,
        statements: BTreeMap::new(),
        portal: None,
        block: Block::None,
        skips: false,
        out: Out::default(),
    };
    session.out.welcome();
    loop {
        if session.out.is_due {
            writer.write_all(&session.out.take()).await?;
        }
        let message = wire::read(&mut reader).await?;
        match session.take(&message).await {
            Turn::On => {}
            Turn::End => return Ok(()),
            Turn::Never => {
                post::until_gone(&mut reader).await;
                return Ok(());
            }
        }
    }
}

/// Whether a transaction is open.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    None,
    Open { is_read_only: bool },
    Failed,
}

struct Statement {
    text: String,
    /// How many parameters it has.
    params: usize,
    types: Vec<u32>,
}

/// A statement with its parameters.
struct Portal {
    text: String,
    params: Vec<Option<String>>,
    /// Of each column, or of all: 1 for binary.
    formats: Vec<u16>,
}

/// What follows a message.
enum Turn {
    On,
    /// The connection is closed.
    End,
    /// Nothing is ever said again.
    Never,
}

/// Why a message is not carried out: SQLSTATE and words.
struct Fault(String, String);

impl Fault {
    fn new(code: &str, words: impl Into<String>) -> Self {
        Self(code.to_owned(), words.into())
    }

    fn protocol(words: impl Into<String>) -> Self {
        Self::new("08P01", words)
    }

    /// A refusal of the oracle, which may begin with its code.
    fn refusal(text: String) -> Self {
        let is_code = |code: &str| {
            code.len() == 5 && code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        match text.split_once(": ") {
            Some((code, words)) if is_code(code) => Self::new(code, words),
            _ => Self::new(RAISED, text),
        }
    }
}

struct Session<'a> {
    desk: &'a Desk,
    statements: BTreeMap<String, Statement>,
    portal: Option<Portal>,
    block: Block,
    /// After an error, everything up to the next sync.
    skips: bool,
    out: Out,
}

impl Session<'_> {
    async fn take(&mut self, message: &Message) -> Turn {
        if self.skips && !matches!(message.kind, b'S' | b'X') {
            return Turn::On;
        }
        let mut fields = message.fields();
        let done = match message.kind {
            b'X' => return Turn::End,
            b'S' => {
                self.skips = false;
                self.ready();
                Ok(())
            }
            b'H' => {
                self.out.is_due = true;
                Ok(())
            }
            b'P' => self.parse(&mut fields),
            b'B' => self.bind(&mut fields),
            b'D' => self.describe(&mut fields),
            b'C' => self.close(&mut fields),
            b'E' => match self.execute().await {
                Ok(Turn::On) => Ok(()),
                Ok(turn) => return turn,
                Err(fault) => Err(fault),
            },
            b'Q' => {
                let done = self.simple(&mut fields);
                if let Err(fault) = done {
                    self.fail(fault);
                    self.skips = false;
                }
                self.ready();
                Ok(())
            }
            kind => Err(Fault::protocol(format!(
                "a message of kind {:?} is not known here",
                char::from(kind)
            ))),
        };
        if let Err(fault) = done {
            self.fail(fault);
        }
        Turn::On
    }

    fn fail(&mut self, Fault(code, words): Fault) {
        self.out.error(&code, &words);
        self.skips = true;
        if self.block != Block::None {
            self.block = Block::Failed;
        }
    }

    fn ready(&mut self) {
        self.out.ready(match self.block {
            Block::None => b'I',
            Block::Open { .. } => b'T',
            Block::Failed => b'E',
        });
    }

    fn parse(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let (name, text) = (fields.text()?, fields.text()?);
        let count = fields.u16()?;
        let types: Vec<u32> = (0..count).map(|_| fields.u32()).collect::<Result<_, _>>()?;
        if self.statements.len() >= STATEMENTS_MAX {
            return Err(Fault::new("53400", "too many statements on one connection"));
        }
        let params = types.len().max(wire::placeholders(&text));
        let statement = Statement { text, params, types };
        self.statements.insert(name, statement);
        self.out.bare(b'1');
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<&Statement, Fault> {
        let missing = || Fault::new("26000", format!("there is no statement {name}"));
        self.statements.get(name).ok_or_else(missing)
    }

    fn describe(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let (kind, name) = (fields.u8()?, fields.text()?);
        if kind == b'S' {
            let statement = self.statement(&name)?;
            let types = (0..statement.params).map(|n| statement.types.get(n).copied().unwrap_or(rows::TEXT));
            let types: Vec<u32> = types.collect();
            self.out.parameters(&types);
        }
        self.out.bare(b'n');
        Ok(())
    }

    fn bind(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let (_portal, name) = (fields.text()?, fields.text()?);
        let formats = |fields: &mut Fields<'_>| -> Result<Vec<u16>, Fault> {
            let count = fields.u16()?;
            (0..count).map(|_| fields.u16()).collect()
        };
        let given = formats(fields)?;
        let count = usize::from(fields.u16()?);
        let statement = self.statement(&name)?;
        if count != statement.params {
            return Err(Fault::protocol(format!(
                "bind message supplies {count} parameters, but prepared statement \"{name}\" requires {}",
                statement.params
            )));
        }
        let mut params = Vec::new();
        for n in 0..count {
            let kind = statement.types.get(n).copied().unwrap_or(rows::TEXT);
            if wire::format(&given, n) == 1 && !rows::IS_TEXT.contains(&kind) {
                let words = format!("parameter ${} is not text, and no other is read here", n + 1);
                return Err(Fault::new("0A000", words));
            }
            let value = fields.value()?;
            params.push(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        }
        let text = statement.text.clone();
        self.portal = Some(Portal {
            text,
            params,
            formats: formats(fields)?,
        });
        self.out.bare(b'2');
        Ok(())
    }

    fn close(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        match (fields.u8()?, fields.text()?) {
            (b'S', name) => _ = self.statements.remove(&name),
            _ => self.portal = None,
        }
        self.out.bare(b'3');
        Ok(())
    }

    async fn execute(&mut self) -> Result<Turn, Fault> {
        let Some(portal) = self.portal.take() else {
            return Err(Fault::new("34000", "there is no portal"));
        };
        let word = first_word(&portal.text);
        match self.block {
            Block::Failed => {
                let words = "current transaction is aborted, commands ignored until end of transaction block";
                return Err(Fault::new("25P02", words));
            }
            Block::Open { is_read_only: true } if WRITING.contains(&word.as_str()) => {
                let words = format!("cannot execute {word} in a read-only transaction");
                return Err(Fault::new("25006", words));
            }
            _ => {}
        }
        if word.is_empty() {
            self.out.bare(b'I');
            return Ok(Turn::On);
        }
        let asked = Asked::Query {
            text: portal.text,
            params: portal.params,
        };
        match self.desk.ask(asked).await {
            Reply::Rows(rows) => {
                let table = Table::of(rows);
                if !table.columns.is_empty() {
                    self.out.columns(&table.columns, &portal.formats);
                    for row in &table.rows {
                        self.out.row(&table.columns, row, &portal.formats);
                    }
                }
                self.out.complete(&tag(&word, table.rows.len()));
            }
            Reply::Done => self.out.complete(&tag(&word, 0)),
            Reply::Refused(text) => return Err(Fault::refusal(text)),
            Reply::Lost => return Ok(Turn::End),
            Reply::Silence => return Ok(Turn::Never),
            _ => return Err(Fault::new("XX000", self.desk.unfit())),
        }
        Ok(Turn::On)
    }

    /// The few statements that say how the connection itself goes on.
    fn simple(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let text = fields.text()?;
        let words = text.to_ascii_uppercase();
        let words: Vec<&str> = words.trim_end_matches(';').split_whitespace().collect();
        let (block, tag) = match words.as_slice() {
            [] => {
                self.out.bare(b'I');
                return Ok(());
            }
            ["BEGIN" | "START", mode @ ..] => {
                let is_read_only = mode.ends_with(&["READ", "ONLY"]);
                (Block::Open { is_read_only }, "BEGIN")
            }
            // A failed transaction is not committed.
            ["COMMIT" | "END"] if self.block != Block::Failed => (Block::None, "COMMIT"),
            ["COMMIT" | "END" | "ROLLBACK"] => (Block::None, "ROLLBACK"),
            ["SET", ..] => (self.block, "SET"),
            _ => {
                let words =
                    "only a transaction and settings are taken in a simple query here; prepare the statement";
                return Err(Fault::new("0A000", words));
            }
        };
        self.block = block;
        self.out.complete(tag);
        Ok(())
    }
}

/// The first word of a statement, in capitals.
fn first_word(text: &str) -> String {
    let word = text.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next();
    word.unwrap_or_default().to_ascii_uppercase()
}

/// What a statement says when it is done.
fn tag(word: &str, rows: usize) -> String {
    match word {
        "INSERT" => format!("INSERT 0 {rows}"),
        "UPDATE" | "DELETE" | "MERGE" => format!("{word} {rows}"),
        _ => format!("SELECT {rows}"),
    }
}
