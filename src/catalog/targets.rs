//! The targets file, read.

use std::collections::BTreeMap;

use super::{
    Fault,
    reader::{Faults, Fields},
    tree::{self, Node, Tree},
};
use crate::domain::{
    id::is_slug,
    span::Span,
    step::ActionKind,
    target::{
        CommandConnection, Connection, HttpConnection, PostgresConnection, SecretRef, Target, Targets, Tls,
    },
};

const TARGETS_MAX: usize = 2000;
const TLS: [(&str, Tls); 4] = [
    ("disable", Tls::Disable),
    ("prefer", Tls::Prefer),
    ("require", Tls::Require),
    ("verify-full", Tls::VerifyFull),
];

/// Reads the targets file.
pub fn parse_targets(source: &str) -> Result<Targets, Vec<Fault>> {
    let document = tree::parse(source).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    let targets = read(document, &mut faults);
    faults.0.sort_by_key(|fault| (fault.line, fault.column));
    match faults.0.is_empty() {
        true => Ok(Targets(targets)),
        false => Err(faults.0),
    }
}

fn read(document: Node, faults: &mut Faults) -> BTreeMap<String, Target> {
    let mut targets = BTreeMap::new();
    let Some(mut fields) = Fields::open(document, "", faults) else {
        return targets;
    };
    if !fields.has("targets") {
        fields.missing("targets", faults);
    }
    for (path, node) in fields.list("targets", TARGETS_MAX, faults) {
        let at = node.at;
        let Some(target) = read_target(node, &path, faults) else {
            continue;
        };
        if targets.contains_key(&target.name) {
            faults.add(
                at,
                &path,
                format!("there is a target \"{}\" above already", target.name),
            );
        }
        targets.insert(target.name.clone(), target);
    }
    fields.close(faults);
    targets
}

fn read_target(node: Node, path: &str, faults: &mut Faults) -> Option<Target> {
    let mut fields = Fields::open(node, path, faults)?;
    let name = match fields.text("name", faults) {
        Some((_, name)) if is_slug(&name) => Some(name),
        Some((at, name)) => {
            let message = format!("\"{name}\" is no target name; use lower-case letters, digits and dashes");
            faults.add(at, &fields.path_of("name"), message);
            None
        }
        None => {
            fields.missing("name", faults);
            None
        }
    };
    let environment = fields
        .text("environment", faults)
        .map(|(_, environment)| environment);
    let labels_path = fields.path_of("labels");
    let labels = fields
        .take("labels")
        .and_then(|node| Fields::open(node, &labels_path, faults));
    let labels = labels.map_or_else(BTreeMap::new, |mut labels| {
        let pairs = labels.rest().into_iter();
        pairs
            .map(|(key, node)| {
                (
                    key.name,
                    node.value.to_json().as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect()
    });
    let timeout_max = fields
        .span(
            "timeout_max",
            Span::from_millis(100),
            Span::from_secs(3600),
            faults,
        )
        .unwrap_or(Span::from_secs(300));
    let kinds: Vec<ActionKind> = ActionKind::ALL
        .into_iter()
        .filter(|kind| fields.has(kind.name()))
        .collect();
    let connection = match kinds.as_slice() {
        [kind] => connection(&mut fields, *kind, faults),
        _ => {
            let names: Vec<&str> = ActionKind::ALL.iter().map(|kind| kind.name()).collect();
            let message = format!("needs one kind of {}", names.join(", "));
            faults.add(fields.at, path, message);
            for kind in ActionKind::ALL {
                fields.take(kind.name());
            }
            None
        }
    };
    fields.close(faults);
    Some(Target {
        name: name?,
        environment,
        labels,
        timeout_max,
        connection: connection?,
    })
}

fn connection(fields: &mut Fields, kind: ActionKind, faults: &mut Faults) -> Option<Connection> {
    let path = fields.path_of(kind.name());
    let mut fields = fields
        .take(kind.name())
        .and_then(|node| Fields::open(node, &path, faults))?;
    let connection = match kind {
        ActionKind::Http => http(&mut fields, faults).map(Connection::Http),
        ActionKind::Prometheus => http(&mut fields, faults).map(Connection::Prometheus),
        ActionKind::Loki => http(&mut fields, faults).map(Connection::Loki),
        ActionKind::Elasticsearch => http(&mut fields, faults).map(Connection::Elasticsearch),
        ActionKind::Tcp => address(&mut fields, false, faults).map(|address| Connection::Tcp { address }),
        ActionKind::Haproxy => {
            address(&mut fields, true, faults).map(|address| Connection::Haproxy { address })
        }
        ActionKind::Postgres => postgres(&mut fields, faults).map(Connection::Postgres),
        ActionKind::File => absolute(&mut fields, "path", faults).map(|path| Connection::File { path }),
        ActionKind::Command => command(&mut fields, faults).map(Connection::Command),
    };
    fields.close(faults);
    connection
}

fn secret(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<SecretRef> {
    let (at, text) = fields.text(key, faults)?;
    match SecretRef::try_from(text) {
        Ok(reference) => Some(reference),
        Err(problem) => {
            faults.add(at, &fields.path_of(key), problem);
            None
        }
    }
}

fn secrets(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> BTreeMap<String, SecretRef> {
    let path = fields.path_of(key);
    let Some(mut fields) = fields
        .take(key)
        .and_then(|node| Fields::open(node, &path, faults))
    else {
        return BTreeMap::new();
    };
    let mut secrets = BTreeMap::new();
    for (key, node) in fields.rest() {
        let path = format!("{path}.{}", key.name);
        let text = match node.value {
            Tree::Text(text) => text,
            other => {
                faults.add(
                    node.at,
                    &path,
                    format!("expected env:NAME or file:/path, found {}", other.kind()),
                );
                continue;
            }
        };
        match SecretRef::try_from(text) {
            Ok(reference) => _ = secrets.insert(key.name, reference),
            Err(problem) => faults.add(node.at, &path, problem),
        }
    }
    secrets
}

fn http(fields: &mut Fields, faults: &mut Faults) -> Option<HttpConnection> {
    if !fields.has("url") {
        fields.missing("url", faults);
    }
    let url = match fields.parsed::<url::Url>("url", faults) {
        Some((at, url)) => {
            let problem = match (url.scheme(), url.password(), url.cannot_be_a_base()) {
                (_, Some(_), _) => "holds a password; put it into basic or bearer by reference",
                ("http" | "https", None, false) => "",
                _ => "must begin with http:// or https://",
            };
            if !problem.is_empty() {
                faults.add(at, &fields.path_of("url"), problem);
            }
            Some(url)
        }
        None => None,
    };
    let connection = HttpConnection {
        bearer: secret(fields, "bearer", faults),
        basic: secret(fields, "basic", faults),
        headers: secrets(fields, "headers", faults),
        url: url?,
    };
    Some(connection)
}

fn address(fields: &mut Fields, may_be_socket: bool, faults: &mut Faults) -> Option<String> {
    let Some((at, address)) = fields.text("address", faults) else {
        fields.missing("address", faults);
        return None;
    };
    let is_socket = may_be_socket
        && address
            .strip_prefix("unix:")
            .is_some_and(|path| path.starts_with('/'));
    let port = address
        .rsplit_once(':')
        .and_then(|(host, port)| (!host.is_empty()).then_some(port));
    if !is_socket && port.and_then(|port| port.parse::<u16>().ok()).is_none() {
        let forms = if may_be_socket {
            "host:port or unix:/path"
        } else {
            "host:port"
        };
        faults.add(at, &fields.path_of("address"), format!("expected {forms}"));
    }
    Some(address)
}

fn absolute(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<String> {
    let Some((at, path)) = fields.text(key, faults) else {
        fields.missing(key, faults);
        return None;
    };
    if !path.starts_with('/') {
        faults.add(at, &fields.path_of(key), "must be an absolute path");
    }
    Some(path)
}

fn postgres(fields: &mut Fields, faults: &mut Faults) -> Option<PostgresConnection> {
    let host = fields.text("host", faults).map(|(_, host)| host);
    let user = fields.text("user", faults).map(|(_, user)| user);
    for (key, is_there) in [("host", host.is_some()), ("user", user.is_some())] {
        if !is_there {
            fields.missing(key, faults);
        }
    }
    let port = fields
        .count("port", u32::from(u16::MAX), faults)
        .and_then(|port| u16::try_from(port).ok());
    Some(PostgresConnection {
        port: port.unwrap_or(5432),
        database: fields.text("database", faults).map(|(_, database)| database),
        password: secret(fields, "password", faults),
        tls: fields
            .word("tls", &TLS, faults)
            .map_or(Tls::Prefer, |(_, tls)| tls),
        host: host?,
        user: user?,
    })
}

fn command(fields: &mut Fields, faults: &mut Faults) -> Option<CommandConnection> {
    let path = fields.path_of("programs");
    let programs = fields.texts("programs", 100, faults);
    if programs.is_empty() {
        fields.missing("programs", faults);
    }
    for (at, program) in programs.iter().filter(|(_, program)| !program.starts_with('/')) {
        faults.add(*at, &path, format!("{program} must be an absolute path"));
    }
    Some(CommandConnection {
        programs: programs.into_iter().map(|(_, program)| program).collect(),
        dir: if fields.has("dir") {
            absolute(fields, "dir", faults)
        } else {
            None
        },
        env: secrets(fields, "env", faults),
    })
}
