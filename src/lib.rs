//! Muster.

pub mod clock;
pub mod domain;
pub mod faults;

pub mod actions;
pub mod store;

pub mod catalog;

pub mod correlate;
pub mod execute;
pub mod incident;
pub mod intake;
pub mod matching;
pub mod timeline;

pub mod pipeline;
pub mod upkeep;

pub mod web;

pub mod config;
pub mod telemetry;

pub mod app;
pub mod demo;
