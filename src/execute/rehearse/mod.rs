//! Rehearsals: what every step of a runbook would do now. Everything is rendered with real inputs; checks, logs and
//! verify probes are really asked, read-only; for the rest it is found out whether it could be sent.
//!
//! `walk` knows what can be looked at when, `scene` takes a step apart, `part` renders one act, `known` says what its
//! expressions can read, `door` how to knock at a target, and `verdict` what the answers mean. All of these are pure. Here are only the
//! hands that carry questions out: a few at once, each with [`Envelope::read_only`] set, all within [`REHEARSAL_MAX`].

mod door;
mod known;
mod part;
mod scene;
pub mod touch;
mod verdict;
mod walk;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use self::{
    known::{Known, Unreadable, of_template},
    part::{Answer, Ask, Came},
    walk::{Stage, Walk},
};
use super::standing::Standing;
use crate::{
    actions::{Bounds, Grounds, NoDrills, Outside, Secret, World},
    clock::Clock,
    domain::{
        action::{Envelope, Outcome},
        context::Setting,
        id::{DrillId, IncidentId, RunId},
        rehearsal::Rehearsal,
        runbook::Runbook,
        span::Span,
        target::{Target, Targets},
    },
};

/// How long a whole rehearsal may take.
pub const REHEARSAL_MAX: Span = Span::from_secs(30);
/// Questions of one rehearsal that are out at once.
const QUESTIONS_AT_ONCE: usize = 8;

/// What rehearses: the world, the targets and what stands over them. Clones share them.
#[derive(Clone)]
pub struct Rehearser {
    /// The outside world.
    pub world: Arc<dyn World>,
    /// The targets as the file says now.
    pub targets: watch::Receiver<Arc<Targets>>,
    /// Circuits that hold.
    pub standing: Standing,
    /// The time.
    pub clock: Clock,
    /// How long a whole rehearsal may take.
    pub limit: Span,
    /// Where runs of drills act.
    pub grounds: Arc<dyn Grounds>,
}

/// What is rehearsed, and with what.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// The runbook.
    pub runbook: &'a Runbook,
    /// Inputs somebody has typed.
    pub given: &'a BTreeMap<String, String>,
    /// `labels` and `annotations` of the alert it is about.
    pub alert: &'a Value,
    /// The incident, if there is one.
    pub incident: Option<IncidentHead<'a>>,
    /// Whether anything may be asked; otherwise everything is only rendered.
    pub asks: bool,
}

/// What expressions read of an incident.
#[derive(Clone, Copy, Debug)]
pub struct IncidentHead<'a> {
    /// Its number.
    pub id: IncidentId,
    /// What people call it.
    pub title: &'a str,
    /// How bad it is, from 1.
    pub severity: i16,
}

impl Rehearser {
    /// One over the real world, without any targets yet.
    pub fn new(standing: Standing, clock: Clock) -> Self {
        Self {
            world: Arc::new(Outside::new(Bounds::default())),
            targets: watch::channel(Arc::default()).1,
            standing,
            clock,
            limit: REHEARSAL_MAX,
            grounds: Arc::new(NoDrills),
        }
    }

    /// The same over the ground of a drill, for what belongs to one; or why it has none.
    pub async fn within(&self, drill: Option<DrillId>) -> Result<Self, String> {
        let Some(drill) = drill else {
            return Ok(self.clone());
        };
        let ground = self.grounds.of(drill).await?;
        Ok(Self {
            world: ground.world,
            targets: watch::channel(ground.targets).1,
            ..self.clone()
        })
    }

    /// Goes through a runbook. Nothing outside changes.
    pub async fn rehearse(&self, script: &Script<'_>) -> Rehearsal {
        let (at, began) = (self.clock.now(), Instant::now());
        let targets = Arc::clone(&self.targets.borrow());
        let held = self.held(&targets);
        let (known, obstacles) = known(script);
        let stage = Stage {
            runbook: script.runbook,
            targets: &targets,
            held: &held,
            asks: script.asks,
            at,
        };
        let mut walk = Walk::new(stage, known);
        self.ask_all(&mut walk, began + self.limit.as_duration()).await;
        Rehearsal {
            steps: walk.finish(),
            obstacles,
            asked: script.asks,
            at,
            took_ms: millis(began),
        }
    }

    async fn ask_all(&self, walk: &mut Walk<'_>, deadline: Instant) {
        let key = format!("rehearsal-{}", Uuid::new_v4());
        let mut waiting = VecDeque::from(walk.advance());
        let mut out: JoinSet<Answer> = JoinSet::new();
        let mut asked: HashMap<Id, usize> = HashMap::new();
        loop {
            while out.len() < QUESTIONS_AT_ONCE
                && let Some(ask) = waiting.pop_front()
            {
                let id = ask.id;
                let task = out.spawn(carry(self.world.clone(), ask, key.clone()));
                asked.insert(task.id(), id);
            }
            let (task, answer) = match timeout_at(deadline, out.join_next_with_id()).await {
                Ok(None) => return,
                Ok(Some(Ok((task, answer)))) => (task, answer),
                Ok(Some(Err(error))) => {
                    let came = Came::Unasked(format!("the question broke off: {error}"));
                    (error.id(), Answer { came, took_ms: 0 })
                }
                Err(_) => {
                    return walk.give_up(&format!("there was no answer within {}", self.limit));
                }
            };
            if let Some(id) = asked.remove(&task) {
                walk.answer(id, answer);
            }
            waiting.extend(walk.advance());
        }
    }

    /// Why nothing may be sent to a target now, by target.
    fn held(&self, targets: &Targets) -> BTreeMap<String, String> {
        let now = self.clock.now();
        // A twin has a circuit of its own, under its own name.
        let held = |(name, target): (&String, &Target)| {
            Some((name.clone(), self.standing.held(&target.name, now)?.to_string()))
        };
        targets.0.iter().filter_map(held).collect()
    }
}

/// Carries one question out: first the credentials, all of them, so that all that are missing are named.
async fn carry(world: Arc<dyn World>, ask: Ask, key: String) -> Answer {
    let began = Instant::now();
    let mut missing = Vec::new();
    for secret in &ask.secrets {
        if let Err(failure) = Secret::resolve(secret).await {
            missing.push(failure.message);
        }
    }
    let came = match (missing.is_empty(), &ask.question) {
        (false, _) => Came::NoSecret(missing.join(", ")),
        (true, None) => Came::Said(Ok(Outcome {
            result: json!({"ok": true}),
            summary: String::new(),
        })),
        (true, Some((target, request))) => {
            let envelope = Envelope {
                not_after: None,
                key,
                fence: 0,
                timeout: ask.timeout,
                read_only: true,
            };
            Came::Said(world.perform(target, request, &envelope).await)
        }
    };
    Answer {
        came,
        took_ms: millis(began),
    }
}

fn millis(began: Instant) -> u64 {
    began.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// What can be read before the first step, and why a run could not begin.
fn known(script: &Script<'_>) -> (Known, Vec<String>) {
    let resolve = |given| script.runbook.resolve_inputs(given, script.alert);
    let mut obstacles = Vec::new();
    let (inputs, missing) = match resolve(script.given) {
        Ok(inputs) => (inputs, Vec::new()),
        Err(missing) => {
            obstacles.push(missing.to_string());
            // The others are known all the same.
            let filled = missing.0.iter().map(|name| (name.clone(), "-".to_owned()));
            let filled = script.given.clone().into_iter().chain(filled).collect();
            let mut inputs = resolve(&filled).unwrap_or_default();
            inputs.retain(|name, _| !missing.0.contains(name));
            (inputs, missing.0)
        }
    };
    let setting = Setting {
        inputs: &json!(inputs),
        alert: script.alert,
        run: RunId(0),
        incident: script.incident.map_or(IncidentId(0), |incident| incident.id),
        title: script.incident.map_or("", |incident| incident.title),
        severity: script.incident.map_or(0, |incident| incident.severity),
    };
    let known = Known::new(setting.context(), missing, script.incident.is_some());
    for lock in &script.runbook.locks {
        let named = known.read(&of_template(lock), || lock.render(&known.context));
        if let Err(Unreadable::Wrong(problem)) = named {
            obstacles.push(format!("the lock {} has no name: {problem}", lock.source()));
        }
    }
    (known, obstacles)
}
