//! What can be asked of each command.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::{
    Database,
    values::{drill_format, export_format, known_link, moment, pair, role, slug, source_kind},
};
use crate::domain::{audit::ExportFormat, digest::Digest, operator::Role, source::SourceKind, span::Span};

/// The record of who decided what.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Go through the audit and every timeline, and say where the first link is that does not hold. The exit code is 1
    /// when there is one. Nothing is changed.
    Verify {
        /// A row of the audit that was written down elsewhere, as verify prints its last one: NUMBER:SHA256. It must still
        /// be there.
        #[arg(long, value_parser = known_link)]
        expect: Option<(i64, Digest)>,
        /// Where the record is kept.
        #[command(flatten)]
        database: Database,
    },
    /// Write decisions to standard output, the newest first.
    Export {
        /// Not older than this: 2026-11-21, 2026-11-21T03:00 or RFC 3339; in UTC.
        #[arg(long, value_parser = moment)]
        from: Option<DateTime<Utc>>,
        /// Older than this.
        #[arg(long, value_parser = moment)]
        to: Option<DateTime<Utc>>,
        /// csv or jsonl
        #[arg(long, value_parser = export_format, default_value = "csv")]
        format: ExportFormat,
        /// Where the record is kept.
        #[command(flatten)]
        database: Database,
    },
}

/// Runbooks.
#[derive(Debug, Subcommand)]
pub enum RunbookCommand {
    /// Check runbooks and targets: every fault with file, line and column.
    Lint {
        /// The folder with runbooks and targets.yaml.
        #[arg(default_value = "runbooks")]
        folder: PathBuf,
    },
    /// Say what every step would do now: all of it rendered, checks really asked, nothing changed. The exit code is 1
    /// when something cannot work.
    Plan(Plan),
    /// Play the fixtures of a folder of runbooks and say which branches they take. The exit code is 1 when one does not
    /// come out as it expects.
    Test(Test),
}

/// Drills.
#[derive(Debug, Subcommand)]
pub enum DrillCommand {
    /// Check the scenarios in drills/ against the runbooks they train: every fault with file, line and column.
    Lint {
        /// The folder with runbooks; scenarios are in drills/ in it.
        #[arg(default_value = "runbooks")]
        folder: PathBuf,
    },
    /// Play drills by themselves, in compressed time and in a Muster of their own. The exit code is 1 when one does not
    /// pass.
    Run(DrillRun),
    /// Speak for a program that has a twin; twins start this, people have no use for it.
    #[command(hide = true)]
    Answer {
        /// Where the twin listens, its token, the program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Take back the fault of a game day when Muster dies; Muster starts this, people have no use for it.
    #[command(hide = true)]
    Guard,
}

/// Which drills to play, and how.
#[derive(Clone, Debug, Args)]
pub struct DrillRun {
    /// Scenarios by name; all of them when none is named.
    pub scenarios: Vec<String>,
    /// Let everybody's part be played by Muster: what is expected, each thing a moment after its turn has come.
    #[arg(long, required = true)]
    pub auto: bool,
    /// The chance of their worlds: the same number gives the same drill.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Something wrong that the scenario knows, to be done in place of what is expected.
    #[arg(long, value_name = "NAME")]
    pub wrong: Option<String>,
    /// Folder with runbooks; scenarios are in drills/ in it.
    #[arg(long, env = "MUSTER_RUNBOOKS", default_value = "runbooks")]
    pub runbooks: PathBuf,
    /// What to print: text, json or junit.
    #[arg(long, default_value = "text", value_parser = drill_format)]
    pub format: DrillFormat,
    /// An empty database to play in; a private one, thrown away afterwards, when absent.
    #[arg(long, env = "MUSTER_DRILL_DATABASE_URL")]
    pub database_url: Option<String>,
}

/// How drills are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For continuous integration.
    Junit,
}

/// What to plan, and with what.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// A runbook's file, or its name in the folder.
    pub runbook: String,
    /// The folder with runbooks.
    #[arg(long, env = "MUSTER_RUNBOOKS", default_value = "runbooks")]
    pub folder: PathBuf,
    /// File with targets, when it is not targets.yaml beside the runbook.
    #[arg(long, env = "MUSTER_TARGETS")]
    pub targets: Option<PathBuf>,
    /// An input of the run: NAME=VALUE. May be repeated.
    #[arg(long = "input", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// A label of the alert it is about: NAME=VALUE. May be repeated.
    #[arg(long = "label", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Only render: ask nothing, look for no credential.
    #[arg(long)]
    pub no_checks: bool,
    /// Answer as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Plan {
    /// The inputs, by name; of a name that comes twice the last.
    pub fn inputs(&self) -> BTreeMap<String, String> {
        self.inputs.iter().cloned().collect()
    }

    /// The labels, by name; of a name that comes twice the last.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
    }
}

/// Which fixtures to play.
#[derive(Clone, Debug, Args)]
pub struct Test {
    /// The folder with runbooks; its fixtures are in the folder tests below it.
    #[arg(default_value = "runbooks")]
    pub folder: PathBuf,
    /// File with targets, when it is not targets.yaml beside the runbooks. Without either, every name stands for a
    /// target.
    #[arg(long, env = "MUSTER_TARGETS")]
    pub targets: Option<PathBuf>,
    /// Only the fixtures of this runbook.
    #[arg(long)]
    pub runbook: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// People.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a person; the password is read from standard input.
    Add {
        /// What they sign in with.
        name: String,
        /// viewer, responder, approver or admin
        #[arg(long, value_parser = role, default_value = "responder")]
        role: Role,
        /// Where the people are kept.
        #[command(flatten)]
        database: Database,
    },
    /// Print a link by which a person chooses a new password, once: for when nobody else can let them in.
    Link {
        /// What they sign in with.
        name: String,
        /// The address by which they reach Muster.
        #[arg(long, env = "MUSTER_PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
        url: String,
        /// Where the people are kept.
        #[command(flatten)]
        database: Database,
    },
}

/// Senders.
#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Add a sender; prints its first token once, and what to paste on its side.
    Add {
        /// Its name in the webhook's address.
        #[arg(value_parser = slug)]
        name: String,
        /// What it speaks: alertmanager, prometheus, grafana, pagerduty, sns, pubsub or generic.
        #[arg(long, value_parser = source_kind, default_value = "alertmanager")]
        format: SourceKind,
        /// Make it a heartbeat: silence for this long raises an incident.
        #[arg(long)]
        heartbeat: Option<Span>,
        /// The address by which it reaches Muster.
        #[arg(long, env = "MUSTER_PUBLIC_URL", default_value = "http://MUSTER:8080")]
        url: String,
        /// Where the senders are kept.
        #[command(flatten)]
        database: Database,
    },
    /// List the senders with their tokens.
    List {
        /// Where the senders are kept.
        #[command(flatten)]
        database: Database,
    },
    /// Issue a token of a sender, or revoke one; two can be live at once.
    Token {
        /// Its name.
        #[arg(value_parser = slug)]
        name: String,
        /// Who will use the new token, or why the old one is revoked.
        #[arg(long = "for", default_value = "made at the terminal")]
        words: String,
        /// Number of the token to revoke, from the list.
        #[arg(long)]
        revoke: Option<i64>,
        /// Where the senders are kept.
        #[command(flatten)]
        database: Database,
    },
}

impl SourceCommand {
    /// Where the senders are kept.
    pub fn database(&self) -> &Database {
        match self {
            Self::Add { database, .. } | Self::List { database } | Self::Token { database, .. } => database,
        }
    }
}
