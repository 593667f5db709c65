//! A guard beside each fault that stands: a small process that takes the fault back when Muster dies or forgets it.
//!
//! It is started before the fault is caused. Its input is a pipe: the first line is the order with the time that is
//! allowed, a second one says that all is done. When the pipe closes without that line, whoever held it is dead. A SIGTERM
//! means the same.

use std::{
    io,
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    process::{Child, ChildStdin, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::undo;
use crate::domain::{fault::Order, span::Span};

const INPUT: &str = "/dev/stdin";
/// What dismisses it.
const DONE: &str = "done";
/// How long it goes on trying to take a fault back.
const TRIES: u32 = 20;
/// The pause between two tries.
const TRY_PAUSE: Duration = Duration::from_secs(3);
/// How long it may take to go when it is dismissed.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What it is told first.
#[derive(Serialize, Deserialize)]
struct Charge {
    order: Order,
    within: Span,
}

/// A guard that watches.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts one, by the program Muster, that lets this fault stand so long and no longer.
    pub async fn start(muster: &Path, order: &Order, within: Span) -> io::Result<Self> {
        let mut child = Command::new(muster)
            .args(["drill", "guard"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // What ends Muster's group does not end its guards.
            .process_group(0)
            .spawn()?;
        let mut pipe = child
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("a guard has no input"))?;
        let charge = serde_json::to_string(&Charge {
            order: order.clone(),
            within,
        })?;
        pipe.write_all(format!("{charge}\n").as_bytes()).await?;
        pipe.flush().await?;
        Ok(Self { child, pipe })
    }

    /// The fault is taken back: there is nothing left to guard.
    pub async fn dismiss(mut self) {
        let _ = self.pipe.write_all(format!("{DONE}\n").as_bytes()).await;
        let _ = self.pipe.shutdown().await;
        drop(self.pipe);
        // One that does not go now takes back what is not there.
        let _ = timeout(LEAVE_MAX, self.child.wait()).await;
    }
}

/// What the process does: waits, and takes the fault back unless it is dismissed. It can speak to nobody but `complain`.
pub async fn run(complain: impl Fn(&str)) -> io::Result<ExitCode> {
    // Opened as a pipe, so that nothing waits for a line once the time is over.
    let input = pipe::OpenOptions::new().open_receiver(INPUT)?;
    let mut lines = BufReader::new(input).lines();
    let Some(first) = lines.next_line().await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let charge: Charge = serde_json::from_str(&first)?;
    let end = Instant::now() + charge.within.as_duration();
    // A supervisor that ends Muster with everything it has started is as good as a pipe that closes.
    let mut told_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        said = timeout_at(end, lines.next_line()) => {
            if matches!(said, Ok(Ok(Some(line))) if line == DONE) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        _ = told_to_end.recv() => {}
    }
    for _ in 0..TRIES {
        match undo(&charge.order).await {
            Ok(_) => return Ok(ExitCode::SUCCESS),
            Err(why) => complain(&format!(
                "a fault of a drill cannot be taken back: {why}; it is tried again"
            )),
        }
        // A person may say meanwhile that it is over.
        let pause = Instant::now() + TRY_PAUSE;
        match timeout_at(pause, lines.next_line()).await {
            Ok(Ok(Some(line))) if line == DONE => return Ok(ExitCode::SUCCESS),
            _ => sleep_until(pause).await,
        }
    }
    Ok(ExitCode::FAILURE)
}
