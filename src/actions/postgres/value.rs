//! One cell of a Postgres answer as JSON, from the binary form the server sends.
//!
//! Numbers, booleans and JSON keep their kind; everything else is text as people write it. A `numeric` becomes a
//! number and loses digits a double does not have, because conditions compare numbers.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use serde_json::Value;
use sqlx::{
    TypeInfo, ValueRef,
    postgres::{PgTypeInfo, PgTypeKind, PgValueRef},
};

/// The cell as JSON.
pub(super) fn read(cell: PgValueRef<'_>) -> Value {
    if cell.is_null() {
        return Value::Null;
    }
    let info = cell.type_info().into_owned();
    match cell.as_bytes() {
        Ok(bytes) => of(&info, bytes).unwrap_or_else(|| unreadable(&info, bytes)),
        Err(_) => Value::Null,
    }
}

fn of(info: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    match info.kind() {
        PgTypeKind::Array(element) => return array(element, bytes),
        PgTypeKind::Domain(base) => return of(base, bytes),
        PgTypeKind::Enum(_) => return text(bytes),
        _ => {}
    }
    let oid = info.oid()?.0;
    Some(match oid {
        16 => Value::Bool(*bytes.first()? != 0),
        21 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        23 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        20 => i64::from_be_bytes(bytes.try_into().ok()?).into(),
        // oid, xid, cid and the names of catalogue rows, which travel as their oid
        26 | 28 | 29 | 24 | 2202..=2206 | 4089 | 4096 => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        5069 => u64::from_be_bytes(bytes.try_into().ok()?).into(),
        700 => float(f32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        701 => float(f64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        1700 => float(numeric(bytes)?),
        // text, varchar, bpchar, name, "char", unknown, cstring, xml
        25 | 1043 | 1042 | 19 | 18 | 705 | 2275 | 142 => return text(bytes),
        114 => serde_json::from_slice(bytes).ok()?,
        3802 => serde_json::from_slice(bytes.strip_prefix(&[1])?).ok()?,
        2278 => Value::Null,
        17 => format!("\\x{}", data_encoding::HEXLOWER.encode(bytes)).into(),
        2950 => uuid::Uuid::from_slice(bytes).ok()?.to_string().into(),
        1082 => date(i32::from_be_bytes(bytes.try_into().ok()?)),
        1083 => time(i64::from_be_bytes(bytes.try_into().ok()?))?
            .to_string()
            .into(),
        1114 => moment(i64::from_be_bytes(bytes.try_into().ok()?), ""),
        1184 => moment(i64::from_be_bytes(bytes.try_into().ok()?), "Z"),
        1186 => interval(bytes)?.into(),
        869 | 650 => network(bytes)?.into(),
        829 => mac(bytes).into(),
        3220 => {
            let lsn = u64::from_be_bytes(bytes.try_into().ok()?);
            format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff).into()
        }
        _ => return None,
    })
}

/// A type this does not know: as it is when that is text, else a word about what to do.
fn unreadable(info: &PgTypeInfo, bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.into(),
        _ => format!("[a {}; cast it to text to see it]", info.name().to_lowercase()).into(),
    }
}

fn text(bytes: &[u8]) -> Option<Value> {
    Some(String::from_utf8_lossy(bytes).into_owned().into())
}

/// A number from its digits. JSON has no NaN and no infinity: those stay texts.
fn float(digits: String) -> Value {
    if let Ok(whole) = digits.parse::<i64>() {
        return whole.into();
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => digits.into(),
    }
}

fn be_i16(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be_i32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// `numeric`: groups of four decimal digits, the weight of the first, a sign and how many digits follow the point.
fn numeric(bytes: &[u8]) -> Option<String> {
    let (groups, weight) = (be_i16(bytes, 0)?, i32::from(be_i16(bytes, 2)?));
    let (sign, scale) = (be_i16(bytes, 4)? as u16, usize::try_from(be_i16(bytes, 6)?).ok()?);
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let group = |power: i32| match usize::try_from(weight - power) {
        Ok(i) if i < groups as usize => be_i16(bytes, 8 + 2 * i),
        _ => Some(0),
    };
    let mut out = if sign == 0x4000 { "-" } else { "" }.to_owned();
    let mut whole = String::new();
    for power in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", group(power)?));
    }
    let trimmed = whole.trim_start_matches('0');
    out.push_str(if trimmed.is_empty() { "0" } else { trimmed });
    let mut fraction = String::new();
    let mut power = -1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(power)?));
        power -= 1;
    }
    fraction.truncate(scale);
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(&fraction);
    }
    Some(out)
}

fn epoch() -> NaiveDateTime {
    // Postgres counts from the year 2000.
    NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().into()
}

fn date(days: i32) -> Value {
    let far = days.unsigned_abs().into();
    let date = match days {
        i32::MAX => return "infinity".into(),
        i32::MIN => return "-infinity".into(),
        0.. => epoch().date().checked_add_days(Days::new(far)),
        _ => epoch().date().checked_sub_days(Days::new(far)),
    };
    date.map_or(Value::Null, |date| date.to_string().into())
}

fn time(us: i64) -> Option<NaiveTime> {
    let nanos = u32::try_from(us % 1_000_000 * 1000).ok()?;
    NaiveTime::from_num_seconds_from_midnight_opt(u32::try_from(us / 1_000_000).ok()?, nanos)
}

fn moment(us: i64, zone: &str) -> Value {
    match us {
        i64::MAX => "infinity".into(),
        i64::MIN => "-infinity".into(),
        us => epoch()
            .checked_add_signed(TimeDelta::microseconds(us))
            .map(|at| DateTime::<chrono::Utc>::from_naive_utc_and_offset(at, chrono::Utc))
            .map_or(Value::Null, |at| {
                format!("{}{zone}", at.format("%Y-%m-%dT%H:%M:%S%.f")).into()
            }),
    }
}

/// As Postgres prints it: `1 year 2 mons 3 days 04:05:06.7`.
fn interval(bytes: &[u8]) -> Option<String> {
    let us = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let (days, months) = (be_i32(bytes, 8)?, be_i32(bytes, 12)?);
    let mut parts = Vec::new();
    for (number, word) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        match number {
            0 => {}
            1 | -1 => parts.push(format!("{number} {word}")),
            _ => parts.push(format!("{number} {word}s")),
        }
    }
    if us != 0 || parts.is_empty() {
        let sign = if us < 0 { "-" } else { "" };
        let (seconds, us) = (us.unsigned_abs() / 1_000_000, us.unsigned_abs() % 1_000_000);
        let mut text = format!(
            "{sign}{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        if us > 0 {
            text.push_str(format!(".{us:06}").trim_end_matches('0'));
        }
        parts.push(text);
    }
    Some(parts.join(" "))
}

/// `inet` and `cidr`: family, mask bits, whether it is a cidr, length, address.
fn network(bytes: &[u8]) -> Option<String> {
    let (bits, is_cidr) = (*bytes.get(1)?, *bytes.get(2)? != 0);
    let (address, full) = match bytes.get(4..)? {
        four if four.len() == 4 => (Ipv4Addr::from(<[u8; 4]>::try_from(four).ok()?).to_string(), 32),
        sixteen => (
            Ipv6Addr::from(<[u8; 16]>::try_from(sixteen).ok()?).to_string(),
            128,
        ),
    };
    Some(match is_cidr || bits != full {
        true => format!("{address}/{bits}"),
        false => address,
    })
}

fn mac(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// An array: dimensions, whether there are nulls, the element's type, each length and lower bound, then the elements.
fn array(element: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    let dimensions = usize::try_from(be_i32(bytes, 0)?).ok()?;
    let lengths: Vec<usize> = (0..dimensions)
        .map(|n| usize::try_from(be_i32(bytes, 12 + 8 * n)?).ok())
        .collect::<Option<_>>()?;
    let mut rest = bytes.get(12 + 8 * dimensions..)?;
    match lengths.as_slice() {
        [] => Some(Value::Array(Vec::new())),
        lengths => elements(element, lengths, &mut rest),
    }
}

fn elements(element: &PgTypeInfo, lengths: &[usize], rest: &mut &[u8]) -> Option<Value> {
    let Some((length, inner)) = lengths.split_first() else {
        let size = be_i32(rest, 0)?;
        *rest = &rest[4..];
        let Ok(size) = usize::try_from(size) else {
            return Some(Value::Null);
        };
        let (bytes, after) = rest.split_at_checked(size)?;
        *rest = after;
        return Some(of(element, bytes).unwrap_or_else(|| unreadable(element, bytes)));
    };
    (0..*length).map(|_| elements(element, inner, rest)).collect()
}
