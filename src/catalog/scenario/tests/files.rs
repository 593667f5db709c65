//! The folder of scenarios, good and bad ones side by side.

use std::{fs, path::PathBuf};

use super::*;
use crate::catalog::folder as runbooks_folder;

/// A folder of runbooks that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("muster-scenarios-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("pool.yaml"), POOL).unwrap();
        Self(path)
    }

    fn add(&self, name: &str, text: &str) {
        let home = self.0.join(folder::DRILLS_FOLDER);
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join(name), text).unwrap();
    }

    fn read(&self) -> folder::Scenarios {
        folder::read(&self.0, &runbooks_folder::read(&self.0, None))
    }

    fn shown<'a>(&self, faults: impl IntoIterator<Item = &'a Fault>) -> Vec<String> {
        let folder = format!("{}/", self.0.display());
        let shown = |fault: &Fault| fault.to_string().replace(&folder, "");
        faults.into_iter().map(shown).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn one_bad_scenario_hides_no_other() {
    let folder = Folder::new("bad");
    folder.add("a.yaml", &whole());
    folder.add("b.yaml", &whole().replace("title", "tilte"));
    folder.add("c.yaml", &whole());
    folder.add(
        "e.yaml",
        &whole()
            .replace("scenario: x", "scenario: z")
            .replace("twins:", "twins:\n  idle: { tcp: {} }"),
    );
    folder.add("notes.md", "{");
    let scenarios = folder.read();
    let slugs: Vec<&str> = scenarios
        .files
        .iter()
        .map(|file| file.parsed.scenario.slug.as_str())
        .collect();
    assert_eq!(slugs, ["x", "z"]);
    assert_eq!(
        folder.shown(&scenarios.faults),
        [
            "drills/b.yaml:1:1: the field \"title\" is missing",
            "drills/b.yaml:2:1: tilte: unknown field \"tilte\"; did you mean \"title\"?",
            "drills/c.yaml:1:11: scenario: \"x\" is the scenario of drills/a.yaml already",
        ]
    );
    assert_eq!(
        folder.shown(scenarios.warnings()),
        ["drills/e.yaml:13:9: twins.idle: no runbook of this scenario asks idle"]
    );
    assert_eq!(scenarios.files[0].source, whole());
}

#[test]
fn a_folder_may_have_no_scenarios() {
    let scenarios = Folder::new("none").read();
    assert!(scenarios.files.is_empty() && scenarios.faults.is_empty());
}
