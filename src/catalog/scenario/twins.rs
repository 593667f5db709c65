//! `twins`: what stands in for each target. A twin's kind is a key, as a target's is, and its address is one that
//! nothing real can have.

use std::collections::BTreeMap;

use url::Url;

use super::{
    super::{
        document::Content,
        fields::{Field, Fields},
        findings::Findings,
        programs,
    },
    answers, at,
    names::{Names, Place},
};
use crate::domain::{
    id::is_slug,
    scenario::{Server, Start, Twin},
    step::ActionKind,
    target::{
        AlertmanagerConnection, CommandConnection, Connection, HttpConnection, PostgresConnection, Target,
        Tls, Trust,
    },
};

const TWINS_MAX: usize = 100;
const BACKENDS_MAX: usize = 50;
/// Servers of one backend.
const SERVERS_MAX: usize = 50;
/// What people read as the environment of every twin.
const ENVIRONMENT: &str = "drill";
/// Names under it are kept for tests and lead nowhere.
const DOMAIN: &str = "twin.test";
const FOLDER: &str = "/drill";
const POSTGRES_PORT: u16 = 5432;
const PORT: u16 = 9999;
/// What a proxy's server can be told to be.
const ADMIN_WORDS: [&str; 3] = ["ready", "drain", "maint"];

/// Reads all twins.
pub(super) fn read(
    field: &Field<'_>,
    names: &Names<'_>,
    is_recorded: bool,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Twin> {
    let mut twins = BTreeMap::new();
    let Some(fields) = field.entries(findings) else {
        return twins;
    };
    for (name, field) in fields.all() {
        if twins.len() == TWINS_MAX {
            findings.fault(&field.path, format!("at most {TWINS_MAX} are allowed"));
            break;
        }
        if !is_slug(name) {
            let message = format!(
                "\"{name}\" is not the name of a target: 1 to 63 lower-case letters, digits and inner dashes"
            );
            fields.fault_at_key(name, message, None, findings);
        }
        if let Some(twin) = twin(name, &field, names, is_recorded, findings) {
            twins.insert(name.to_owned(), twin);
        }
    }
    twins
}

fn twin(
    name: &str,
    field: &Field<'_>,
    names: &Names<'_>,
    is_recorded: bool,
    findings: &mut Findings<'_>,
) -> Option<Twin> {
    let kinds = ActionKind::ALL.map(ActionKind::name);
    let fields = field.fields(&kinds, findings)?;
    let mut written = fields
        .all()
        .filter_map(|(key, value)| Some((ActionKind::named(key)?, value)));
    let Some((kind, value)) = written.next() else {
        if !findings.has_fault_under(&field.path) {
            let message = format!(
                "says nothing of its kind: exactly one of {} is needed",
                kinds.join(", ")
            );
            findings.fault(&field.path, message);
        }
        return None;
    };
    if let Some((second, _)) = written.next() {
        let (kind, second) = (kind.name(), second.name());
        let message = format!("a twin stands in for one target, but here are {kind} and {second}");
        fields.fault_at_key(second, message, None, findings);
        return None;
    }
    of_kind(name, kind, &value, names, is_recorded, findings)
}

fn of_kind(
    name: &str,
    kind: ActionKind,
    field: &Field<'_>,
    names: &Names<'_>,
    is_recorded: bool,
    findings: &mut Findings<'_>,
) -> Option<Twin> {
    let fields = field.fields(keys(kind), findings)?;
    let up = names.expression(fields.get("up"), Place::World, findings);
    let hangs = names.expression(fields.get("hangs"), Place::World, findings);
    let answers = match kind {
        ActionKind::Tcp | ActionKind::Haproxy | ActionKind::Alertmanager => Vec::new(),
        ActionKind::File => answers::of_file(&fields, names, findings),
        _ => answers::read(kind, &fields, names, is_recorded, findings),
    };
    let backends = match kind {
        ActionKind::Haproxy => backends(&fields, names, findings),
        _ => BTreeMap::new(),
    };
    let mut target = Target::new(name, connection(name, kind, &fields, findings)?);
    target.environment = Some(ENVIRONMENT.to_owned());
    Some(Twin {
        at: at(field),
        target,
        up,
        hangs,
        answers,
        backends,
    })
}

/// What a twin of this kind can say.
fn keys(kind: ActionKind) -> &'static [&'static str] {
    match kind {
        ActionKind::Http
        | ActionKind::Postgres
        | ActionKind::Prometheus
        | ActionKind::Loki
        | ActionKind::Elasticsearch => &["up", "hangs", "answers"],
        ActionKind::Tcp | ActionKind::Alertmanager => &["up", "hangs"],
        ActionKind::Haproxy => &["up", "hangs", "backends"],
        ActionKind::File => &["lines"],
        ActionKind::Command => &["programs", "answers"],
    }
}

fn connection(
    name: &str,
    kind: ActionKind,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) -> Option<Connection> {
    let host = format!("{name}.{DOMAIN}");
    let address = || format!("{host}:{PORT}");
    let web = || {
        Url::parse(&format!("http://{host}/"))
            .ok()
            .map(HttpConnection::new)
    };
    Some(match kind {
        ActionKind::Http => Connection::Http(web()?),
        ActionKind::Prometheus => Connection::Prometheus(web()?),
        ActionKind::Loki => Connection::Loki(web()?),
        ActionKind::Elasticsearch => Connection::Elasticsearch(web()?),
        ActionKind::Alertmanager => Connection::Alertmanager(AlertmanagerConnection { nodes: vec![web()?] }),
        ActionKind::Tcp => Connection::Tcp { address: address() },
        ActionKind::Haproxy => Connection::Haproxy { address: address() },
        ActionKind::File => Connection::File {
            path: format!("{FOLDER}/{name}"),
        },
        ActionKind::Postgres => Connection::Postgres(PostgresConnection {
            host,
            port: POSTGRES_PORT,
            user: ENVIRONMENT.to_owned(),
            database: None,
            password: None,
            tls: Tls::Disable,
            trust: Trust::default(),
        }),
        ActionKind::Command => {
            let list = fields.need("programs", findings)?;
            Connection::Command(CommandConnection::new(programs::list(&list, findings)))
        }
    })
}

fn backends(
    fields: &Fields<'_>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, BTreeMap<String, Server>> {
    let Some(field) = fields.need("backends", findings) else {
        return BTreeMap::new();
    };
    let read = |field: &Field<'_>, findings: &mut Findings<'_>| {
        named(field, SERVERS_MAX, findings, |field, findings| {
            server(field, names, findings)
        })
    };
    named(&field, BACKENDS_MAX, findings, read).unwrap_or_default()
}

/// A map of names as a proxy has them.
fn named<'a, T>(
    field: &Field<'a>,
    max: usize,
    findings: &mut Findings<'_>,
    mut read: impl FnMut(&Field<'a>, &mut Findings<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let fields = field.entries(findings)?;
    let mut named = BTreeMap::new();
    for (name, value) in fields.all() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            let message = format!("\"{name}\" is not a name that a proxy takes: letters, digits and _-.:");
            fields.fault_at_key(name, message, None, findings);
        }
        if named.len() == max {
            findings.fault(&value.path, format!("at most {max} are allowed"));
            break;
        }
        named.extend(read(&value, findings).map(|value| (name.to_owned(), value)));
    }
    if matches!(&field.node.content, Content::Map(entries) if entries.is_empty()) {
        findings.fault(&field.path, "at least one is needed");
    }
    Some(named)
}

fn server(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Option<Server> {
    let fields = field.fields(&["up", "admin"], findings)?;
    let up = fields.need("up", findings);
    let up = names.expression(up, Place::World, findings);
    let admin = fields.need("admin", findings)?;
    let variable = match names.variable(admin.text(findings)?) {
        Ok(variable) => variable,
        Err((message, hint)) => {
            findings.fault_with_hint(&admin.path, message, hint);
            return None;
        }
    };
    if let Some(begins) = names.start(&variable.0, &variable.1) {
        let is_word = matches!(begins, Start::Value(value) if ADMIN_WORDS.iter().any(|word| value == word));
        if !is_word {
            let message = format!(
                "{}.{} does not begin as one of {}; give it such a value",
                variable.0,
                variable.1,
                ADMIN_WORDS.join(", ")
            );
            findings.fault(&admin.path, message);
        }
    }
    Some(Server {
        up: up?,
        admin: variable,
    })
}
