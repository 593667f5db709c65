//! The ground floor: nouns, states and pure rules. No input or output, no clock, no chance: whatever a rule
//! needs to know (the time, a random number, a row) is handed in, so every rule can be tested by a table.

pub mod digest;
pub mod id;
pub mod span;

pub mod labels;
pub mod matcher;
pub mod silence;

pub mod alert;
pub mod duty;
pub mod incident;
pub mod note;
pub mod search;
pub mod visit;

pub mod names;
pub mod nearest;
pub mod template;

pub mod change;
pub mod difference;
pub mod fault;
pub mod network;
pub mod program;
pub mod runbook;
pub mod step;
pub mod target;

pub mod action;
pub mod aim;
pub mod backoff;

pub mod breaker;
pub mod causes;
pub mod freeze;
pub mod pause;

pub mod flap;
pub mod routing;
pub mod window;

pub mod access;
pub mod operator;
pub mod permission;
pub mod preferences;
pub mod setting;
pub mod sign_in;
pub mod token;

pub mod act;
pub mod audit;
pub mod fields;

pub mod source;

pub mod approval;
pub mod explain;
pub mod proof;
pub mod proposal;

pub mod event;
pub mod sentence;
pub mod taking_back;
pub mod titles;

pub mod boot;
pub mod overdue;

pub mod run;
pub mod state;
pub mod timing;
pub mod track;

pub mod attempt;
pub mod context;
pub mod evidence;
pub mod gate;
pub mod judge;
pub mod output;
pub mod plan;

pub mod consequence;

pub mod coverage;
pub mod fixture;
pub mod rehearsal;

pub mod action_item;
pub mod drill;
pub mod night;
pub mod scenario;
pub mod score;
pub mod simulation;
