//! Messages of the Postgres protocol: read within bounds, written into one block until they are due.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    Fault,
    rows::{self, Column},
};

/// The longest message that is read.
const MESSAGE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// The longest login.
const LOGIN_BYTES_MAX: u32 = 10_000;
/// Who asks for TLS and for encryption by GSSAPI, before a login.
const WANTS_TLS: u32 = 80_877_103;
const WANTS_GSS: u32 = 80_877_104;
/// The only version there is, but for its small numbers.
const MAJOR_VERSION: u32 = 3;

/// One message of the client.
pub(super) struct Message {
    pub(super) kind: u8,
    body: Vec<u8>,
}

impl Message {
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields(&self.body)
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What stands after a length, which counts itself.
async fn body(reader: &mut (impl AsyncRead + Unpin), bytes_max: u32) -> io::Result<Vec<u8>> {
    let length = reader.read_u32().await?;
    let rest = length.checked_sub(4).filter(|_| length <= bytes_max);
    let rest = rest.ok_or_else(|| broken("a message is too long or has no length"))?;
    let mut body = vec![0; rest as usize];
    reader.read_exact(&mut body).await?;
    Ok(body)
}

pub(super) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Message> {
    Ok(Message {
        kind: reader.read_u8().await?,
        body: body(reader, MESSAGE_BYTES_MAX).await?,
    })
}

/// Reads who comes and with what settings, all of which are fine.
pub(super) async fn login(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    // Each kind of encryption may be asked for once.
    for _ in 0..3 {
        let body = body(reader, LOGIN_BYTES_MAX).await?;
        let code = body.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
        match code {
            WANTS_TLS | WANTS_GSS => writer.write_all(b"N").await?,
            version if version >> 16 == MAJOR_VERSION => return Ok(()),
            _ => break,
        }
    }
    Err(broken("not a login"))
}

/// The fields of a message, one after the other.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let ends = || Fault::protocol("a message ends too early");
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(ends)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut number = [0; N];
        number.copy_from_slice(self.bytes(N)?);
        Ok(number)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.number().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.number().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.number().map(u32::from_be_bytes)
    }

    /// A text that ends with NUL.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| Fault::protocol("a text does not end"))?;
        let text = String::from_utf8_lossy(self.bytes(end)?).into_owned();
        self.bytes(1)?;
        Ok(text)
    }

    /// A value; `None` for null, whose length is -1.
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match self.u32()? {
            u32::MAX => Ok(None),
            length => self.bytes(length as usize).map(Some),
        }
    }
}

/// The format of the nth of some values: none said is text for all, one said is for all.
pub(super) fn format(formats: &[u16], n: usize) -> u16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(n).copied().unwrap_or_default(),
    }
}

/// The highest `$n` of a statement; in quotes it is none.
pub(super) fn placeholders(text: &str) -> usize {
    let mut highest = 0;
    // Of what is between two quotes every second part is inside; a doubled quote is an empty part outside.
    let outside = |text: &str, quote| text.split(quote).step_by(2).collect::<Vec<_>>().join(" ");
    let plain = outside(&outside(text, '\''), '"');
    for part in plain.split('$').skip(1) {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        highest = highest.max(part[..digits].parse().unwrap_or(0));
    }
    highest
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    /// Whether the client waits for it.
    pub(super) is_due: bool,
}

impl Out {
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.is_due = false;
        std::mem::take(&mut self.bytes)
    }

    /// One message: its kind, its length, then what `fill` writes.
    fn message(&mut self, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.push(kind);
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        fill(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// A message that is its kind alone.
    pub(super) fn bare(&mut self, kind: u8) {
        self.message(kind, |_| {});
    }

    /// After a login: it is believed, what the settings are, a key nobody needs, and that statements may come.
    pub(super) fn welcome(&mut self) {
        self.message(b'R', |bytes| bytes.extend([0; 4]));
        for (name, value) in [
            ("server_version", "17.0"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
        ] {
            self.message(b'S', |bytes| {
                text(bytes, name);
                text(bytes, value);
            });
        }
        self.message(b'K', |bytes| bytes.extend([0; 8]));
        self.ready(b'I');
    }

    pub(super) fn ready(&mut self, status: u8) {
        self.message(b'Z', |bytes| bytes.push(status));
        self.is_due = true;
    }

    pub(super) fn error(&mut self, code: &str, words: &str) {
        self.message(b'E', |bytes| {
            for (field, value) in [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', words)] {
                bytes.push(field);
                text(bytes, value);
            }
            bytes.push(0);
        });
    }

    pub(super) fn parameters(&mut self, types: &[u32]) {
        self.message(b't', |bytes| {
            bytes.extend(count(types.len()));
            bytes.extend(types.iter().flat_map(|kind| kind.to_be_bytes()));
        });
    }

    pub(super) fn columns(&mut self, columns: &[Column], formats: &[u16]) {
        self.message(b'T', |bytes| {
            bytes.extend(count(columns.len()));
            for (n, column) in columns.iter().enumerate() {
                text(bytes, &column.name);
                // Of no table, so of none of its columns.
                bytes.extend([0; 6]);
                bytes.extend(column.kind.oid().to_be_bytes());
                // Of any length, with nothing more to say of the type.
                bytes.extend((-1_i16).to_be_bytes());
                bytes.extend((-1_i32).to_be_bytes());
                bytes.extend(format(formats, n).to_be_bytes());
            }
        });
    }

    pub(super) fn row(&mut self, columns: &[Column], row: &[Value], formats: &[u16]) {
        self.message(b'D', |bytes| {
            bytes.extend(count(columns.len()));
            for (n, (column, value)) in columns.iter().zip(row).enumerate() {
                match rows::encode(column.kind, value, format(formats, n) == 1) {
                    None => bytes.extend((-1_i32).to_be_bytes()),
                    Some(value) => {
                        bytes.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
                        bytes.extend(value);
                    }
                }
            }
        });
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |bytes| text(bytes, tag));
    }
}

fn count(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes()
}

/// A text and the NUL that ends it, so it can hold none.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.bytes().filter(|byte| *byte != 0));
    bytes.push(0);
}
