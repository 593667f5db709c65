//! Faults that may really be caused on a target of a drill environment: what each does, how it is taken back, and how it
//! stands. What is allowed is said at the target and nowhere else; a scenario only names it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::span::Span;

/// How long a fault may stand at most when its target does not say.
pub const STANDS_MAX: Span = Span::from_secs(10 * 60);

/// The longest name of what a fault acts on, in bytes: the journal finds it by that.
pub const ACTS_ON_BYTES_MAX: usize = 2000;

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

    /// What it acts on. Two faults that act on the same cannot be told apart any more, so that one is refused. `real`
    /// resolves a path to the one that it really has.
    pub fn acts_on(&self, real: impl Fn(&str) -> String) -> String {
        match self {
            Self::Kill { process, .. } | Self::Pause(process) => {
                format!("the process of {}", real(&process.pid_file))
            }
            Self::FillDisk { folder, .. } => format!("the folder {}", real(folder)),
            Self::Network {
                namespace,
                device,
                packets,
            } => match packets {
                Packets::Lost(_) => format!("the packet filter of the network namespace {namespace}"),
                Packets::Late(_) => {
                    format!("the queue of {device} in the network namespace {namespace}")
                }
            },
            Self::ChaosToolkit { experiment, .. } => format!("the experiment {}", real(experiment)),
        }
    }

    /// What it really does and how that is taken back, for who is about to begin it.
    pub fn words(&self) -> String {
        match self {
            Self::Kill { process, restore } => {
                let Process { pid_file, name } = process;
                let again = restore.join(" ");
                format!("kills the process {name} of {pid_file}; taken back by {again}")
            }
            Self::Pause(Process { pid_file, name }) => {
                format!("makes the process {name} of {pid_file} stand still; taken back by letting it go on")
            }
            Self::FillDisk {
                folder,
                leave_mib,
                most_mib,
            } => format!(
                "fills the disk of {folder} until {leave_mib} MiB are free, with {most_mib} MiB at most; taken back by \
                 removing the file"
            ),
            Self::Network {
                namespace,
                device,
                packets,
            } => {
                let become_what = match packets {
                    Packets::Lost(percent) => format!("loses {percent} % of the packets"),
                    Packets::Late(by) => format!("delays by {by} the packets"),
                };
                format!(
                    "{become_what} of {device} in the network namespace {namespace}; taken back by removing the rule"
                )
            }
            Self::ChaosToolkit { program, experiment } => {
                format!("runs the experiment {experiment} by {program}; taken back by its own rollbacks")
            }
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
    /// Somebody said that it is over; nobody saw it.
    Declared,
}

impl FaultState {
    const ALL: [FaultState; 7] = [
        Self::Planned,
        Self::Causing,
        Self::Caused,
        Self::Undoing,
        Self::Undone,
        Self::Failed,
        Self::Declared,
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
            Self::Declared => "declared",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether it was seen that nothing of it is left.
    pub fn is_clean(self) -> bool {
        matches!(self, Self::Undone | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_over_one_thing_say_that_they_are() {
        let process = |pid_file: &str| Process {
            pid_file: pid_file.to_owned(),
            name: "postgres".to_owned(),
        };
        let network = |namespace: &str, device: &str, packets| Harm::Network {
            namespace: namespace.to_owned(),
            device: device.to_owned(),
            packets,
        };
        let fill = |folder: &str, most_mib| Harm::FillDisk {
            folder: folder.to_owned(),
            leave_mib: 1,
            most_mib,
        };
        // A link leads to the path that it stands for.
        let real = |path: &str| path.replace("/link", "/real");
        let late = |ms| Packets::Late(Span::from_millis(ms));
        let pause = Harm::Pause(process("/link/pid"));
        let kill = Harm::Kill {
            process: process("/real/pid"),
            restore: Vec::new(),
        };
        let same = [
            (pause, kill.clone()),
            (fill("/link/disk", 5), fill("/real/disk", 9)),
            (
                network("drill", "eth0", Packets::Lost(5)),
                network("drill", "eth1", Packets::Lost(100)),
            ),
            (
                network("drill", "eth0", late(5)),
                network("drill", "eth0", late(9)),
            ),
        ];
        for (one, other) in same {
            assert_eq!(one.acts_on(real), other.acts_on(real));
        }
        let apart = [
            (kill, fill("/real/pid", 5)),
            (
                network("drill", "eth0", late(5)),
                network("drill", "eth1", late(5)),
            ),
            (
                network("drill", "eth0", late(5)),
                network("drill", "eth0", Packets::Lost(5)),
            ),
            (
                network("drill", "eth0", Packets::Lost(5)),
                network("other", "eth0", Packets::Lost(5)),
            ),
        ];
        for (one, other) in apart {
            assert_ne!(one.acts_on(real), other.acts_on(real));
        }
    }

    #[test]
    fn states_are_read_back_by_name_and_only_what_was_seen_is_clean() {
        for state in FaultState::ALL {
            assert_eq!(FaultState::named(state.name()), Some(state));
        }
        let clean = FaultState::ALL.into_iter().filter(|state| state.is_clean());
        let clean: Vec<&str> = clean.map(FaultState::name).collect();
        assert_eq!(clean, ["undone", "failed"]);
    }
}
