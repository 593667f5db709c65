//! What words and keys mean.

use askama::Template;

use super::{
    layout::Frame,
    parts::{Badge, icon},
};
use crate::domain::preferences::Keys;

/// The words, as people meet them on the pages.
#[derive(Clone, Debug, Template)]
#[template(path = "help/show.html")]
pub struct HelpPage {
    frame: Frame,
    words: Vec<Word>,
}

/// One word.
#[derive(Clone, Debug)]
struct Word {
    /// Where a link may lead to it.
    id: &'static str,
    badge: Badge,
    meaning: &'static str,
}

fn word(
    id: &'static str,
    tint: &'static str,
    shape: &'static str,
    name: &'static str,
    meaning: &'static str,
) -> Word {
    Word {
        id,
        badge: Badge {
            tint,
            icon: icon(shape),
            word: name.to_owned(),
        },
        meaning,
    }
}

impl HelpPage {
    /// The page in this frame.
    pub fn of(frame: Frame) -> Self {
        let words = vec![
            word(
                "incident",
                "sev1",
                "bell",
                "Incident",
                "Something is broken and somebody has to look. It is triggered, then acknowledged by a person, mitigated when \
                 users no longer feel it, and resolved when it is over.",
            ),
            word(
                "severity",
                "sev1",
                "octagon",
                "SEV1 to SEV4",
                "How bad it is for users. SEV1 is the worst.",
            ),
            word(
                "alert",
                "quiet",
                "bell",
                "Alert",
                "What a sender such as Alertmanager says is wrong. Alerts that belong together share one incident; an alert \
                 that comes again is counted, not opened twice.",
            ),
            word(
                "runbook",
                "quiet",
                "note",
                "Runbook",
                "The steps for one kind of trouble, written down before. Its versions never change, and a run keeps to the \
                 version it began with.",
            ),
            word(
                "run",
                "running",
                "play",
                "Run",
                "One carrying-out of a runbook for one incident. It goes on by itself after a restart, and never does a step \
                 twice that may happen once.",
            ),
            word(
                "gate",
                "gate",
                "lock",
                "Gate",
                "The run waits here until a person decides. The page shows exactly what will be sent; if anything of it \
                 changes, a decision that was given does not count any more.",
            ),
            word(
                "unknown",
                "unknown",
                "question",
                "Outcome unknown",
                "A step was sent and no answer came: it may have happened, or not. Muster does not guess. Somebody looks, or \
                 lets it check, and says what is true.",
            ),
            word(
                "target",
                "quiet",
                "gear",
                "Target",
                "A named thing that steps act on: a database, a load balancer, a web service. Runbooks name it; address and \
                 credentials stand only in the targets file.",
            ),
            word(
                "circuit",
                "sev1",
                "barred",
                "Circuit",
                "After five failures in a row nothing that changes a target is sent to it: its circuit is open. One try goes \
                 out every ten seconds until one is answered; checks are still asked. People can hold it open by hand as well; \
                 then no answer closes it, an approver does.",
            ),
            word(
                "pause",
                "sev3",
                "pause",
                "Pause",
                "Nothing starts by itself, and no step that changes anything begins. Anybody who may respond can pause, on the \
                 page System; an approver can resume.",
            ),
            word(
                "freeze",
                "running",
                "lock",
                "Freeze",
                "Like a pause, but only for alerts with certain labels and for a set time.",
            ),
            word(
                "plan",
                "quiet",
                "eye",
                "Plan",
                "What every step would do now. Checks are really asked, nothing is changed.",
            ),
            word(
                "delivery",
                "quiet",
                "bent",
                "Delivery",
                "One message of a sender, kept as it came, with what became of it. It can be replayed.",
            ),
            word(
                "drill",
                "drill",
                "chevrons",
                "Drill",
                "Practice: a scenario played through the same pages as a real incident. Its targets are twins, and its pages all \
                 say DRILL.",
            ),
            word(
                "source",
                "quiet",
                "circle-open",
                "Source",
                "One sender, with its own address and tokens.",
            ),
            word(
                "glass",
                "sev2",
                "triangle",
                "Break glass",
                "To open a gate alone, in an emergency. It wants a reason, is written down, and somebody else has to review it.",
            ),
        ];
        Self { frame, words }
    }
}

/// Every key.
#[derive(Clone, Debug, Template)]
#[template(path = "help/keys.html")]
pub struct KeysPage {
    frame: Frame,
    /// Whether they do anything for this person, in words.
    state: &'static str,
    groups: Vec<(&'static str, Vec<Key>)>,
}

/// One key, or several one after the other.
#[derive(Clone, Debug)]
struct Key {
    keys: Vec<&'static str>,
    words: &'static str,
}

fn key(keys: &[&'static str], words: &'static str) -> Key {
    Key {
        keys: keys.to_vec(),
        words,
    }
}

impl KeysPage {
    /// The page in this frame.
    pub fn of(frame: Frame) -> Self {
        let state = match frame.look.keys {
            Keys::On => "They are on. Letters do nothing while you type.",
            Keys::Alt => "You have them only together with Alt. Enter and Tab are not touched.",
            Keys::Off => "You have them off. Every page works without them.",
        };
        let groups = vec![
            (
                "On every page",
                vec![
                    key(&["?"], "This list"),
                    key(&["/"], "The search of this page, or the incidents"),
                    key(&["j"], "Next row of a list"),
                    key(&["k"], "Row before"),
                    key(&["Enter"], "Open the row"),
                    key(&["]"], "Next section"),
                    key(&["["], "Section before"),
                ],
            ),
            (
                "Go to",
                vec![
                    key(&["g", "i"], "Incidents"),
                    key(&["g", "a"], "Approvals"),
                    key(&["g", "r"], "Runbooks"),
                    key(&["g", "d"], "Drills"),
                    key(&["g", "l"], "Deliveries"),
                    key(&["g", "t"], "Targets"),
                    key(&["g", "s"], "System"),
                    key(&["g", "h"], "Help"),
                ],
            ),
            (
                "On the list of incidents",
                vec![
                    key(&["x"], "Tick the row, or untick it"),
                    key(&["a"], "Acknowledge what is ticked, or the row"),
                    key(&["c"], "Report an incident"),
                ],
            ),
            (
                "On an incident",
                vec![
                    key(&["a"], "Acknowledge"),
                    key(&["p"], "To the first decision"),
                    key(&["n"], "To the note"),
                    key(&["Ctrl", "Enter"], "Send the note"),
                ],
            ),
            (
                "On a step",
                vec![
                    key(&["v"], "To the check, where nobody knows the outcome"),
                    key(&["]"], "Attempt after"),
                    key(&["["], "Attempt before"),
                ],
            ),
            (
                "On a drill that you lead",
                vec![
                    key(&["i"], "To the next surprise"),
                    key(&["o"], "To the note"),
                    key(&["h"], "To the next hint"),
                ],
            ),
            (
                "On a runbook",
                vec![
                    key(&["P"], "To its plan"),
                    key(&["E"], "To its text"),
                    key(&["d"], "To its versions"),
                ],
            ),
            (
                "While you write a runbook",
                vec![
                    key(&["Ctrl", "S"], "Keep a draft"),
                    key(&["F8"], "Next message; with Shift the one before"),
                    key(&["Ctrl", "]"], "Indent; with [ the other way"),
                    key(&["Tab"], "Leave the text"),
                ],
            ),
        ];
        Self { frame, state, groups }
    }
}
