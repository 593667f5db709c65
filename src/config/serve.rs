//! Settings of the server.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser};
use url::Url;

use super::{
    Database,
    values::{declared_source, group_role, heartbeat_every, issuer, role, secret_ref, session_span, slug},
};
use crate::domain::{
    coverage::DUE_AFTER_DAYS, network::Network, operator::Role, setting::Setting, span::Span,
    target::SecretRef,
};

/// The most of one attempt's output that may be kept, in MiB: looking for words reads all of it.
const OUTPUT_MIB_MAX: i64 = 256;

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
