//! The program `muster`: reads the command line and calls the library.

use std::{io::Read, process::ExitCode};

use anyhow::Context;
use muster::{
    actions,
    app::{App, OpenDatabase},
    chaos,
    cli::{self, complain, say},
    clock::Clock,
    config::{AuditCommand, Cli, Command, Database, DrillCommand, RunbookCommand, Serve, UserCommand},
    demo,
    domain::{audit::ActKind, operator::Role},
    identity::{
        account, note,
        password::{self, Passwords},
    },
    store::{
        migrate, operators,
        pool::{self, PoolSizes},
    },
    telemetry::{self, LogOptions},
    twins,
};
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::read_from(std::env::args_os())).await {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    actions::install_crypto();
    match cli.command {
        Command::Serve(serve) => {
            telemetry::init(&LogOptions::from_env())?;
            self::serve(*serve).await?;
        }
        Command::Demo(demo) => {
            let mut options = LogOptions::from_env();
            if std::env::var_os("MUSTER_LOG").is_none() {
                options.filter = "error".to_owned();
            }
            telemetry::init(&options)?;
            demo::run(&demo, asked_to_stop()).await?;
        }
        Command::Lint { folder }
        | Command::Runbook {
            command: RunbookCommand::Lint { folder },
        } => return Ok(cli::lint::run(&folder)),
        Command::Runbook {
            command: RunbookCommand::Plan(plan),
        } => return cli::plan::run(&plan, Clock::real()).await,
        Command::Runbook {
            command: RunbookCommand::Test(test),
        } => return cli::test::run(&test),
        Command::Drill { command } => return drill(&command).await,
        Command::User {
            command: UserCommand::Add { name, role, database },
        } => {
            with_database(&database, async |pool| add_user(pool, &name, role).await).await?;
        }
        Command::User {
            command: UserCommand::Link { name, url, database },
        } => {
            with_database(&database, async |pool| link_user(pool, &name, &url).await).await?;
        }
        Command::Source { command } => {
            let database = command.database().clone();
            with_database(&database, async |pool| {
                cli::source::run(&mut *pool.acquire().await?, &command, Clock::real().now()).await
            })
            .await?;
        }
        Command::Audit { command } => return audit(&command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn drill(command: &DrillCommand) -> anyhow::Result<ExitCode> {
    match command {
        DrillCommand::Lint { folder } => Ok(cli::drill::lint::run(folder)),
        DrillCommand::Run(run) => {
            let mut options = LogOptions::from_env();
            if std::env::var_os("MUSTER_LOG").is_none() {
                options.filter = "error".to_owned();
            }
            telemetry::init(&options)?;
            cli::drill::run(run).await
        }
        DrillCommand::Answer { words } => Ok(twins::relay::run(words)?),
        DrillCommand::Guard => Ok(chaos::guard::run(complain).await?),
    }
}

async fn audit(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify { expect, database } => {
            let database = OpenDatabase::open(database).await?;
            with_open(database, async |pool| cli::audit::verify(pool, *expect).await).await
        }
        AuditCommand::Export {
            from,
            to,
            format,
            database,
        } => {
            let database = OpenDatabase::open(database).await?;
            with_open(database, async |pool| {
                cli::audit::export(pool, *from, *to, *format).await
            })
            .await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(config: Serve) -> anyhow::Result<()> {
    let metrics = telemetry::metrics()?;
    let upkeep_stop = tokio_util::sync::CancellationToken::new();
    let upkeep = tokio::spawn(telemetry::upkeep(metrics.clone(), upkeep_stop.clone()));
    let app = App::start(config, Clock::real(), Some(metrics)).await?;
    asked_to_stop().await;
    app.stop().await;
    upkeep_stop.cancel();
    upkeep.await.context("metrics upkeep")
}

async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn with_database(
    config: &Database,
    act: impl AsyncFnOnce(&PgPool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let database = OpenDatabase::open(config).await?;
    migrate::run(&database.options).await?;
    with_open(database, act).await
}

/// With the database as it is, so that it may be a copy that nobody may write to.
async fn with_open<T>(
    database: OpenDatabase,
    act: impl AsyncFnOnce(&PgPool) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let pool = pool::connect(
        database.options.clone(),
        "muster command",
        &PoolSizes::default().background,
    );
    let outcome = act(&pool).await;
    pool.close().await;
    database.close().await;
    outcome
}

async fn add_user(pool: &PgPool, name: &str, role: Role) -> anyhow::Result<()> {
    let mut typed = String::new();
    std::io::stdin()
        .read_to_string(&mut typed)
        .context("reading the password from standard input")?;
    let password = typed.trim_end_matches(['\r', '\n']).to_owned();
    if let Some(fault) = password::fault(&password, name) {
        anyhow::bail!("the password on standard input: {fault}");
    }
    let hash = Passwords::default().hash(password).await?;
    let (mut tx, now) = (pool.begin().await?, Clock::real().now());
    let id = operators::insert(&mut tx, name, &hash, role, now).await?;
    anyhow::ensure!(id.is_some(), "there is somebody called {name} already");
    note(
        &mut tx,
        ActKind::PersonMade,
        name,
        &format!("as {role}"),
        None,
        now,
    )
    .await?;
    tx.commit().await?;
    say(&format!("{name} can sign in as {role}"));
    Ok(())
}

async fn link_user(pool: &PgPool, name: &str, url: &str) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    let found = operators::find_by_name(&mut tx, name).await?;
    let (person, _) =
        found.with_context(|| format!("there is nobody called {name}, or they are disabled"))?;
    let code = account::invite(&mut tx, person.id, None, Clock::real().now()).await?;
    tx.commit().await?;
    say(&format!(
        "{name} chooses a password, once and within {} days, at {}/enter/{code}",
        account::INVITATION.num_days(),
        url.trim_end_matches('/')
    ));
    Ok(())
}
