//! What an approval is bound to: the version, the targets of everything below the gate, the findings above it.

use std::collections::BTreeMap;

use muster::domain::{
    digest::Digest,
    id::StepId,
    step::{Effect, StepKind},
};

use crate::runbooks::{Made, TARGETS};

/// How often each target has been changed, as somebody knows it.
pub type Config = [u32; TARGETS];

/// The digest of what would be done below a gate, or of what would be taken back when it is the gate of an undo. Not
/// the real one, which costs more than the rest of a schedule: like it, it differs whenever its content does.
pub fn digest(
    made: &Made,
    version: usize,
    gate: &StepId,
    config: &Config,
    findings: &BTreeMap<StepId, u64>,
    done: &[StepId],
) -> Digest {
    let mut sum = Sum(0xcbf2_9ce4_8422_2325);
    sum.add(version as u64);
    sum.text(&gate.0);
    for step in made.runbook.steps_under(gate) {
        let StepKind::Act(act) = &step.kind else { continue };
        let config = || u64::from(config[made.nature(&step.id).target]);
        match gate.undone() {
            None if act.effect != Effect::Safe => {
                sum.text(&step.id.0);
                sum.add(config());
            }
            Some(_) if act.undo.is_some() => {
                for id in done
                    .iter()
                    .filter(|id| id.undone().is_none() && id.base() == step.id.0)
                {
                    sum.text(&id.0);
                    sum.add(config());
                }
            }
            _ => {}
        }
    }
    for step in made
        .runbook
        .steps
        .iter()
        .take_while(|step| step.id.0 != gate.base())
    {
        for (id, finding) in findings {
            if id.undone().is_none() && id.base() == step.id.0 {
                sum.text(&id.0);
                sum.add(*finding);
            }
        }
    }
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&sum.0.to_be_bytes());
    Digest(bytes)
}

/// FNV-1a.
struct Sum(u64);

impl Sum {
    fn add(&mut self, number: u64) {
        for byte in number.to_be_bytes() {
            self.byte(byte);
        }
    }

    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff);
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}
