//! Reading a request: its body up to a length and a time, unpacked when it is gzip, and the headers worth keeping.

use std::{
    io::{self, Read},
    sync::Arc,
};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HookLimits;
use crate::store::deliveries::Headers;

/// Headers that are kept: what a body is and which message it was. None may hold a secret.
const KEPT: [&str; 9] = [
    "content-type",
    "content-encoding",
    "date",
    "traceparent",
    "x-request-id",
    "x-forwarded-for",
    "x-amz-sns-message-id",
    "x-amz-sns-message-type",
    "x-amz-sns-topic-arn",
];
/// Bodies are counted in units of so many bytes.
const UNIT: usize = 1024;
/// Characters kept of one.
const VALUE_CHARS_MAX: usize = 300;

/// Why a body was not read.
#[derive(Debug)]
pub enum Unread {
    /// It did not arrive in time.
    Late,
    /// It is longer than it may be; the text says what.
    TooLong(String),
    /// It is packed in a way that is not known.
    Unknown(String),
    /// There is no room for it now.
    NoRoom,
    /// It broke off.
    Broken(String),
    /// It is not what it says.
    Garbled(String),
}

/// The headers of a request that are kept with its body.
pub fn kept(headers: &HeaderMap) -> Headers {
    KEPT.iter()
        .filter_map(|name| {
            let value = String::from_utf8_lossy(headers.get(*name)?.as_bytes()).into_owned();
            let value = value.chars().filter(|c| *c != '\0').take(VALUE_CHARS_MAX);
            Some(((*name).to_owned(), value.collect()))
        })
        .collect()
}

/// The memory that bodies may take together.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Unread> {
        let units = bytes.div_ceil(UNIT) as u32;
        let taken = self.0.clone().try_acquire_many_owned(units);
        taken.map_err(|_| Unread::NoRoom)
    }

    /// Takes more, until there is enough for `bytes`.
    fn widen(&self, held: &mut OwnedSemaphorePermit, bytes: usize) -> Result<(), Unread> {
        let has = held.num_permits() * UNIT;
        if bytes > has {
            held.merge(self.take(bytes - has)?);
        }
        Ok(())
    }
}

/// A body that was read, with the room that it takes.
#[derive(Debug)]
pub struct Whole {
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// To be kept as long as the body is.
    pub room: OwnedSemaphorePermit,
}

/// Reads a body; at most `limits.body_bytes_max` bytes of it, packed and unpacked, and no more than there is room for.
/// One whose length is said to be too long is not read at all.
pub async fn read(
    body: Body,
    headers: &HeaderMap,
    limits: &HookLimits,
    room: &Room,
) -> Result<Whole, Unread> {
    let is_packed = is_gzip(headers)?;
    let max = limits.body_bytes_max;
    let whole = tokio::time::timeout(limits.body_timeout, collect(body, headers, max, room))
        .await
        .map_err(|_| Unread::Late)??;
    match is_packed {
        false => Ok(whole),
        true => {
            let room = room.clone();
            tokio::task::spawn_blocking(move || unpack(&whole.body, max, &room))
                .await
                .unwrap_or_else(|error| Err(Unread::Broken(error.to_string())))
        }
    }
}

async fn collect(mut body: Body, headers: &HeaderMap, max: usize, room: &Room) -> Result<Whole, Unread> {
    let too_long = || Unread::TooLong(format!("the body is longer than {max} bytes"));
    // As the header says it: what stands between the connection and here hides how long a body is.
    let said = headers.get(header::CONTENT_LENGTH);
    let said: usize = said
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or_default();
    if said > max {
        return Err(too_long());
    }
    let mut held = room.take(0)?;
    let mut whole = Vec::with_capacity(said);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = whole.len() + data.len();
        if needed > max {
            return Err(too_long());
        }
        room.widen(&mut held, needed)?;
        whole.extend_from_slice(&data);
    }
    Ok(Whole {
        body: whole,
        room: held,
    })
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Unread> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    let encoding = String::from_utf8_lossy(encoding.as_bytes()).trim().to_lowercase();
    match encoding.as_str() {
        "gzip" | "x-gzip" => Ok(true),
        "" | "identity" => Ok(false),
        _ => Err(Unread::Unknown(
            "a body may be packed with gzip, or not at all".to_owned(),
        )),
    }
}

/// Unpacks gzip. A small body may unpack to any length, so that is counted first and nothing kept: too many bytes take no
/// memory.
fn unpack(packed: &[u8], max: usize, room: &Room) -> Result<Whole, Unread> {
    let garbled = |error| Unread::Garbled(format!("the body is not gzip: {error}"));
    let mut counted = MultiGzDecoder::new(packed).take(max as u64 + 1);
    let length = io::copy(&mut counted, &mut io::sink()).map_err(garbled)? as usize;
    if length > max {
        let what = format!("the body unpacks to more than {max} bytes");
        return Err(Unread::TooLong(what));
    }
    let held = room.take(length)?;
    let mut body = vec![0; length];
    MultiGzDecoder::new(packed)
        .read_exact(&mut body)
        .map_err(garbled)?;
    Ok(Whole { body, room: held })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_and_a_bomb_is_not() {
        let room = Room::new(1 << 20);
        let unpack = |packed: &[u8], max| unpack(packed, max, &room);
        assert_eq!(unpack(&packed(b"{}"), 2).unwrap().body, b"{}");
        let bomb = packed(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert!(matches!(unpack(&bomb, 4096), Err(Unread::TooLong(_))));
        assert!(matches!(unpack(b"{}", 4096), Err(Unread::Garbled(_))));
        let cut = &packed(b"a longer text")[..20];
        assert!(matches!(unpack(cut, 4096), Err(Unread::Garbled(_))));
        assert_eq!(room.0.available_permits(), 1024);
    }

    #[test]
    fn what_is_unpacked_takes_room_as_long_as_it_is_kept() {
        let (room, text) = (Room::new(1 << 20), vec![b' '; 600 << 10]);
        let whole = unpack(&packed(&text), 1 << 20, &room).unwrap();
        assert_eq!((whole.body, room.0.available_permits()), (text.clone(), 424));
        let again = unpack(&packed(&text), 1 << 20, &room);
        assert!(matches!(again, Err(Unread::NoRoom)));
        drop(whole.room);
        assert_eq!(room.0.available_permits(), 1024);
        assert!(unpack(&packed(&text), 1 << 20, &room).is_ok());
    }

    #[test]
    fn headers_that_may_hold_a_secret_are_not_kept() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-muster-token",
            "cookie",
            "content-type",
            "x-muster-signature",
        ] {
            headers.insert(name, "x".parse().unwrap());
        }
        assert_eq!(kept(&headers).into_keys().collect::<Vec<_>>(), ["content-type"]);
    }
}
