//! The planner by tables: what a run does next in each state it can be in.


