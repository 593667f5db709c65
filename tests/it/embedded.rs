//! The private database server: what it survives and what it refuses.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use muster::store::embedded::binaries::Search;
use muster::store::embedded::{Embedded, EmbeddedError, ServerState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::scratch::Scratch;

const DATA: &str = "MUSTER_IT_DATA";

async fn connect(embedded: &Embedded) -> PgConnection {
    embedded.connect_options().connect().await.unwrap()
}

async fn write(embedded: &Embedded, row: &str) {
    let mut connection = connect(embedded).await;
    connection
        .execute("create table if not exists note (text text not null)")
        .await
        .unwrap();
    sqlx::query("insert into note values ($1)")
        .bind(row)
        .execute(&mut connection)
        .await
        .unwrap();
    // No good-bye: the connection is open when the server or we are killed.
    std::mem::forget(connection);
}

async fn read(embedded: &Embedded) -> Vec<String> {
    let mut connection = connect(embedded).await;
    let rows = sqlx::query_scalar("select text from note order by text")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows
}

fn pid(embedded: &Embedded) -> Pid {
    match *embedded.state().borrow() {
        ServerState::Running { pid } => Pid::from_raw(pid.cast_signed()),
        ref other => panic!("not running but {other:?}"),
    }
}

#[tokio::test]
async fn a_killed_server_comes_back_by_itself_with_every_committed_row() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    write(&embedded, "before").await;
    let killed = pid(&embedded);
    let mut state = embedded.state();
    kill(killed, Signal::SIGKILL).unwrap();
    let back = |state: &ServerState| matches!(state, ServerState::Running { pid } if *pid != killed.as_raw().cast_unsigned());
    state.wait_for(back).await.unwrap();
    // It may have to be launched more than once, until the sessions of the dead one are gone.
    let pool = sqlx::PgPool::connect_lazy_with(embedded.connect_options());
    let rows: i64 = sqlx::query_scalar("select count(*) from note")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
    pool.close().await;
    embedded.stop().await;
    assert!(matches!(
        *state.borrow_and_update(),
        ServerState::Stopped { clean: true }
    ));
}

#[tokio::test]
async fn killing_this_process_stops_the_server_and_loses_nothing() {
    let scratch = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "embedded::hold_a_server_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DATA, scratch.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server: i32 = lines
        .find_map(|line| line.unwrap().strip_prefix("server ")?.parse().ok())
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let embedded = Embedded::start(scratch.path()).await.unwrap();
    assert_eq!(read(&embedded).await, ["before"]);
    assert_ne!(pid(&embedded).as_raw(), server);
    let still_a_server = std::fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap_or_default();
    assert!(
        !still_a_server.contains("pg-run"),
        "the old server is gone: {still_a_server}"
    );
    embedded.stop().await;
}

#[tokio::test]
#[ignore = "the other process of the test above"]
async fn hold_a_server_until_killed() {
    let Some(data) = std::env::var_os(DATA) else {
        return;
    };
    let embedded = Embedded::start(Path::new(&data)).await.unwrap();
    write(&embedded, "before").await;
    println!("\nserver {}", pid(&embedded));
    std::future::pending().await
}

#[tokio::test]
async fn a_second_instance_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::new();
    let first = Embedded::start(scratch.path()).await.unwrap();
    let refused = Embedded::start(scratch.path()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "{} is used by another instance (process {}); stop it or choose another data folder",
            scratch.path().display(),
            std::process::id()
        )
    );
    write(&first, "still there").await;
    first.stop().await;
    let again = Embedded::start(scratch.path()).await.unwrap();
    assert_eq!(read(&again).await, ["still there"]);
    again.stop().await;
}

#[tokio::test]
async fn commits_are_flushed_and_nobody_else_can_reach_the_socket() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    let mut connection = connect(&embedded).await;
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
    ] {
        let found: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, value, "{setting}");
    }
    for folder in ["pg", "pg-run"] {
        let mode = std::fs::metadata(scratch.path().join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
    connection.close().await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn an_initdb_that_was_killed_is_not_taken_for_a_finished_one() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("pg.new")).unwrap();
    std::fs::write(scratch.path().join("pg.new/PG_VERSION"), "15\n").unwrap();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works_all_the_same() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(&scratch.path().join("d".repeat(100)))
        .await
        .unwrap();
    let socket = embedded.connect_options().get_socket().unwrap().clone();
    write(&embedded, "far away").await;
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o700
    );
    embedded.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let scratch = Scratch::new();
    Embedded::start(scratch.path()).await.unwrap().stop().await;
    std::fs::write(scratch.path().join("pg/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let error = Embedded::start(scratch.path()).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_cluster_of_another_version_is_left_alone() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("pg")).unwrap();
    std::fs::write(scratch.path().join("pg/PG_VERSION"), "9\n").unwrap();
    let error = Embedded::start(scratch.path()).await.unwrap_err();
    assert!(error.to_string().contains("was made by PostgreSQL 9"), "{error}");
}

#[tokio::test]
async fn without_binaries_the_error_says_what_to_do() {
    let scratch = Scratch::new();
    let search = Search {
        explicit: None,
        folders: vec![PathBuf::from("/nowhere/bin")],
    };
    let error = Embedded::start_with(scratch.path(), search).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NoBinaries), "{error}");
}

#[tokio::test]
async fn a_folder_below_one_that_only_root_can_enter_is_named() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let scratch = Scratch::new();
    let closed = scratch.path().join("root");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(&closed.join("data"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("{} is closed to the user", closed.display())),
        "{error}"
    );
}
