//! Carrying runbooks out: starting runs, driving them step by step, and taking people's decisions.
//!
//! The log of a run is its state. A worker claims a run, folds its facts, asks the planner what is next, does that, and
//! writes what happened; when nothing can be done now it lets the run go until a timer or a person makes it due. Every
//! write first passes the fence of its claim. An effect goes out only after its attempt is committed as started, so a
//! crash leaves a run that says what may have happened.

pub mod control;
pub mod engine;
pub mod people;
pub mod standing;
pub mod start;
pub mod worker;

pub mod aim;

pub mod preflight;
pub mod rehearse;

mod attempt;
mod closing;
mod draft;
mod drive;
mod gate;
mod locks;
mod requests;
mod view;
mod writer;
