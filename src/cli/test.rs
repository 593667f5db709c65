//! `muster runbook test`: plays the fixtures of a folder, says what is not as expected, and names the branches of each
//! runbook that no fixture takes.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{complain, say};
use crate::{
    catalog::{
        Fault,
        fixture::{self, FixtureFile},
        folder::{self, Reading},
    },
    config::Test,
    domain::{event::Event, id::RunId, run::RunFact, runbook::Runbook, sentence::sentence, target::Targets},
    fixtures::{Difference, Played, coverage::Coverage, differences, play},
};

/// Plays and reports.
pub fn run(test: &Test) -> anyhow::Result<ExitCode> {
    let report = report(test);
    match test.json {
        true => say(&serde_json::to_string_pretty(&report).context("writing JSON")?),
        false => {
            for fault in &report.faults {
                complain(fault);
            }
            say(&report.text());
        }
    }
    Ok(match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What came of all the fixtures of a folder.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What is wrong with the files, with line and column.
    pub faults: Vec<String>,
    /// Fixture by fixture, by file name.
    pub fixtures: Vec<Tested>,
    /// Runbook by runbook.
    pub coverage: Vec<Covered>,
}

/// What came of one fixture.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// Its file.
    pub file: String,
    /// The runbook it tests.
    pub runbook: String,
    /// What it shows.
    pub test: String,
    /// Whether all came as expected.
    pub passed: bool,
    /// What did not.
    pub differences: Vec<Difference>,
    /// Answers and words that nobody needed.
    pub unused: Vec<String>,
    /// The run, as its timeline would tell it.
    pub story: Vec<String>,
}

/// Which branches of a runbook its fixtures take.
#[derive(Debug, Serialize)]
pub struct Covered {
    /// The runbook.
    pub runbook: String,
    /// How many fixtures it has.
    pub fixtures: usize,
    /// Branches that were taken.
    pub taken: usize,
    /// All of them.
    pub branches: usize,
    /// Step by step, in the order of the file.
    pub steps: Vec<CoveredStep>,
}

/// Which branches of a step were taken.
#[derive(Debug, Serialize)]
pub struct CoveredStep {
    /// The step.
    pub step: String,
    /// What it came to in some fixture.
    pub taken: Vec<String>,
    /// What it never came to.
    pub missing: Vec<String>,
}

/// Reads the folder and plays what is in it.
pub fn report(test: &Test) -> Report {
    let reading = folder::read(&test.folder, test.targets.as_deref());
    let fixtures = fixture::read(&test.folder, &reading);
    let is_meant = |slug: &str| test.runbook.as_deref().is_none_or(|meant| meant == slug);
    let mut faults: Vec<String> = reading
        .faults
        .iter()
        .chain(&fixtures.faults)
        .map(Fault::to_string)
        .collect();
    let runbooks: Vec<&Runbook> = reading
        .runbooks
        .iter()
        .map(|file| &file.parsed.runbook)
        .filter(|runbook| is_meant(&runbook.slug))
        .collect();
    if let Some(slug) = test.runbook.as_ref().filter(|_| runbooks.is_empty()) {
        faults.push(format!("there is no runbook {slug} in {}", test.folder.display()));
    }
    let mut report = Report {
        faults,
        fixtures: Vec::new(),
        coverage: Vec::new(),
    };
    let targets = targets(&reading);
    for runbook in runbooks {
        let mut coverage = Coverage::of(runbook);
        let own = fixtures
            .files
            .iter()
            .filter(|file| file.fixture.runbook == runbook.slug);
        for file in own {
            let played = play(&file.fixture, runbook, targets);
            coverage.add(runbook, &played);
            report.fixtures.push(Tested::of(file, runbook, played));
        }
        report.coverage.push(Covered::of(runbook, &coverage));
    }
    report.fixtures.sort_by(|one, other| one.file.cmp(&other.file));
    report
}

/// The targets steps must find, if the folder has any.
fn targets(reading: &Reading) -> Option<&Targets> {
    reading.targets.as_ref().filter(|targets| !targets.0.is_empty())
}

impl Tested {
    fn of(file: &FixtureFile, runbook: &Runbook, played: Played) -> Self {
        let differences = differences(&file.fixture, runbook, &played);
        Self {
            file: file.path.display().to_string(),
            runbook: runbook.slug.clone(),
            test: file.fixture.test.clone(),
            passed: differences.is_empty(),
            differences,
            story: story(&played),
            unused: played.unused,
        }
    }

    fn text(&self) -> String {
        let word = if self.passed { "ok  " } else { "FAIL" };
        let mut lines = vec![format!("{word} {}: {}", self.runbook, self.test)];
        if !self.passed {
            lines.push(format!("     {}", self.file));
            for difference in &self.differences {
                lines.push(format!("     {}", difference.what));
                lines.push(format!("       expected  {}", difference.expected));
                lines.push(format!("       got       {}", difference.got));
            }
            lines.extend(self.unused.iter().map(|unused| format!("     {unused}")));
            lines.push("     what happened:".to_owned());
            lines.extend(self.story.iter().map(|told| format!("       {told}")));
        }
        lines.join("\n")
    }
}

/// The facts of a run as sentences, each after the time that has passed.
fn story(played: &Played) -> Vec<String> {
    let began = played.facts.first().map(|(at, _)| *at);
    played
        .facts
        .iter()
        .filter(|(_, fact)| !matches!(fact, RunFact::RunStarted { .. }))
        .map(|(at, fact)| {
            let passed = began.map_or(0, |began| (*at - began).num_seconds());
            let told = sentence(&Event::Run(RunId(1), fact.clone()));
            format!("{:>7}  {told}", format!("+{passed}s"))
        })
        .collect()
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

impl Covered {
    fn of(runbook: &Runbook, coverage: &Coverage) -> Self {
        let (taken, branches) = coverage.count();
        let steps = coverage.steps.iter().map(|covered| {
            let named = |is_wanted: bool| {
                let wanted = covered
                    .branches
                    .iter()
                    .filter(|(_, is_taken)| *is_taken == is_wanted);
                wanted.map(|(branch, _)| branch.to_string()).collect()
            };
            CoveredStep {
                step: covered.step.0.clone(),
                taken: named(true),
                missing: named(false),
            }
        });
        Self {
            runbook: runbook.slug.clone(),
            fixtures: coverage.fixtures,
            taken,
            branches,
            steps: steps.collect(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} of {} branches, {}",
            self.runbook,
            self.taken,
            self.branches,
            counted(self.fixtures, "fixture")
        )];
        if self.fixtures == 0 {
            return lines.remove(0);
        }
        let width = self
            .steps
            .iter()
            .map(|step| step.step.len())
            .max()
            .unwrap_or_default();
        for step in &self.steps {
            let (taken, all) = (step.taken.len(), step.taken.len() + step.missing.len());
            let missing = match step.missing.is_empty() {
                true => String::new(),
                false => format!("  never taken: {}", step.missing.join(", ")),
            };
            lines.push(format!("  {:<width$}  {taken}/{all}{missing}", step.step));
        }
        lines.join("\n")
    }
}

impl Report {
    /// Whether every file could be read and every fixture came out as it expects.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.fixtures.iter().all(|tested| tested.passed)
    }

    /// The report as a person reads it, but for the faults.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.fixtures.iter().map(Tested::text).collect();
        for covered in &self.coverage {
            parts.push(String::new());
            parts.push(covered.text());
        }
        let failed = self.fixtures.iter().filter(|tested| !tested.passed).count();
        parts.push(String::new());
        parts.push(format!(
            "{}, {failed} failed, {}",
            counted(self.fixtures.len(), "fixture"),
            counted(self.faults.len(), "fault")
        ));
        parts.join("\n")
    }
}
