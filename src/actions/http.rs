//! One HTTP request to a web service.
//!
//! A `GET` or `HEAD` reports whatever the service answers. Any other method asks for work, so its status says how
//! far that got: below 400 it was done, 4xx refused, 5xx may have been done or not.

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName},
};
use serde_json::{Map, Value, json};

use super::{
    Call,
    client::{self, BODY_BYTES_MAX, Message, Reply},
    inputs::Inputs,
    invalid, refused,
};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    step::ActionKind,
    target::HttpConnection,
};

/// Headers of an answer that expressions may look at.
const SHOWN_HEADERS: [&str; 6] = [
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-request-id",
];

/// Headers a step may not set: they carry credentials, frame the message or come from the envelope.
const OWN_HEADERS: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "idempotency-key",
    "muster-fence",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

struct Ask {
    message: Message,
    /// Headers and body as written, for people.
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Ask {
    fn read(web: &HttpConnection, with: &Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Http)?;
        let method = method(inputs.text_if_any("method")?.unwrap_or("GET"))?;
        let mut url = client::below(web, inputs.text_if_any("path")?.unwrap_or_default())?;
        let query = inputs.pairs("query")?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(&query);
        }
        let written = inputs.pairs("headers")?;
        let mut headers = HeaderMap::new();
        for (name, value) in &written {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| invalid(format!("with.headers.{name} is not a header name")))?;
            if OWN_HEADERS.contains(&parsed.as_str()) {
                return Err(invalid(format!(
                    "with.headers.{name} cannot be set by a step; credentials belong to the target"
                )));
            }
            headers.append(parsed, client::header(&format!("with.headers.{name}"), value)?);
        }
        let (body, kind) = match inputs.value("body") {
            None => (None, None),
            Some(Value::String(text)) => (Some(text.clone()), Some("text/plain; charset=utf-8")),
            Some(tree) => (Some(tree.to_string()), Some("application/json")),
        };
        if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
            return Err(invalid(format!("with.body cannot go with method {method}")));
        }
        if let Some(kind) = kind.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
            headers.insert(CONTENT_TYPE, client::header("content-type", kind)?);
        }
        Ok(Self {
            message: Message {
                method,
                url,
                headers,
                body: body.clone().map(String::into_bytes),
                answer_bytes_max: BODY_BYTES_MAX,
            },
            headers: written,
            body,
        })
    }
}

fn method(name: &str) -> Result<Method, Failure> {
    const KNOWN: [Method; 6] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    KNOWN
        .into_iter()
        .find(|method| method.as_str().eq_ignore_ascii_case(name))
        .ok_or_else(|| invalid("with.method must be GET, HEAD, POST, PUT, PATCH or DELETE"))
}

pub(super) fn describe(web: &HttpConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(web, with)?;
    let mut text = format!("{} {}", ask.message.method, ask.message.url);
    for (name, value) in &ask.headers {
        text.push_str(&format!(" {name}: {value}"));
    }
    if let Some(body) = &ask.body {
        text.push_str(&format!(" {body}"));
    }
    Ok(text)
}

pub(super) async fn perform(call: &Call<'_>, web: &HttpConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(web, &call.request.with)?;
    let method = ask.message.method.clone();
    let reading = matches!(method, Method::GET | Method::HEAD);
    if call.envelope.read_only && !reading {
        return Err(invalid(format!(
            "with.method {method} changes things; a check may only GET or HEAD"
        )));
    }
    let path = ask.message.url.path().to_owned();
    let reply = client::send(call, web, ask.message).await?;
    let status = reply.status;
    if !reading && status >= 500 {
        return Err(Failure::new(
            FailureClass::Lost,
            format!(
                "{method} {path} answered {status}; the work may be done or not: {}",
                client::excerpt(call, &reply)
            ),
        ));
    }
    // "Ask the same there instead": nothing was done here, and a redirect is not followed. 302 and 303 are how many
    // services say that they have done it.
    let is_elsewhere = matches!(status, 301 | 307 | 308);
    if !reading && (status >= 400 || is_elsewhere) {
        let excerpt = client::excerpt(call, &reply);
        return Err(refused(format!("{method} {path} answered {status}: {excerpt}")));
    }
    if let Some(reason) = &reply.broken {
        return Err(call.failure(format!(
            "{method} {path} answered {status}, then the answer broke off: {reason}"
        )));
    }
    Ok(Outcome {
        summary: format!("{method} {path} answered {status}"),
        result: result(call, &reply),
    })
}

fn result(call: &Call<'_>, reply: &Reply) -> Value {
    let shown: Map<String, Value> = SHOWN_HEADERS
        .into_iter()
        .filter_map(|name| {
            let value = reply.headers.get(name)?;
            Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
        })
        .collect();
    let is_json = shown
        .get("content-type")
        .and_then(Value::as_str)
        .is_some_and(|kind| {
            let kind = kind
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        });
    let parsed: Option<Value> = match is_json && !reply.cut {
        true => serde_json::from_slice(&reply.body).ok(),
        false => None,
    };
    let body = parsed.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&reply.body);
        match reply.cut {
            true => call.redactor.cut_text(&text).into(),
            false => text.into(),
        }
    });
    let mut result = json!({
        "ok": reply.status < 400,
        "status": reply.status,
        "headers": shown,
        "body": body,
    });
    if reply.cut {
        result["truncated"] = Value::Bool(true);
    }
    result
}
