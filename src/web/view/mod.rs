//! What the pages show: one struct a page or part, holding values ready to be shown, each with its template under
//! `templates/`. Built from domain types without asking anything.

pub mod fold;
pub mod format;
pub mod parts;
pub mod text;

pub mod banner;
pub mod layout;
pub mod markdown;
pub mod me;
pub mod merge;

pub mod error;
pub mod sign_in;
pub mod silences;

pub mod bulk;
pub mod incidents;
pub mod new_incident;
pub mod search;

pub mod action_item;
pub mod actions;
pub mod alert_rate;
pub mod alerts;
pub mod chart;
pub mod correction;
pub mod coverage;
pub mod decisions;
pub mod event_row;
pub mod head;
pub mod incident;
pub mod lens;
pub mod postmortem;
pub mod services;
pub mod team;
pub mod timeline;
pub mod tokens;
pub mod trial;

pub mod ansi;
pub mod ask;
pub mod attempt;
pub mod audit;
pub mod controls;
pub mod groups;
pub mod items;
pub mod log;
pub mod output;
pub mod reach;
pub mod reasons;
pub mod record;
pub mod resume;
pub mod rules;
pub mod run;
pub mod runs;
pub mod stand;
pub mod start;
pub mod step;
pub mod step_page;

pub mod approval;
pub mod decision;
pub mod gate;
pub mod glass;
pub mod inbox;
pub mod link;
pub mod precedent;
pub mod review;

pub mod people;
pub mod plan;
pub mod proposal;

pub mod drill;

pub mod checked;
pub mod diff;
pub mod dots;
pub mod library;
pub mod numbers;
pub mod publishing;
pub mod runbook;
pub mod steps;
pub mod track;
pub mod versions;

pub mod access;
pub mod help;
pub mod set_up;
pub mod setting;
pub mod tail;
pub mod target;
pub mod targets;

pub mod boot;
pub mod boots;
pub mod check;
pub mod circuit;
pub mod delivery;
pub mod hold;
pub mod routing;
pub mod rule_form;
pub mod sender;
pub mod source;
pub mod source_settings;
pub mod spark;
pub mod standing;
pub mod system;
