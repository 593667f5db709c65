//! Tells Cargo that the embedded migrations depend on their folder: without this a new file is not noticed.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
