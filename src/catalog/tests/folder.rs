//! Folders of files, good and bad ones side by side.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    catalog::folder::{self, FILES_MAX, Reading},
    domain::id::StepId,
};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("muster-catalog-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    fn read(&self) -> Reading {
        folder::read(&self.0, None)
    }

    fn shown(&self, faults: &[super::Fault]) -> Vec<String> {
        let folder = format!("{}/", self.0.display());
        faults
            .iter()
            .map(|fault| fault.to_string().replace(&folder, ""))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn runbook(slug: &str, target: &str) -> String {
    format!("runbook: {slug}\ntitle: X\nsteps:\n- id: a\n  check: tcp\n  with: {{ target: '{target}' }}\n")
}

const TARGETS: &str =
    "targets:\n- { name: near, tcp: { address: 'a:1' } }\n- { name: log, file: { path: /b } }\n";

#[test]
fn one_bad_file_hides_no_other() {
    let folder = Folder::new(
        "bad",
        &[
            ("a.yaml", &runbook("a", "near")),
            ("b.yml", "runbook: b\ntitle: [\n"),
            ("c.yaml", &runbook("a", "near")),
            ("d.yaml", &runbook("d", "far")),
            ("e.yaml", &runbook("e", "log")),
            ("f.yaml", &runbook("f", "{{ labels.x }}")),
            (".hidden.yaml", "{"),
            ("notes.md", "{"),
            ("targets.yaml", TARGETS),
        ],
    );
    fs::write(folder.0.join("g.yaml"), [0xff, 0xfe]).unwrap();
    fs::write(folder.0.join("h.yaml"), "#".repeat(super::FILE_BYTES_MAX + 1)).unwrap();
    fs::create_dir(folder.0.join("i.yaml")).unwrap();
    let reading = folder.read();
    let slugs: Vec<&str> = reading
        .runbooks
        .iter()
        .map(|file| file.parsed.runbook.slug.as_str())
        .collect();
    assert_eq!(slugs, ["a", "d", "e", "f"]);
    assert_eq!(
        folder.shown(&reading.faults),
        [
            "b.yml:2:8: unclosed bracket '['",
            "c.yaml:1:10: runbook: \"a\" is the runbook of a.yaml already",
            "g.yaml:1:1: the file is not UTF-8 text",
            "h.yaml:1:1: the file is longer than 256 KiB",
        ]
    );
    let warnings: Vec<String> = reading
        .runbooks
        .iter()
        .flat_map(|file| folder.shown(&file.parsed.warnings))
        .collect();
    assert_eq!(
        warnings,
        [
            "d.yaml:6:19: steps[0].with.target: there is no target far; add it to the targets file",
            "e.yaml:6:19: steps[0].with.target: target log is of kind file, not tcp",
        ]
    );
    assert_eq!(reading.targets.map(|targets| targets.0.len()), Some(2));
    assert!(reading.runbooks[0].source.starts_with("runbook: a"));
}

#[test]
fn the_targets_of_probes_undos_and_last_steps_are_looked_for_too() {
    let call = |target: &str, probe: &str| {
        format!(
            "call: haproxy\n  with: {{ target: {target}, backend: b, drain: s }}\n  \
             verify: {{ check: tcp, with: {{ target: {probe} }} }}\n"
        )
    };
    let undo = call("gone-c", "gone-d").replace("\n  ", "\n    ");
    let source = format!(
        "runbook: a\ntitle: X\nsteps:\n- id: a\n  {}  undo:\n    {undo}finally:\n- id: z\n  {}",
        call("gone-a", "gone-b"),
        call("gone-e", "near"),
    );
    let folder = Folder::new("below", &[("a.yaml", &source), ("targets.yaml", TARGETS)]);
    let reading = folder.read();
    assert_eq!(reading.faults, []);
    let missing = |place: &str, target: &str| {
        format!("a.yaml:{place}.with.target: there is no target {target}; add it to the targets file")
    };
    assert_eq!(
        folder.shown(&reading.runbooks[0].parsed.warnings),
        [
            missing("6:19: steps[0]", "gone-a"),
            missing("7:41: steps[0].verify", "gone-b"),
            missing("10:21: steps[0].undo", "gone-c"),
            missing("11:43: steps[0].undo.verify", "gone-d"),
            missing("15:19: finally[0]", "gone-e"),
        ]
    );
}

#[test]
fn arguments_that_no_program_takes_are_named_where_they_stand() {
    let targets = "targets:\n- name: tools\n  command:\n    programs:\n    - /bin/true\n    \
        - { path: /bin/restart, args: [now, { name: unit, pattern: '[a-z]+' }, { name: why, values: [a, b], optional: true }] }\n    \
        - { name: up, path: /bin/ctl, args: [up] }\n    - { name: down, path: /bin/ctl, args: [down] }\n";
    let step = |with: &str| format!("  - id: a\n    check: command\n    with: {{ target: tools, {with} }}\n");
    for (with, problem) in [
        ("program: /bin/true", None),
        ("program: /bin/restart, params: { unit: x }", None),
        (
            "program: /bin/restart, params: { unit: '{{ labels.unit }}', why: a }",
            None,
        ),
        ("program: /bin/restart, args: [now, x, b]", None),
        ("program: /bin/restart, args: [now, '{{ labels.unit }}']", None),
        ("program: '{{ labels.what }}', args: [x]", None),
        ("program: up", None),
        (
            "program: /bin/true, args: [x]",
            Some(("args", "args do not fit: /bin/true")),
        ),
        (
            "program: /bin/restart",
            Some(("program", "params.unit is missing")),
        ),
        (
            "program: /bin/restart, params: { unit: x, what: y }",
            Some(("params", "params.what is not known; /bin/restart takes unit, why")),
        ),
        (
            "program: /bin/restart, params: { unit: X }",
            Some(("params", "params.unit must match [a-z]+, found \"X\"")),
        ),
        (
            "program: /bin/restart, args: [x]",
            Some(("args", "args do not fit: /bin/restart now <unit> [<why>]")),
        ),
        (
            "program: /bin/false",
            Some(("program", "/bin/false is not among the target's programs")),
        ),
        (
            "program: /bin/ctl",
            Some((
                "program",
                "/bin/ctl is there more than once; name one of up, down",
            )),
        ),
    ] {
        let source = format!("runbook: a\ntitle: X\nsteps:\n{}", step(with));
        let folder = Folder::new("programs", &[("a.yaml", &source), ("targets.yaml", targets)]);
        let reading = folder.read();
        assert_eq!(reading.faults, [], "{with}");
        let warnings = &reading.runbooks[0].parsed.warnings;
        let found: Vec<(&str, &str)> = warnings
            .iter()
            .map(|warning| {
                (
                    warning.path.trim_start_matches("steps[0].with."),
                    warning.message.as_str(),
                )
            })
            .collect();
        assert_eq!(found, Vec::from_iter(problem), "{with}");
        assert!(warnings.iter().all(|warning| warning.line == 6), "{warnings:?}");
    }
}

#[test]
fn bad_targets_take_nothing_away() {
    let folder = Folder::new(
        "targets",
        &[("a.yaml", &runbook("a", "far")), ("targets.yaml", "targets: 1")],
    );
    let reading = folder.read();
    assert!(reading.targets.is_none());
    assert!(reading.runbooks[0].parsed.warnings.is_empty());
    assert_eq!(
        folder.shown(&reading.faults),
        ["targets.yaml:1:10: targets: expected a list, found a number"]
    );

    let other = Folder::new("elsewhere", &[("mine.yaml", TARGETS)]);
    let reading = folder::read(&folder.0, Some(&other.0.join("mine.yaml")));
    assert_eq!(reading.targets.map(|targets| targets.0.len()), Some(2));
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    assert!(
        folder::read(&folder.0, Some(Path::new("/nowhere/targets.yaml")))
            .targets
            .is_none()
    );
}

#[test]
fn links_stay_inside_and_pipes_are_not_waited_for() {
    let folder = Folder::new("links", &[("real.txt", &runbook("a", "near"))]);
    let outside = Folder::new("outside", &[("secret.yaml", &runbook("b", "near"))]);
    symlink("real.txt", folder.0.join("a.yaml")).unwrap();
    symlink(outside.0.join("secret.yaml"), folder.0.join("b.yaml")).unwrap();
    symlink("nowhere", folder.0.join("c.yaml")).unwrap();
    nix::unistd::mkfifo(&folder.0.join("d.yaml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let reading = folder.read();
    assert_eq!(reading.runbooks.len(), 1);
    assert_eq!(
        folder.shown(&reading.faults),
        [
            "b.yaml:1:1: the link leads out of the folder",
            "c.yaml:1:1: cannot read the file: No such file or directory (os error 2)",
            "d.yaml:1:1: not a plain file",
        ]
    );
}

#[test]
fn a_change_of_a_name_or_a_text_is_seen() {
    let folder = Folder::new("digest", &[("a.yaml", "x"), ("b.yaml", "")]);
    let digest = || folder::digest(&folder.0, None);
    let first = digest();
    assert_eq!(folder.read().digest, first);
    fs::write(folder.0.join("notes.md"), "y").unwrap();
    assert_eq!(digest(), first);
    fs::write(folder.0.join("a.yaml"), "y").unwrap();
    let second = digest();
    assert_ne!(second, first);
    fs::write(folder.0.join("a.yaml"), "x").unwrap();
    assert_eq!(digest(), first);
    fs::rename(folder.0.join("a.yaml"), folder.0.join("c.yaml")).unwrap();
    assert_ne!(digest(), first);
}

#[test]
fn a_folder_has_a_bound() {
    let folder = Folder::new("many", &[]);
    for i in 0..FILES_MAX + 2 {
        fs::write(
            folder.0.join(format!("r{i:04}.yaml")),
            runbook(&format!("r{i}"), "{{ labels.x }}"),
        )
        .unwrap();
    }
    let reading = folder.read();
    assert_eq!(reading.runbooks.len(), FILES_MAX);
    let shown = folder.0.display().to_string();
    assert_eq!(
        reading.faults[0].to_string(),
        format!("{shown}:1:1: more than 500 files; {shown}/r0500.yaml and what follows is not read")
    );

    let none = folder::read(Path::new("/nowhere/at/all"), None);
    assert_eq!(
        none.faults[0].to_string(),
        "/nowhere/at/all:1:1: cannot read the folder: No such file or directory (os error 2)"
    );
}

#[test]
fn the_samples_are_without_fault_and_warning() {
    let reading = folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks"), None);
    assert_eq!(reading.faults, []);
    let slugs: Vec<&str> = reading
        .runbooks
        .iter()
        .map(|file| file.parsed.runbook.slug.as_str())
        .collect();
    assert_eq!(
        slugs,
        [
            "certificate-renewal",
            "deploy-rollback",
            "disk-filling",
            "node-maintenance",
            "overload-shed",
            "postgres-fence",
            "postgres-primary-down",
            "postgres-primary-restart",
            "postgres-traffic",
            "queue-poison",
            "region-failover",
            "region-return",
            "restore-in-place",
            "restore-rows",
            "service-restart",
            "web-service-down"
        ]
    );
    for file in &reading.runbooks {
        assert_eq!(file.parsed.warnings, []);
    }
    let targets = reading.targets.unwrap_or_default();
    for name in ["primary", "standby", "log", "lb"] {
        assert!(targets.0.contains_key(&format!("checkout-{name}")), "{name}");
    }
}

#[test]
fn the_targets_of_the_readme_are_without_fault() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```yaml\ntargets:").unwrap();
    let (targets, _) = rest.split_once("```").unwrap();
    let targets = crate::catalog::parse_targets(&format!("targets:{targets}")).unwrap();
    assert_eq!(targets.0.len(), 3);
}

#[test]
fn the_runbook_of_the_readme_is_without_fault_and_warning() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```yaml\nrunbook:").unwrap();
    let (runbook, _) = rest.split_once("```").unwrap();
    let parsed = crate::catalog::parse_runbook(&format!("runbook:{runbook}")).unwrap();
    assert_eq!(parsed.warnings, []);
    // What it shows of expressions is what they do.
    let last = parsed.runbook.finally[0].when.clone().unwrap();
    assert_eq!(last.holds(&json!({"steps": {}})), Ok(false));
    let drain = StepId::from("drain");
    let probe = parsed
        .runbook
        .find(&drain)
        .unwrap()
        .act
        .unwrap()
        .verify
        .clone()
        .unwrap();
    let context = json!({"item": " web-1", "result": {"servers": {"web-1": {"admin": "drain"}}}});
    assert_eq!(probe.expect.unwrap().holds(&context), Ok(true));
}
