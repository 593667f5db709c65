//! Output of a program on its way to whoever listens: bytes as they come become whole lines without secrets.
//!
//! Nothing here waits. A line is handed on once it is sure that nothing in it belongs to a secret that has only begun; so
//! the pieces say no more than the whole would.

use std::mem;

use super::redact::Redactor;
use crate::domain::output::OutputLine;

/// Bytes kept of one line; the rest of it is read and dropped.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes held back while a secret may have begun in them.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// How the last line of a key file begins, which is hidden from its first line on.
const KEY_END: &str = "-----END ";

/// Whoever takes output while it is written. Must not wait: a program is on the other end.
pub trait Listener: Send + Sync {
    /// Takes lines, redacted, in the order they came.
    fn hear(&self, lines: Vec<OutputLine>);
}

/// One of the two outputs of a program.
pub(super) struct Flow<'a> {
    redactor: &'a Redactor,
    listener: Option<&'a dyn Listener>,
    is_error: bool,
    /// The line that has no end yet, and how much of it was dropped.
    line: Vec<u8>,
    dropped: usize,
    /// Whether a carriage return came last: with a newline it is one end, alone it is one too, as a terminal shows it.
    returned: bool,
    /// Whole lines that are not handed on yet.
    held: String,
    /// Inside a key that was too long to be held.
    in_key: bool,
}

impl<'a> Flow<'a> {
    pub(super) fn new(redactor: &'a Redactor, listener: Option<&'a dyn Listener>, is_error: bool) -> Self {
        Self {
            redactor,
            listener,
            is_error,
            line: Vec::new(),
            dropped: 0,
            returned: false,
            held: String::new(),
            in_key: false,
        }
    }

    /// Takes what was just read.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.listener.is_none() {
            return;
        }
        while let Some(&first) = bytes.first() {
            if mem::take(&mut self.returned) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.append(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { break };
            self.returned = bytes[end] == b'\r';
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        let safe = self.redactor.safe_end(&self.held);
        self.release(safe);
        if self.held.len() > HELD_BYTES_MAX {
            self.release(self.held.len());
            self.in_key = true;
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        if self.listener.is_none() {
            return;
        }
        if !self.line.is_empty() || self.dropped > 0 {
            self.end_line();
        }
        self.release(self.held.len());
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = (LINE_BYTES_MAX - self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
    }

    fn end_line(&mut self) {
        let line = mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).replace('\0', "\u{2400}");
        if mem::take(&mut self.in_key) {
            self.in_key = !text.contains(KEY_END);
            self.dropped = 0;
            return;
        }
        match mem::take(&mut self.dropped) {
            0 => self.held.push_str(&text),
            more => {
                self.held.push_str(&self.redactor.cut_text(&text));
                self.held.push_str(&format!("… [{more} bytes cut]"));
            }
        }
        self.held.push('\n');
    }

    fn release(&mut self, end: usize) {
        let (Some(listener), 1..) = (self.listener, end) else {
            return;
        };
        let text = self.redactor.text(&self.held[..end]);
        self.held.drain(..end);
        let line = |text: &str| OutputLine {
            text: text.to_owned(),
            is_error: self.is_error,
        };
        listener.hear(text.split_terminator('\n').map(line).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::actions::Secret;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Listener for Heard {
        fn hear(&self, lines: Vec<OutputLine>) {
            self.0
                .lock()
                .unwrap()
                .extend(lines.into_iter().map(|line| line.text));
        }
    }

    /// What is heard of a text that comes in pieces of this size.
    fn heard(secret: &str, text: &str, piece: usize) -> Vec<String> {
        let redactor = Redactor::new([&Secret::new(secret)]);
        let heard = Heard::default();
        let mut flow = Flow::new(&redactor, Some(&heard), false);
        for piece in text.as_bytes().chunks(piece) {
            flow.push(piece);
        }
        flow.end();
        heard.0.into_inner().unwrap()
    }

    #[test]
    fn pieces_of_any_size_say_no_more_than_the_whole() {
        let secret = "first line of it\nsecond-of-it\nab";
        let text = "begin\n> first line of it\nsecond-of-it\nab and on\nhunter first line of it!\r\n10%\r20%\r\n\
            password:\nletmein22\n-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nMIIdef\n-----END RSA PRIVATE KEY-----\n\
            wörter\u{0}\nAuthorization: Bearer\nabcdefghijklmnop123==\nend without an end";
        let whole = heard(secret, text, text.len());
        for hidden in ["second-of-it", "ab and", "letmein22", "MII", "abcdefgh"] {
            assert!(!whole.concat().contains(hidden), "{hidden} in {whole:?}");
        }
        assert_eq!(whole[whole.len() - 1], "end without an end");
        assert!(whole.contains(&"20%".to_owned()) && whole.contains(&"wörter\u{2400}".to_owned()));
        for piece in 1..text.len() {
            assert_eq!(heard(secret, text, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_heard_at_once() {
        let redactor = Redactor::new([&Secret::new("one\ntwo")]);
        let heard = Heard::default();
        let mut flow = Flow::new(&redactor, Some(&heard), false);
        flow.push(b"draining web-1:\nhalf a ");
        assert_eq!(*heard.0.lock().unwrap(), ["draining web-1:"]);
        flow.push(b"line\nof one\n");
        assert_eq!(
            heard.0.lock().unwrap().len(),
            2,
            "the last line may be the beginning of the secret"
        );
        flow.push(b"three\n");
        assert_eq!(heard.0.lock().unwrap()[2..], ["of one", "three"]);
    }

    #[test]
    fn a_line_without_end_and_a_key_without_end_take_no_room() {
        let long = "x".repeat(LINE_BYTES_MAX * 3);
        let lines = heard("hunter22hunter22", &format!("{long}\nnext\n"), 8192);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() < LINE_BYTES_MAX + 100, "{}", lines[0].len());
        assert!(lines[0].ends_with(&format!("[{} bytes cut]", LINE_BYTES_MAX * 2)));
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\nafter\n",
            "MIIsecret\n".repeat(20_000)
        );
        let lines = heard("hunter22hunter22", &key, 8192);
        assert_eq!(lines, ["[redacted]", "after"]);
    }
}
