//! Receiving: deliveries that have been authenticated and read are committed together with whatever else arrived, and
//! each is answered once it is.

pub mod committer;
