//! One schedule: a few runs, a few workers, a few people, a world, and everything that goes wrong between them, all from
//! one seed. For a while anything may happen; then nothing breaks any more, people are kind, and every run must end.

use std::{collections::BTreeMap, rc::Rc};

use muster::domain::{
    digest::Digest, id::RunId, run::RunFact, runbook::StartMode, state::RunState, step::StepKind,
};

use crate::{
    agenda::{Agenda, Claim, Event, Ms, time},
    bound::Config,
    database::{Database, QueueRow, RunRow, Turned},
    dice::Dice,
    faults::Mood,
    people::PEOPLE,
    reach::{Reach, Seen},
    rules::Rules,
    runbooks::{Made, TARGETS},
    turn::Turn,
    worker::Worker,
    world::World,
};

/// More than any schedule needs; a run that is not over then is stuck.
const EVENTS_MAX: u64 = 20_000;
/// So long after the last fault every run is over. A clock that was set back keeps its timers waiting for longer.
const CALM_MAX: Ms = 1_800_000;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub promise: &'static str,
    pub what: String,
}

/// Everything there is.
pub struct Schedule {
    pub rules: Rules,
    pub dice: Dice,
    pub mood: Mood,
    /// True time.
    pub now: Ms,
    pub agenda: Agenda,
    pub shelf: Vec<Rc<Made>>,
    pub db: Database,
    /// Turns on their way to the database.
    pub turns: Vec<Option<Turn>>,
    pub world: World,
    /// How often each target was changed.
    pub config: Config,
    pub workers: Vec<Worker>,
    /// Claims that nobody seemed to work on at the last sweep.
    pub suspects: Vec<(usize, i64)>,
    pub is_sweeping: bool,
    /// Nothing breaks any more.
    pub is_calm: bool,
    /// Every claim ever made, and when; for the checker.
    pub claims: Vec<(Claim, Ms)>,
    /// When a clock first jumped or stood still; for the checker.
    pub first_lie: Option<Ms>,
    /// How far the database's clock was set back in all.
    pub set_back: Ms,
    /// Whether a failure had ended the run before the moves of the turn that is being written; for the checker.
    pub has_failed: bool,
    pub reached: Reach,
    pub broken: Option<Broken>,
    pub story: Option<Vec<String>>,
}

impl Schedule {
    /// The schedule of a seed, by these rules; with its story if it is to be read.
    pub fn new(seed: u64, rules: Rules, is_told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mood = Mood::random(&mut dice);
        let workers = (0..2 + dice.below(3))
            .map(|worker| {
                let drift = dice.one_of(&[0, 200, 20_000, 60_000]);
                let error = dice.one_of(&[0, 0, 0, 2000]);
                Worker::new(worker, dice.between(-drift, drift), dice.between(-error, error))
            })
            .collect();
        let mut schedule = Self {
            rules,
            dice,
            mood,
            now: 0,
            agenda: Agenda::default(),
            shelf: Vec::new(),
            db: Database::default(),
            turns: Vec::new(),
            world: World::default(),
            config: [0; TARGETS],
            workers,
            suspects: Vec::new(),
            is_sweeping: false,
            is_calm: false,
            claims: Vec::new(),
            first_lie: None,
            set_back: 0,
            has_failed: false,
            reached: Reach::default(),
            broken: None,
            story: is_told.then(Vec::new),
        };
        schedule.set_up();
        schedule
    }

    fn set_up(&mut self) {
        for _ in 0..self.dice.one_of(&[1, 1, 2, 3]) {
            let is_sound = self.dice.chance(85);
            let made = Made::random(&mut self.dice, is_sound);
            self.shelf.push(Rc::new(made));
            // Sometimes two runs of the same version.
            let version = self.dice.below(self.shelf.len());
            self.start_run(version);
        }
        for worker in 0..self.workers.len() {
            self.start(worker);
        }
        for person in 0..PEOPLE {
            let at = self.dice.delay(self.mood.people_rest);
            self.agenda.add(at, Event::Look { person });
        }
        let first = self.dice.delay(self.mood.fault_rest);
        self.agenda.add(first, Event::Fault);
        self.agenda.add(self.mood.rough_for, Event::Calm);
    }

    /// A run of a version; now and then it goes on where another one ended.
    fn start_run(&mut self, version: usize) {
        let run = self.db.runs.len();
        let made = self.shelf[version].clone();
        let continues = self.dice.chance(12).then_some(RunId(1000));
        let mut facts = vec![RunFact::RunStarted {
            runbook: String::new(),
            version: version as i32,
            digest: Digest::ZERO,
            mode: StartMode::Manual,
            inputs: BTreeMap::new(),
            continues,
        }];
        if let Some(from) = continues {
            self.reach(Seen::Continued);
            for step in &made.runbook.steps {
                let may_carry = !matches!(step.kind, StepKind::Gate(_)) && step.for_each.is_none();
                if may_carry && self.dice.chance(40) {
                    let step = step.id.clone();
                    facts.push(RunFact::StepCarried { step, from });
                }
            }
        }
        let mut state = RunState::default();
        let mut log = Vec::new();
        for fact in facts {
            state.apply(time(0), &fact).unwrap();
            self.reach_fact(&fact);
            log.push((time(0), fact));
        }
        if self.story.is_some() {
            let text = crate::trace::describe(&made);
            self.says(|| format!("run {run} of version {version}:\n{text}"));
        }
        self.db.runs.push(RunRow {
            version,
            log,
            state,
            queue: Some(QueueRow {
                stand: Turned::Ready,
                due: 0,
                owner: None,
                fence: 0,
                acts: 0,
            }),
            attempts: Vec::new(),
            findings: BTreeMap::new(),
            has_held: made.locks.is_empty(),
        });
    }

    /// Lets everything happen, until every run is over or a promise is broken.
    pub fn run(&mut self) {
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            self.reached.events += 1;
            self.happen(event);
            if self.broken.is_some() {
                return;
            }
            let is_over = self.db.runs.iter().all(|row| row.queue.is_none());
            let patience = self.mood.rough_for + CALM_MAX + self.set_back;
            if is_over || self.reached.events > EVENTS_MAX || self.now > patience {
                break;
            }
        }
        self.judge_all();
    }

    fn happen(&mut self, event: Event) {
        if let Some(process) = event.process() {
            let worker = &self.workers[process.worker];
            if !worker.is_alive || worker.process != process {
                return;
            }
            if worker.paused_until > self.now {
                let at = worker.paused_until;
                return self.agenda.add(at, event);
            }
        }
        self.renew();
        match event {
            Event::Poll(process) => self.poll(process),
            Event::Claimed(claim) => self.claimed(claim),
            Event::Nudge { claim, has_news } => self.nudged(claim, has_news),
            Event::Turn(at) => self.turn_arrives(at),
            Event::Load(claim) => self.load(claim),
            Event::Answered { claim, reply } => self.answered(claim, reply),
            Event::Arrive { sending } => self.arrive(sending),
            Event::Heard { claim, out, heard } => self.heard(claim, out, heard),
            Event::Sweep => self.sweep(),
            Event::Look { person } => self.look(person),
            Event::Act { person, deed } => self.act_of(person, deed),
            Event::Fault => self.fault(),
            Event::Restart(worker) => {
                if !self.workers[worker].is_alive {
                    self.reach(Seen::Restarted);
                    self.start(worker);
                }
            }
            Event::Reread { process, target } => {
                self.workers[process.worker].config[target] = self.config[target];
            }
            Event::Calm => self.calm(),
        }
    }
}
