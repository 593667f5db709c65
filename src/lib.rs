//! Muster runs a team's incident runbooks: alerts come in, open incidents in Postgres, and are matched to versioned
//! runbooks, whose steps run idempotently, stop at gates where a person must decide, and leave a timeline that becomes
//! the postmortem.
//!
//! # The way of an alert
//!
//! ```text
//!  sender ──> web::hooks ──> receive::spool ──> pipeline::receive, one transaction for all that wait ──> 200, or 202
//!               token, cap     this machine's     correlate::desk ─> store::desk ─> matching ─> execute::start
//!               intake: read   disk, synced       judged in memory   written set    which        queue the run
//!                                                 in order           by set         runbook?
//!  worker ──> claim due runs ──> domain::plan says what may be done ──> one turn written ──> what it begins is sent ─┐
//!               lease, fence      pure: facts, what is out, time         outcomes + intents   ^                     │
//!                                                                        checked: fence, acts └──── what came back ─┘
//!  person ──> web ──> incident::respond, execute::people ──> one fact under the run's lock, acts + 1, worker woken
//!  match  ──> execute::preflight ──> execute::rehearse ──> what every step would do, for whoever wakes up
//!               any replica            asks, changes nothing
//! ```
//!
//! # The house
//!
//! Imports only go down, sibling stages never import each other; `tests/house.rs` holds both.
//!
//! ```text
//! roof      main → app, demo, cli                                            config, telemetry
//! web       hooks · incidents · runs · approvals · runbooks · live · api     pages and JSON from the same reads
//! corridor  receive (disk, then database) · pipeline (alerts in → runs queued) · drill (the same, rehearsed) · upkeep (timers) · outward (silences)
//! stages    intake → correlate → incident → matching → execute → timeline    beside them: catalog, chaos, fixtures, simulate, sources, audit, rights, identity
//! doors     store (Postgres, all SQL)             actions (the outside world, the only way out)
//!           twins (what stands in for the outside world in a drill)
//! ground    domain (nouns, states, pure rules)    clock (the only reader of time)    faults (crash points)
//! ```
//!
//! # What is promised, and what holds it
//!
//! - **P1** A 200 is committed in Postgres, a 202 is synced to this machine's disk and will be: [`receive`]; 5xx otherwise.
//!   How far a spool is applied moves in the transaction that applies it: [`store::spool_marks`].
//! - **P2** Any body may come any number of times: unique (source, fingerprint), one open episode an alert, one open
//!   incident a group, one automatic run a runbook and incident, each by a unique index.
//! - **P3** An attempt is committed as started before anything is sent: `execute::drive` sends what a turn begins only
//!   once [`store::turns`] says that it is written.
//! - **P4** An effect `once` is sent once without a person: a unique index on (run, step, permit) of attempts; a lost
//!   answer becomes *outcome unknown*, settled by its probe or by a person.
//! - **P5** A gate is bound to the hash of everything below it: [`domain::approval::Bound`], compared before each
//!   effect; and to those who gave it, who must still be allowed to: [`store::approvals::givers`]. Whoever takes that
//!   from them raises the count of acts of the runs it is about. It is given by recent evidence ([`domain::evidence`]),
//!   and for what nothing takes back by somebody who is there ([`domain::proof`]).
//! - **P6** One run holds a target lock; every write of a worker carries its claim's fence: [`store::queue`]. It carries
//!   the count of people's acts as well, so that no plan overtakes a person: an overtaken turn is refused whole, and
//!   only what had come back from outside is written again.
//! - **P7** The timeline is append-only, gap-free and hash-chained: [`store::events`].
//!   So is what people decide about anything else: [`store::audit`]; marks of where timelines stand show a removed end:
//!   [`audit`].
//! - **P8** A run is pinned to its version, and versions never change: a trigger refuses.
//! - **P9** Timers are rows: [`store::queue`] for runs, due columns for incidents, episodes, held alerts and heartbeats.
//! - **P10** A drill acts on its twins and on nothing else: [`simulate`] leads every request of it to a socket of its own, the
//!   way out it has is caged to those ([`actions::Cage`]), and an incident is a drill's by a trigger that nobody passes.
//!   A game day acts on the targets of a drill environment that its scenario names, and on nothing else; each is looked at
//!   again before each request. What is broken there is written down before, and taken back by whoever is left: [`chaos`].
//! - **P11** Outside text is data: templates render once, from values; pages escape; SQL binds; commands take lists.
//! - **P12** Secrets are references, read at the socket and redacted by value: [`actions`]; in what a program writes line
//!   by line, before a line is stored.
//! - **P13** Bounds are named constants beside what they bound, or settings in [`config`].
//! - **P14** Only addresses that a target names, or public ones, are connected to: `actions::address` judges each address on
//!   the way out. Programs get only arguments that their target foresees: [`domain::program`].

pub mod clock;
pub mod domain;
pub mod faults;

pub mod actions;
pub mod store;
pub mod twins;

pub mod catalog;
pub mod chaos;
pub mod fixtures;
pub mod identity;
pub mod rights;
pub mod sources;

pub mod audit;
pub mod correlate;
pub mod execute;
pub mod incident;
pub mod intake;
pub mod matching;
pub mod simulate;
pub mod timeline;

pub mod drill;
pub mod outward;
pub mod pipeline;
pub mod receive;
pub mod upkeep;

pub mod web;

pub mod config;
pub mod telemetry;

pub mod app;
pub mod cli;
pub mod demo;
