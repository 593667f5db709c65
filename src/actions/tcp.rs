//! The TCP check: does the port accept a connection?

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, address, inputs::Inputs};
use crate::domain::{
    action::{Failure, Outcome},
    step::ActionKind,
};

pub(super) fn describe(address: &str, with: &Value) -> Result<String, Failure> {
    Inputs::read(with, ActionKind::Tcp)?;
    Ok(format!("TCP connect {address}"))
}

pub(super) async fn perform(call: &Call<'_>, address: &str) -> Result<Outcome, Failure> {
    Inputs::read(&call.request.with, ActionKind::Tcp)?;
    let started = Instant::now();
    address::connect(call, address).await?;
    let connect_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Outcome {
        result: json!({"ok": true, "connect_ms": connect_ms}),
        summary: format!("{address} accepts connections"),
    })
}
