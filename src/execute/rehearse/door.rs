//! Whether the target of an effect would answer: asked without anything that could change it. Pure.

use serde_json::json;

use crate::domain::{
    action::Rendered,
    step::ActionKind,
    target::{Connection, Target},
};

/// The question that finds out, if there is one: a connection and nothing more, or the smallest thing that reads.
pub(super) fn knock(target: &Target, request: Option<&Rendered>) -> Option<(Target, Rendered)> {
    let ask = |action: ActionKind, with| Rendered {
        action,
        target: target.name.clone(),
        with,
    };
    let connect = |address: String| {
        let door = Target {
            connection: Connection::Tcp { address },
            ..target.clone()
        };
        (door, ask(ActionKind::Tcp, json!({})))
    };
    match &target.connection {
        Connection::Http(web)
        | Connection::Prometheus(web)
        | Connection::Loki(web)
        | Connection::Elasticsearch(web) => {
            let (host, port) = (web.url.host_str()?, web.url.port_or_known_default()?);
            Some(connect(format!("{host}:{port}")))
        }
        Connection::Alertmanager(cluster) => {
            let url = &cluster.nodes.first()?.url;
            let (host, port) = (url.host_str()?, url.port_or_known_default()?);
            Some(connect(format!("{host}:{port}")))
        }
        Connection::Tcp { address } => Some(connect(address.clone())),
        // Signing in is what fails with a password that is no longer right.
        Connection::Postgres(_) => {
            let question = ask(ActionKind::Postgres, json!({"query": "select 1"}));
            Some((target.clone(), question))
        }
        Connection::Haproxy { address } => match request.and_then(|request| request.with.get("backend")) {
            Some(backend) => {
                let question = ask(ActionKind::Haproxy, json!({"backend": backend}));
                Some((target.clone(), question))
            }
            None if address.starts_with("unix:") => None,
            None => Some(connect(address.clone())),
        },
        Connection::File { .. } | Connection::Command(_) => None,
    }
}
