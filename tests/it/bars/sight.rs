//! From a commit to the row on the screen.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::ground::Eyes;

/// Notes how long each message took until the page stood again, and when.
const WATCH: &str = r#"
window.took = [];
window.EventSource = class extends EventSource {
  addEventListener(name, act) {
    super.addEventListener(name, (event) => {
      const begun = performance.now();
      act(event);
      if (name !== "patch") return;
      document.body.offsetHeight;
      const rows = [...event.data.matchAll(/id=\\"e(\d+)\\"/g)].map((found) => Number(found[1]));
      window.took.push({ ms: performance.now() - begun, rows, at: Date.now() });
    });
  }
};
"#;

/// The value that so many of a hundred do not pass.
pub fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(f64::MAX)
}

/// Now, as a browser tells it: milliseconds.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// Makes every page that this browser opens from now on note what it is shown.
pub async fn watch(eyes: &Eyes) -> Result<()> {
    let source = json!({"source": WATCH});
    eyes.browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", source)
        .await
        .map(drop)
}

/// What the open page was shown.
pub struct Shown(Vec<Value>);

impl Shown {
    pub async fn of(eyes: &Eyes) -> Result<Self> {
        let took = eyes.run("return window.took", Value::Null).await?;
        Ok(Self(took.as_array().context("nothing was noted")?.clone()))
    }

    /// How long the page took over each message that brought rows, in milliseconds.
    pub fn appends(&self) -> Vec<f64> {
        let with_rows = self.0.iter().filter(|message| message["rows"] != json!([]));
        with_rows.filter_map(|message| message["ms"].as_f64()).collect()
    }

    /// How long after its commit each of these rows stood on the screen, in milliseconds.
    pub fn waits(&self, committed: &[(i64, f64)]) -> Result<Vec<f64>> {
        let wait = |(seq, at): &(i64, f64)| {
            let has_it = |message: &&Value| {
                let rows = message["rows"].as_array();
                rows.is_some_and(|rows| rows.contains(&json!(seq)))
            };
            Some(self.0.iter().find(has_it)?["at"].as_f64()? - at)
        };
        let waits: Vec<f64> = committed.iter().filter_map(wait).collect();
        ensure!(
            waits.len() == committed.len(),
            "{} of {} rows were seen",
            waits.len(),
            committed.len()
        );
        Ok(waits)
    }
}
