//! One step of a runbook: what it does, how often it may be tried, and what happens when it fails.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    id::StepId,
    span::Span,
    template::{Expression, Template},
};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name inside the runbook.
    pub id: StepId,
    /// What a person reads.
    pub title: Option<Template>,
    /// Background for the person at the page.
    pub doc: Option<String>,
    /// Which part of the recovery it belongs to.
    pub phase: Option<Phase>,
    /// Skipped unless this holds.
    pub when: Option<Expression>,
    /// The steps it waits for. `None`: every step above it, so steps without it run in order and join what ran side by
    /// side. An effect below a gate waits for that gate whatever stands here.
    #[serde(default)]
    pub needs: Option<Vec<StepId>>,
    /// Done once for every item of a list.
    #[serde(default)]
    pub for_each: Option<ForEach>,
    /// How long one attempt may take.
    pub timeout: Span,
    /// How often and how far apart attempts are made.
    pub retry: Retry,
    /// What follows a failure that is final.
    pub on_failure: OnFailure,
    /// What it does.
    pub kind: StepKind,
}

/// The parts of a recovery, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Find out what is true.
    Detect,
    /// Keep the failed part from doing harm.
    Isolate,
    /// Bring the service back.
    Restore,
    /// Prove that it is back.
    Verify,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// `check`, `call` or `logs`: one action on a target.
    Act(Act),
    /// `gate`: people decide.
    Gate(GateRule),
    /// `manual`: a person does something and says so.
    Manual {
        /// What to do.
        instruction: Template,
        /// The step has failed when nobody did it in this time.
        #[serde(default)]
        within: Option<Span>,
    },
    /// `wait`: a timer.
    Wait {
        /// How long.
        length: Span,
    },
}

/// One action on a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Which word the author used; a check may find its target down and still succeed.
    pub word: ActWord,
    /// The action and its inputs.
    pub request: Request,
    /// When the answer counts as success; `result.ok` when absent.
    pub expect: Option<Expression>,
    /// Ask again until `expect` holds.
    pub until: Option<Until>,
    /// Whether it may be repeated.
    pub effect: Effect,
    /// The read-only probe that tells whether the effect is there.
    pub verify: Option<Probe>,
    /// What takes the effect back: an act of its own, under the same gate rule.
    #[serde(default)]
    pub undo: Option<Box<Act>>,
    /// Whether nothing can take it back, so that its gate asks for more than a word. Left out where it is not so: the
    /// digests of versions from before still hold.
    #[serde(default, skip_serializing_if = "is_not")]
    pub irreversible: bool,
}

fn is_not(flag: &bool) -> bool {
    !flag
}

/// The author's word for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActWord {
    /// Reads and judges.
    Check,
    /// Changes something.
    Call,
    /// Reads log lines.
    Logs,
}

/// The name of an action kind and its inputs, with templates in any text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The action kind.
    pub action: ActionKind,
    /// Its inputs as written; `target` names the target.
    pub with: Value,
}

/// Every kind of action Muster can carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// One HTTP request.
    Http,
    /// One TCP connection.
    Tcp,
    /// One SQL statement.
    Postgres,
    /// One Prometheus instant query.
    Prometheus,
    /// Alertmanager's silences, and which alerts it lists.
    Alertmanager,
    /// HAProxy's runtime interface.
    Haproxy,
    /// Log lines from Loki.
    Loki,
    /// Log lines from Elasticsearch.
    Elasticsearch,
    /// The last lines of a local file.
    File,
    /// An allowed program with a list of arguments.
    Command,
}

impl ActionKind {
    /// All of them, in the order they are listed to people.
    pub const ALL: [Self; 10] = [
        Self::Http,
        Self::Tcp,
        Self::Postgres,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Haproxy,
        Self::Loki,
        Self::Elasticsearch,
        Self::File,
        Self::Command,
    ];

    /// Its name in runbooks and targets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Postgres => "postgres",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Haproxy => "haproxy",
            Self::Loki => "loki",
            Self::Elasticsearch => "elasticsearch",
            Self::File => "file",
            Self::Command => "command",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The inputs it knows besides `target`, each with whether it is required: the one table that the catalogue
    /// checks runbooks against and the actions read by.
    pub fn inputs(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Http => &[
                ("method", false),
                ("path", false),
                ("query", false),
                ("headers", false),
                ("body", false),
            ],
            Self::Tcp => &[],
            Self::Postgres => &[("query", true), ("params", false)],
            Self::Prometheus => &[("query", true)],
            Self::Alertmanager => &[
                ("silence", false),
                ("expire", false),
                ("matchers", false),
                ("receiver", false),
                ("fingerprints", false),
            ],
            Self::Haproxy => &[
                ("backend", true),
                ("enable", false),
                ("disable", false),
                ("drain", false),
            ],
            Self::Loki => &[("query", true), ("since", false), ("limit", false)],
            Self::Elasticsearch => &[
                ("index", true),
                ("query", true),
                ("since", false),
                ("limit", false),
            ],
            Self::File => &[("contains", false), ("limit", false)],
            Self::Command => &[
                ("program", true),
                ("args", false),
                ("params", false),
                ("stdin", false),
            ],
        }
    }

    /// The words an author may use it under.
    pub fn words(self) -> &'static [ActWord] {
        match self {
            Self::Http | Self::Postgres | Self::Alertmanager | Self::Haproxy | Self::Command => {
                &[ActWord::Check, ActWord::Call]
            }
            Self::Tcp | Self::Prometheus => &[ActWord::Check],
            Self::Loki | Self::Elasticsearch | Self::File => &[ActWord::Logs],
        }
    }

    /// The effect class of a `call` that names none: the strictest that fits the kind.
    pub fn default_effect(self, word: ActWord) -> Effect {
        match (word, self) {
            (ActWord::Check | ActWord::Logs, _) => Effect::Safe,
            (ActWord::Call, Self::Alertmanager | Self::Haproxy) => Effect::Idempotent,
            (ActWord::Call, _) => Effect::Once,
        }
    }
}

/// Whether an effect may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Reading: repeat at will.
    Safe,
    /// Repeat with the same key.
    Idempotent,
    /// Never repeated without a person.
    Once,
}

impl Effect {
    /// Its name in files and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Idempotent => "idempotent",
            Self::Once => "once",
        }
    }
}

/// A read-only probe that tells whether an effect is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The reading action.
    pub request: Request,
    /// When the answer means "it is done"; `result.ok` when absent.
    pub expect: Option<Expression>,
    /// How long to keep asking after the effect was sent.
    pub until: Until,
}

/// Ask every so often, for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// The pause between two questions.
    pub every: Span,
    /// When to give up.
    pub within: Span,
}

/// How often and how far apart attempts are made: exponential with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all; 1 means no repetition.
    pub attempts: u32,
    /// The longest first pause.
    pub initial: Span,
    /// The longest pause of all.
    pub max: Span,
}

impl Retry {
    /// One attempt only.
    pub const NEVER: Self = Self {
        attempts: 1,
        initial: Span::from_secs(1),
        max: Span::from_secs(30),
    };
}

/// A list a step is carried out over, one item after the other or a few at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    /// Gives the list; its items are read as `item`, their numbers from 0 as `index`.
    pub items: Expression,
    /// More items than this are a fault of the step, and nothing is sent.
    pub max: u32,
    /// Items worked on at once.
    pub at_once: u32,
}

/// Items of a `for_each` when the author names no bound.
pub const ITEMS_MAX_DEFAULT: u32 = 100;
/// The highest bound an author may name.
pub const ITEMS_MAX: u32 = 1000;
/// Bytes of all items together, as JSON.
pub const ITEMS_BYTES_MAX: usize = 64 * 1024;

/// What follows a failure that is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The run ends as failed.
    Stop,
    /// The next step runs.
    Continue,
    /// What was done is taken back in reverse order, then the run ends as failed.
    Undo,
    /// The run goes on at a later step; those between are passed over.
    GoTo(StepId),
}

/// What a gate asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateRule {
    /// How many different people must approve.
    pub approvals: u32,
    /// Roles that may decide; an admin always may.
    pub roles: Vec<super::operator::Role>,
    /// When teams are named, only who is in one of them may decide, or is named; whatever role lets them decide at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// When people are named, only they may decide, or who is in a named team; whatever role lets them decide at all.
    #[serde(default)]
    pub people: Vec<String>,
    /// Whether the person who started the run may approve.
    pub requester_may_approve: bool,
    /// How long a decision may take.
    pub decide_within: Span,
    /// How long an approval stays good before its first step starts.
    pub use_within: Span,
    /// How old the evidence may be that people approve by. Left out where it is as usual, for the digests of versions
    /// from before.
    #[serde(default = "usual_age", skip_serializing_if = "is_usual_age")]
    pub evidence_within: Span,
    /// What the people affected will notice.
    pub impact: Option<Template>,
    /// Where the run goes on when nobody decided in time; `None`: it ends.
    #[serde(default)]
    pub on_expiry: Option<StepId>,
    /// Whether a responder may open it alone with a typed reason, which wakes a review.
    #[serde(default = "yes")]
    pub break_glass: bool,
}

fn yes() -> bool {
    true
}

/// How old evidence may be unless a gate says otherwise: long enough to read it and talk to somebody, short enough that
/// a replica has not fallen behind unseen.
pub const EVIDENCE_WITHIN: Span = Span::from_secs(5 * 60);

fn usual_age() -> Span {
    EVIDENCE_WITHIN
}

fn is_usual_age(age: &Span) -> bool {
    *age == EVIDENCE_WITHIN
}

impl Step {
    /// What a person reads above it.
    pub fn title_in(&self, context: &Value) -> String {
        self.title
            .as_ref()
            .and_then(|title| title.render(context).ok())
            .unwrap_or_else(|| self.id.0.replace('-', " "))
    }

    /// The author's word for what it does.
    pub fn word(&self) -> &'static str {
        match &self.kind {
            StepKind::Act(act) => match act.word {
                ActWord::Check => "check",
                ActWord::Call => "call",
                ActWord::Logs => "logs",
            },
            StepKind::Gate(_) => "gate",
            StepKind::Manual { .. } => "manual",
            StepKind::Wait { .. } => "wait",
        }
    }

    /// How its effect may be repeated; a step without an action has none.
    pub fn effect(&self) -> Effect {
        match &self.kind {
            StepKind::Act(act) => act.effect,
            _ => Effect::Safe,
        }
    }
}

impl Request {
    /// The target it names, as written.
    pub fn target_source(&self) -> Option<&str> {
        self.with.get("target").and_then(Value::as_str)
    }
}
