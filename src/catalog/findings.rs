//! What is wrong with a file, and where: faults refuse it, warnings only ask for a second look.

use std::fmt;

use serde::Serialize;

use super::document::{Content, Node, Place};

/// The most findings kept of one file.
const FINDINGS_MAX: usize = 100;

/// One thing that is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, when the text came from one.
    pub file: Option<String>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The field, like `steps[3].with.target`; empty for the whole file.
    pub path: String,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// Always one line, whatever a message repeats of the file.
    pub(super) fn at(place: Place, path: String, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let lines: Vec<&str> = message.lines().map(str::trim).collect();
        Self {
            file: None,
            line: place.line,
            column: place.column,
            path,
            message: lines.join(" "),
            hint: None,
        }
    }

    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same, in that file.
    pub(super) fn in_file(self, file: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..self
        }
    }
}

/// As compilers write it, so that editors can jump there: `runbooks/x.yaml:12:7: steps[2].time_out: …`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// The way from the top of a document to one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

impl Path {
    /// One level deeper, into a map.
    pub(super) fn key(&self, key: &str) -> Self {
        self.deeper(Part::Key(key.to_owned()))
    }

    /// One level deeper, into a list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.deeper(Part::Index(index))
    }

    fn deeper(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            let plain = |key: &str| key.chars().all(|c| c.is_alphanumeric() || "_-<".contains(c));
            match part {
                Part::Index(index) => write!(f, "[{index}]")?,
                Part::Key(key) if !plain(key) => write!(f, "[{key:?}]")?,
                Part::Key(key) if i == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Collects what is found in one document.
pub(super) struct Findings<'a> {
    root: &'a Node,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self {
            root,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value at `path` is wrong.
    pub(super) fn fault(&mut self, path: &Path, message: impl Into<String>) {
        self.fault_with_hint(path, message, None);
    }

    /// The value at `path` is wrong, and this would help.
    pub(super) fn fault_with_hint(
        &mut self,
        path: &Path,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let fault = Fault::at(self.place_of(path), path.to_string(), message).with_hint(hint.into());
        self.faults.push(fault);
    }

    /// The key at `place`, not its value, is wrong.
    pub(super) fn fault_at_key(&mut self, place: Place, path: &Path, message: String, hint: Option<String>) {
        self.faults
            .push(Fault::at(place, path.to_string(), message).with_hint(hint));
    }

    /// The value at `path` is legal, but probably not meant so.
    pub(super) fn warn(&mut self, path: &Path, message: impl Into<String>) {
        let warning = Fault::at(self.place_of(path), path.to_string(), message);
        self.warnings.push(warning);
    }

    /// Whether something at `path` or below it is wrong.
    pub(super) fn has_fault_under(&self, path: &Path) -> bool {
        let path = path.to_string();
        self.faults.iter().any(|fault| {
            fault
                .path
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether the document has a value at `path`.
    pub(super) fn has_value(&self, path: &Path) -> bool {
        let mut node = Some(self.root);
        for part in &path.0 {
            node = node.and_then(|node| match (part, &node.content) {
                (Part::Key(key), Content::Map(entries)) => {
                    let entry = entries.iter().find(|entry| entry.key == *key);
                    entry.map(|entry| &entry.value)
                }
                (Part::Index(index), Content::List(items)) => items.get(*index),
                _ => None,
            });
        }
        node.is_some()
    }

    /// Where the value at `path` stands; the nearest value around it when there is none.
    pub(super) fn place_of(&self, path: &Path) -> Place {
        let mut node = self.root;
        let mut place = node.place;
        for part in &path.0 {
            let (next, at) = match (part, &node.content) {
                (Part::Key(key), Content::Map(entries)) => {
                    match entries.iter().find(|entry| entry.key == *key) {
                        // An empty value has no place of its own.
                        Some(entry) if matches!(entry.value.content, Content::Null) => {
                            (&entry.value, entry.place)
                        }
                        Some(entry) => (&entry.value, entry.value.place),
                        None => break,
                    }
                }
                (Part::Index(index), Content::List(items)) => match items.get(*index) {
                    Some(item) => (item, item.place),
                    None => break,
                },
                _ => break,
            };
            (node, place) = (next, at);
        }
        place
    }

    /// `value` and the warnings, or the faults if there are any; both in the order of the file.
    pub(super) fn finish<T>(mut self, value: T) -> Result<(T, Vec<Fault>), Vec<Fault>> {
        for list in [&mut self.faults, &mut self.warnings] {
            list.sort_by_key(|fault| (fault.line, fault.column));
            list.truncate(FINDINGS_MAX);
        }
        match self.faults.is_empty() {
            true => Ok((value, self.warnings)),
            false => Err(self.faults),
        }
    }
}
