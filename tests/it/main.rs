//! Tests that need the whole of something: a database server, a network connection, a second process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by failing"
)]

mod fleet;
mod support;

mod audit;
mod bad_input;
mod bars;
mod batches;
mod boot_pages;
mod boots;
mod campaign;
mod canaries;
mod captures;
mod client_names;
mod commands;
mod controls;
mod correlation;
mod crash;
mod dead_primary;
mod demo;
mod drill_lint;
mod drills;
mod embedded;
mod faults;
mod fleet_works;
mod folds;
mod formats;
mod gates;
mod hygiene;
mod incident_list;
mod incident_page;
mod leases;
mod mailroom;
mod merges;
mod oidc;
mod outages;
mod outgoing;
mod outputs;
mod overdue;
mod pages;
mod people;
mod plans;
mod publishing;
mod reasons;
mod recordings;
mod reference;
mod rights;
mod rooms;
mod routing;
mod runbook_browser;
mod runbook_pages;
mod runbook_tests;
mod saved_fixture;
mod scratch;
mod senders;
mod server;
mod sign_in;
mod silences;
mod sources;
mod spool;
mod standing;
mod steps;
mod store;
mod tls;
