//! Random runbooks: steps of every kind in every combination the language has, and some that nobody should write.

use std::sync::LazyLock;

use muster::domain::{
    id::StepId,
    runbook::{Runbook, StartMode},
    span::Span,
    step::{
        Act, ActWord, ActionKind, EVIDENCE_WITHIN, Effect, ForEach, GateRule, OnFailure, Probe, Request,
        Retry, Step, StepKind, Until,
    },
    template::{Expression, Template},
};
use serde_json::Value;

use crate::dice::Dice;

/// Things that steps act on.
pub const TARGETS: usize = 3;
/// Names that runs may lock.
pub const LOCKS: usize = 3;

/// More items than this are too many; enough to come up against the bound of actions at once.
const ITEMS: u32 = 11;

static TEXT: LazyLock<Template> = LazyLock::new(|| Template::parse("Look at it").unwrap());
static LIST: LazyLock<Expression> = LazyLock::new(|| Expression::parse("inputs.list").unwrap());

/// A runbook and what the world makes of its words.
pub struct Made {
    pub runbook: Runbook,
    /// Of every step, in the order of the file.
    pub natures: Vec<Nature>,
    /// The locks its runs hold, sorted.
    pub locks: Vec<usize>,
    /// Whether the catalogue would take it.
    pub is_sound: bool,
}

/// What rendering the templates of a step gives.
#[derive(Clone, Copy)]
pub struct Nature {
    /// Whether its condition holds.
    pub applies: bool,
    /// Whether it can be rendered.
    pub renders: bool,
    /// The target it names.
    pub target: usize,
    /// What its `for_each` gives.
    pub list: Listing,
}

/// What a `for_each` gives.
#[derive(Clone, Copy)]
pub enum Listing {
    Items(usize),
    NotAList,
}

impl Made {
    pub fn nature(&self, id: &StepId) -> Nature {
        let at = self.runbook.all_steps().position(|step| step.id.0 == id.base());
        self.natures[at.unwrap()]
    }

    /// A random one. `spread` in 0..=2 is how much of it may run side by side.
    pub fn random(dice: &mut Dice, is_sound: bool) -> Self {
        let count = 1 + dice.below(6);
        let closing = [0, 0, 1, 1, 2][dice.below(5)];
        let spread = dice.one_of(&[0, 30, 70]);
        let mut maker = Maker {
            dice,
            count,
            is_sound,
            spread,
        };
        let steps: Vec<Step> = (0..count).map(|at| maker.step(at)).collect();
        let finally: Vec<Step> = (0..closing).map(|at| maker.closing(at)).collect();
        let natures = (0..count + closing).map(|_| maker.nature()).collect();
        let locks = (0..LOCKS).filter(|_| maker.dice.chance(25)).collect();
        Self {
            runbook: Runbook {
                slug: String::new(),
                title: String::new(),
                summary: String::new(),
                owner: None,
                services: Vec::new(),
                triggers: Vec::new(),
                start: StartMode::Manual,
                budget: None,
                access: Default::default(),
                review: 0,
                inputs: Default::default(),
                locks: Vec::new(),
                steps,
                finally,
            },
            natures,
            locks,
            is_sound,
        }
    }
}

struct Maker<'a> {
    dice: &'a mut Dice,
    count: usize,
    is_sound: bool,
    spread: u32,
}

fn name(at: usize) -> StepId {
    StepId(format!("s{at}"))
}

fn request() -> Request {
    Request {
        action: ActionKind::Http,
        with: Value::Null,
    }
}

impl Maker<'_> {
    fn step(&mut self, at: usize) -> Step {
        let kind = match self.dice.weighted(&[62, 20, 9, 9]) {
            0 => StepKind::Act(self.act(true)),
            1 => StepKind::Gate(self.gate(at)),
            2 => self.manual(),
            _ => self.wait(),
        };
        let may_list = matches!(kind, StepKind::Act(_)) || !self.is_sound;
        Step {
            needs: self.needs(at),
            for_each: (may_list && self.dice.chance(14)).then(|| self.for_each()),
            on_failure: self.on_failure(at),
            ..self.plain(name(at), kind)
        }
    }

    fn closing(&mut self, at: usize) -> Step {
        let kind = match self
            .dice
            .weighted(&[80, 6, 6, if self.is_sound { 0 } else { 12 }])
        {
            0 => StepKind::Act(self.act(true)),
            1 => self.manual(),
            2 => self.wait(),
            _ => StepKind::Gate(self.gate(0)),
        };
        let may_list = matches!(kind, StepKind::Act(_));
        let on_failure = match self.dice.chance(50) {
            true => OnFailure::Continue,
            false => OnFailure::Stop,
        };
        Step {
            for_each: (may_list && self.dice.chance(12)).then(|| self.for_each()),
            on_failure,
            ..self.plain(StepId(format!("f{at}")), kind)
        }
    }

    fn plain(&mut self, id: StepId, kind: StepKind) -> Step {
        Step {
            id,
            title: None,
            doc: None,
            phase: None,
            when: None,
            needs: None,
            for_each: None,
            timeout: Span::from_secs(self.dice.one_of(&[2, 8, 25])),
            retry: Retry {
                attempts: self.dice.one_of(&[1, 1, 2, 3]),
                initial: Span::from_secs(1),
                max: Span::from_secs(20),
            },
            on_failure: OnFailure::Stop,
            kind,
        }
    }

    fn needs(&mut self, at: usize) -> Option<Vec<StepId>> {
        if !self.dice.chance(self.spread) {
            return None;
        }
        let mut needs: Vec<StepId> = (0..at).filter(|_| self.dice.chance(40)).map(name).collect();
        if !self.is_sound && self.dice.chance(30) {
            // Itself, a later one, or one that does not exist.
            needs.push(name(at + self.dice.below(self.count + 1)));
        }
        Some(needs)
    }

    fn later(&mut self, at: usize) -> StepId {
        match (self.is_sound, at + 1 < self.count) {
            (true, true) => name(at + 1 + self.dice.below(self.count - at - 1)),
            // Backwards, to itself, or to nowhere; a sound runbook names nothing behind its last step.
            _ => name(self.dice.below(self.count + 1)),
        }
    }

    fn on_failure(&mut self, at: usize) -> OnFailure {
        match self.dice.weighted(&[45, 20, 20, 15]) {
            0 => OnFailure::Stop,
            1 => OnFailure::Continue,
            2 => OnFailure::Undo,
            _ if self.is_sound && at + 1 == self.count => OnFailure::Stop,
            _ => OnFailure::GoTo(self.later(at)),
        }
    }

    fn act(&mut self, may_undo: bool) -> Act {
        let effect = self.dice.one_of(&[
            Effect::Safe,
            Effect::Idempotent,
            Effect::Idempotent,
            Effect::Once,
            Effect::Once,
        ]);
        let changes = effect != Effect::Safe;
        let undo = may_undo && changes && self.dice.chance(60);
        Act {
            word: if changes { ActWord::Call } else { ActWord::Check },
            request: request(),
            expect: None,
            until: None,
            effect,
            verify: (changes && self.dice.chance(45)).then(|| Probe {
                request: request(),
                expect: None,
                until: Until {
                    every: Span::from_secs(1),
                    within: Span::from_secs(3),
                },
            }),
            undo: undo.then(|| {
                let mut undo = self.act(false);
                if undo.effect == Effect::Safe {
                    undo.effect = Effect::Idempotent;
                    undo.word = ActWord::Call;
                }
                Box::new(undo)
            }),
            irreversible: false,
        }
    }

    fn gate(&mut self, at: usize) -> GateRule {
        let may_go_on = !self.is_sound || at + 1 < self.count;
        GateRule {
            approvals: self.dice.one_of(&[1, 1, 2]),
            roles: Vec::new(),
            teams: Vec::new(),
            people: Vec::new(),
            requester_may_approve: true,
            decide_within: Span::from_secs(self.dice.one_of(&[20, 60, 200])),
            use_within: Span::from_secs(self.dice.one_of(&[5, 30, 100])),
            evidence_within: EVIDENCE_WITHIN,
            impact: None,
            on_expiry: (may_go_on && self.dice.chance(40)).then(|| self.later(at)),
            break_glass: self.dice.chance(70),
        }
    }

    fn manual(&mut self) -> StepKind {
        let within = Span::from_secs(self.dice.one_of(&[20, 100]));
        StepKind::Manual {
            instruction: TEXT.clone(),
            within: self.dice.chance(50).then_some(within),
        }
    }

    fn wait(&mut self) -> StepKind {
        StepKind::Wait {
            length: Span::from_secs(self.dice.one_of(&[1, 10, 40])),
        }
    }

    fn for_each(&mut self) -> ForEach {
        ForEach {
            items: LIST.clone(),
            max: ITEMS,
            at_once: self.dice.one_of(&[1, 2, 10]),
        }
    }

    fn nature(&mut self) -> Nature {
        Nature {
            applies: !self.dice.chance(6),
            renders: !self.dice.chance(4),
            target: self.dice.below(TARGETS),
            list: match self.dice.weighted(&[88, 3, 5, 4]) {
                0 => Listing::Items(self.dice.below(5)),
                1 => Listing::Items(ITEMS as usize),
                2 => Listing::Items(ITEMS as usize + 1),
                _ => Listing::NotAList,
            },
        }
    }
}
