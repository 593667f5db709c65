//! The spool: deliveries on this machine's disk, so that what was accepted survives a database that is away and a process
//! that is killed.
//!
//! Batches are files that never change: written under another name, synced, renamed, and the folder synced, before any
//! sender is told. A batch that is applied is moved aside and kept for a while. Nothing is written beside the files, so
//! there is no pair of writes that a crash could tear apart; how far a spool has been applied stands in the database, and
//! goes back with it when it loses what it had.

pub mod done;
pub mod folder;
pub mod record;
