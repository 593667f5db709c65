//! One schedule: a few runs, a few workers, a few people, a world, and everything that goes wrong between them, all from
//! one seed. For a while anything may happen; then nothing breaks any more, people are kind, and every run must end.

use std::{collections::BTreeMap, rc::Rc};

use muster::domain::{
    digest::Digest,
    id::{RunId, StepId},
    run::RunFact,
    runbook::StartMode,
    state::RunState,
    step::StepKind,
};

use crate::{
    agenda::{Agenda, Claim, Event, Ms, Process, time},
    bound::Config,
    database::{Database, QueueRow, RunRow, Turned},
    dice::Dice,
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

/// How rough a schedule is; every schedule is rough in its own way.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Of a hundred requests and probes, how many do not go well.
    pub losses: u32,
    /// Of a hundred messages between workers and database, how many are lost or late.
    pub cuts: u32,
    /// Of a hundred turns, after how many the worker gets no time for a while.
    pub stalls: u32,
    /// Of a hundred looks, how many make people do something that nobody asked for.
    pub meddling: u32,
    /// The longest a person does not look.
    pub people_rest: Ms,
    /// The longest time without a fault.
    fault_rest: Ms,
    /// How likely each fault is.
    faults: [u32; 9],
    /// How long anything may happen.
    rough_for: Ms,
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
    set_back: Ms,
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
            .map(|worker| Worker::new(worker, dice.between(-20_000, 20_000)))
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
            let text = describe(&made);
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
            Event::Answered { claim, reply } => self.answered(claim, *reply),
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

    /// Something breaks.
    fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        let worker = self.dice.below(self.workers.len());
        let length = self.dice.between(500, 30_000);
        let fault = self.dice.weighted(&self.mood.faults);
        match fault {
            0 => self.crash(worker, length),
            1 | 2 => {
                let with_clock = fault == 2;
                self.reach(if with_clock { Seen::Frozen } else { Seen::Paused });
                self.stand_still(worker, length, with_clock);
            }
            3 => {
                self.reach(Seen::CutOff);
                self.says(|| format!("worker {worker} is cut off from the database for {length} ms"));
                let until = self.now + length;
                self.workers[worker].cut_until = until;
                self.workers[worker].loses_renewals(until);
                self.sweep_soon();
            }
            4 => {
                self.reach(Seen::RenewalsLost);
                self.says(|| format!("worker {worker} cannot renew its lease for {length} ms"));
                let until = self.now + length;
                self.workers[worker].loses_renewals(until);
                self.sweep_soon();
            }
            5 | 6 => self.jump(fault == 5),
            7 => {
                self.reach(Seen::DuplicateWake);
                self.ring(0);
                for run in 0..self.db.runs.len() {
                    self.tell_worker(run);
                }
            }
            _ => self.change_target(),
        }
        let after = self.dice.between(1, self.mood.fault_rest);
        self.agenda.add(self.now + after, Event::Fault);
    }

    /// A worker is not given any time; `with_clock` when even its clock stands still.
    pub fn stand_still(&mut self, worker: usize, length: Ms, with_clock: bool) {
        self.says(|| format!("worker {worker} stands still for {length} ms, with its clock: {with_clock}"));
        if with_clock {
            self.lie();
        }
        self.workers[worker].stands(self.now, length, with_clock);
        self.sweep_soon();
    }

    fn crash(&mut self, worker: usize, length: Ms) {
        if !self.workers[worker].is_alive {
            return;
        }
        self.reach(Seen::Crashed);
        self.says(|| format!("worker {worker} dies"));
        let dead = &mut self.workers[worker];
        dead.is_alive = false;
        dead.drives.clear();
        dead.paused_until = 0;
        // What it had sent to the database is done or not, whatever becomes of its sender.
        for at in 0..self.turns.len() {
            let is_its = |turn: &Turn| turn.claim.process.worker == worker;
            if self.turns[at].as_ref().is_some_and(is_its) {
                match self.dice.chance(50) {
                    true => self.turns[at] = None,
                    false => self.turns[at].as_mut().unwrap().is_given_up = true,
                }
            }
        }
        self.agenda.add(self.now + length, Event::Restart(worker));
        self.sweep_soon();
    }

    /// The database's clock jumps.
    fn jump(&mut self, forward: bool) {
        let length = match (forward, self.dice.chance(60)) {
            (_, true) => self.dice.between(1000, 15_000),
            (true, false) => self.dice.between(15_000, 600_000),
            // Timers wait for the clock to come back, however far it went.
            (false, false) => self.dice.between(15_000, 100_000),
        };
        self.reach(if forward { Seen::ClockForward } else { Seen::ClockBack });
        self.says(|| format!("the database's clock jumps by {length} ms, forward: {forward}"));
        self.lie();
        self.db.offset += if forward { length } else { -length };
        self.set_back += if forward { 0 } else { length };
        self.ring_all();
        for run in 0..self.db.runs.len() {
            self.tell_worker(run);
        }
        self.sweep_soon();
    }

    fn lie(&mut self) {
        self.first_lie.get_or_insert(self.now);
    }

    /// Somebody edits a target; the workers read it anew, each when it gets to it.
    fn change_target(&mut self) {
        let target = self.dice.below(TARGETS);
        self.reach(Seen::TargetChanged);
        self.says(|| format!("target {target} is changed"));
        self.config[target] += 1;
        for worker in 0..self.workers.len() {
            let process = self.workers[worker].process;
            let after = self.dice.delay(10_000);
            self.agenda.add(self.now + after, Event::Reread { process, target });
        }
    }

    /// From now on nothing breaks.
    fn calm(&mut self) {
        self.says(|| "from now on nothing breaks".to_owned());
        self.is_calm = true;
        self.mood.losses = 0;
        self.mood.cuts = 0;
        self.mood.stalls = 0;
        for worker in 0..self.workers.len() {
            self.workers[worker].cut_until = 0;
            if !self.workers[worker].is_alive {
                self.start(worker);
            }
        }
        self.ring_all();
        for person in 0..PEOPLE {
            self.agenda.add(self.now + 1, Event::Look { person });
        }
        self.sweep_soon();
    }
}

impl Mood {
    fn random(dice: &mut Dice) -> Self {
        let mut faults = [0; 9];
        for fault in &mut faults {
            *fault = dice.one_of(&[0, 0, 1, 4]);
        }
        faults[7] += 1;
        Self {
            losses: dice.one_of(&[0, 10, 30, 60]),
            cuts: dice.one_of(&[0, 0, 3, 15]),
            stalls: dice.one_of(&[0, 0, 0, 4]),
            meddling: dice.one_of(&[0, 10, 40, 90]),
            people_rest: dice.one_of(&[8000, 25_000, 60_000]),
            fault_rest: dice.one_of(&[6000, 20_000, 100_000]),
            faults,
            rough_for: dice.one_of(&[30_000, 90_000, 240_000]),
        }
    }
}

impl Event {
    /// The process that it happens to, if it happens to one.
    fn process(&self) -> Option<Process> {
        match self {
            Self::Poll(process) | Self::Reread { process, .. } => Some(*process),
            Self::Claimed(claim)
            | Self::Nudge { claim, .. }
            | Self::Answered { claim, .. }
            | Self::Heard { claim, .. } => Some(claim.process),
            _ => None,
        }
    }
}

/// A runbook in a few lines.
fn describe(made: &Made) -> String {
    let mut text = format!("        locks {:?}, sound {}", made.locks, made.is_sound);
    for step in made.runbook.all_steps() {
        let kind = match &step.kind {
            StepKind::Act(act) => {
                let undo = act.undo.as_ref().map(|undo| undo.effect);
                format!("act {:?} verify {} undo {undo:?}", act.effect, act.verify.is_some())
            }
            StepKind::Gate(rule) => format!(
                "gate of {} use within {} on expiry {:?}",
                rule.approvals,
                rule.use_within,
                rule.on_expiry.as_ref().map(|to| &to.0)
            ),
            StepKind::Manual { within, .. } => format!("manual within {:?}", within.map(|within| within.to_string())),
            StepKind::Wait { length } => format!("wait {length}"),
        };
        let nature = made.nature(&step.id);
        let needs = step.needs.as_ref().map(|needs| needs.iter().map(|id: &StepId| id.0.as_str()).collect::<Vec<_>>());
        text += &format!(
            "\n        {}: {kind}; needs {needs:?} each {:?} tries {} on failure {:?} timeout {}{}{}",
            step.id,
            step.for_each.as_ref().map(|each| each.at_once),
            step.retry.attempts,
            step.on_failure,
            step.timeout,
            if nature.applies { "" } else { " does not apply" },
            if nature.renders { "" } else { " does not render" },
        );
    }
    text
}
