//! The targets file: addresses and references to credentials, kept apart from the runbooks that name them.
//!
//! A target's kind is a key, as a step's is. Messages never repeat a URL or a credential, since either may hold a
//! secret put there by mistake.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path as FilePath};

use url::{Host, Url};

use super::{
    Fault, document,
    document::Content,
    faults,
    fields::{Field, Fields},
    findings::Findings,
    programs, reach,
    runbook::{self, slug},
};
use crate::domain::{
    network::is_odd_number,
    span::Span,
    step::ActionKind,
    target::{
        AlertmanagerConnection, Connection, HttpConnection, PostgresConnection, REDIRECTS_MAX, SecretRef,
        TIMEOUT_MAX, Target, Targets,
    },
};

const TARGETS_MAX: usize = 500;
/// Nodes of one Alertmanager cluster; each question asks all of them.
const NODES_MAX: usize = 16;
const TIMEOUTS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(3600);
const POSTGRES_PORT: u16 = 5432;
/// How much of an answer may be read: a status up to a large list.
const ANSWER_BYTES: RangeInclusive<u32> = 1024..=64 << 20;
/// What any web service may say.
const WEB_KEYS: [&str; 6] = [
    "bearer",
    "basic",
    "headers",
    "tls",
    "redirects",
    "answer_bytes_max",
];

/// Reads a targets file, with every fault in it.
pub(super) fn parse(source: &str) -> Result<Targets, Vec<Fault>> {
    let root = document::read(source).map_err(|fault| vec![fault])?;
    let mut findings = Findings::new(&root);
    let targets = read(&root, &mut findings);
    findings.finish(targets).map(|(targets, _)| targets)
}

fn read(root: &document::Node, findings: &mut Findings<'_>) -> Targets {
    let mut targets = Targets::default();
    // A file of comments only is a file without targets.
    if matches!(root.content, Content::Null) {
        return targets;
    }
    let Some(list) = Field::root(root)
        .fields(&["targets"], findings)
        .and_then(|fields| fields.need("targets", findings))
    else {
        return targets;
    };
    let mut lines: BTreeMap<String, u32> = BTreeMap::new();
    for item in list.list(TARGETS_MAX, findings) {
        let known: Vec<&str> = [
            "name",
            "environment",
            "labels",
            "timeout_max",
            "networks",
            "faults",
        ]
        .into_iter()
        .chain(ActionKind::ALL.map(ActionKind::name))
        .collect();
        let Some(fields) = item.fields(&known, findings) else {
            continue;
        };
        let name = fields.need("name", findings).and_then(|field| {
            let name = slug(&field, findings)?;
            match lines.get(&name) {
                Some(line) => findings.fault(&field.path, format!("\"{name}\" is in line {line} already")),
                None => _ = lines.insert(name.clone(), field.node.place.line),
            }
            Some(name)
        });
        let target = target(name.unwrap_or_default(), &item, &fields, findings);
        targets
            .0
            .extend(target.map(|target| (target.name.clone(), target)));
    }
    targets
}

fn target(
    name: String,
    item: &Field<'_>,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) -> Option<Target> {
    let timeout_max = match fields.get("timeout_max") {
        Some(field) => field.span(TIMEOUTS, findings),
        None => Some(TIMEOUT_MAX),
    };
    let environment = runbook::text(fields.get("environment"), findings);
    let labels = match fields.get("labels") {
        Some(field) => texts(&field, findings),
        None => BTreeMap::new(),
    };
    let faults = faults::read(fields, environment.as_deref(), findings);
    let kinds: Vec<ActionKind> = fields
        .all()
        .filter_map(|(key, _)| ActionKind::named(key))
        .collect();
    let networks = reach::networks(fields, kinds.first().copied(), findings);
    let connection = match kinds.as_slice() {
        [kind] => connection(*kind, &fields.get(kind.name())?, findings),
        [] => {
            let all = ActionKind::ALL.map(ActionKind::name).join(", ");
            findings.fault(
                &item.path,
                format!("says nothing of how it is reached: exactly one of {all} is needed"),
            );
            None
        }
        [first, second, ..] => {
            let message = format!(
                "one target is reached in one way, but here are {} and {}",
                first.name(),
                second.name()
            );
            fields.fault_at_key(second.name(), message, None, findings);
            None
        }
    };
    Some(Target {
        name,
        environment,
        labels,
        timeout_max: timeout_max?,
        networks,
        faults,
        connection: connection?,
    })
}

fn connection(kind: ActionKind, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Connection> {
    Some(match kind {
        ActionKind::Http => Connection::Http(web(field, findings)?),
        ActionKind::Prometheus => Connection::Prometheus(web(field, findings)?),
        ActionKind::Alertmanager => Connection::Alertmanager(alertmanager(field, findings)?),
        ActionKind::Loki => Connection::Loki(web(field, findings)?),
        ActionKind::Elasticsearch => Connection::Elasticsearch(web(field, findings)?),
        ActionKind::Postgres => Connection::Postgres(postgres(field, findings)?),
        ActionKind::Command => Connection::Command(programs::read(field, findings)?),
        ActionKind::Tcp => Connection::Tcp {
            address: only(field, "address", host_and_port, findings)?,
        },
        ActionKind::Haproxy => Connection::Haproxy {
            address: only(
                field,
                "address",
                |text| match text.strip_prefix("unix:") {
                    Some(path) => absolute(path).map(|path| format!("unix:{path}")),
                    None => host_and_port(text),
                },
                findings,
            )?,
        },
        ActionKind::File => Connection::File {
            path: only(field, "path", absolute, findings)?,
        },
    })
}

fn only(
    field: &Field<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<String, String>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let fields = field.fields(&[key], findings)?;
    fields.need(key, findings)?.parsed(parse, findings)
}

fn web(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<HttpConnection> {
    let known: Vec<&str> = ["url"].into_iter().chain(WEB_KEYS).collect();
    let fields = field.fields(&known, findings)?;
    let url = fields
        .need("url", findings)
        .and_then(|url| url.parsed(web_url, findings));
    signed(url, &fields, findings)
}

/// One node by `url`, or every node of a cluster by `urls`.
fn alertmanager(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<AlertmanagerConnection> {
    let known: Vec<&str> = ["url", "urls"].into_iter().chain(WEB_KEYS).collect();
    let fields = field.fields(&known, findings)?;
    let urls: Vec<Url> = match fields.get("urls") {
        Some(list) => {
            if fields.get("url").is_some() {
                let message = "one node is named by url, a whole cluster by urls".to_owned();
                fields.fault_at_key("urls", message, None, findings);
            }
            let items = list.list(NODES_MAX, findings);
            if matches!(&list.node.content, Content::List(items) if items.is_empty()) {
                findings.fault(&list.path, "at least one node is needed");
            }
            items
                .iter()
                .filter_map(|item| item.parsed(web_url, findings))
                .collect()
        }
        None => {
            let url = fields.need("url", findings)?;
            url.parsed(web_url, findings).into_iter().collect()
        }
    };
    let first = signed(urls.first().cloned(), &fields, findings)?;
    let nodes = urls
        .into_iter()
        .map(|url| HttpConnection { url, ..first.clone() });
    Some(AlertmanagerConnection {
        nodes: nodes.collect(),
    })
}

fn signed(url: Option<Url>, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<HttpConnection> {
    let bearer = secret(fields.get("bearer"), findings);
    let basic = secret(fields.get("basic"), findings);
    if fields.get("bearer").is_some() && fields.get("basic").is_some() {
        let message = "a request is signed in one way: bearer or basic".to_owned();
        fields.fault_at_key("basic", message, None, findings);
    }
    let headers = secrets(fields.get("headers"), findings);
    let is_https = url.as_ref().is_none_or(|url| url.scheme() == "https");
    let tls = reach::trust(fields, is_https, findings);
    let mut count = |key: &str, bounds| fields.get(key).and_then(|field| field.count(bounds, findings));
    let redirects = count("redirects", 0..=REDIRECTS_MAX).unwrap_or(0);
    let answer_bytes_max = count("answer_bytes_max", ANSWER_BYTES);
    Some(HttpConnection {
        url: url?,
        bearer,
        basic,
        headers,
        tls,
        redirects,
        answer_bytes_max,
    })
}

fn web_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not a URL; write it like https://host:port/path")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL holds no login or password; use basic: env:NAME with user:password in it");
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("expected a URL that begins with http:// or https://");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL of a target has no query and no fragment");
    }
    // The parser reads 0x7f.1 as an address; whoever reads the file may not.
    if let Some(Host::Ipv4(ip)) = url.host()
        && !text.contains(&ip.to_string())
    {
        return Err("write the address as four numbers with dots");
    }
    Ok(url)
}

fn postgres(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<PostgresConnection> {
    let known = ["host", "port", "user", "database", "password", "tls"];
    let fields = field.fields(&known, findings)?;
    let host = fields
        .need("host", findings)
        .and_then(|host| host.parsed(postgres_host, findings));
    let port = match fields.get("port") {
        Some(port) => port.count(1..=u32::from(u16::MAX), findings),
        None => Some(u32::from(POSTGRES_PORT)),
    };
    let user = fields
        .need("user", findings)
        .and_then(|user| user.text(findings).map(str::to_owned));
    let database = runbook::text(fields.get("database"), findings);
    let password = secret(fields.get("password"), findings);
    let tls = reach::database(&fields, findings);
    let (mode, trust) = tls?;
    Some(PostgresConnection {
        host: host?,
        port: port.and_then(|port| u16::try_from(port).ok())?,
        user: user?,
        database,
        password,
        tls: mode,
        trust,
    })
}

fn postgres_host(text: &str) -> Result<String, String> {
    let is_url = text.contains("://") || text.contains('@') || text.contains(char::is_whitespace);
    match text.contains('/') && !is_url {
        true => absolute(text),
        false if is_url => Err("expected a host name, an address or an absolute folder".to_owned()),
        false if is_odd_number(text) => Err("write the address as four numbers with dots".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let fault = || "expected host:port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let is_host = match host.strip_prefix('[') {
        Some(inside) => inside.ends_with(']') && inside.len() > 1,
        None => !host.is_empty() && !host.contains([':', '/', '@']) && !host.contains(char::is_whitespace),
    };
    match port.parse::<u16>() {
        Ok(1..) if is_host && is_odd_number(host) => {
            Err("write the address as four numbers with dots".to_owned())
        }
        Ok(1..) if is_host => Ok(text.to_owned()),
        _ => Err(fault()),
    }
}

pub(super) fn absolute(text: &str) -> Result<String, String> {
    let climbs = || {
        FilePath::new(text)
            .components()
            .any(|part| part.as_os_str() == "..")
    };
    match text.starts_with('/') && !text.contains('\0') && !climbs() {
        true => Ok(text.to_owned()),
        false => Err("expected an absolute path without ..".to_owned()),
    }
}

pub(super) fn secret(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Option<SecretRef> {
    field?.parsed(|text| SecretRef::try_from(text.to_owned()), findings)
}

pub(super) fn secrets(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> BTreeMap<String, SecretRef> {
    let Some(fields) = field.and_then(|field| field.entries(findings)) else {
        return BTreeMap::new();
    };
    fields
        .all()
        .filter_map(|(key, value)| Some((key.to_owned(), secret(Some(value), findings)?)))
        .collect()
}

fn texts(field: &Field<'_>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let Some(fields) = field.entries(findings) else {
        return BTreeMap::new();
    };
    fields
        .all()
        .filter_map(|(key, value)| Some((key.to_owned(), value.text(findings)?.to_owned())))
        .collect()
}
