//! The last lines of a log file on this machine, read from the end in blocks, so that size does not matter.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::fcntl::OFlag;
use serde_json::Value;

use super::{
    Call,
    inputs::Inputs,
    invalid,
    lines::{self, Line},
    refused,
};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    step::ActionKind,
};

const BLOCK_BYTES: u64 = 64 * 1024;
/// How far back a filter looks for its lines.
const SCAN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What is kept of one line while it is put together; the filter sees this much of it.
const LINE_BYTES_MAX: usize = 64 * 1024;

struct Ask<'a> {
    contains: Option<&'a str>,
    limit: usize,
}

impl<'a> Ask<'a> {
    fn read(with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::File)?;
        Ok(Self {
            contains: inputs.text_if_any("contains")?.filter(|text| !text.is_empty()),
            limit: lines::limit(&inputs)?,
        })
    }
}

pub(super) fn describe(path: &str, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(with)?;
    let containing = ask
        .contains
        .map(|text| format!(" that contain {text:?}"))
        .unwrap_or_default();
    Ok(format!("last {} lines of {path}{containing}", ask.limit))
}

pub(super) async fn perform(call: &Call<'_>, path: &str) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    if !path.starts_with('/') {
        return Err(invalid(format!("the target's path {path} is not absolute")));
    }
    let file = {
        let path = path.to_owned();
        blocking(move || open(&path)).await?
    };
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refused(format!("{path} is not there")),
        _ if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            invalid(format!("{path} is a symbolic link, which is not followed"))
        }
        io::ErrorKind::InvalidInput => invalid(format!("{path} is not a regular file")),
        _ => refused(format!("{path} cannot be opened: {error}")),
    })?;
    // Dropped with this future, it stops the reader that a timeout leaves behind.
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let (contains, limit) = (ask.contains.map(str::to_owned), ask.limit);
    let read = blocking(move || last_lines(file, limit, contains.as_deref(), &stopped)).await?;
    let lines = read.map_err(|error| refused(format!("{path} cannot be read: {error}")))?;
    let lines = lines.into_iter().map(|text| Line { at: None, text }).collect();
    Ok(lines::outcome(call.redactor, lines))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::new(FailureClass::NotSent, "the reader stopped"))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens a regular file. A pipe in its place neither blocks nor is read; a link in its place is not followed.
fn open(path: &str) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The last `limit` lines that hold `contains`, oldest first.
fn last_lines(
    mut file: File,
    limit: usize,
    contains: Option<&str>,
    stop: &AtomicBool,
) -> io::Result<Vec<String>> {
    let size = file.metadata()?.len();
    let mut found = Vec::new();
    // Says whether that is enough.
    let mut take = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        if contains.is_none_or(|part| text.contains(part)) {
            found.push(text.into_owned());
        }
        found.len() == limit
    };
    let mut position = size;
    if size > 0 && read_at(&mut file, size - 1, 1)? == b"\n" {
        // The newline at the very end ends the last line; it begins no further one.
        position -= 1;
    }
    // The start of the line that the blocks read so far have only the end of.
    let mut rest = Vec::new();
    let mut enough = false;
    while position > size.saturating_sub(SCAN_BYTES_MAX) && !enough && !stop.load(Ordering::Relaxed) {
        let length = position.min(BLOCK_BYTES);
        position -= length;
        let block = read_at(&mut file, position, length)?;
        let mut end = block.len();
        while let Some(newline) = block[..end]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .filter(|_| !enough)
        {
            enough = take(&joined(&block[newline + 1..end], &rest));
            rest.clear();
            end = newline;
        }
        rest = joined(&block[..end], &rest);
    }
    if position == 0 && size > 0 && !enough {
        take(&rest);
    }
    found.reverse();
    Ok(found)
}

fn read_at(file: &mut File, position: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(position))?;
    let mut block = Vec::new();
    file.take(length).read_to_end(&mut block)?;
    Ok(block)
}

fn joined(start: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut line = start[..start.len().min(LINE_BYTES_MAX)].to_vec();
    line.extend_from_slice(&rest[..rest.len().min(LINE_BYTES_MAX - line.len())]);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(content: &str, limit: usize, contains: Option<&str>) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("muster-tail-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).unwrap();
        let lines = last_lines(
            open(path.to_str().unwrap()).unwrap(),
            limit,
            contains,
            &AtomicBool::new(false),
        );
        std::fs::remove_file(path).unwrap();
        lines.unwrap()
    }

    #[test]
    fn the_last_lines_are_read_from_the_end() {
        for (content, limit, lines) in [
            ("", 5, vec![]),
            ("\n", 5, vec![""]),
            ("one", 5, vec!["one"]),
            ("one\n", 5, vec!["one"]),
            ("one\n\ntwo\n", 5, vec!["one", "", "two"]),
            ("one\n\ntwo", 2, vec!["", "two"]),
            ("one\ntwo\n\n", 2, vec!["two", ""]),
        ] {
            assert_eq!(tail(content, limit, None), lines, "{content:?}");
        }
        // Every way a line can lie across the blocks.
        for width in [
            3,
            100,
            BLOCK_BYTES as usize - 1,
            BLOCK_BYTES as usize,
            BLOCK_BYTES as usize + 1,
        ] {
            let all: Vec<String> = (0..5).map(|n| format!("{n}{}", "x".repeat(width - 2))).collect();
            let kept: Vec<&str> = all
                .iter()
                .map(|line| &line[..line.len().min(LINE_BYTES_MAX)])
                .collect();
            assert_eq!(tail(&all.join("\n"), 5, None), kept, "{width}");
            assert_eq!(tail(&all.join("\n"), 2, None), kept[3..], "{width}");
        }
    }

    #[test]
    fn a_filter_finds_lines_far_back_but_not_for_ever() {
        let noise = "noise\n".repeat(100_000);
        assert_eq!(
            tail(&format!("a needle\n{noise}b needle\nx"), 5, Some("needle")),
            ["a needle", "b needle"]
        );
        let endless = "z".repeat(SCAN_BYTES_MAX as usize + 10);
        assert_eq!(
            tail(&format!("needle\n{endless}"), 5, Some("needle")),
            Vec::<String>::new()
        );
    }
}
