//! The command line and the environment: every setting of Muster in one place. Each has a default; `--help` lists
//! them all.

mod origins;

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use url::Url;

use crate::domain::{
    audit::{self, ExportFormat},
    coverage::DUE_AFTER_DAYS,
    digest::Digest,
    id::is_slug,
    network::Network,
    operator::Role,
    setting::Setting,
    source::SourceKind,
    span::{Span, SpanError},
    target::SecretRef,
};

/// The shortest pause between two signs of life of Muster itself.
const HEARTBEAT_EVERY_MIN: Span = Span::from_secs(1);

/// The shortest time a session may be left alone or last; less would sign people out between two clicks.
const SESSION_MIN: Span = Span::from_secs(300);

/// The most of one attempt's output that may be kept, in MiB: looking for words reads all of it.
const OUTPUT_MIB_MAX: i64 = 256;

/// Runs a team's incident runbooks: alerts in, gated steps carried out, a postmortem out.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line, and what the environment adds to it. Ends the process when it cannot be read.
    pub fn read_from(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Self {
        let mut description = Self::command();
        let matches = description.clone().get_matches_from(line);
        let read = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut description));
        let mut cli = read.unwrap_or_else(|error| error.exit());
        if let (Command::Serve(serve), Some((name, matches))) = (&mut cli.command, matches.subcommand()) {
            let described = description.find_subcommand(name);
            serve.settings = described.map_or_else(Vec::new, |serve| origins::list(serve, matches));
        }
        cli
    }
}

/// What `muster` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: pages, API, intake and engine.
    Serve(Box<Serve>),
    /// Show the whole thing on a simulated fleet inside this process; needs nothing but Postgres binaries.
    Demo(Demo),
    /// Check runbooks, targets, tests and drills, offline: the same as `runbook lint`.
    Lint {
        /// The folder with runbooks and targets.yaml.
        #[arg(default_value = "runbooks")]
        folder: PathBuf,
    },
    /// Work on runbooks without a running Muster and without a database.
    Runbook {
        /// What to do.
        #[command(subcommand)]
        command: RunbookCommand,
    },
    /// Work on the scenarios of drills without a running Muster and without a database.
    Drill {
        /// What to do.
        #[command(subcommand)]
        command: DrillCommand,
    },
    /// Add people.
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Add and list senders, issue and revoke their tokens.
    Source {
        /// What to do.
        #[command(subcommand)]
        command: SourceCommand,
    },
    /// Check that nobody has changed the record of who decided what, and export it.
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
}

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

fn drill_format(text: &str) -> Result<DrillFormat, String> {
    match text {
        "text" => Ok(DrillFormat::Text),
        "json" => Ok(DrillFormat::Json),
        "junit" => Ok(DrillFormat::Junit),
        _ => Err(format!("{text} is none of text, json, junit")),
    }
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

/// Which database.
#[derive(Clone, Debug, Args)]
pub struct Database {
    /// Postgres to use; without it Muster starts a private one in the data folder.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Folder of the private Postgres.
    #[arg(long, env = "MUSTER_DATA", default_value = ".muster")]
    pub data: PathBuf,
}

// What settings belong to, in the help and on the page Settings.
const DATABASE: &str = "Database";
const WAYS_IN: &str = "Addresses and TLS";
const SIGNING_IN: &str = "Signing in";
const FILES: &str = "Runbooks and targets";
const ALERTS: &str = "Alerts";
const DELIVERIES: &str = "Deliveries and their disk";
const OWN_HEARTBEAT: &str = "Muster's own sign of life";
const RUNS: &str = "Runs";
const DRILLS: &str = "Drills";
const GAME_DAYS: &str = "Game days";

/// Settings of the server.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Which database.
    #[command(flatten, next_help_heading = DATABASE)]
    pub database: Database,
    /// Address and port to listen on.
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The address people use, when it is not the one Muster listens on.
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_PUBLIC_URL")]
    pub public_url: Option<Url>,
    /// Addresses or networks of the proxies in front, like 10.0.0.0/8: only theirs is believed that says whose request it
    /// is (X-Forwarded-For).
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// The server's certificate with those between it and its authority, PEM; with it, Muster speaks TLS only.
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Authorities of client certificates, PEM: senders may then be asked to show one.
    #[arg(help_heading = WAYS_IN, long, env = "MUSTER_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// The identity provider, when people sign in by one.
    #[command(flatten, next_help_heading = SIGNING_IN)]
    pub oidc: Oidc,
    /// How long a session may be left alone before it ends: longer than a shift, so that a page at 3 am needs no sign-in.
    #[arg(help_heading = SIGNING_IN, long, env = "MUSTER_SESSION_IDLE", default_value = "12h", value_parser = session_span)]
    pub session_idle: Span,
    /// How long a session lasts at most, used or not.
    #[arg(help_heading = SIGNING_IN, long, env = "MUSTER_SESSION_MAX", default_value = "7d", value_parser = session_span)]
    pub session_max: Span,
    /// The program that twins of programs start in drills: Muster itself, when it is not this one.
    #[arg(help_heading = FILES, long, env = "MUSTER_RELAY", hide = true)]
    pub relay: Option<PathBuf>,
    /// Folder with runbooks.
    #[arg(help_heading = FILES, long, env = "MUSTER_RUNBOOKS", default_value = "runbooks")]
    pub runbooks: PathBuf,
    /// File with targets, when it is not targets.yaml beside the runbooks.
    #[arg(help_heading = FILES, long, env = "MUSTER_TARGETS")]
    pub targets: Option<PathBuf>,
    /// A sender to make at start, with its token by reference: NAME=env:VAR or NAME=file:/path; NAME:2m=… makes it a
    /// heartbeat that may be silent for 2 minutes. May be repeated.
    #[arg(help_heading = ALERTS, long = "source", env = "MUSTER_SOURCES", value_delimiter = ',', value_parser = declared_source)]
    pub sources: Vec<DeclaredSource>,
    /// How long every alert must stay ended before an incident recovers.
    #[arg(help_heading = ALERTS, long, env = "MUSTER_HOLD_DOWN", default_value = "60s")]
    pub hold_down: Span,
    /// How long an ended alert must be said to fire with its old start before that is believed.
    #[arg(help_heading = ALERTS, long, env = "MUSTER_REFIRE", default_value = "60s")]
    pub refire: Span,
    /// How long after its end a group comes back into the same incident.
    #[arg(help_heading = ALERTS, long, env = "MUSTER_REOPEN_WITHIN", default_value = "10m")]
    pub reopen_within: Span,
    /// Longest webhook body in bytes.
    #[arg(help_heading = DELIVERIES, long, env = "MUSTER_BODY_MAX", default_value_t = 16 << 20)]
    pub body_max: usize,
    /// Folder on this machine's disk where deliveries wait for the database; `spool` in the data folder when not given.
    #[arg(help_heading = DELIVERIES, long, env = "MUSTER_SPOOL")]
    pub spool: Option<PathBuf>,
    /// Bytes that may wait there.
    #[arg(help_heading = DELIVERIES, long, env = "MUSTER_SPOOL_MAX", default_value_t = 1 << 30)]
    pub spool_max: u64,
    /// How long raw deliveries are kept.
    #[arg(help_heading = DELIVERIES, long, env = "MUSTER_KEEP_DELIVERIES", default_value = "14d")]
    pub keep_deliveries: Span,
    /// Bytes of raw deliveries that are kept; the oldest go first, whatever their age.
    #[arg(help_heading = DELIVERIES, long, env = "MUSTER_DELIVERIES_MAX", default_value_t = 2 << 30)]
    pub deliveries_max: u64,
    /// What this machine is called as one that plays game days: real faults are caused here, on targets of the environment
    /// drill. None are played without it. Keep the name over restarts: what was broken under it is taken back under it.
    #[arg(help_heading = GAME_DAYS, long, env = "MUSTER_GAME_DAY_HOST", value_parser = slug)]
    pub game_day_host: Option<String>,
    /// Where the address is kept that Muster fetches as its own sign of life: env:NAME or file:/path. Whoever watches
    /// that address raises the alarm when Muster is silent.
    #[arg(help_heading = OWN_HEARTBEAT, long, env = "MUSTER_HEARTBEAT_URL", value_parser = secret_ref)]
    pub heartbeat_url: Option<SecretRef>,
    /// Networks that are not public and that the name in that address may lead to, like 10.0.0.0/8.
    #[arg(help_heading = OWN_HEARTBEAT, long, env = "MUSTER_HEARTBEAT_NETWORKS", value_delimiter = ',')]
    pub heartbeat_networks: Vec<Network>,
    /// The pause between two signs of life.
    #[arg(help_heading = OWN_HEARTBEAT, long, env = "MUSTER_HEARTBEAT_EVERY", default_value = "60s", value_parser = heartbeat_every)]
    pub heartbeat_every: Span,
    /// Runs worked on at once.
    #[arg(help_heading = RUNS, long, env = "MUSTER_RUNS_AT_ONCE", default_value_t = 256)]
    pub runs_at_once: usize,
    /// How long a run waits in line for a lock before it fails.
    #[arg(help_heading = RUNS, long, env = "MUSTER_LOCK_WAIT", default_value = "1h")]
    pub lock_wait: Span,
    /// MiB kept of what one attempt of a step writes. Over it, its beginning and its end are kept.
    #[arg(help_heading = RUNS, long, env = "MUSTER_OUTPUT_MIB", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=OUTPUT_MIB_MAX))]
    pub output_mib: u16,
    /// How long a stopping server waits for attempts that are out.
    #[arg(help_heading = RUNS, long, env = "MUSTER_DRAIN", default_value = "20s")]
    pub drain: Span,
    /// How many days what was practised in a drill counts, before its runbook is due again.
    #[arg(help_heading = DRILLS, long, env = "MUSTER_DRILL_DUE_DAYS", default_value_t = DUE_AFTER_DAYS, value_parser = clap::value_parser!(u16).range(1..))]
    pub drill_due_days: u16,
    /// All of these, for people to look at.
    #[arg(skip)]
    pub settings: Vec<Setting>,
}

impl Serve {
    /// Where deliveries wait for the database.
    pub fn spool_folder(&self) -> PathBuf {
        let by_default = || self.database.data.join("spool");
        self.spool.clone().unwrap_or_else(by_default)
    }
}

/// An identity provider that speaks OpenID Connect.
#[derive(Clone, Debug, Args)]
pub struct Oidc {
    /// Its issuer, as its tokens name it: https, or http on this machine's own loopback. People come back to
    /// /login/provider/back at the public address, which has to be set.
    #[arg(long = "oidc-issuer", env = "MUSTER_OIDC_ISSUER", value_parser = issuer, requires_all = ["oidc_client_id", "public_url"])]
    pub oidc_issuer: Option<String>,
    /// What Muster is called there.
    #[arg(
        long = "oidc-client-id",
        env = "MUSTER_OIDC_CLIENT_ID",
        requires = "oidc_issuer"
    )]
    pub oidc_client_id: Option<String>,
    /// Where Muster's secret there is kept: env:NAME or file:/path. Without one it is a public client.
    #[arg(long = "oidc-client-secret", env = "MUSTER_OIDC_CLIENT_SECRET", value_parser = secret_ref, requires = "oidc_issuer")]
    pub oidc_client_secret: Option<SecretRef>,
    /// What is asked for besides openid.
    #[arg(
        long = "oidc-scopes",
        env = "MUSTER_OIDC_SCOPES",
        value_delimiter = ',',
        default_value = "profile"
    )]
    pub oidc_scopes: Vec<String>,
    /// The claim that lists a person's groups.
    #[arg(
        long = "oidc-groups-claim",
        env = "MUSTER_OIDC_GROUPS_CLAIM",
        default_value = "groups"
    )]
    pub oidc_groups_claim: String,
    /// The role that a group there gives here: GROUP=ROLE. May be repeated; of several the highest counts.
    #[arg(long = "oidc-role", env = "MUSTER_OIDC_ROLES", value_delimiter = ',', value_parser = group_role)]
    pub oidc_roles: Vec<(String, Role)>,
    /// The role of whoever is in none of these groups; without it they are refused.
    #[arg(long = "oidc-default-role", env = "MUSTER_OIDC_DEFAULT_ROLE", value_parser = role)]
    pub oidc_default_role: Option<Role>,
    /// Networks that are not public and in which the provider is, like 10.0.0.0/8.
    #[arg(long = "oidc-networks", env = "MUSTER_OIDC_NETWORKS", value_delimiter = ',')]
    pub oidc_networks: Vec<Network>,
    /// What its button says; its issuer when not given.
    #[arg(long = "oidc-name", env = "MUSTER_OIDC_NAME")]
    pub oidc_name: Option<String>,
}

/// Settings of the demo.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Address and port of the pages.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Folder of the demo's private Postgres; removed at the end when not given.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// A sender to make at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredSource {
    /// Its name in the webhook's address.
    pub name: String,
    /// Set for a heartbeat: silence for this long raises an incident.
    pub heartbeat: Option<Span>,
    /// Where its token is.
    pub token: SecretRef,
}

fn secret_ref(text: &str) -> Result<SecretRef, String> {
    SecretRef::try_from(text.to_owned())
}

fn heartbeat_every(text: &str) -> Result<Span, String> {
    let every: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    match every >= HEARTBEAT_EVERY_MIN {
        true => Ok(every),
        false => Err(format!("at least {HEARTBEAT_EVERY_MIN}")),
    }
}

/// The text is kept to the letter: the issuer in a token is compared with it.
fn issuer(text: &str) -> Result<String, String> {
    let url: Url = text.parse().map_err(|_| "not an address".to_owned())?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if is_here => Ok(text.to_owned()),
        _ => Err("needs https, unless it is on this machine's own loopback".to_owned()),
    }
}

fn group_role(text: &str) -> Result<(String, Role), String> {
    match text.rsplit_once('=') {
        Some((group, name)) if !group.is_empty() => Ok((group.to_owned(), role(name)?)),
        _ => Err("expected GROUP=ROLE".to_owned()),
    }
}

fn session_span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    match span >= SESSION_MIN {
        true => Ok(span),
        false => Err(format!("at least {SESSION_MIN}")),
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| "expected viewer, responder, approver or admin".to_owned())
}

fn source_kind(text: &str) -> Result<SourceKind, String> {
    SourceKind::named(text).ok_or_else(|| {
        let names: Vec<&str> = SourceKind::ALL.into_iter().map(SourceKind::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    audit::moment(text)
        .ok_or_else(|| "expected a time like 2026-11-21 or 2026-11-21T03:00, in UTC".to_owned())
}

fn export_format(text: &str) -> Result<ExportFormat, String> {
    ExportFormat::named(text).ok_or_else(|| "expected csv or jsonl".to_owned())
}

fn known_link(text: &str) -> Result<(i64, Digest), String> {
    let (seq, hash) = text.split_once(':').ok_or("expected NUMBER:SHA256")?;
    let seq = seq
        .parse()
        .map_err(|_| "expected a number before the colon".to_owned())?;
    Ok((seq, Digest::try_from(hash.to_owned())?))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn slug(text: &str) -> Result<String, String> {
    match is_slug(text) {
        true => Ok(text.to_owned()),
        false => Err("a name has lower-case letters, digits and inner dashes, at most 63".to_owned()),
    }
}

fn declared_source(text: &str) -> Result<DeclaredSource, String> {
    let (name, token) = text
        .split_once('=')
        .ok_or("expected NAME=env:VAR or NAME=file:/path")?;
    let (name, heartbeat) = match name.split_once(':') {
        Some((name, span)) => (
            name,
            Some(span.parse().map_err(|error: SpanError| error.to_string())?),
        ),
        None => (name, None),
    };
    Ok(DeclaredSource {
        name: slug(name)?,
        heartbeat,
        token: SecretRef::try_from(token.to_owned())?,
    })
}

impl Serve {
    /// The defaults, over the database of a data folder.
    pub fn over(database: Database) -> Self {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            serve: Serve,
        }
        // Only the program's name is given, so this reads the defaults and the environment alone.
        let mut serve = Defaults::parse_from(["muster"]).serve;
        serve.database = database;
        serve
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["muster", "serve", "--source", "prom=env:TOKEN,dog:2m=file:/run/x"]);
        let Command::Serve(serve) = cli.command else {
            panic!("not serve")
        };
        assert_eq!(serve.sources.len(), 2);
        assert_eq!(serve.sources[1].heartbeat, Some(Span::from_secs(120)));
        assert_eq!(serve.hold_down, Span::from_secs(60));
        assert!(Cli::try_parse_from(["muster", "serve", "--source", "prom=hunter2"]).is_err());
        let cli = Cli::parse_from([
            "muster", "runbook", "plan", "r", "--input", "a=b=c", "--label", "x=",
        ]);
        let Command::Runbook {
            command: RunbookCommand::Plan(plan),
        } = cli.command
        else {
            panic!("not a plan")
        };
        assert_eq!(plan.inputs()["a"], "b=c");
        assert_eq!(plan.labels()["x"], "");
        for wrong in [
            &["--oidc-issuer", "http://id.example", "--oidc-client-id", "m"][..],
            &["--oidc-issuer", "https://id.example"],
            &["--session-idle", "1m"],
            &["--oidc-role", "oncall=chief"],
        ] {
            let line = ["muster", "serve", "--public-url", "https://muster.example"];
            assert!(
                Cli::try_parse_from(line.iter().chain(wrong)).is_err(),
                "{wrong:?}"
            );
        }
        for wrong in ["a", "=b"] {
            assert!(Cli::try_parse_from(["muster", "runbook", "plan", "r", "--input", wrong]).is_err());
        }
    }
}
