//! What a program writes while it runs: its lines, numbered, in chunks that are stored as they come.
//!
//! What is kept of one attempt is bounded. Over the bound its beginning and its end are kept, and what lay between is let
//! go; the numbers of the lines stay true, so a gap shows by itself.

use std::{collections::VecDeque, ops::RangeInclusive};

/// Lines of one chunk at most. Reading a window of lines relies on it.
pub const CHUNK_LINES_MAX: usize = 500;
/// Bytes of one chunk, unless a single line is longer.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Chunks that are written together.
const BATCH_CHUNKS_MAX: usize = 32;
/// Bytes that wait for the database; over it the oldest of them are let go, since a program must never wait.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One line, redacted, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// What it says.
    pub text: String,
    /// Whether it came on standard error.
    pub is_error: bool,
}

/// Some lines in a row, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// The number of its first line, from 1.
    pub first_line: i64,
    /// Lines in it.
    pub lines: i32,
    /// Bytes of the whole output before it.
    pub first_byte: i64,
    /// Which lines, from 0, came on standard error.
    pub errors: Vec<i32>,
    /// The lines, each ended by a newline.
    pub text: String,
}

impl OutputChunk {
    /// The lines with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (i64, OutputLine)> {
        let mut errors = self.errors.iter().copied().peekable();
        // Not `lines()`, which would take a carriage return for part of the end.
        let lines = self.text.split_terminator('\n').zip(0..);
        lines.map(move |(text, at)| {
            let is_error = errors.next_if_eq(&at).is_some();
            let text = text.to_owned();
            (self.first_line + i64::from(at), OutputLine { text, is_error })
        })
    }

    fn last_line(&self) -> i64 {
        self.first_line + i64::from(self.lines) - 1
    }
}

/// How much of an output there is, and was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Lines that were written, the number of the last one.
    pub lines: i64,
    /// Bytes that were written.
    pub bytes: i64,
    /// Lines of these that were let go.
    pub gone_lines: i64,
    /// Bytes of these that were let go.
    pub gone_bytes: i64,
}

/// What is to be stored at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// New chunks.
    pub chunks: Vec<OutputChunk>,
    /// Chunks that begin with one of these lines are let go.
    pub let_go: Option<RangeInclusive<i64>>,
    /// What has been let go in all.
    pub gone_lines: i64,
    /// The same in bytes.
    pub gone_bytes: i64,
}

/// Output on its way to the database.
#[derive(Debug)]
pub struct Outflow {
    waiting: VecDeque<OutputLine>,
    waiting_bytes: usize,
    /// Number of the first line that waits.
    next_line: i64,
    next_byte: i64,
    head_max: usize,
    head_bytes: usize,
    /// The last line of the beginning, once the beginning is complete.
    head_end: Option<i64>,
    tail_max: usize,
    tail_bytes: usize,
    /// First line, lines and bytes of each chunk behind the beginning.
    tail: VecDeque<(i64, i32, usize)>,
    gone_lines: i64,
    gone_bytes: i64,
}

impl Outflow {
    /// An output of which so many bytes are kept: a quarter for its beginning, the rest for its end.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            next_line: 1,
            next_byte: 0,
            head_max: bytes_max / 4,
            head_bytes: 0,
            head_end: None,
            tail_max: bytes_max - bytes_max / 4,
            tail_bytes: 0,
            tail: VecDeque::new(),
            gone_lines: 0,
            gone_bytes: 0,
        }
    }

    /// Takes lines in. Never waits: lets the oldest go that wait, when they are too many.
    pub fn push(&mut self, lines: Vec<OutputLine>) {
        for line in lines {
            self.waiting_bytes += line.text.len() + 1;
            self.waiting.push_back(line);
        }
        while self.waiting_bytes > WAITING_BYTES_MAX {
            let Some((_, bytes)) = self.pop() else { return };
            self.gone_lines += 1;
            self.gone_bytes += bytes as i64;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether enough waits for a chunk.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= CHUNK_LINES_MAX || self.waiting_bytes >= CHUNK_BYTES_MAX
    }

    /// What is to be stored next; nothing when nothing waits.
    pub fn take(&mut self) -> Option<Batch> {
        let mut chunks = Vec::new();
        let mut gone = None;
        while chunks.len() < BATCH_CHUNKS_MAX
            && let Some(chunk) = self.chunk()
        {
            gone = self.admit(&chunk).or(gone);
            chunks.push(chunk);
        }
        let from = self.head_end.unwrap_or(0) + 1;
        (!chunks.is_empty()).then(|| Batch {
            chunks,
            let_go: gone.map(|to| from..=to),
            gone_lines: self.gone_lines,
            gone_bytes: self.gone_bytes,
        })
    }

    /// The first line that waits, and its bytes with its end.
    fn pop(&mut self) -> Option<(OutputLine, usize)> {
        let line = self.waiting.pop_front()?;
        let bytes = line.text.len() + 1;
        self.waiting_bytes -= bytes;
        self.next_line += 1;
        self.next_byte += bytes as i64;
        Some((line, bytes))
    }

    fn chunk(&mut self) -> Option<OutputChunk> {
        let mut chunk = OutputChunk {
            first_line: self.next_line,
            lines: 0,
            first_byte: self.next_byte,
            errors: Vec::new(),
            text: String::new(),
        };
        while (chunk.lines as usize) < CHUNK_LINES_MAX
            && let Some(next) = self.waiting.front()
            && (chunk.lines == 0 || chunk.text.len() + next.text.len() < CHUNK_BYTES_MAX)
            && let Some((line, _)) = self.pop()
        {
            if line.is_error {
                chunk.errors.push(chunk.lines);
            }
            chunk.text.push_str(&line.text);
            chunk.text.push('\n');
            chunk.lines += 1;
        }
        (chunk.lines > 0).then_some(chunk)
    }

    /// Counts a chunk in; returns the first line of the last chunk that has to go for it.
    fn admit(&mut self, chunk: &OutputChunk) -> Option<i64> {
        let bytes = chunk.text.len();
        if self.head_end.is_none() && self.head_bytes + bytes <= self.head_max {
            self.head_bytes += bytes;
            return None;
        }
        self.head_end.get_or_insert(chunk.first_line - 1);
        self.tail.push_back((chunk.first_line, chunk.lines, bytes));
        self.tail_bytes += bytes;
        let mut gone = None;
        // The newest stays, however long it is.
        while self.tail_bytes > self.tail_max
            && self.tail.len() > 1
            && let Some((first, lines, bytes)) = self.tail.pop_front()
        {
            self.tail_bytes -= bytes;
            self.gone_lines += i64::from(lines);
            self.gone_bytes += bytes as i64;
            gone = Some(first);
        }
        gone
    }
}

/// The number of the last line of these chunks.
pub fn last_line(chunks: &[OutputChunk]) -> i64 {
    chunks.last().map_or(0, OutputChunk::last_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::Range<usize>, width: usize) -> Vec<OutputLine> {
        numbers
            .map(|n| OutputLine {
                text: format!("{n:0width$}"),
                is_error: n % 3 == 0,
            })
            .collect()
    }

    /// What a database would hold after these batches.
    fn stored(outflow: &mut Outflow, into: &mut Vec<OutputChunk>) -> Option<Batch> {
        let mut last = None;
        while let Some(batch) = outflow.take() {
            into.extend(batch.chunks.clone());
            if let Some(range) = &batch.let_go {
                into.retain(|chunk| !range.contains(&chunk.first_line));
            }
            last = Some(batch);
        }
        last
    }

    #[test]
    fn lines_keep_their_numbers_and_their_stream_over_chunks() {
        let mut outflow = Outflow::new(1 << 20);
        let mut chunks = Vec::new();
        for (from, to) in [(0, 700), (700, 701), (701, 1200), (1200, 2000)] {
            outflow.push(lines(from..to, 1));
            stored(&mut outflow, &mut chunks);
        }
        assert_eq!(last_line(&chunks), 2000);
        let all: Vec<(i64, OutputLine)> = chunks.iter().flat_map(OutputChunk::numbered).collect();
        assert!(all.iter().zip(1..).all(|((number, _), at)| *number == at));
        let wanted = |(number, line): &(i64, OutputLine)| {
            line.text == (number - 1).to_string() && line.is_error == ((number - 1) % 3 == 0)
        };
        assert!(
            all.iter().all(wanted),
            "{:?}",
            all.iter().find(|line| !wanted(line))
        );
        assert!(chunks.iter().all(|chunk| chunk.lines as usize <= CHUNK_LINES_MAX));
        let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
        let last = chunks.last().unwrap();
        assert_eq!(last.first_byte as usize + last.text.len(), bytes);
    }

    #[test]
    fn over_the_bound_the_beginning_and_the_end_are_kept_and_the_gap_is_counted() {
        let mut outflow = Outflow::new(400_000);
        let mut chunks = Vec::new();
        let mut last = None;
        for part in 0..100 {
            outflow.push(lines(part * 1000..(part + 1) * 1000, 50));
            last = stored(&mut outflow, &mut chunks).or(last);
        }
        let kept: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
        assert!((200_000..=400_000).contains(&kept), "{kept}");
        assert_eq!(chunks[0].first_line, 1);
        assert_eq!(last_line(&chunks), 100_000);
        let mut after = 0;
        let mut gaps = Vec::new();
        for chunk in &chunks {
            gaps.extend(Some(chunk.first_line - after - 1).filter(|gap| *gap > 0));
            after = last_line(std::slice::from_ref(chunk));
        }
        let last = last.unwrap();
        assert_eq!(gaps, [last.gone_lines], "one gap, and it is the one that is told");
        assert_eq!(last.gone_bytes, last.gone_lines * 51);
        assert_eq!(kept as i64 + last.gone_bytes, 100_000 * 51);
    }

    #[test]
    fn what_the_database_does_not_take_in_time_is_let_go_and_counted() {
        let mut outflow = Outflow::new(64 << 20);
        outflow.push(lines(0..100_000, 99));
        let mut chunks = Vec::new();
        let last = stored(&mut outflow, &mut chunks).unwrap();
        assert_eq!(chunks[0].first_line, last.gone_lines + 1);
        assert_eq!(last.gone_bytes, last.gone_lines * 100);
        assert_eq!(last_line(&chunks), 100_000);
        assert!(outflow.is_empty() && outflow.take().is_none());
    }

    #[test]
    fn a_line_longer_than_everything_is_still_kept() {
        let mut outflow = Outflow::new(10);
        let text = "x".repeat(2 * CHUNK_BYTES_MAX);
        let line = OutputLine {
            text,
            is_error: false,
        };
        outflow.push(vec![line; 3]);
        let mut chunks = Vec::new();
        stored(&mut outflow, &mut chunks);
        assert_eq!((chunks.len(), last_line(&chunks)), (1, 3));
    }
}
