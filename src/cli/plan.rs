//! `muster runbook plan`: what every step of a runbook would do now, without a database and without changing anything.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use serde_json::json;
use tokio::sync::watch;

use super::{complain, say};
use crate::{
    catalog::folder,
    clock::Clock,
    config::Plan,
    domain::{
        rehearsal::{Rehearsal, Rehearsed, Says, Verdict},
        runbook::Runbook,
        step::Effect,
        target::Targets,
    },
    execute::{
        rehearse::{Rehearser, Script},
        standing::Standing,
    },
    store::wake::Wake,
    web::view::text::visible,
};

/// Rehearses the runbook and tells what was found.
pub async fn run(plan: &Plan, clock: Clock) -> anyhow::Result<ExitCode> {
    let Some((runbook, targets)) = read(plan)? else {
        return Ok(ExitCode::FAILURE);
    };
    let given = plan.inputs();
    for name in given.keys().filter(|name| !runbook.inputs.contains_key(*name)) {
        complain(&format!("warning: {} has no input {name}", runbook.slug));
    }
    let rehearser = Rehearser {
        targets: watch::channel(Arc::new(targets)).1,
        ..Rehearser::new(Standing::new(Wake::default()), clock)
    };
    let script = Script {
        runbook: &runbook,
        given: &given,
        alert: &json!({"labels": plan.labels(), "annotations": {}}),
        incident: None,
        asks: !plan.no_checks,
    };
    let rehearsal = rehearser.rehearse(&script).await;
    match plan.json {
        true => {
            let whole = json!({
                "runbook": runbook.slug,
                "headline": rehearsal.headline(),
                "broken": rehearsal.is_broken(),
                "rehearsal": rehearsal,
            });
            say(&serde_json::to_string_pretty(&whole).context("writing JSON")?);
        }
        false => say(&text(&runbook, &rehearsal)),
    }
    Ok(match rehearsal.is_broken() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The runbook of that file, or of that name in the folder, and its targets; `None` when the faults have been told.
fn read(plan: &Plan) -> anyhow::Result<Option<(Runbook, Targets)>> {
    let file = Path::new(&plan.runbook);
    let is_file = file.is_file();
    let folder = match (is_file, file.parent()) {
        (true, Some(parent)) if parent.as_os_str().is_empty() => PathBuf::from("."),
        (true, Some(parent)) => parent.to_owned(),
        _ => plan.folder.clone(),
    };
    let reading = folder::read(&folder, plan.targets.as_deref());
    let is_meant = |path: &Path| path.file_name() == file.file_name();
    let found = reading.runbooks.into_iter().find(|found| match is_file {
        true => is_meant(&found.path),
        false => found.parsed.runbook.slug == plan.runbook,
    });
    let targets = reading.targets;
    if let (Some(found), Some(targets)) = (found, targets) {
        return Ok(Some((found.parsed.runbook, targets)));
    }
    // The fault of another file may be why there is no such runbook.
    for fault in &reading.faults {
        complain(&fault.to_string());
    }
    if reading.faults.is_empty() {
        complain(&format!(
            "there is no runbook {} in {}",
            plan.runbook,
            folder.display()
        ));
    }
    Ok(None)
}

/// The whole as a person reads it.
fn text(runbook: &Runbook, rehearsal: &Rehearsal) -> String {
    let mut lines = vec![
        visible(&rehearsal.headline()),
        String::new(),
        runbook.title.clone(),
    ];
    let mut finally = false;
    for step in &rehearsal.steps {
        if step.finally && !finally {
            finally = true;
            lines.extend([String::new(), "At the end, whatever came before:".to_owned()]);
        }
        lines.push(String::new());
        lines.extend(told(step));
    }
    lines.join("\n")
}

fn told(step: &Rehearsed) -> Vec<String> {
    let took = step.took_ms.map_or_else(String::new, |ms| format!(", {ms} ms"));
    let (word, finding) = verdict(&step.verdict);
    let mut lines = vec![
        format!("{word:<13} {}  {}", step.step, visible(&step.title)),
        format!("    {}{}{took}", step.word, effect(step)),
    ];
    let mut add = |name: &str, text: &str| {
        // What an alert or a target says must not steer the terminal.
        let text = visible(text.trim_end()).replace('\n', "\n        ");
        lines.push(format!("    {name}{text}"));
    };
    if let Some(condition) = &step.condition {
        add("only if ", condition);
    }
    if let Some(request) = &step.request {
        add("", request);
    }
    if !finding.is_empty() {
        add("-> ", &finding);
    }
    if let Some(undo) = &step.undo {
        add("to take it back: ", undo);
    }
    lines
}

fn effect(step: &Rehearsed) -> String {
    let mut text = match step.effect {
        Effect::Safe => String::new(),
        Effect::Idempotent => ", may be repeated".to_owned(),
        Effect::Once => ", sent once".to_owned(),
    };
    if let Some(target) = &step.target {
        text.push_str(&format!(", on {target}"));
    }
    if let Some(gate) = &step.gate {
        text.push_str(&format!(", under the gate {gate}"));
    }
    text
}

/// The word in front of a step, and what was found.
fn verdict(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::WouldSend { probe, unseen } => {
            let probe = probe
                .as_ref()
                .map(|probe| format!("not done yet, says its verify probe: {probe}"));
            let unseen = unseen
                .as_ref()
                .map(|reason| format!("nobody knows whether it can be reached: {reason}"));
            let told: Vec<String> = probe.into_iter().chain(unseen).collect();
            ("WOULD SEND", told.join("; "))
        }
        Verdict::DoneAlready { finding } => ("DONE ALREADY", format!("would be passed over: {finding}")),
        Verdict::Checked { finding, says } => match says {
            Says::Holds => ("HOLDS", finding.clone()),
            Says::Fails { then, .. } => ("DOES NOT HOLD", format!("{finding}; {then}")),
            Says::Early { when } => (
                "LATER",
                format!("does not hold now, and is asked {when}: {finding}"),
            ),
            Says::Unjudged { reason } => ("ASKED", format!("{finding}; what is expected {reason}")),
        },
        Verdict::WouldAsk => ("WOULD ASK", String::new()),
        Verdict::WouldWait => ("WOULD WAIT", String::new()),
        Verdict::Skipped { reason } => ("SKIPPED", reason.clone()),
        Verdict::CannotKnow { reason } => ("NOT KNOWN", format!("it {reason}")),
        Verdict::NotLooked { reason } => ("NOT ASKED", reason.clone()),
        Verdict::Broken { reason, .. } => ("CANNOT WORK", reason.clone()),
    }
}
