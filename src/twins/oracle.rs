//! What a twin is asked, what it can say, and whoever knows the answers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;

/// What a twin was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A statement of SQL, PromQL, LogQL or a query string, with its parameters. Those of a search in Elasticsearch are
    /// the index alone.
    Query {
        /// The statement as it was written.
        text: String,
        /// What stands for `$1` and so on.
        params: Vec<Option<String>>,
    },
    /// An HTTP request.
    Web {
        /// In capitals.
        method: String,
        /// With the query string.
        path: String,
        /// Text; empty when there is none.
        body: String,
    },
    /// Which servers a backend of a proxy has and how they are.
    Servers {
        /// The backend.
        backend: String,
    },
    /// A server shall be ready, drain or maint.
    SetServer {
        /// The backend.
        backend: String,
        /// The server in it.
        server: String,
        /// `ready`, `drain` or `maint`.
        state: String,
    },
    /// A program was started.
    Program {
        /// Its path, as the target has it.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// What it was given to read.
        stdin: String,
    },
    /// The lines of a log file.
    Lines,
}

/// What it says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Rows of a statement, each its columns in order. Rows without columns only count, as an `update` has them.
    Rows(Vec<Vec<(String, Value)>>),
    /// Samples of a metric query: labels and value.
    Samples(Vec<(BTreeMap<String, String>, f64)>),
    /// Log lines, oldest first, each with how many seconds ago it was written. The twin itself leaves out those before the
    /// time or beyond the number that was asked for.
    Lines(Vec<(f64, String)>),
    /// An HTTP answer.
    Web {
        /// From 200 to 599.
        status: u16,
        /// A string is sent as text, everything else as JSON.
        body: Value,
    },
    /// Servers of a backend: name, whether it is up, and `ready`, `drain` or `maint`.
    Servers(Vec<(String, bool, String)>),
    /// What a program wrote and its exit code.
    Program {
        /// On its output.
        output: String,
        /// On its error output.
        errors: String,
        /// 0 for a success, at most 255.
        exit: i32,
    },
    /// It was done and there is nothing to say.
    Done,
    /// It answers that it did not do it, in the words of its protocol: an error of SQL (`P0001`, unless the text begins
    /// with another code: `40001: …`), a status of HTTP (409 for what changes something, since a 500 leaves that open; else
    /// 500), a line of a proxy, an exit code of 1, a file that is not there.
    Refused(String),
    /// It was perhaps done; the connection breaks without an answer.
    Lost,
    /// No answer ever comes: the time of whoever asks runs out.
    Silence,
}

/// Whoever knows the answers.
pub trait Oracle: Send + Sync + 'static {
    /// What this target says. Asked once for each time the target is asked; when whoever asks goes away, the future may be
    /// dropped before it ends.
    fn ask<'a>(&'a self, target: &'a str, asked: Asked) -> BoxFuture<'a, Reply>;

    /// What time it is where the targets are: what they stamp their lines and answers with.
    fn now(&self) -> DateTime<Utc>;
}
