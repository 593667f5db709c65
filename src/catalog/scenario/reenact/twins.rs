//! The twins of a night: what each target answered, and when.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    clock::{Moment, NightClock, from, holds},
    gaps::Gaps,
    proxy::Proxy,
    says::{ITEMS_MAX, Question, TEXT_BYTES_MAX, cuts, lines, literal, literal_from, question, said, was_up},
};
use crate::domain::{
    night::{Answered, Asking},
    program::{Accepts, Argument, Parameter, Program},
    step::ActionKind,
    target::{Connection, Targets},
};

/// Answers of one twin.
const ANSWERS_MAX: usize = 190;
/// Lines of a file.
const LINES_MAX: usize = 400;

/// What was asked of one target, in the order of the answers.
pub(super) struct Witness<'a> {
    pub kind: ActionKind,
    pub asked: Vec<&'a Asking>,
}

/// What was asked, by target. A target asked in two ways is known by the first.
pub(super) fn witnesses<'a>(asked: &'a [Asking], gaps: &mut Gaps) -> BTreeMap<String, Witness<'a>> {
    let mut others: BTreeMap<(&str, ActionKind), usize> = BTreeMap::new();
    let mut all: BTreeMap<String, Witness<'_>> = BTreeMap::new();
    for asking in asked {
        let kind = asking.request.action;
        let witness = all.entry(asking.request.target.clone()).or_insert(Witness {
            kind,
            asked: Vec::new(),
        });
        match witness.kind == kind {
            true => witness.asked.push(asking),
            false => *others.entry((&asking.request.target, kind)).or_default() += 1,
        }
    }
    for ((target, kind), count) in others {
        gaps.say(format!(
            "target {target} was asked in two ways; questions by {} are left out: {count}",
            kind.name()
        ));
    }
    all
}

/// What the twins are made with.
pub(super) struct Workshop<'a> {
    pub clock: &'a NightClock,
    /// Which effect an asking is, from 1: by target and question.
    pub effects: &'a BTreeMap<(String, Question), usize>,
    pub proxies: &'a BTreeMap<String, Proxy>,
    pub targets: &'a Targets,
}

impl Workshop<'_> {
    /// The twin of a target that was asked.
    pub fn twin(&self, name: &str, witness: &Witness<'_>, gaps: &mut Gaps) -> Value {
        tell_cuts(name, witness, gaps);
        let mut twin = Map::new();
        let up: Vec<(Moment, bool)> = witness
            .asked
            .iter()
            .filter_map(|asking| Some((self.moment(asking), was_up(asking)?)))
            .collect();
        if let Some(up) = holds(&up, &format!("whether {name} is reached"), gaps) {
            twin.insert("up".to_owned(), json!(up));
        }
        match witness.kind {
            ActionKind::Tcp | ActionKind::Alertmanager => {}
            ActionKind::File => {
                twin.clear();
                twin.insert("lines".to_owned(), self.file(name, &witness.asked, gaps));
            }
            ActionKind::Haproxy => {
                if let Some(proxy) = self.proxies.get(name) {
                    twin.insert("backends".to_owned(), proxy.backends(self.clock, gaps));
                }
            }
            ActionKind::Command => {
                twin.clear();
                twin.insert("programs".to_owned(), self.programs(name, &witness.asked));
                twin.insert("answers".to_owned(), self.answers(name, witness, gaps));
            }
            _ => _ = twin.insert("answers".to_owned(), self.answers(name, witness, gaps)),
        }
        json!({witness.kind.name(): twin})
    }

    /// The twin of a target that today's runbook asks and nobody asked that night.
    pub fn unasked(&self, name: &str, kind: ActionKind) -> Value {
        let twin = match kind {
            ActionKind::Tcp => json!({"up": "t < 0"}),
            ActionKind::Alertmanager => json!({}),
            ActionKind::File => json!({"lines": ["not recorded that night"]}),
            ActionKind::Haproxy => json!({"up": "t < 0", "backends": {"not-recorded": {
                "not-recorded": {"up": "t < 0", "admin": "night.unasked"}}}}),
            ActionKind::Command => json!({"programs": self.programs(name, &[]), "answers": []}),
            _ => json!({"answers": []}),
        };
        json!({kind.name(): twin})
    }

    /// When an answer holds: what changes something is heard before it has.
    fn moment(&self, asking: &Asking) -> Moment {
        let until = match asking.is_effect {
            true => asking.sent_at,
            false => asking.answered_at,
        };
        self.clock.answered(asking.sent_at, until)
    }

    /// Every question with its answers, the latest first: the first that fits is given.
    fn answers(&self, name: &str, witness: &Witness<'_>, gaps: &mut Gaps) -> Value {
        let mut by_question: BTreeMap<Question, Vec<&Asking>> = BTreeMap::new();
        for asking in &witness.asked {
            if let Some(question) = question(asking) {
                by_question.entry(question).or_default().push(asking);
            }
        }
        let mut answers = Vec::new();
        for (question, asked) in by_question {
            answers.extend(self.of_question(name, witness.kind, &question, &asked));
        }
        gaps.keep(&format!("answers of target {name}"), ANSWERS_MAX, &mut answers);
        Value::Array(answers)
    }

    fn of_question(
        &self,
        name: &str,
        kind: ActionKind,
        question: &Question,
        asked: &[&Asking],
    ) -> Vec<Value> {
        let effect = self.effects.get(&(name.to_owned(), question.clone()));
        let mut answers: Vec<Map<String, Value>> = Vec::new();
        let mut before: Option<Moment> = None;
        for asking in asked {
            let Some(mut answer) = said(asking) else { continue };
            let moment = self.moment(asking);
            if let Some(effect) = effect.filter(|_| asking.is_done) {
                answer.insert("set".to_owned(), json!({format!("night.did_{effect}"): true}));
            }
            let when = from(before, moment);
            // What changes something may be asked at any time; what only looks knows nothing of the time before.
            let is_always = before.is_none() && (when == 0 || asking.is_effect);
            before = Some(moment);
            if !is_always {
                answer.insert("when".to_owned(), json!(format!("night.at >= {when}")));
            }
            let is_same = |last: &Map<String, Value>| {
                let plain = |answer: &Map<String, Value>| {
                    let mut answer = answer.clone();
                    answer.remove("when");
                    answer.remove(asked_key(kind));
                    answer.remove("method");
                    answer
                };
                plain(last) == plain(&answer)
            };
            if answers.last().is_some_and(is_same) {
                continue;
            }
            answer.insert(asked_key(kind).to_owned(), json!(question.words));
            if let Some(method) = &question.method {
                answer.insert("method".to_owned(), json!(method));
            }
            answers.push(answer);
        }
        answers.into_iter().rev().map(Value::Object).collect()
    }

    /// The lines of a file, each from when it was first seen.
    fn file(&self, name: &str, asked: &[&Asking], gaps: &mut Gaps) -> Value {
        let mut seen: Vec<(&str, Moment)> = Vec::new();
        let mut before = None;
        for asking in asked {
            let Answered::Result(result) = &asking.answer else {
                continue;
            };
            let moment = self.moment(asking);
            for line in lines(result) {
                if !seen.iter().any(|(known, _)| *known == line) {
                    seen.push((line, from(before, moment)));
                }
            }
            before = Some(moment);
        }
        gaps.keep(&format!("lines of {name}"), LINES_MAX, &mut seen);
        let line = |(line, from): (&str, Moment)| match from {
            0 => literal(line),
            from => literal_from(line, from),
        };
        seen.into_iter().map(line).map(Value::String).collect()
    }

    /// The programs of a target as they are today, so that today's steps may ask for them.
    fn programs(&self, name: &str, asked: &[&Asking]) -> Value {
        let today = self.targets.0.get(name).map(|target| &target.connection);
        if let Some(Connection::Command(command)) = today {
            return command.programs.iter().map(program).collect();
        }
        let mut paths: Vec<&str> = asked
            .iter()
            .filter_map(|asking| asking.command.split(' ').next())
            .filter(|path| path.starts_with('/'))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        match paths.is_empty() {
            true => json!(["/not-recorded"]),
            false => json!(paths),
        }
    }
}

/// What of the answers of a target is cut, or has no words to be asked with.
fn tell_cuts(name: &str, witness: &Witness<'_>, gaps: &mut Gaps) {
    let (mut texts, mut items, mut unheard) = (0, 0, 0);
    for asking in &witness.asked {
        let (long, many) = cuts(asking);
        texts += long;
        items += many;
        // Records of before do not say how the program of a probe was called.
        unheard += usize::from(witness.kind == ActionKind::Command && question(asking).is_none());
    }
    if texts > 0 {
        gaps.say(format!(
            "texts of target {name} longer than {TEXT_BYTES_MAX} bytes are cut there: {texts}"
        ));
    }
    gaps.cut(
        &format!("rows and lines in one answer of target {name}"),
        ITEMS_MAX,
        items,
    );
    if unheard > 0 {
        gaps.say(format!(
            "answers of programs on target {name} of which nobody knows how they were called are left out: {unheard}"
        ));
    }
}

fn asked_key(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Http => "path",
        ActionKind::Command => "program",
        _ => "query",
    }
}

/// A program as files of targets write it.
fn program(program: &Program) -> Value {
    let argument = |argument: &Argument| match argument {
        Argument::Literal(text) => json!(text),
        Argument::Parameter(known) => parameter(known),
    };
    let args: Vec<Value> = program.args.iter().map(argument).collect();
    let mut written = json!({"path": program.path});
    if let Some(name) = &program.name {
        written["name"] = json!(name);
    }
    if !args.is_empty() {
        written["args"] = Value::Array(args);
    }
    written
}

fn parameter(known: &Parameter) -> Value {
    let mut written = match &known.accepts {
        Accepts::Pattern(pattern) => json!({"name": known.name, "pattern": String::from(pattern.clone())}),
        Accepts::OneOf(values) => json!({"name": known.name, "values": values}),
    };
    if let Some(flag) = &known.flag {
        written["flag"] = json!(flag);
    }
    for (key, is) in [("optional", known.optional), ("leading_dash", known.leading_dash)] {
        if is {
            written[key] = json!(true);
        }
    }
    if known.repeated > 1 {
        written["repeated"] = json!(known.repeated);
    }
    written
}
