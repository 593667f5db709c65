//! The house rules, held by a test: imports only go down, SQL, time and the way out each have one room, every file
//! says what lives in it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by failing"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Each room and the rooms below it that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("faults", &[]),
    ("store", &["domain"]),
    ("actions", &["domain"]),
    ("twins", &["domain"]),
    ("audit", &["domain", "store"]),
    ("intake", &["domain"]),
    ("catalog", &["domain", "store", "clock"]),
    ("chaos", &["domain"]),
    ("fixtures", &["domain"]),
    ("identity", &["domain", "store", "actions"]),
    ("sources", &["domain", "store", "intake"]),
    ("rights", &["domain", "store", "identity"]),
    ("correlate", &["domain", "store"]),
    ("incident", &["domain", "store"]),
    ("matching", &["domain", "store"]),
    ("execute", &["domain", "store", "actions", "clock", "faults"]),
    ("timeline", &["domain", "store"]),
    (
        "pipeline",
        &[
            "domain",
            "store",
            "intake",
            "correlate",
            "incident",
            "matching",
            "execute",
        ],
    ),
    (
        "receive",
        &[
            "domain", "store", "clock", "faults", "actions", "intake", "pipeline",
        ],
    ),
    ("simulate", &["domain", "store", "actions", "twins", "clock"]),
    (
        "drill",
        &[
            "domain", "store", "clock", "chaos", "intake", "incident", "catalog", "execute", "simulate",
            "pipeline",
        ],
    ),
    (
        "upkeep",
        &[
            "domain",
            "store",
            "clock",
            "audit",
            "correlate",
            "incident",
            "pipeline",
        ],
    ),
    ("outward", &["domain", "store", "clock", "actions", "incident"]),
    (
        "web",
        &[
            "domain", "store", "clock", "audit", "catalog", "fixtures", "identity", "sources", "rights",
            "intake", "incident", "matching", "execute", "timeline", "pipeline", "receive", "simulate",
            "drill",
        ],
    ),
    ("config", &["domain"]),
    ("telemetry", &[]),
];

struct File {
    room: String,
    path: PathBuf,
    code: String,
    all: String,
}

fn files() -> Vec<File> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, into),
                false if path.extension().is_some_and(|ending| ending == "rs") => into.push(path),
                false => {}
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the walk found the house");
    paths
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&src).unwrap();
            let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
            let all = std::fs::read_to_string(&path).unwrap();
            // What tests do is theirs.
            let is_test =
                below.ends_with("tests.rs") || below.components().any(|part| part.as_os_str() == "tests");
            let code = if is_test {
                ""
            } else {
                all.split("#[cfg(test)]").next().unwrap()
            };
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let code = lines.collect::<Vec<_>>().join("\n");
            File {
                room: first.trim_end_matches(".rs").to_owned(),
                path,
                code,
                all,
            }
        })
        .collect()
}

fn complain(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The rooms named by `crate::room` and by `use crate::{room::…, room::…}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => _ = rooms.insert(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut expecting = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => expecting = true,
                        c if expecting && depth == 0 && c.is_alphabetic() => {
                            rooms.insert(word(&group[at..]));
                            expecting = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn imports_only_go_down() {
    let mut faults = Vec::new();
    for file in files() {
        // The roof sees every floor.
        let Some((_, below)) = ROOMS.iter().find(|(room, _)| *room == file.room) else {
            continue;
        };
        for import in imports(&file.code) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == import)
                || ["app", "cli", "demo"].contains(&import.as_str());
            if is_room && import != file.room && !below.contains(&import.as_str()) {
                faults.push(format!(
                    "{}: {} must not import {import}",
                    file.path.display(),
                    file.room
                ));
            }
        }
    }
    complain(faults);
}

/// A rule of absence: which text, where it may stand, and why only there.
const ABSENCES: &[(&str, &[&str], &str)] = &[
    ("Utc::now", &["clock"], "time is handed in"),
    (
        "sqlx::query",
        &["store", "actions"],
        "SQL lives in the store, but for that of runbooks",
    ),
    (
        "PgPoolOptions",
        &["store"],
        "pools are built in one place, with their guards",
    ),
    (
        "reqwest::Client",
        &["actions", "demo"],
        "only actions open connections outward",
    ),
    (
        "TcpStream::connect",
        &["actions", "store", "twins"],
        "only actions open connections outward; the stand-in of a program asks its twin on loopback",
    ),
    (
        "StatusCode",
        &["web", "demo"],
        "only the web room says status codes",
    ),
    ("axum::", &["web", "demo"], "only the web room speaks HTTP"),
    ("askama", &["web"], "only the web room makes HTML"),
    ("|safe", &[], "outside text is never markup"),
    (
        "std::env::var",
        &["actions", "faults", "telemetry", "store", "main"],
        "settings come through config",
    ),
];

#[test]
fn each_thing_has_its_one_room() {
    let mut faults = Vec::new();
    for file in files() {
        for (text, rooms, why) in ABSENCES {
            if file.code.contains(text) && !rooms.contains(&file.room.as_str()) {
                faults.push(format!("{}: {text}: {why}", file.path.display()));
            }
        }
        let forbidden = ["async fn", "sqlx::", "tokio::", "reqwest::"];
        for text in forbidden
            .into_iter()
            .filter(|text| file.room == "domain" && file.code.contains(text))
        {
            faults.push(format!("{}: {text}: the domain does no I/O", file.path.display()));
        }
    }
    complain(faults);
}

/// Where routes are registered: the table, which asks what a caller needs, and the doors of senders and machines, which
/// have no people.
const DOORS: &[&str] = &["web/routes.rs", "web/hooks/mod.rs", "web/health.rs"];

#[test]
fn no_route_is_registered_past_the_table() {
    let mut faults = Vec::new();
    for file in files().into_iter().filter(|file| file.room == "web") {
        let is_door = DOORS.iter().any(|door| file.path.ends_with(door));
        for text in [
            ".route(",
            ".route_service(",
            ".nest_service(",
            "axum::routing",
            "routes!(",
        ] {
            if !is_door && file.code.contains(text) {
                faults.push(format!(
                    "{}: {text}: routes go through the table",
                    file.path.display()
                ));
            }
        }
    }
    complain(faults);
}

#[test]
fn no_two_shapes_of_the_interface_share_a_name() {
    // They would share their description in the document, and one of them would be wrong.
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for file in files() {
        for shape in file.code.split("ToSchema)]").skip(1) {
            let name = shape.split("struct ").nth(1).map(word).unwrap_or_default();
            if !seen.insert(name.clone()) {
                faults.push(format!(
                    "{}: {name} is the name of another shape",
                    file.path.display()
                ));
            }
        }
    }
    assert!(seen.len() > 40, "the shapes were found");
    complain(faults);
}

#[test]
fn every_file_says_what_lives_in_it() {
    let silent = files().into_iter().filter(|file| !file.all.starts_with("//!"));
    complain(
        silent
            .map(|file| format!("{}: no module doc on the first line", file.path.display()))
            .collect(),
    );
}

#[test]
fn a_template_never_marks_text_as_safe() {
    let mut faults = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for mark in ["|safe", "| safe", "style=", "onclick", "javascript:"] {
                if text.contains(mark) {
                    faults.push(format!("{}: {mark}", path.display()));
                }
            }
        }
    }
    complain(faults);
}
