//! What is true in the world of a drill.
