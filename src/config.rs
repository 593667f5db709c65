//! The command line and the environment: every setting of Muster in one place. Each has a default; `--help` lists
//! them all.

mod commands;
mod origins;
mod serve;
mod values;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use commands::{
    AuditCommand, DrillCommand, DrillFormat, DrillRun, Plan, RunbookCommand, SourceCommand, Test, UserCommand,
};
pub use serve::{DeclaredSource, Oidc, Serve};

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::domain::span::Span;

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
