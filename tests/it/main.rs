//! Tests that need the whole of something: a database server, a network connection, a second process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by failing"
)]

mod fleet;
mod support;

mod bad_input;
mod batches;
mod boot_pages;
mod boots;
mod campaign;
mod captures;
mod client_names;
mod controls;
mod correlation;
mod crash;
mod dead_primary;
mod demo;
mod embedded;
mod faults;
mod fleet_works;
mod folds;
mod formats;
mod gates;
mod leases;
mod mailroom;
mod merges;
mod outages;
mod overdue;
mod pages;
mod plans;
mod publishing;
mod reasons;
mod recordings;
mod reference;
mod routing;
mod runbook_pages;
mod runbook_tests;
mod saved_fixture;
mod scratch;
mod senders;
mod server;
mod silences;
mod sources;
mod spool;
mod standing;
mod steps;
mod store;
mod tls;
