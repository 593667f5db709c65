//! The runbooks of the campaign and how the outside world treats each of their steps.
//!
//! A step asks for `/runs/RUN/STEP/vNUMBER`, one item of a step for `/runs/RUN/STEP.ITEM/vNUMBER`: the ledger can tell
//! runs, steps and versions apart without knowing anything of keys. What stands below a gate has a name that begins
//! with [`GATED`].

use std::{path::Path, sync::Arc, time::Duration};

use axum::http::Method;

use super::chance::Chance;
use crate::support::ledger::{Answer, Asked, Manner};

/// How the names of steps below a gate begin.
pub const GATED: &str = "gated";

/// The runbooks by name, and how many runs of a hundred each gets.
pub const SHAPES: [(usize, &str); 8] = [
    (18, "probed"),
    (14, "blind"),
    (12, "steady"),
    (16, "asking"),
    (6, "failing"),
    (10, "long"),
    (12, "wide"),
    (12, "back"),
];

/// Whether runs of a shape hold the lock of their host.
pub fn locks(slug: &str) -> bool {
    matches!(slug, "probed" | "asking" | "long" | "back")
}

/// What a request asks of the ledger, by its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub run: i64,
    pub step: String,
    pub version: usize,
}

impl Place {
    pub fn read(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let ["runs", run, step, version] = parts.as_slice() else {
            return None;
        };
        Some(Self {
            run: run.parse().ok()?,
            step: match step.split_once('.') {
                Some((step, item)) => format!("{step}[{item}]"),
                None => (*step).to_owned(),
            },
            version: version.strip_prefix('v')?.parse().ok()?,
        })
    }
}

/// Writes the file of a shape, in one move. Another number is another version, whose steps ask for other paths.
pub fn write(folder: &Path, slug: &str, number: usize) {
    let draft = folder.join(format!("{slug}.draft"));
    std::fs::write(&draft, runbook(slug, number)).unwrap();
    std::fs::rename(&draft, folder.join(format!("{slug}.yaml"))).unwrap();
}

fn runbook(slug: &str, number: usize) -> String {
    let path = |step: &str| format!("\"/runs/{{{{ run.id }}}}/{step}/v{number}\"");
    let look = || {
        format!(
            "- id: look
  check: http
  with: {{ target: ledger, path: {} }}
  timeout: 2s
  until: {{ every: 200ms, within: 10s }}
",
            path("look")
        )
    };
    let call = |step: &str, method: &str, rest: &str| {
        format!(
            "- id: {step}
  call: http
  with: {{ target: ledger, method: {method}, path: {} }}
  timeout: 2s
  {rest}
",
            path(step)
        )
    };
    let idempotent = |step: &str| {
        let rest = "effect: idempotent\n  retry: { attempts: 6, initial: 100ms, max: 1s }";
        call(step, "PUT", rest)
    };
    let once = |step: &str| call(step, "POST", "effect: once");
    let probed = |step: &str| {
        let rest = format!(
            "effect: once
  verify:
    check: http
    with: {{ target: ledger, path: {} }}
    expect: result.body.done
    until: {{ every: 200ms, within: 600ms }}",
            path(step)
        );
        call(step, "POST", &rest)
    };
    let wait = |length: &str| format!("- id: pause\n  wait: {length}\n");
    let gate = "- id: ask
  title: Go on with {{ inputs.host }}?
  gate: { decide_within: 10m, use_within: 6s }
";
    let by_hand = "- id: by-hand\n  manual: Look after {{ inputs.host }}.\n";
    let never = format!(
        "- id: never
  check: http
  with: {{ target: ledger, path: {} }}
  expect: result.body.done
  until: {{ every: 200ms, within: 700ms }}
  on_failure: continue
",
        path("never")
    );
    // A step at the beginning, side by side with its neighbours of the same make.
    let beside = |text: String| text.replacen("\n", "\n  needs: []\n", 1);
    let each = |text: String| text.replacen("\n", "\n  for_each: { in: \"[0, 1, 2]\", at_once: 2 }\n", 1);
    let undone = |text: String, step: &str| {
        let with = format!("with: {{ target: ledger, method: PUT, path: {} }}", path(step));
        format!("{text}  undo: {{ call: http, {with}, effect: idempotent }}\n")
    };
    let steps = match slug {
        "probed" => [look(), probed("probed-strike"), idempotent("set")].concat(),
        "blind" => [idempotent("grind"), once("blind-strike"), idempotent("set")].concat(),
        "steady" => [
            look(),
            idempotent("set"),
            wait("700ms"),
            idempotent("grind"),
            idempotent("set-again"),
        ]
        .concat(),
        "asking" => [
            look(),
            gate.to_owned(),
            probed("gated-strike"),
            idempotent("gated-grind"),
            idempotent("gated-set"),
        ]
        .concat(),
        "wide" => [
            beside(idempotent("grind")),
            beside(once("left-strike")),
            beside(probed("right-strike")),
            "- id: join\n  needs: [grind, left-strike, right-strike]\n  wait: 100ms\n".to_owned(),
            each(probed("sweep-strike").replace("/sweep-strike/", "/sweep-strike.{{ item }}/")),
            idempotent("set"),
        ]
        .concat(),
        "back" => [
            undone(idempotent("raise"), "undo:raise"),
            undone(
                each(once("grow-strike").replace("/grow-strike/", "/grow-strike.{{ item }}/")),
                "undo:grow-strike.{{ item }}",
            ),
            never.replace("on_failure: continue", "on_failure: undo"),
        ]
        .concat(),
        "failing" => [never, idempotent("grind"), once("refuse")].concat(),
        _ => [
            idempotent("grind"),
            by_hand.to_owned(),
            idempotent("grind-again"),
            wait("300ms"),
            once("blind-strike"),
        ]
        .concat(),
    };
    let last = match slug {
        "wide" | "back" => format!("finally:\n{}", idempotent("last")),
        _ => String::new(),
    };
    let lock = if locks(slug) {
        "locks: [\"host/{{ inputs.host }}\"]\n"
    } else {
        ""
    };
    format!(
        "runbook: {slug}
title: The shape {slug}
match: ['shape=\"{slug}\"']
start: automatic
inputs:
  host: {{ from: labels.host, required: true }}
{lock}steps:
{steps}{last}"
    )
}

/// How the outside world treats the campaign: mostly well.
pub fn manner(seed: u64) -> Manner {
    Arc::new(move |asked| treat(seed, asked))
}

fn treat(seed: u64, asked: &Asked<'_>) -> Answer {
    let mut chance = Chance::of(seed, (asked.method.as_str(), asked.path, asked.before));
    let done = |before, after| Answer::Done { before, after };
    let nothing = Duration::ZERO;
    let step = Place::read(asked.path)
        .map(|place| place.step)
        .unwrap_or_default();
    if *asked.method == Method::GET {
        return match chance.percent(3) {
            true => Answer::Hang,
            false => done(chance.millis(0..60), nothing),
        };
    }
    if step == "refuse" {
        return Answer::Refused(409);
    }
    let quick = done(chance.millis(0..150), chance.millis(0..150));
    let usual = match step.contains("grind") {
        true => done(chance.millis(200..900), chance.millis(200..900)),
        false => quick,
    };
    // Longer than the step waits for its answer, before the work and after it.
    let late = done(chance.millis(2200..3000), nothing);
    let slow = done(nothing, chance.millis(2200..3000));
    match *asked.method == Method::POST {
        true => chance.weighted(&[
            (64, usual),
            (12, Answer::Lost),
            (6, Answer::Confused(500)),
            (6, late),
            (4, slow),
            (4, Answer::Hang),
            (4, Answer::Refused(409)),
        ]),
        false => chance.weighted(&[
            (70, usual),
            (8, Answer::Lost),
            (8, Answer::Refused(503)),
            (4, Answer::Confused(500)),
            (4, late),
            (3, Answer::Refused(409)),
            (3, Answer::Hang),
        ]),
    }
}
