//! The table of the campaign: what was done, what fired, what senders were told and how fast, and what it cost in memory.

use std::{sync::Mutex, time::Duration};

use super::history::{History, Sent};
use crate::support::muster::Muster;

/// One fault of the campaign.
pub struct Row {
    /// Its name and what was done.
    pub fault: &'static str,
    /// How often it was seen to happen.
    pub fired: usize,
    /// What else is worth a figure.
    pub remark: String,
}

static TABLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A process's memory in MiB: resident now, and at its highest.
pub fn memory(muster: &Muster) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", muster.id())).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let mib = |name| field(name).unwrap_or_default() / 1024;
    (mib("VmRSS:"), mib("VmHWM:"))
}

/// The time that so many percent of the answers took at most.
pub fn percentile(sent: &[Sent], percent: usize) -> Duration {
    let mut times: Vec<Duration> = sent.iter().map(|sent| sent.took).collect();
    times.sort();
    let at = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(at).copied().unwrap_or_default()
}

pub fn add(row: Row, history: &History, muster: Option<&Muster>, violations: &[String]) {
    let sent = history.timed();
    let of = |status: Option<u16>| sent.iter().filter(|sent| sent.status == status).count();
    let (now, highest) = muster.map(memory).unwrap_or_default();
    let known = of(Some(200)) + of(Some(202)) + of(Some(503));
    let ms = |percent| percentile(&sent, percent).as_millis();
    let line = format!(
        "{:<44} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>6} {:>6} {:>6} {:>5} {:>5} {:>3}  {}",
        row.fault,
        row.fired,
        sent.len(),
        of(Some(200)),
        of(Some(202)),
        of(Some(503)),
        sent.len() - known,
        ms(50),
        ms(99),
        ms(100),
        now,
        highest,
        violations.len(),
        row.remark
    );
    let mut table = TABLE.lock().unwrap();
    table.push(line);
    println!(
        "{:<44} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>6} {:>6} {:>6} {:>5} {:>5} {:>3}",
        "fault",
        "fired",
        "sent",
        "200",
        "202",
        "503",
        "other",
        "p50ms",
        "p99ms",
        "maxms",
        "MiB",
        "peak",
        "bad"
    );
    println!("{}\n", table.join("\n"));
}
