//! Carrying runbooks out: starting runs, driving them step by step, and taking people's decisions.
//!
//! The log of a run is its state. A worker claims a run, folds its facts once, and then goes round: take in what came
//! back, ask the planner what may be done, write a turn, send what the turn begins. When nothing can be done now it lets
//! the run go until a timer or a person makes it due. An effect goes out only after its attempt is committed as started,
//! so a crash leaves a run that says what may have happened.
//!
//! ```text
//!  worker   claims, leases, take-over              one a process
//!  drive    one run's turns, from memory           one task a claimed run: view (what is known), draft (what is written)
//!  attempt  what is on its way: sends, probes      one task each; writes nothing
//!  writer   turns of many runs, one commit         two lanes, each with a connection
//!  requests, locks, closing                        what takes a transaction of its own: gates, locks, the end
//!  people   what people do                         in the transactions of the pages
//!  standing pauses and circuits                    over all of it, shared by the replicas
//! ```
//!
//! A turn is refused when its claim has passed to another worker (fence), and when a person acted since it was planned
//! (acts). The first ends the worker's part; after the second it reads the run anew and plans anew, and only what had
//! come back from outside is written again. An error of a write leaves its outcome unknown: the worker reads what is
//! stored instead of writing blindly once more.

pub mod control;
pub mod engine;
pub mod people;
pub mod routing;
pub mod standing;
pub mod start;
pub mod worker;

pub mod preflight;
pub mod rehearse;

mod attempt;
mod closing;
mod draft;
mod drive;
mod gate;
mod keeper;
mod locks;
mod requests;
mod view;
mod writer;
