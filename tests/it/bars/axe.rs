//! The accessibility engine axe-core, fetched once through npm by the exact bytes that `tests/data/bars` names.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ground::Eyes;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bars");

/// The rules: WCAG 2.0 to 2.2, A and AA, and what is good practice beyond.
const RULES: [&str; 6] = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22aa",
    "best-practice",
];

const RUN: &str = r#"
const [only, done] = arguments;
axe.run(document, { runOnly: only, resultTypes: ["violations"], iframes: false })
  .then(({ violations }) => done(violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => ({ rule: id, help, target: node.target.join(" ") })))))
  .catch((error) => done([{ rule: "axe", help: String(error), target: "" }]));
"#;

/// What is to be looked for.
#[derive(Clone, Copy)]
pub enum Look {
    /// Everything.
    Whole,
    /// Colours alone: all that another theme changes.
    Colours,
}

/// Something that breaks a rule.
#[derive(Debug, Deserialize)]
pub struct Broken {
    pub rule: String,
    pub help: String,
    pub target: String,
}

/// The engine as text.
pub struct Axe(String);

impl Axe {
    /// Fetches it once for all runs. `None`, with a line that says so, where npm reaches nothing; with `CI` in the
    /// environment that is a failure.
    pub fn fetched() -> Result<Option<Self>> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe");
        let file = folder.join("node_modules/axe-core/axe.min.js");
        let lock = std::fs::read(format!("{FILES}/package-lock.json"))?;
        let is_current = std::fs::read(folder.join("package-lock.json")).is_ok_and(|kept| kept == lock);
        if !(is_current && file.is_file()) {
            std::fs::create_dir_all(&folder)?;
            std::fs::copy(format!("{FILES}/package.json"), folder.join("package.json"))?;
            std::fs::write(folder.join("package-lock.json"), lock)?;
            let mut npm = Command::new("npm");
            npm.current_dir(&folder);
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            let told = npm.output();
            let is_fetched = told.as_ref().is_ok_and(|told| told.status.success());
            if !is_fetched {
                let why = match &told {
                    Ok(told) => String::from_utf8_lossy(&told.stderr).into_owned(),
                    Err(error) => error.to_string(),
                };
                ensure!(std::env::var_os("CI").is_none(), "axe-core cannot be had: {why}");
                ensure!(!why.contains("EINTEGRITY"), "axe-core is not what it was: {why}");
                println!(
                    "skipped: the rules of axe-core, which npm cannot fetch here: {}",
                    why.trim()
                );
                return Ok(None);
            }
        }
        Ok(Some(Self(std::fs::read_to_string(file)?)))
    }

    /// Brings it into the page that is open. The driver does this past the content security policy, which stands.
    pub async fn bring(&self, eyes: &Eyes) -> Result<()> {
        eyes.browser.page.execute(&self.0, vec![]).await?;
        Ok(())
    }

    /// What breaks a rule on the page that is open.
    pub async fn look(&self, eyes: &Eyes, look: Look) -> Result<Vec<Broken>> {
        let only = match look {
            Look::Whole => json!({"type": "tag", "values": RULES}),
            Look::Colours => json!({"type": "rule", "values": ["color-contrast"]}),
        };
        let found: Value = eyes.browser.page.execute_async(RUN, vec![only]).await?;
        serde_json::from_value(found).context("axe said something else")
    }
}
