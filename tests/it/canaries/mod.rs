//! Secrets that must never be seen again. A canary is planted in every place a secret passes through; the real program does
//! its work with them, against services that repeat whatever they are told; then every table, every log line, every page,
//! every JSON answer, the metrics and every file Muster wrote are searched for any form of any of them.

mod places;
mod services;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    time::Duration,
};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use muster::{
    clock::Clock,
    domain::{
        operator::{Actor, Role},
        source::AskedSettings,
    },
    identity::password::Passwords,
    sources,
    store::operators,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        muster::{Muster, Setup, TOKEN, client},
    },
};
use places::{PLACES, canary};

/// Everything that was seen, by where it was.
type Seen = BTreeMap<String, Vec<u8>>;

/// Every way a canary may be written. Not Muster's own code: what looks must not share a mistake with what hides.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let bytes = canary.as_bytes();
    let percent: String = bytes.iter().map(|b| format!("%{b:02X}")).collect();
    let mut forms = vec![
        canary.to_owned(),
        canary.to_uppercase(),
        HEXLOWER.encode(bytes),
        percent,
        BASE64.encode(bytes),
    ];
    for shift in 0..3 {
        // Inside a longer text that was encoded as a whole: the characters that depend on it alone.
        let shifted = [vec![0; shift], bytes.to_vec()].concat();
        for text in [BASE64_NOPAD.encode(&shifted), BASE64URL_NOPAD.encode(&shifted)] {
            let first = [0, 2, 3][shift];
            let last = text.len() - 2;
            forms.push(text[first..last].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn holds(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|window| window == form)
}

/// Where each canary was seen again. One pass over everything: the log of a few seconds has many megabytes.
fn sightings(seen: &Seen, canaries: &BTreeMap<String, String>) -> Vec<String> {
    const KEY: usize = 8;
    let mut by_start: HashMap<u64, Vec<(&str, Vec<u8>)>> = HashMap::new();
    for (place, canary) in canaries {
        for form in forms(canary) {
            let start: [u8; KEY] = form[..KEY].try_into().unwrap();
            by_start
                .entry(u64::from_be_bytes(start))
                .or_default()
                .push((place, form));
        }
    }
    let mut found = BTreeSet::new();
    for (at, text) in seen {
        let mut key = 0;
        for (end, byte) in text.iter().enumerate() {
            key = key << 8 | u64::from(*byte);
            let begun = end.checked_sub(KEY - 1).zip(by_start.get(&key));
            let Some((start, forms)) = begun else { continue };
            for (place, form) in forms {
                if text[start..].starts_with(form) {
                    found.insert(format!("{place} at {at} as {}", String::from_utf8_lossy(form)));
                }
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn the_search_finds_what_is_there() {
    let value = canary("bearer");
    let canaries = BTreeMap::from([("bearer".to_owned(), value.clone())]);
    for text in [
        format!("x{value}y"),
        BASE64.encode(format!("user:{value}").as_bytes()),
        BASE64.encode(format!("u:{value}").as_bytes()),
        BASE64.encode(value.as_bytes()),
        format!("\\x{}", HEXLOWER.encode(format!("{{{value}}}").as_bytes())),
    ] {
        let seen = Seen::from([("here".to_owned(), text.clone().into_bytes())]);
        assert!(!sightings(&seen, &canaries).is_empty(), "{text}");
    }
    let seen = Seen::from([("here".to_owned(), canary("basic").into_bytes())]);
    assert_eq!(sightings(&seen, &canaries).len(), 0);
}

#[tokio::test]
async fn no_secret_is_ever_seen_again() {
    let (database, folder) = (Database::new().await, Scratch::new());
    let services = services::Services::start().await;
    let mut canaries: BTreeMap<String, String> = PLACES
        .iter()
        .map(|place| ((*place).to_owned(), canary(place)))
        .collect();
    canaries.insert("token of a source".to_owned(), TOKEN.to_owned());
    fs::write(folder.path().join("all.yaml"), places::RUNBOOK).unwrap();
    fs::write(folder.path().join("targets.yaml"), places::targets(&services)).unwrap();
    let mut setup = Setup::new(database.url(), folder.path());
    setup.env.push(("MUSTER_LOG".to_owned(), "trace".to_owned()));
    let heartbeat = format!("http://{}/{}?key={0}", services.mirror, canary("heartbeat"));
    setup.env.push(("CANARY_HEARTBEAT_URL".to_owned(), heartbeat));
    setup.env.push((
        "MUSTER_HEARTBEAT_URL".to_owned(),
        "env:CANARY_HEARTBEAT_URL".to_owned(),
    ));
    setup
        .env
        .push(("MUSTER_HEARTBEAT_EVERY".to_owned(), "1s".to_owned()));
    for place in PLACES {
        let name = format!("CANARY_{}", place.to_uppercase().replace('-', "_"));
        let value = match *place {
            "basic" => format!("user:{}", canary(place)),
            _ => canary(place),
        };
        setup.env.push((name, value));
    }

    prepare(&database).await;
    let muster = setup.start(None);
    deliver(&muster, &database).await;
    let cookie = sign_in(&muster, &mut canaries).await;
    type_secrets_into_forms(&muster, &cookie).await;
    wait::until("the run is over", Duration::from_secs(90), async || {
        let over = database
            .count("select count(*) from runs where result is not null")
            .await;
        anyhow::ensure!(
            over == 1,
            "{}",
            setup.logged().lines().rev().take(5).collect::<String>()
        );
        Ok(())
    })
    .await
    .unwrap();
    wait::until("a sign of life was sent", Duration::from_secs(30), async || {
        anyhow::ensure!(services.saw(&canary("heartbeat")));
        Ok(())
    })
    .await
    .unwrap();

    let mut seen = pages(&muster, &cookie).await;
    seen.extend(tables(&database).await);
    drop(muster);
    files(folder.path(), &mut seen);
    println!(
        "{} canaries, {} places searched, {} bytes",
        canaries.len(),
        seen.len(),
        seen.values().map(Vec::len).sum::<usize>()
    );
    // What was planted did go out, so that nothing is clean only because nothing happened.
    for place in ["bearer", "basic", "header", "loki", "postgres", "command"] {
        let came = services.saw(&canary(place))
            || services.saw(&BASE64.encode(format!("user:{}", canary(place)).as_bytes()));
        assert!(came || place == "command", "{place} was used");
    }
    let log = seen
        .iter()
        .find(|(at, _)| at.ends_with("muster.log"))
        .map(|(_, log)| log.len());
    assert!(
        log.is_some_and(|length| length > 100_000),
        "everything was logged: {log:?}"
    );
    let redacted = seen
        .iter()
        .filter(|(at, text)| at.starts_with("table") && holds(text, b"[redacted]"));
    assert!(redacted.count() > 0, "the services repeated what they were told");
    assert_eq!(sightings(&seen, &canaries), Vec::<String>::new());
}

/// A person, and a source whose bodies are signed.
async fn prepare(database: &Database) {
    let mut conn = database.pools.background.acquire().await.unwrap();
    let now = Clock::real().now();
    let hash = Passwords::default().hash(canary("password")).await.unwrap();
    operators::insert(&mut conn, "ana", &hash, Role::Admin, now)
        .await
        .unwrap()
        .unwrap();
    let settings = AskedSettings {
        sign_with: "env:CANARY_SIGNING".to_owned(),
        format: "generic".to_owned(),
        ..AskedSettings::default()
    };
    sources::make(&mut conn, "signed", &settings, &Actor::Terminal, now)
        .await
        .unwrap();
}

/// Bodies with the token in every place a sender may put it, and with tokens that are wrong.
async fn deliver(muster: &Muster, database: &Database) {
    let body = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
    }]});
    muster.stores(&body).await;
    let path = "/api/v1/sources/test/alertmanager";
    let wrong = canary("wrong-token");
    for token in [TOKEN, wrong.as_str()] {
        let post = |path: String| client().post(muster.url(&path)).json(&body);
        for request in [
            post(path.to_owned()).bearer_auth(token),
            post(path.to_owned()).basic_auth("any", Some(token)),
            post(path.to_owned()).header("x-muster-token", token),
            post(format!("{path}/{token}")),
            post(format!("{path}?token={token}")),
            post(path.to_owned())
                .bearer_auth(token)
                .header("cookie", format!("sid={}", canary("delivery-header")))
                .header("x-api-key", canary("delivery-header")),
        ] {
            let status = request.send().await.unwrap().status().as_u16();
            assert_eq!(status == 200, token == TOKEN, "{status}");
        }
    }
    let mut conn = database.pools.background.acquire().await.unwrap();
    let signed = muster::store::sources::list(&mut conn).await.unwrap();
    assert!(signed.iter().any(|source| source.name == "signed"));
    for signature in ["", "00", &canary("wrong-token")] {
        let request = client()
            .post(muster.url("/api/v1/sources/signed/generic"))
            .json(&body);
        let answer = request
            .header("x-muster-signature", signature)
            .send()
            .await
            .unwrap();
        assert!(!answer.status().is_success());
    }
}

/// One that goes nowhere by itself.
fn browser() -> reqwest::Client {
    muster::actions::install_crypto();
    let plain = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    plain.build().unwrap()
}

async fn form(muster: &Muster, path: &str, cookie: &str, fields: &[(&str, &str)]) -> reqwest::Response {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = browser()
        .post(muster.url(path))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", cookie)
        .body(body);
    request.send().await.unwrap()
}

/// The right password, then wrong ones and codes; returns the cookie, which is a canary from now on.
async fn sign_in(muster: &Muster, canaries: &mut BTreeMap<String, String>) -> String {
    let right = canary("password");
    let answer = form(muster, "/login", "", &[("name", "ana"), ("password", &right)]).await;
    let cookie = answer
        .headers()
        .get("set-cookie")
        .map(|cookie| cookie.to_str().unwrap().to_owned());
    let Some(cookie) = cookie else {
        panic!("{}: {}", answer.status(), answer.text().await.unwrap());
    };
    let (code, wrong) = (canary("code"), canary("wrong-password"));
    let enter = format!("/enter/{code}");
    for (path, fields) in [
        ("/login", [("name", "ana"), ("password", wrong.as_str())]),
        ("/login", [("name", "nobody"), ("password", &wrong)]),
        ("/setup", [("code", &code), ("password", &wrong)]),
        (&enter, [("code", &code), ("next", "/")]),
    ] {
        let status = form(muster, path, "", &fields).await.status().as_u16();
        assert!(status >= 300, "{path}: {status}");
    }
    for path in [enter, format!("/setup?code={code}")] {
        client().get(muster.url(&path)).send().await.unwrap();
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    canaries.insert("session".to_owned(), cookie.split_once('=').unwrap().1.to_owned());
    cookie
}

/// What people paste into the wrong field.
async fn type_secrets_into_forms(muster: &Muster, cookie: &str) {
    let typed = canary("typed");
    let address = format!("https://me:{typed}@vault.example/");
    for (name, value) in [("sign_with", &typed), ("sign_with", &address)] {
        let fields = [
            ("op", &*uuid::Uuid::new_v4().to_string()),
            ("name", "typed"),
            ("format", "generic"),
            (name, value),
        ];
        let answer = form(muster, "/sources/new", cookie, &fields).await;
        assert!(!answer.status().is_success() || answer.status() == 200);
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains(&typed),
            "a secret in the wrong field is not shown again"
        );
    }
    let body = json!({"name": "typed", "settings": {"format": "generic", "sign_with": address}});
    let request = client()
        .post(muster.url("/api/v1/sources"))
        .header("cookie", cookie)
        .json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(!text.contains(&typed), "{text}");
}

/// Every page and every JSON answer that can be got, with the numbers that there are.
async fn pages(muster: &Muster, cookie: &str) -> Seen {
    let get = async |path: &str| {
        let request = browser()
            .get(muster.url(path))
            .header("cookie", cookie)
            .header("accept", "text/html");
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    };
    let document: Value = serde_json::from_slice(&get("/api/v1/openapi.json").await.1).unwrap();
    let json = document["paths"].as_object().unwrap().iter();
    let json = json
        .filter(|(_, methods)| !methods["get"].is_null())
        .map(|(path, _)| path.clone());
    let html = places::PAGES.iter().map(|path| (*path).to_owned());
    let mut seen = Seen::new();
    let mut shown = 0;
    for path in html.chain(json) {
        for number in ["1", "2", "3"] {
            let path = path
                .replace("{id}", number)
                .replace("{incident}", number)
                .replace("{source}", "test")
                .replace("{slug}", "all")
                .replace("{name}", "signed");
            if seen.contains_key(&path) {
                continue;
            }
            let (status, text) = get(&path).await;
            shown += usize::from(status == 200);
            seen.insert(path, text);
        }
    }
    assert!(shown > 25, "{shown} pages were there");
    seen
}

/// Every row of every table, as JSON.
async fn tables(database: &Database) -> Seen {
    let names: Vec<String> = sqlx::query_scalar(
        "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&database.pools.background)
    .await
    .unwrap();
    assert!(names.len() > 20, "{names:?}");
    let mut seen = Seen::new();
    for name in names {
        let sql = format!("select coalesce(string_agg(row_to_json(t)::text, E'\\n'), '') from {name} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&database.pools.background)
            .await
            .unwrap();
        seen.insert(format!("table {name}"), rows.into_bytes());
    }
    seen
}

/// Every file in Muster's folder: its log, its spool, whatever else it wrote.
fn files(folder: &Path, seen: &mut Seen) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, seen),
            false => {
                if let Ok(text) = fs::read(&path) {
                    seen.insert(path.display().to_string(), text);
                }
            }
        }
    }
}
