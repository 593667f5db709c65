//! From the page to the end of an incident without a pointer: one person acknowledges, a second approves, the first
//! resolves. With script and, by the same forms, without.

use anyhow::{Context, Result, ensure};
use fantoccini::{
    actions::{InputSource, KeyAction, KeyActions},
    key::Key,
};
use muster::{
    domain::{
        event::NewEvent,
        run::{RunFact, RunResult},
    },
    store::events,
};
use serde_json::{Value, json};

use super::ground::{Eyes, Ground, INCIDENT};
use crate::support::site::Site;

/// Keys that are no text, for all three acts.
const KEYS_MAX: usize = 12;
/// Presses of Tab from the top of a page to any act, without script.
const TABS_MAX: usize = 30;

/// What has the focus: its words, and whether it is to be typed into.
const FOCUS: &str = r#"
const node = document.activeElement;
const form = node.closest?.("form");
const isField = node.matches("textarea, input:not([type=hidden], [type=radio], [type=checkbox], [type=submit])");
return {
  words: node.value === "approve" ? "Approve" : (node.innerText || node.value || "").trim(), isField, isEmpty: isField && !node.value,
  sends: form ? [...form.querySelectorAll("button")].map((button) => button.innerText.trim()).join("|") : "",
  inMain: Boolean(node.closest("main")), kind: node.tagName, unfolded: Boolean(node.parentElement?.open),
};
"#;

/// A person without a pointer, who counts.
struct Hands {
    eyes: Eyes,
    keys: usize,
    /// Presses of Tab since the page was opened.
    tabs: usize,
}

impl Hands {
    async fn press(&mut self, key: char) -> Result<()> {
        self.keys += 1;
        let press = KeyActions::new("keys".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        Ok(self.eyes.browser.page.perform_actions(press).await?)
    }

    async fn tab(&mut self) -> Result<()> {
        self.tabs += 1;
        self.press(Key::Tab.into()).await
    }

    async fn types(&mut self, text: &str) -> Result<()> {
        let keys = self.keys;
        for letter in text.chars() {
            self.press(letter).await?;
        }
        self.keys = keys;
        Ok(())
    }

    async fn focus(&self) -> Result<Value> {
        self.eyes.run(FOCUS, Value::Null).await
    }

    async fn go(&mut self, path: &str) -> Result<()> {
        self.tabs = 0;
        self.eyes.go(path).await
    }

    /// Goes on with Tab until the button with these words has the focus, writes a reason where its form wants one,
    /// unfolds what hides it, and presses it.
    async fn does(&mut self, words: &str) -> Result<()> {
        for _ in 0..=TABS_MAX * 2 {
            let focus = self.focus().await?;
            let said = focus["words"].as_str().unwrap_or_default().to_owned();
            let is_its_form = focus["sends"]
                .as_str()
                .is_some_and(|sends| sends.split('|').any(|send| send.starts_with(words)));
            if is_its_form && focus["isEmpty"] == true {
                self.types("seen in the graphs").await?;
            } else if focus["isField"] != true && focus["inMain"] == true && is_about(&said, words) {
                let (kind, unfolded) = (focus["kind"].as_str(), focus["unfolded"] == true);
                match kind {
                    Some("BUTTON") => return self.press(Key::Enter.into()).await,
                    Some("SUMMARY") if unfolded => {}
                    _ => self.press(Key::Enter.into()).await?,
                }
            }
            self.tab().await?;
        }
        anyhow::bail!("Tab never comes to {words:?}")
    }

    /// Waits for the answer to what was sent.
    async fn sees(&self, words: &str) -> Result<()> {
        let script = "return document.querySelector('main')?.innerText.includes(arguments[0])";
        self.eyes.until(words, script, json!(words)).await.map(drop)
    }
}

/// Whether words on a button, a link or a fold are about this act: they begin with it, or a fold's name it.
fn is_about(said: &str, words: &str) -> bool {
    let line = said.lines().next().unwrap_or_default();
    line == words
        || line.starts_with(&format!("{words} "))
        || said
            .to_lowercase()
            .contains(&format!("{},", words.to_lowercase()))
}

/// Ends the run as its worker would, who is not here.
async fn run_ends(ground: &Ground) -> Result<()> {
    let now = ground.site.clock().now();
    let ended = RunFact::RunFinished {
        result: RunResult::Succeeded,
        reason: String::new(),
    };
    let mut conn = ground.site.conn().await;
    events::append(
        &mut conn,
        INCIDENT,
        &[NewEvent::of_run(ground.run, ended, now)],
        now,
    )
    .await?;
    sqlx::query("update runs set finished_at = $1, result = 'succeeded' where id = $2")
        .bind(now)
        .bind(ground.run.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query("delete from run_queue where run_id = $1")
        .bind(ground.run.0)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn state(site: &Site) -> String {
    let mut conn = site.conn().await;
    sqlx::query_scalar("select state from incidents where id = 1")
        .fetch_one(&mut *conn)
        .await
        .unwrap()
}

/// Waits until the incident is in this state.
async fn comes_to(site: &Site, wanted: &str) -> Result<()> {
    let begun = std::time::Instant::now();
    while state(site).await != wanted {
        ensure!(
            begun.elapsed() < super::ground::PATIENCE,
            "it stays {}",
            state(site).await
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_brought_to_its_end_with_a_dozen_keys() -> Result<()> {
    let ground = Ground::new().await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    let mut hands = Hands {
        eyes,
        keys: 0,
        tabs: 0,
    };
    hands.go("/incidents/1").await?;
    hands.press('a').await?;
    comes_to(&ground.site, "acknowledged").await?;
    let acknowledged = hands.keys;

    hands.eyes.become_(&ground.ben.1).await?;
    hands.go(&format!("/approvals/{}", ground.approval)).await?;
    hands.press('p').await?;
    hands.does("Approve").await?;
    hands.sees("ben").await?;
    let approved = hands.keys - acknowledged;
    run_ends(&ground).await?;

    hands.eyes.become_(&ground.eve.1).await?;
    hands.go("/incidents/1").await?;
    hands.press('e').await?;
    hands.does("Resolve").await?;
    comes_to(&ground.site, "resolved").await?;
    let resolved = hands.keys - acknowledged - approved;
    println!(
        "keys: acknowledge {acknowledged}, approve {approved}, resolve {resolved}: {} in all",
        hands.keys
    );
    ensure!(hands.keys <= KEYS_MAX, "{} keys", hands.keys);
    hands.eyes.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_goes_without_script_and_nothing_is_far_away() -> Result<()> {
    let ground = Ground::new().await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    let off = json!({"value": true});
    eyes.browser
        .devtools("Emulation.setScriptExecutionDisabled", off)
        .await?;
    let mut hands = Hands {
        eyes,
        keys: 0,
        tabs: 0,
    };
    let mut far = Vec::new();

    hands.go("/incidents/1").await?;
    hands.does("Acknowledge").await?;
    far.push(("Acknowledge", hands.tabs));
    comes_to(&ground.site, "acknowledged").await?;

    hands.go("/incidents/1").await?;
    hands.does("Add note").await?;
    far.push(("Add note", hands.tabs));
    hands.sees("seen in the graphs").await?;

    hands.eyes.become_(&ground.ben.1).await?;
    hands.go(&format!("/approvals/{}", ground.approval)).await?;
    hands.does("Approve").await?;
    far.push(("Approve", hands.tabs));
    hands.sees("ben").await?;
    run_ends(&ground).await?;

    hands.eyes.become_(&ground.eve.1).await?;
    for (words, wanted) in [("Mark mitigated", "mitigated"), ("Resolve", "resolved")] {
        hands.go("/incidents/1").await?;
        hands.does(words).await?;
        far.push((words, hands.tabs));
        comes_to(&ground.site, wanted).await?;
    }
    println!("presses of Tab without script: {far:?}");
    let furthest = far
        .iter()
        .max_by_key(|(_, tabs)| *tabs)
        .context("nothing was done")?;
    ensure!(furthest.1 <= TABS_MAX, "{furthest:?}");
    hands.eyes.close().await
}
