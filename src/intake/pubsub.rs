//! Google Pub/Sub's push envelope: a message in base64. A Cloud Monitoring incident in it is read by
//! `monitoring`; anything else as if it had come without the envelope.

use data_encoding::BASE64;
use serde_json::Value;

use super::{
    Content, Fault, Reader, alertmanager,
    document::{self, Object},
    generic, monitoring,
};

/// Reads one push.
pub fn read(body: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    let document = document::parse(body)?;
    let envelope = Object::at(&document, "")?.required_object("message")?;
    let data = BASE64
        .decode(envelope.raw_text("data")?.as_bytes())
        .map_err(|_| envelope.fault("data", "expected base64"))?;
    if data.is_empty() {
        return Err(envelope.fault("data", "missing; expected a notification in base64"));
    }
    data_of(&data, with).map_err(|inner| Fault {
        place: match inner.place.is_empty() {
            true => "message.data".to_owned(),
            false => format!("message.data: {}", inner.place),
        },
        ..inner
    })
}

fn data_of(data: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    let data = document::parse(data)?;
    match with.mapping {
        _ if data.get("incident").is_some_and(Value::is_object) => monitoring::read(&data, with),
        Some(mapping) => generic::read_document(&data, mapping, with),
        None if data.get("groupKey").is_some() => alertmanager::read(&data, |_, _| {}).map(Content::from),
        None => generic::read_plain(&data, with),
    }
}
