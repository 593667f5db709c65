//! `faults` of a target: what game days may really break there, and how that is taken back.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    document::Content,
    fields::{Field, Fields},
    findings::Findings,
    targets::absolute,
};
use crate::domain::{
    fault::{Fault, Harm, Packets, Process, STANDS_MAX},
    id::is_slug,
    scenario::LENGTH_MAX,
    span::Span,
    target::DRILL_ENVIRONMENT,
};

const KINDS: [&str; 5] = ["kill", "pause", "fill_disk", "network", "chaos_toolkit"];
/// Faults of one target.
const FAULTS_MAX: usize = 20;
/// The longest any fault may be allowed to stand.
const STANDS: RangeInclusive<Span> = Span::from_secs(1)..=LENGTH_MAX;
/// Arguments of the program that starts a process again.
const WORDS_MAX: usize = 30;
const LEAVE_MIB: RangeInclusive<u32> = 0..=1_048_576;
const MOST_MIB: RangeInclusive<u32> = 1..=1_048_576;
const LOST: RangeInclusive<u32> = 1..=100;
const LATE: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(30);
/// What the kernel takes as the name of a process or of a device.
const KERNEL_NAME_BYTES_MAX: usize = 15;

/// Reads `faults` of one target, which must be of the drill environment.
pub(super) fn read(
    target: &Fields<'_>,
    environment: Option<&str>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Fault> {
    let mut faults = BTreeMap::new();
    let Some(field) = target.get("faults") else {
        return faults;
    };
    if environment != Some(DRILL_ENVIRONMENT) {
        let message = format!("only a target of the environment {DRILL_ENVIRONMENT} may be broken");
        let hint = format!("say environment: {DRILL_ENVIRONMENT}, if nothing real is behind it");
        target.fault_at_key("faults", message, Some(hint), findings);
    }
    let Some(fields) = field.entries(findings) else {
        return faults;
    };
    for (name, value) in fields.all() {
        if faults.len() == FAULTS_MAX {
            findings.fault(&value.path, format!("at most {FAULTS_MAX} are allowed"));
            break;
        }
        if !is_slug(name) {
            let message =
                format!("\"{name}\" is not a name: 1 to 63 lower-case letters, digits and inner dashes");
            fields.fault_at_key(name, message, None, findings);
        }
        faults.extend(fault(&value, findings).map(|fault| (name.to_owned(), fault)));
    }
    faults
}

fn fault(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Fault> {
    let known: Vec<&str> = KINDS.into_iter().chain(["for_max"]).collect();
    let fields = field.fields(&known, findings)?;
    let written: Vec<&str> = KINDS
        .into_iter()
        .filter(|kind| fields.get(kind).is_some())
        .collect();
    let [kind] = written.as_slice() else {
        let message = format!(
            "a fault does one thing: exactly one of {} is needed",
            KINDS.join(", ")
        );
        findings.fault(&field.path, message);
        return None;
    };
    let stands_max = match fields.get("for_max") {
        Some(field) => field.span(STANDS, findings),
        None => Some(STANDS_MAX),
    };
    Some(Fault {
        harm: harm(kind, &fields.get(kind)?, findings)?,
        stands_max: stands_max?,
    })
}

fn harm(kind: &str, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Harm> {
    Some(match kind {
        "kill" => {
            let fields = field.fields(&["pid_file", "name", "restore"], findings)?;
            let process = process(&fields, findings);
            let restore = fields
                .need("restore", findings)
                .and_then(|field| program(&field, findings));
            Harm::Kill {
                process: process?,
                restore: restore?,
            }
        }
        "pause" => Harm::Pause(process(
            &field.fields(&["pid_file", "name"], findings)?,
            findings,
        )?),
        "fill_disk" => {
            let fields = field.fields(&["folder", "leave_mib", "most_mib"], findings)?;
            let folder = path("folder", &fields, findings);
            let leave_mib = fields
                .need("leave_mib", findings)
                .and_then(|field| field.count(LEAVE_MIB, findings));
            let most_mib = fields
                .need("most_mib", findings)
                .and_then(|field| field.count(MOST_MIB, findings));
            Harm::FillDisk {
                folder: folder?,
                leave_mib: leave_mib?,
                most_mib: most_mib?,
            }
        }
        "network" => network(field, findings)?,
        _ => {
            let fields = field.fields(&["program", "experiment"], findings)?;
            let program = path("program", &fields, findings);
            let experiment = path("experiment", &fields, findings);
            Harm::ChaosToolkit {
                program: program?,
                experiment: experiment?,
            }
        }
    })
}

fn process(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Process> {
    let pid_file = path("pid_file", fields, findings);
    let name = fields
        .need("name", findings)
        .and_then(|field| field.parsed(kernel_name, findings));
    Some(Process {
        pid_file: pid_file?,
        name: name?,
    })
}

/// A program and its arguments.
fn program(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let items = field.list(WORDS_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "a program is needed that starts the process again");
        return None;
    }
    let mut words = Vec::new();
    for (i, item) in items.iter().enumerate() {
        words.push(match i {
            0 => item.parsed(absolute, findings)?,
            _ => item.text(findings)?.to_owned(),
        });
    }
    (!words.is_empty()).then_some(words)
}

fn network(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Harm> {
    let fields = field.fields(&["namespace", "device", "loss", "latency"], findings)?;
    let mut name = |key: &str| {
        fields
            .need(key, findings)
            .and_then(|field| field.parsed(kernel_name, findings))
    };
    let (namespace, device) = (name("namespace"), name("device"));
    let loss = fields.get("loss").map(|field| field.count(LOST, findings));
    let latency = fields.get("latency").map(|field| field.span(LATE, findings));
    let packets = match (loss, latency) {
        (Some(loss), None) => loss.map(Packets::Lost),
        (None, Some(latency)) => latency.map(Packets::Late),
        _ => {
            findings.fault(
                &field.path,
                "packets are lost or late: exactly one of loss, in percent, and latency is needed",
            );
            None
        }
    };
    Some(Harm::Network {
        namespace: namespace?,
        device: device?,
        packets: packets?,
    })
}

fn path(key: &str, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<String> {
    fields.need(key, findings)?.parsed(absolute, findings)
}

fn kernel_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    match text.len() <= KERNEL_NAME_BYTES_MAX && !text.starts_with('-') && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected at most {KERNEL_NAME_BYTES_MAX} letters, digits and _-.:"
        )),
    }
}
