//! Configuration of a sender, ready to be pasted: for each format what it needs to deliver to its source. Pure text.

use crate::domain::source::{SourceKind, SourceSettings};

/// What stands in the place of a token that is not known.
pub const NO_TOKEN: &str = "THE-TOKEN";

/// One piece of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Where it goes.
    pub place: &'static str,
    /// What to paste.
    pub text: String,
    /// What to know about it.
    pub note: &'static str,
}

/// The address a sender of this kind posts to. `base` has no final slash.
pub fn address(kind: SourceKind, base: &str, name: &str) -> String {
    format!("{base}/api/v1/sources/{name}/{kind}")
}

/// What to paste on the sender's side. `token` is the token when it was just made, or [`NO_TOKEN`].
pub fn snippets(settings: &SourceSettings, base: &str, name: &str, token: &str) -> Vec<Snippet> {
    let kind = settings.format;
    let url = address(kind, base, name);
    let mut snippets = match kind {
        SourceKind::Alertmanager if settings.heartbeat_within.is_some() => watchdog(&url, name, token),
        SourceKind::Alertmanager => vec![alertmanager(&url, name, token)],
        SourceKind::Prometheus => vec![prometheus(base, name, token)],
        SourceKind::Grafana => vec![grafana(&url, name, token)],
        SourceKind::Pagerduty => vec![pagerduty(&url, token)],
        SourceKind::Sns => vec![sns(&url, token)],
        SourceKind::Pubsub => vec![pubsub(&url, name, token)],
        SourceKind::Generic => vec![generic(&url, token)],
    };
    if let Some(client_name) = &settings.client_name {
        snippets.extend(certificate(kind, client_name));
    }
    snippets
}

/// What a sender adds to show its certificate; `None` for one that is not set by text.
fn certificate(kind: SourceKind, client_name: &str) -> Option<Snippet> {
    let tls = |place| Snippet {
        place,
        text: format!(
            r#"tls_config:
  # signed for {client_name}
  cert_file: /etc/muster-client/client.pem
  key_file: /etc/muster-client/client.key
  # of Muster's own certificate, when this machine does not know it
  # ca_file: /etc/muster-client/ca.pem
"#
        ),
        note: "Every delivery must show it, beside the token.",
    };
    match kind {
        SourceKind::Alertmanager => Some(tls(
            "alertmanager.yml: its client certificate, in http_config beside authorization",
        )),
        SourceKind::Prometheus => Some(tls(
            "prometheus.yml: its client certificate, beside authorization",
        )),
        SourceKind::Generic => Some(Snippet {
            place: "Its client certificate, as further options of curl",
            text: format!("--cert client.pem --key client.key   # signed for {client_name}\n"),
            note: "Every delivery must show it, beside the token.",
        }),
        SourceKind::Grafana | SourceKind::Pagerduty | SourceKind::Sns | SourceKind::Pubsub => None,
    }
}

/// The other places where a sender may put its token, each ready to be pasted.
pub fn doors(settings: &SourceSettings, base: &str, name: &str, token: &str) -> Vec<Snippet> {
    let url = address(settings.format, base, name);
    let with_login = url.replacen("://", &format!("://muster:{token}@"), 1);
    let mut doors = vec![Snippet {
        place: "For any sender, instead of a bearer token",
        text: format!(
            "X-Muster-Token: {token}              a header of its own\n{url}/{token}\n{url}?token={token}\n{with_login}\n"
        ),
        note: "A token in an address may end in the logs of a proxy; Muster writes it nowhere. A body may be packed with \
               gzip.",
    }];
    match settings.format {
        SourceKind::Alertmanager => doors.push(Snippet {
            place: "alertmanager.yml: another http_config",
            text: format!(
                r#"webhook_configs:
  - url: {url}
    http_config:
      basic_auth: {{ username: muster, password: {token} }}
  - url: {url}
    http_config: # from Alertmanager 0.28 on
      http_headers:
        X-Muster-Token: {{ values: [{token}] }}
  - url: {url}/{token}
"#
            ),
            note: "One of the three.",
        }),
        SourceKind::Prometheus => {
            let (_, _, prefix) = parts(base);
            doors.push(Snippet {
                place: "prometheus.yml: the token in the path",
                text: format!("path_prefix: {prefix}/api/v1/sources/{name}/prometheus/{token}\n"),
                note: "",
            });
        }
        SourceKind::Grafana
        | SourceKind::Pagerduty
        | SourceKind::Sns
        | SourceKind::Pubsub
        | SourceKind::Generic => {}
    }
    doors
}

fn alertmanager(url: &str, name: &str, token: &str) -> Snippet {
    Snippet {
        place: "alertmanager.yml",
        text: format!(
            r#"route:
  receiver: {name}
  # Labels that stay the same while it lasts; never severity or pod.
  group_by: [alertname, cluster]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 1h
  # routes: the Watchdog's first, to a source with a heartbeat
receivers:
  - name: {name}
    webhook_configs:
      - url: {url}
        # An incident recovers when every alert's own resolve came.
        send_resolved: true
        # A cut list cannot show recovery.
        max_alerts: 0
        http_config:
          authorization:
            credentials: {token}
"#
        ),
        note: "Start every Alertmanager of a cluster with the same --web.external-url.",
    }
}

/// A heartbeat: an alert that always fires, sent again and again.
fn watchdog(url: &str, name: &str, token: &str) -> Vec<Snippet> {
    let config = format!(
        r#"route:
  routes:
    # Before the others.
    - matchers: [alertname="Watchdog"]
      receiver: {name}
      group_by: [alertname, cluster]
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 1m
receivers:
  - name: {name}
    webhook_configs:
      - url: {url}
        send_resolved: false
        max_alerts: 0
        http_config:
          authorization:
            credentials: {token}
"#
    );
    let rule = r#"groups:
  - name: watchdog
    rules:
      # Always fires.
      - alert: Watchdog
        expr: vector(1)
"#;
    vec![
        Snippet {
            place: "alertmanager.yml",
            text: config,
            note: "This source raises an incident when the Watchdog falls silent, and for nothing else. Give it at least \
                   three minutes.",
        },
        Snippet {
            place: "A rule file of Prometheus",
            text: rule.to_owned(),
            note: "",
        },
    ]
}

fn prometheus(base: &str, name: &str, token: &str) -> Snippet {
    let (scheme, host, prefix) = parts(base);
    Snippet {
        place: "prometheus.yml",
        text: format!(
            r#"alerting:
  alertmanagers:
    - scheme: {scheme}
      path_prefix: {prefix}/api/v1/sources/{name}/prometheus
      api_version: v2
      authorization:
        credentials: {token}
      static_configs:
        - targets: ["{host}"]
"#
        ),
        note: "Prometheus does not try again what was not taken; it sends every alert anew each minute. With an \
               Alertmanager in between, nothing is lost and alerts are grouped.",
    }
}

/// Scheme, host with port, and path of the base address.
fn parts(base: &str) -> (&str, &str, &str) {
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    match rest.find('/') {
        Some(at) => (scheme, &rest[..at], &rest[at..]),
        None => (scheme, rest, ""),
    }
}

fn grafana(url: &str, name: &str, token: &str) -> Snippet {
    Snippet {
        place: "provisioning/alerting/muster.yaml, or Alerting, Contact points, Webhook",
        text: format!(
            r#"apiVersion: 1
contactPoints:
  - orgId: 1
    name: {name}
    receivers:
      - uid: muster-{name}
        type: webhook
        disableResolveMessage: false
        settings:
          url: {url}
          httpMethod: POST
          authorization_scheme: Bearer
          authorization_credentials: {token}
          maxAlerts: 0
"#
        ),
        note: "A uid of Grafana has at most 40 characters; shorten it when the name is long.",
    }
}

fn pagerduty(url: &str, token: &str) -> Snippet {
    Snippet {
        place: "PagerDuty, Integrations, Generic Webhooks (v3), New Webhook",
        text: format!(
            "Webhook URL       {url}\nScope             the service or team\nEvents            incident.triggered, \
             incident.acknowledged, incident.resolved, incident.reopened\nCustom header     Authorization\nIts value        \
             Bearer {token}\n"
        ),
        note: "PagerDuty shows the secret it signs with once: put it where Muster reads it, and name that place in \
               Signed with.",
    }
}

fn sns(url: &str, token: &str) -> Snippet {
    // The token has no character that means something in an address.
    let endpoint = url.replacen("://", &format!("://muster:{token}@"), 1);
    Snippet {
        place: "A shell with the AWS command line",
        text: format!(
            "aws sns subscribe \\\n  --topic-arn arn:aws:sns:REGION:ACCOUNT:TOPIC \\\n  --protocol https \\\n  \
             --notification-endpoint '{endpoint}'\n"
        ),
        note: "SNS delivers to https only. The subscription confirms itself once its signature is checked. Name the topic \
               in the settings; use a policy of deliveries that tries for an hour, and a dead-letter queue.",
    }
}

fn pubsub(url: &str, name: &str, token: &str) -> Snippet {
    Snippet {
        place: "A shell with the Google Cloud command line",
        text: format!(
            "gcloud pubsub subscriptions create muster-{name} \\\n  --topic=TOPIC \\\n  \
             --push-endpoint='{url}?token={token}' \\\n  --ack-deadline=30 \\\n  --min-retry-delay=10s --max-retry-delay=600s\n"
        ),
        note: "Pub/Sub pushes to https only. The token stands in the address, since a push has no header of its own.",
    }
}

fn generic(url: &str, token: &str) -> Snippet {
    Snippet {
        place: "A shell, or whatever can post JSON",
        text: format!(
            "curl --fail-with-body --retry 5 --retry-all-errors \\\n  --header 'Authorization: Bearer {token}' \\\n  \
             --header 'Content-Type: application/json' \\\n  --data @alert.json \\\n  {url}\n"
        ),
        note: "The mapping of this source says where title, labels and state stand in the body.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::span::Span;

    const BASE: &str = "https://muster.example:8443/ops";

    fn pieces(format: SourceKind, heartbeat_within: Option<Span>) -> Vec<Snippet> {
        let settings = SourceSettings {
            format,
            heartbeat_within,
            ..SourceSettings::default()
        };
        snippets(&settings, BASE, "team-a", "mst_x")
    }

    #[test]
    fn every_format_has_its_address_and_its_token() {
        for kind in SourceKind::ALL {
            let text = &pieces(kind, None)[0].text;
            assert!(text.contains("mst_x"), "{kind}: {text}");
            let path = format!("/ops/api/v1/sources/team-a/{kind}");
            assert!(text.contains(&path), "{kind}: {text}");
        }
        let text = &pieces(SourceKind::Sns, None)[0].text;
        assert!(
            text.contains("https://muster:mst_x@muster.example:8443/ops/api"),
            "{text}"
        );
    }

    #[test]
    fn a_client_certificate_that_is_needed_has_its_place() {
        for kind in [
            SourceKind::Alertmanager,
            SourceKind::Prometheus,
            SourceKind::Generic,
        ] {
            let settings = SourceSettings {
                format: kind,
                client_name: Some("sender.internal".to_owned()),
                ..SourceSettings::default()
            };
            let text = &snippets(&settings, BASE, "team-a", "mst_x")[1].text;
            assert!(
                text.contains("client.key") && text.contains("for sender.internal"),
                "{text}"
            );
            let parsed: Result<serde_json::Value, _> = serde_yaml::from_str(text);
            assert!(parsed.is_ok(), "{kind}: {parsed:?}");
            assert!(
                pieces(kind, None)
                    .iter()
                    .all(|piece| !piece.text.contains("client.key"))
            );
        }
    }

    #[test]
    fn other_doors_are_shown_with_the_token() {
        for kind in SourceKind::ALL {
            let settings = SourceSettings {
                format: kind,
                ..SourceSettings::default()
            };
            let doors = doors(&settings, BASE, "team-a", "mst_x");
            let path = format!("/ops/api/v1/sources/team-a/{kind}/mst_x");
            assert!(doors[0].text.contains(&path), "{}", doors[0].text);
            assert!(doors[0].text.contains("X-Muster-Token: mst_x"));
            for yaml in &doors[1..] {
                let parsed: Result<serde_json::Value, _> = serde_yaml::from_str(&yaml.text);
                assert!(
                    parsed.is_ok() && yaml.text.contains("mst_x"),
                    "{kind}: {parsed:?}"
                );
            }
        }
    }

    #[test]
    fn yaml_is_yaml_and_says_what_is_advised() {
        let minute = Some(Span::from_secs(60));
        for (kind, heartbeat) in [
            (SourceKind::Alertmanager, None),
            (SourceKind::Alertmanager, minute),
            (SourceKind::Prometheus, None),
            (SourceKind::Grafana, None),
        ] {
            for piece in pieces(kind, heartbeat) {
                let parsed: Result<serde_json::Value, _> = serde_yaml::from_str(&piece.text);
                assert!(parsed.is_ok(), "{kind}: {parsed:?}");
            }
        }
        let parsed: serde_json::Value =
            serde_yaml::from_str(&pieces(SourceKind::Prometheus, None)[0].text).unwrap();
        let manager = &parsed["alerting"]["alertmanagers"][0];
        assert_eq!(manager["path_prefix"], "/ops/api/v1/sources/team-a/prometheus");
        assert_eq!(manager["static_configs"][0]["targets"][0], "muster.example:8443");
        let text = &pieces(SourceKind::Alertmanager, None)[0].text;
        for advised in [
            "send_resolved: true",
            "max_alerts: 0",
            "group_interval: 1m",
            "repeat_interval: 1h",
        ] {
            assert!(text.contains(advised), "{advised}");
        }
        let watchdog = pieces(SourceKind::Alertmanager, minute);
        assert!(watchdog[0].text.contains("Watchdog") && watchdog[1].text.contains("vector(1)"));
    }
}
