//! Faults that may really be caused on a target of a drill environment: what each does, how it is taken back, and how it
//! stands. What is allowed is said at the target and nowhere else; a scenario only names it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::span::Span;

/// How long a fault may stand at most when its target does not say.
pub const STANDS_MAX: Span = Span::from_secs(10 * 60);

/// One fault that a target allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it does.
    pub harm: Harm,
    /// The longest it may stand.
    pub stands_max: Span,
}

/// What a fault does. Each can be taken back by what is said here alone, whoever caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Harm {
    /// The process is killed; it is taken back by starting it again.
    Kill {
        /// Which.
        process: Process,
        /// The program that starts it again, with its arguments.
        restore: Vec<String>,
    },
    /// The process stands still; it is let go on.
    Pause(Process),
    /// A file fills the disk; it is removed.
    FillDisk {
        /// Where the file is put.
        folder: String,
        /// What stays free.
        leave_mib: u32,
        /// The largest file.
        most_mib: u32,
    },
    /// Packets of a device inside a named network namespace are lost or late.
    Network {
        /// The namespace, as `ip netns` knows it.
        namespace: String,
        /// The device in it.
        device: String,
        /// What becomes of packets.
        packets: Packets,
    },
    /// An experiment of Chaos Toolkit is run; its own rollbacks take it back.
    ChaosToolkit {
        /// The program `chaos`.
        program: String,
        /// The experiment's file.
        experiment: String,
    },
}

/// A process, found by its pid file. Its name must fit as well: numbers are given out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The file with its number in the first line.
    pub pid_file: String,
    /// Its name, as the kernel knows it.
    pub name: String,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packets {
    /// So many of a hundred are lost.
    Lost(u32),
    /// They are late by that.
    Late(Span),
}

impl Harm {
    /// Its name in the targets file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause(_) => "pause",
            Self::FillDisk { .. } => "fill_disk",
            Self::Network { .. } => "network",
            Self::ChaosToolkit { .. } => "chaos_toolkit",
        }
    }
}

/// A fault that is to be caused: all that is needed to cause it and to take it back, now or after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What it does.
    pub harm: Harm,
    /// A folder of its own for what it must remember.
    pub folder: PathBuf,
}

/// How a fault of a drill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultState {
    /// It is to be caused.
    Planned,
    /// It may have been caused.
    Causing,
    /// It stands.
    Caused,
    /// It is taken back, or that failed and is tried again.
    Undoing,
    /// It is taken back, and that was seen.
    Undone,
    /// It could not be caused; nothing stands.
    Failed,
}

impl FaultState {
    const ALL: [FaultState; 6] = [
        Self::Planned,
        Self::Causing,
        Self::Caused,
        Self::Undoing,
        Self::Undone,
        Self::Failed,
    ];

    /// Its name in the database and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Causing => "causing",
            Self::Caused => "caused",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing of it can stand any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Undone | Self::Failed)
    }
}
