//! What differs between two versions of a runbook: step by step, and line by line of what was written.

use serde::Serialize;

use super::{id::StepId, runbook::Runbook};

/// What changed from one version to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Steps only the new one has.
    pub added: Vec<StepId>,
    /// Steps only the old one has.
    pub removed: Vec<StepId>,
    /// Steps that both have, and not alike.
    pub changed: Vec<StepId>,
    /// Steps that both have, in another order or list.
    pub moved: bool,
    /// Something about the runbook as a whole: inputs, locks, matching, start.
    pub head: bool,
}

impl Difference {
    /// Compares two versions.
    pub fn between(old: &Runbook, new: &Runbook) -> Self {
        let mut difference = Self::default();
        for step in new.all_steps() {
            match old.step(&step.id) {
                None => difference.added.push(step.id.clone()),
                Some(before) if before != step => difference.changed.push(step.id.clone()),
                Some(_) => {}
            }
        }
        let gone = old.all_steps().filter(|step| new.step(&step.id).is_none());
        difference.removed = gone.map(|step| step.id.clone()).collect();
        let order = |runbook: &Runbook, other: &Runbook| -> Vec<(bool, StepId)> {
            let normal = runbook.steps.iter().map(|step| (false, step.id.clone()));
            let last = runbook.finally.iter().map(|step| (true, step.id.clone()));
            normal
                .chain(last)
                .filter(|(_, id)| other.step(id).is_some())
                .collect()
        };
        difference.moved = order(old, new) != order(new, old);
        let head = |runbook: &Runbook| Runbook {
            steps: Vec::new(),
            finally: Vec::new(),
            ..runbook.clone()
        };
        difference.head = head(old) != head(new);
        difference
    }

    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Unchanged lines shown around a change.
const AROUND: usize = 3;
/// Pairs of lines that are compared at most, after what both begin and end with: a file a person wrote stays far below.
const PAIRS_MAX: usize = 4_000_000;

/// One line of a comparison of two texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
pub enum Line {
    /// Both have it.
    Same(String),
    /// Only the old one has it.
    Gone(String),
    /// Only the new one has it.
    New(String),
    /// So many lines that both have are left out here.
    Cut(usize),
}

/// Compares two texts line by line: the changes, each with a few lines around it; nothing when they are the same.
pub fn lines(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let tails = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tails.take_while(|(old, new)| old == new).count();
    let same = |line: &&str| Line::Same((*line).to_owned());
    let middle = between(&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let whole: Vec<Line> = old[..head]
        .iter()
        .map(same)
        .chain(middle)
        .chain(old[old.len() - tail..].iter().map(same))
        .collect();
    around_changes(whole)
}

/// The shortest way from one list of lines to the other; too long ones are replaced as a whole.
fn between(old: &[&str], new: &[&str]) -> Vec<Line> {
    let gone = |line: &&str| Line::Gone((*line).to_owned());
    let added = |line: &&str| Line::New((*line).to_owned());
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return old.iter().map(gone).chain(new.iter().map(added)).collect();
    }
    // common[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = match old[i] == new[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            lines.push(Line::Same(old[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            lines.push(gone(&old[i]));
            i += 1;
        } else {
            lines.push(added(&new[j]));
            j += 1;
        }
    }
    lines.extend(old[i..].iter().map(gone));
    lines.extend(new[j..].iter().map(added));
    lines
}

/// Leaves out what is far from every change.
fn around_changes(whole: Vec<Line>) -> Vec<Line> {
    let changes: Vec<usize> = (0..whole.len())
        .filter(|&at| !matches!(whole[at], Line::Same(_)))
        .collect();
    let mut next = changes.iter().copied().peekable();
    let mut last: Option<usize> = None;
    let mut shown = Vec::new();
    let mut cut = 0;
    for (at, line) in whole.into_iter().enumerate() {
        if next.peek() == Some(&at) {
            last = next.next();
        }
        let is_near = last.is_some_and(|last| at - last <= AROUND)
            || next.peek().is_some_and(|&next| next - at <= AROUND);
        match is_near {
            true => {
                if cut > 0 {
                    shown.push(Line::Cut(std::mem::take(&mut cut)));
                }
                shown.push(line);
            }
            false => cut += 1,
        }
    }
    if cut > 0 && !shown.is_empty() {
        shown.push(Line::Cut(cut));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let line = |line: &Line| match line {
            Line::Same(text) => format!(" {text}"),
            Line::Gone(text) => format!("-{text}"),
            Line::New(text) => format!("+{text}"),
            Line::Cut(count) => format!("~{count}"),
        };
        lines(old, new).iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn only_changes_and_a_few_lines_around_them_are_told() {
        assert_eq!(told("a\nb\n", "a\nb\n"), "");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a\nb\nc", "a\nx\nc\nd"), " a\n-b\n+x\n c\n+d");
        let old: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut new = old.clone();
        new[10] = "ten".to_owned();
        assert_eq!(
            told(&old.join("\n"), &new.join("\n")),
            "~7\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n~6"
        );
    }

    #[test]
    fn what_is_too_long_to_compare_is_replaced_as_a_whole() {
        let text = |mark: &str| (0..3000).map(|n| format!("{mark}{n}\n")).collect::<String>();
        let lines = lines(&text("a"), &text("b"));
        assert_eq!(lines.len(), 6000);
        assert_eq!(lines[0], Line::Gone("a0".to_owned()));
        assert_eq!(lines[3000], Line::New("b0".to_owned()));
    }
}
