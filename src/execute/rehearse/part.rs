//! One step of a rehearsal, or one item of its list: rendered as far as it can be, with what has to be asked. Pure.

use serde_json::Value;

use super::{
    door::knock,
    known::{Known, Unreadable, of_expression, of_template, of_tree},
};
use crate::{
    actions,
    domain::{
        action::{Failure, Outcome, Rendered},
        aim::rendered,
        id::StepId,
        rehearsal::{Fault, Rehearsed, Verdict},
        span::Span,
        step::{Act, ActWord, ActionKind, Effect, Request, Step},
        target::{SecretRef, Target, Targets},
        template::{Expression, Template, TemplateError},
    },
};

/// How long a probe or a knock may take; a check has the time of its step.
const QUESTION_TIMEOUT: Span = Span::from_secs(10);
/// The longest request that is kept, in characters.
const REQUEST_CHARS_MAX: usize = 4000;

/// One question to the outside, which changes nothing there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    /// Its number within the rehearsal.
    pub id: usize,
    /// Credentials that must be there before anything is asked.
    pub secrets: Vec<SecretRef>,
    /// What is asked of whom; `None` when only the credentials are looked for.
    pub question: Option<(Target, Rendered)>,
    /// How long it may take.
    pub timeout: Span,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// What came back.
    pub came: Came,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Came {
    /// A credential is not there, so nothing was asked.
    NoSecret(String),
    /// The target's answer, or why there is none.
    Said(Result<Outcome, Failure>),
    /// Nobody waited for it.
    Unasked(String),
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the step.
    Check,
    /// Whether the effect is there already.
    Probe,
    /// Whether the target would answer.
    Door,
    /// Whether the target of what takes it back would.
    UndoDoor,
}

/// One step or item on its way to its verdict.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// What is known of it; the verdict as long as no answer says otherwise.
    pub rehearsed: Rehearsed,
    /// What it does.
    pub act: Option<&'a Act>,
    /// What its expressions read.
    pub context: Value,
    /// What has to be asked, by number.
    pub questions: Vec<(Role, usize)>,
    /// When it will be known, if that is later.
    pub when: Option<String>,
}

impl<'a> Part<'a> {
    /// A step whose verdict needs no answer.
    pub fn settled(mut rehearsed: Rehearsed, verdict: Verdict) -> Self {
        rehearsed.verdict = verdict;
        Self {
            rehearsed,
            act: None,
            context: Value::Null,
            questions: Vec::new(),
            when: None,
        }
    }

    /// A step that cannot be rendered.
    pub fn unreadable(rehearsed: Rehearsed, place: &str, why: Unreadable) -> Self {
        match why {
            Unreadable::Later { reason, when } => Self {
                when: Some(when),
                ..Self::settled(rehearsed, Verdict::CannotKnow { reason })
            },
            Unreadable::Wrong(problem) => {
                let reason = format!("{place}{problem}");
                Self::settled(rehearsed, broken(Fault::Template, reason))
            }
        }
    }
}

/// Why a request cannot be shown.
enum Trouble {
    Unreadable(Unreadable),
    Wrong(Fault, String),
}

/// A request that could be sent.
struct Ready {
    target: Target,
    request: Rendered,
    text: String,
}

/// Renders acts and collects what has to be asked for them.
pub(super) struct Desk<'b> {
    /// The targets.
    pub targets: &'b Targets,
    /// What can be read.
    pub known: &'b Known,
    /// Whether anything may be asked.
    pub asks: bool,
    /// Questions so far; one that is the same is asked once.
    pub asked: &'b mut Vec<Ask>,
}

impl Desk<'_> {
    /// The part of an act, in the context of its step or item.
    pub fn act<'a>(
        &mut self,
        step: &Step,
        act: &'a Act,
        mut rehearsed: Rehearsed,
        context: Value,
    ) -> Part<'a> {
        rehearsed.effect = act.effect;
        let mut part = Part {
            act: Some(act),
            ..Part::settled(rehearsed, Verdict::WouldWait)
        };
        let ready = match self.aim(&act.request, &context) {
            Ok(ready) => ready,
            Err(trouble) => return self.without_request(act, part, trouble, &context),
        };
        part.rehearsed.target = Some(ready.target.name.clone());
        part.rehearsed.request = Some(cut(&ready.text));
        if self.take_back(act, &mut part, &context).is_err() {
            return part;
        }
        if act.effect == Effect::Safe {
            self.check(step, act, &mut part, ready);
        } else {
            part.rehearsed.verdict = Verdict::WouldSend {
                probe: None,
                unseen: None,
            };
            self.door(Role::Door, &ready.target, Some(&ready.request), &mut part);
            self.probe(act, &mut part, &context);
        }
        part.context = context;
        part
    }

    /// What only reads is asked. Of a program that is called nobody but its author knows that it does.
    fn check(&mut self, step: &Step, act: &Act, part: &mut Part<'_>, ready: Ready) {
        if act.word == ActWord::Call && ready.request.action == ActionKind::Command {
            part.rehearsed.verdict = Verdict::WouldSend {
                probe: None,
                unseen: None,
            };
            return self.door(Role::Door, &ready.target, None, part);
        }
        part.rehearsed.verdict = Verdict::NotLooked {
            reason: "nothing was asked".to_owned(),
        };
        let secrets = secrets(&ready.target);
        self.ask(
            Role::Check,
            secrets,
            Some((ready.target, ready.request)),
            step.timeout,
            part,
        );
    }

    /// A request that cannot be shown may still have a target that is not there.
    fn without_request<'a>(
        &mut self,
        act: &Act,
        part: Part<'a>,
        trouble: Trouble,
        context: &Value,
    ) -> Part<'a> {
        let rehearsed = part.rehearsed;
        let why = match trouble {
            Trouble::Wrong(fault, reason) => return Part::settled(rehearsed, broken(fault, reason)),
            Trouble::Unreadable(why) => why,
        };
        let mut unreadable = Part {
            act: part.act,
            ..Part::unreadable(rehearsed, "", why)
        };
        let name = act.request.target_source().and_then(|source| {
            let template = Template::parse(source).ok()?;
            self.known
                .read(&of_template(&template), || template.render(context))
                .ok()
        });
        if let (Some(name), Verdict::CannotKnow { .. }) = (name, &unreadable.rehearsed.verdict) {
            match self.targets.find(&name, act.request.action) {
                Ok(target) => {
                    unreadable.rehearsed.target = Some(name);
                    let target = target.clone();
                    self.door(Role::Door, &target, None, &mut unreadable);
                }
                Err(problem) => unreadable.rehearsed.verdict = broken(Fault::Target, problem),
            }
        }
        unreadable
    }

    /// What takes the effect back must be there as well: people are shown it at the gate.
    fn take_back(&mut self, act: &Act, part: &mut Part<'_>, context: &Value) -> Result<(), ()> {
        let Some(undo) = &act.undo else { return Ok(()) };
        let step = &part.rehearsed.step;
        let reads_itself = of_tree(&undo.request.with)
            .iter()
            .any(|chain| chain.root == "steps" && chain.below.first().is_some_and(|id| id == step.base()));
        if reads_itself {
            part.rehearsed.undo =
                Some("is only known after the step: it reads the step's own result".to_owned());
            return Ok(());
        }
        match self.aim(&undo.request, context) {
            Ok(ready) => {
                part.rehearsed.undo = Some(cut(&ready.text));
                if part.rehearsed.target.as_ref() != Some(&ready.target.name) {
                    self.door(Role::UndoDoor, &ready.target, Some(&ready.request), part);
                }
            }
            Err(Trouble::Unreadable(Unreadable::Later { reason, .. })) => {
                part.rehearsed.undo = Some(format!("cannot be shown yet: it {reason}"));
            }
            Err(Trouble::Unreadable(Unreadable::Wrong(problem))) => {
                part.rehearsed.verdict = broken(Fault::Template, format!("what takes it back: {problem}"));
                return Err(());
            }
            Err(Trouble::Wrong(fault, problem)) => {
                part.rehearsed.verdict = broken(fault, format!("what takes it back: {problem}"));
                return Err(());
            }
        }
        Ok(())
    }

    fn probe(&mut self, act: &Act, part: &mut Part<'_>, context: &Value) {
        let Some(probe) = &act.verify else { return };
        match self.aim(&probe.request, context) {
            Ok(ready) => {
                let secrets = secrets(&ready.target);
                let question = Some((ready.target, ready.request));
                self.ask(Role::Probe, secrets, question, QUESTION_TIMEOUT, part);
            }
            Err(Trouble::Unreadable(Unreadable::Later { reason, .. })) => {
                let probe = Some(format!("cannot be asked yet: it {reason}"));
                part.rehearsed.verdict = Verdict::WouldSend { probe, unseen: None };
            }
            Err(Trouble::Unreadable(Unreadable::Wrong(problem)) | Trouble::Wrong(_, problem)) => {
                let reason = format!("its verify probe cannot be asked: {problem}");
                part.rehearsed.verdict = broken(Fault::Probe, reason);
            }
        }
    }

    fn door(&mut self, role: Role, target: &Target, request: Option<&Rendered>, part: &mut Part<'_>) {
        let (secrets, question) = (secrets(target), knock(target, request));
        if question.is_some() || !secrets.is_empty() {
            self.ask(role, secrets, question, QUESTION_TIMEOUT, part);
        }
    }

    fn ask(
        &mut self,
        role: Role,
        secrets: Vec<SecretRef>,
        question: Option<(Target, Rendered)>,
        timeout: Span,
        part: &mut Part<'_>,
    ) {
        if !self.asks {
            return;
        }
        let same = |ask: &&Ask| ask.secrets == secrets && ask.question == question && ask.timeout == timeout;
        let id = match self.asked.iter().find(same) {
            Some(ask) => ask.id,
            None => {
                let id = self.asked.len();
                self.asked.push(Ask {
                    id,
                    secrets,
                    question,
                    timeout,
                });
                id
            }
        };
        part.questions.push((role, id));
    }

    fn aim(&self, request: &Request, context: &Value) -> Result<Ready, Trouble> {
        let render = || rendered(request, context).map_err(TemplateError);
        let request = self
            .known
            .read(&of_tree(&request.with), render)
            .map_err(Trouble::Unreadable)?;
        let target = self
            .targets
            .find(&request.target, request.action)
            .map_err(|problem| Trouble::Wrong(Fault::Target, problem))?;
        let text = actions::try_describe(target, &request)
            .map_err(|failure| Trouble::Wrong(Fault::Request, failure.message))?;
        Ok(Ready {
            target: target.clone(),
            request,
            text,
        })
    }
}

/// What keeps a step from working.
pub(super) fn broken(fault: Fault, reason: impl Into<String>) -> Verdict {
    Verdict::Broken {
        fault,
        reason: reason.into(),
    }
}

/// A step of which nothing is known yet.
pub(super) fn blank(id: StepId, step: &Step, title: String) -> Rehearsed {
    Rehearsed {
        step: id,
        title,
        word: step.word().to_owned(),
        finally: false,
        effect: step.effect(),
        gate: None,
        target: None,
        request: None,
        undo: None,
        condition: None,
        verdict: Verdict::WouldAsk,
        took_ms: None,
    }
}

/// The start of a long text, with a mark.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(REQUEST_CHARS_MAX) {
        Some((end, _)) => format!("{}… [cut]", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether an expectation can be judged, or why not yet.
pub(super) fn may_judge(known: &Known, expect: Option<&Expression>) -> Result<(), String> {
    let Some(expect) = expect else { return Ok(()) };
    let chains = of_expression(expect);
    match known.read(&chains, || Ok(())) {
        Err(Unreadable::Later { reason, .. }) => Err(reason),
        _ => Ok(()),
    }
}

fn secrets(target: &Target) -> Vec<SecretRef> {
    let certificates = target.certificates();
    target
        .secrets()
        .into_iter()
        .chain(certificates)
        .cloned()
        .collect()
}
