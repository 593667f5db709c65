//! The Postgres action against a real server that lives as long as its test.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
};

use nix::unistd::{Uid, User};
use serde_json::json;

use super::*;
use crate::domain::target::{PostgresConnection, Tls, Trust};

const PASSWORD: &str = "p4ssw0rd-canary";

/// A throw-away cluster: the socket trusts, TCP wants the password.
struct Cluster {
    folder: Folder,
    port: u16,
}

impl Cluster {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// One that speaks TLS with a certificate for `db.test`, in the file `server.crt` of its data.
    async fn start_with_tls() -> Self {
        Self::start_with(" -c ssl=on").await
    }

    async fn start_with(more: &str) -> Self {
        let cluster = Self {
            folder: Folder::new(),
            port: nobody().await.port(),
        };
        if let Some(user) = other_user() {
            chown(
                &cluster.folder.0,
                Some(user.uid.as_raw()),
                Some(user.gid.as_raw()),
            )
            .unwrap();
        }
        std::fs::write(cluster.folder.path("password"), PASSWORD).unwrap();
        let (data, password) = (cluster.folder.path("data"), cluster.folder.path("password"));
        cluster.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "app",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                &format!("--pwfile={password}"),
            ],
        );
        let options = format!(
            "-p {} -k {} -h 127.0.0.1 -F{more}",
            cluster.port,
            cluster.folder.0.display()
        );
        if !more.is_empty() {
            cluster.sign();
        }
        let log = cluster.folder.path("log");
        cluster.run(
            "pg_ctl",
            &["-D", &data, "-w", "-l", &log, "-o", &options, "start"],
        );
        cluster
    }

    fn sign(&self) {
        let (key, certificate) = (
            self.folder.path("data/server.key"),
            self.folder.path("data/server.crt"),
        );
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]);
        command.args([
            "-days",
            "2",
            "-subj",
            "/CN=db.test",
            "-addext",
            "subjectAltName=DNS:db.test",
        ]);
        command.args([
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
        if let Some(user) = other_user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        assert!(command.output().unwrap().status.success());
    }

    fn run(&self, program: &str, args: &[&str]) {
        let newest = std::fs::read_dir("/usr/lib/postgresql")
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .max();
        let mut command = Command::new(newest.unwrap().join("bin").join(program));
        command
            .args(args)
            .current_dir(&self.folder.0)
            .stdout(std::process::Stdio::null());
        if let Some(user) = other_user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        assert!(command.status().unwrap().success(), "{program}");
    }

    fn at(&self, host: &str) -> PostgresConnection {
        PostgresConnection {
            host: host.to_owned(),
            port: self.port,
            user: "app".to_owned(),
            database: Some("postgres".to_owned()),
            password: None,
            tls: Tls::Prefer,
            trust: Trust::default(),
        }
    }

    fn socket(&self) -> Target {
        target(Connection::Postgres(self.at(self.folder.0.to_str().unwrap())))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if Path::new(&self.folder.path("data/postmaster.pid")).exists() {
            self.run(
                "pg_ctl",
                &["-D", &self.folder.path("data"), "-m", "immediate", "-w", "stop"],
            );
        }
    }
}

/// Postgres does not run as root.
fn other_user() -> Option<User> {
    Uid::effective()
        .is_root()
        .then(|| User::from_name("postgres").unwrap().unwrap())
}

fn sql(query: &str) -> Value {
    json!({"query": query})
}

#[tokio::test]
async fn statements_run_and_answer_in_json() {
    let cluster = Cluster::start().await;
    let target = cluster.socket();
    let outcome = go(
        &target,
        json!({
            "query": "select true as b, 7::int2 as i2, -7 as i4, 9007199254740993 as i8, 1.5::float4 as f4,
                'NaN'::float8 as nan, 12345.678900 as n, -0.0001::numeric as small, 10000::numeric as round,
                100000000.5 as wide, 'ü'::text as t, 'x'::char(3) as bp, 'name'::name as nm, null as nothing,
                '{\"a\":[1]}'::json as j, '{\"a\":[1]}'::jsonb as jb, '\\x00ff'::bytea as by,
                timestamptz '2026-03-01 10:11:12.5+02' as tz, timestamp '1999-12-31 23:59:59' as ts,
                date '2026-02-28' as d, time '01:02:03' as tm, interval '1 year 2 days 03:04:05.6' as iv,
                interval '0' as iv0, inet '10.0.0.1' as ip, cidr '10.0.0.0/8' as net, '::1'::inet as ip6,
                '0/16B3748'::pg_lsn as lsn, array[1,null,3] as ints, array[['a','b'],['c','d']] as deep,
                '{}'::text[] as none, '6ecd8c99-4036-403d-bf84-cf8400f67836'::uuid as u, 'infinity'::timestamptz as inf,
                point(1,2) as p, $1::int + 1 as sum, $2 as p2, $3 as p3, 1 as sum, pg_is_in_recovery() as standby",
            "params": [41, null, "'; drop table x; --"],
        }),
        &reading(),
    )
    .await
    .unwrap();
    let row = &outcome.result["rows"][0];
    assert_eq!(
        row,
        &json!({
            "b": true, "i2": 7, "i4": -7, "i8": 9_007_199_254_740_993_i64, "f4": 1.5, "nan": "NaN",
            "n": 12345.6789, "small": -0.0001, "round": 10000, "wide": 100_000_000.5, "t": "ü", "bp": "x  ",
            "nm": "name", "nothing": null, "j": {"a": [1]}, "jb": {"a": [1]}, "by": "\\x00ff",
            "tz": "2026-03-01T08:11:12.500Z", "ts": "1999-12-31T23:59:59", "d": "2026-02-28", "tm": "01:02:03",
            "iv": "1 year 2 days 03:04:05.6", "iv0": "00:00:00", "ip": "10.0.0.1", "net": "10.0.0.0/8",
            "ip6": "::1", "lsn": "0/16B3748", "ints": [1, null, 3], "deep": [["a", "b"], ["c", "d"]], "none": [],
            "u": "6ecd8c99-4036-403d-bf84-cf8400f67836", "inf": "infinity",
            "p": "[a point; cast it to text to see it]", "sum": 42, "p2": null, "p3": "'; drop table x; --",
            "sum_2": 1, "standby": false,
        })
    );
    assert_eq!(
        (&outcome.result["ok"], &outcome.result["row_count"]),
        (&json!(true), &json!(1))
    );

    for (query, count, rows) in [
        ("create table t (id int primary key, mood text)", 0, 0),
        (
            "create type mood as enum ('sad', 'fine'); ".trim_end_matches("; "),
            0,
            0,
        ),
        (
            "insert into t select n, 'x' from generate_series(1, 1000) n returning id",
            1000,
            100,
        ),
        ("select repeat('x', 100000) from generate_series(1, 50)", 50, 1),
        ("update t set mood = 'y' where id <= 3", 3, 0),
        ("select 'fine'::mood as m", 1, 1),
        ("select * from t where false", 0, 0),
        ("checkpoint", 0, 0),
    ] {
        let outcome = go(&target, sql(query), &envelope()).await.unwrap();
        assert_eq!(outcome.result["row_count"], count, "{query}");
        let kept = outcome.result["rows"].as_array().unwrap().len();
        assert!(kept == rows || count == 50 && kept > 0, "{query}: {kept}");
    }
    // All thousand are there, although only a hundred were kept to show.
    let all = go(&target, sql("select count(*) as n from t"), &reading())
        .await
        .unwrap();
    assert_eq!(all.result["rows"][0]["n"], 1000);
}

#[tokio::test]
async fn a_check_cannot_write() {
    let cluster = Cluster::start().await;
    let target = cluster.socket();
    go(&target, sql("create table t (n int)"), &envelope())
        .await
        .unwrap();
    for query in [
        "insert into t values (1)",
        "commit; insert into t values (1)",
        "select 1; commit; insert into t values (1)",
        "with x as (insert into t values (1) returning n) select * from x",
        "select set_config('transaction_read_only', 'off', false)",
        "drop table t",
    ] {
        let failure = go(&target, sql(query), &reading()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused, "{query}: {failure}");
        assert!(failure.message.contains("SQLSTATE "), "{failure}");
    }
    let count = go(&target, sql("select count(*) as n from t"), &reading())
        .await
        .unwrap();
    assert_eq!(count.result["rows"][0]["n"], 0);
}

#[tokio::test]
async fn failures_say_how_far_it_got() {
    let cluster = Cluster::start().await;
    let socket = cluster.socket();
    for (query, class, text) in [
        (
            "select * from missing",
            FailureClass::Refused,
            "SQLSTATE 42P01: relation \"missing\" does not exist",
        ),
        ("select 1/0", FailureClass::Refused, "SQLSTATE 22012"),
        ("selekt", FailureClass::Refused, "SQLSTATE 42601"),
        (
            "select pg_terminate_backend(pg_backend_pid())",
            FailureClass::Lost,
            "57P01",
        ),
        ("select $1::int", FailureClass::Refused, "SQLSTATE"),
    ] {
        let failure = go(&socket, sql(query), &envelope()).await.unwrap_err();
        assert_eq!(failure.class, class, "{query}: {failure}");
        assert!(failure.message.contains(text), "{query}: {failure}");
    }
    let slow = go(
        &socket,
        sql("select pg_sleep(600)"),
        &within(Span::from_millis(300)),
    )
    .await
    .unwrap_err();
    assert_eq!(slow.class, FailureClass::Lost, "{slow}");
    // Nobody is left working for us.
    let left =
        "select count(*) as n from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
    let query = format!("with w as (select pg_sleep(1)) {left} and (select true from w) is not null");
    let left = go(&socket, sql(&query), &reading()).await.unwrap();
    assert_eq!(left.result["rows"][0]["n"], 0);

    let mut login = cluster.at("127.0.0.1");
    login.password = Some(cluster.folder.secret("good", PASSWORD));
    let good = go(
        &target(Connection::Postgres(login.clone())),
        sql("select 1"),
        &reading(),
    )
    .await
    .unwrap();
    assert_eq!(good.result["row_count"], 1);
    let told = format!("select '{PASSWORD}' as told, '{PASSWORD}'::bytea as hex");
    let told = go(
        &target(Connection::Postgres(login.clone())),
        sql(&told),
        &reading(),
    )
    .await
    .unwrap();
    assert_eq!(
        told.result["rows"][0],
        json!({"told": "[redacted]", "hex": "\\x[redacted]"})
    );
    let told = sql(&format!("select '{PASSWORD}'::int"));
    let told = go(&target(Connection::Postgres(login.clone())), told, &reading())
        .await
        .unwrap_err();
    assert!(told.message.contains("\"[redacted]\""), "{told}");
    login.password = Some(cluster.folder.secret("wrong", "wr0ng-canary"));
    let wrong = go(
        &target(Connection::Postgres(login.clone())),
        sql("select 1"),
        &reading(),
    )
    .await
    .unwrap_err();
    assert_eq!(wrong.class, FailureClass::Refused, "{wrong}");
    assert!(
        wrong.message.contains("SQLSTATE 28P01") && !wrong.message.contains("wr0ng"),
        "{wrong}"
    );
    login.tls = Tls::Require;
    let no_tls = go(&target(Connection::Postgres(login)), sql("select 1"), &reading())
        .await
        .unwrap_err();
    assert_eq!(no_tls.class, FailureClass::NotSent, "{no_tls}");
}

#[tokio::test]
async fn a_server_that_never_greets_has_been_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(Connection::Postgres(PostgresConnection {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        user: "app".to_owned(),
        database: None,
        password: None,
        tls: Tls::Disable,
        trust: Trust::default(),
    }));
    let failure = go(&target, sql("select 1"), &within(Span::from_millis(100)))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
}

#[tokio::test]
async fn a_server_proves_its_name_at_the_address_that_was_checked() {
    let cluster = Cluster::start_with_tls().await;
    let here = Lookup::by(|_| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) }));
    let outside = Outside::with_lookup(Bounds::default(), here);
    let ca = SecretRef::File(cluster.folder.path("data/server.crt"));
    let at = |host: &str, trust: Trust| Target {
        networks: vec!["127.0.0.1".parse().unwrap()],
        ..target(Connection::Postgres(PostgresConnection {
            tls: Tls::VerifyFull,
            password: Some(cluster.folder.secret("login", PASSWORD)),
            trust,
            ..cluster.at(host)
        }))
    };
    let believing = || Trust {
        ca: Some(ca.clone()),
        ..Trust::default()
    };
    let named = |name: &str| Trust {
        server_name: Some(name.to_owned()),
        ..believing()
    };
    let question = sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    for (target, is_right) in [
        (at("db.test", believing()), true),
        (at("127.0.0.1", named("db.test")), true),
        (at("other.test", named("db.test")), true),
        (at("other.test", believing()), false),
        (at("127.0.0.1", believing()), false),
        (at("db.test", named("other.test")), false),
        (at("db.test", Trust::default()), false),
    ] {
        let answer = go_by(&outside, &target, question.clone(), &reading()).await;
        match answer {
            Ok(outcome) => assert_eq!(
                (is_right, &outcome.result["rows"][0]["ssl"]),
                (true, &json!(true))
            ),
            Err(failure) => {
                assert!(!is_right, "{target:?}: {failure}");
                assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
            }
        }
    }
    let bad = Trust {
        ca: Some(cluster.folder.secret("bad", "no pem")),
        ..Trust::default()
    };
    let failure = go_by(&outside, &at("db.test", bad), question, &reading())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
    assert!(
        failure.message.contains("target thing: tls.ca (file:"),
        "{failure}"
    );
}
