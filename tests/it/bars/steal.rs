//! While somebody types, selects or reads, hundreds of changes arrive, and nothing is taken from their hands.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::ground::{Eyes, Ground};
use crate::support::site::Site;

/// Messages in all, a third of them while typing, selecting and reading each.
const PATCHES: u64 = 500;

/// Counts what the stream brings.
pub const COUNT: &str = r#"
window.patches = 0;
window.EventSource = class extends EventSource {
  addEventListener(name, act) {
    super.addEventListener(name, (event) => { if (name === "patch") window.patches++; act(event); });
  }
};
"#;

const HANDS: &str = r#"
const field = document.querySelector("form[action$='/notes'] textarea");
const selection = getSelection();
const row = window.watched ?? document.body;
return {
  text: field.value, focus: document.activeElement === field, caret: [field.selectionStart, field.selectionEnd],
  scroll: scrollY, row: Math.round(row.getBoundingClientRect().top), stays: row.isConnected,
  selected: String(selection), collapsed: selection.isCollapsed,
  open: [...document.querySelectorAll("main details[open]")].map((node) => node.textContent),
};
"#;

/// Lets things happen until so many messages more have come: notes, and now and then a change of the incident itself.
async fn storm(eyes: &Eyes, ground: &Ground, count: u64) -> Result<()> {
    let patches = "return window.patches";
    let so_far = async || eyes.run(patches, Value::Null).await?.as_u64().context("no count");
    let goal = so_far().await? + count;
    let mut turn = 0;
    while so_far().await? < goal {
        let before = so_far().await?;
        ground.notes(1).await;
        turn += 1;
        if turn % 5 == 0 {
            change_severity(&ground.site, &ground.ben.1, turn).await;
        }
        let heard = "return window.patches > arguments[0]";
        eyes.until("a change arrives", heard, json!(before)).await?;
    }
    Ok(())
}

async fn change_severity(site: &Site, cookie: &str, turn: u64) {
    let page = site.get("/incidents/1", cookie).await;
    let (op, seen, severity) = (
        page.field("op"),
        page.field("seen"),
        (1 + turn / 5 % 4).to_string(),
    );
    let form = [
        ("op", op.as_str()),
        ("seen", &seen),
        ("severity", &severity),
        ("reason", "it spreads"),
    ];
    site.post("/incidents/1/severity", cookie, &form).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_from_whoever_types_selects_or_reads() -> Result<()> {
    let ground = Ground::new().await;
    ground.notes(150).await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    let source = json!({"source": COUNT});
    eyes.browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", source)
        .await?;
    eyes.go("/incidents/1").await?;
    eyes.live().await?;

    // Typing, with the caret in the middle of the word.
    let field = "const field = document.querySelector(\"form[action$='/notes'] textarea\");";
    let begin = format!(
        "{field} field.focus(); field.value = 'half a thought'; field.setSelectionRange(4, 4); scrollTo(0, 60)"
    );
    eyes.run(&begin, Value::Null).await?;
    let before = eyes.run(HANDS, Value::Null).await?;
    for _ in 0..10 {
        storm(&eyes, &ground, PATCHES / 30).await?;
        eyes.browser.page.active_element().await?.send_keys("x").await?;
    }
    let after = eyes.run(HANDS, Value::Null).await?;
    let typed = format!("half{} a thought", "x".repeat(10));
    ensure!(
        after["text"] == json!(typed) && after["caret"] == json!([14, 14]),
        "{after}"
    );
    ensure!(
        after["focus"] == true && after["scroll"] == before["scroll"],
        "{before}\n{after}"
    );
    eyes.run(&format!("{field} field.setSelectionRange(4, 9)"), Value::Null)
        .await?;
    storm(&eyes, &ground, 5).await?;
    let after = eyes.run(HANDS, Value::Null).await?;
    ensure!(after["caret"] == json!([4, 9]), "{after}");

    // Selecting a row, to copy it.
    let select = format!(
        "{field} field.blur(); const row = document.querySelectorAll('#events > li')[8]; window.watched = row; \
         row.scrollIntoView({{block: 'center'}}); getSelection().selectAllChildren(row)"
    );
    eyes.run(&select, Value::Null).await?;
    let before = eyes.run(HANDS, Value::Null).await?;
    storm(&eyes, &ground, PATCHES / 3).await?;
    let after = eyes.run(HANDS, Value::Null).await?;
    ensure!(before == after, "selecting\n{before}\n{after}");
    let word = eyes
        .until(
            "it says that it waits",
            "const word = document.getElementById('live-word').textContent; return word.startsWith('Paused') && word",
            Value::Null,
        )
        .await?;
    ensure!(word == "Paused (you are selecting)", "{word}");
    eyes.run("getSelection().removeAllRanges()", Value::Null).await?;
    let last = ground.notes(1).await;
    let there = "return document.getElementById(`e${arguments[0]}`) !== null";
    eyes.until("the last row", there, json!(last)).await?;

    // Reading far down, with something unfolded.
    let read = "const details = document.querySelector('main details:not([open])'); if (details) details.open = true; \
                const row = document.querySelectorAll('#events > li')[120]; window.watched = row; \
                row.scrollIntoView({block: 'center'})";
    eyes.run(read, Value::Null).await?;
    let before = eyes.run(HANDS, Value::Null).await?;
    storm(&eyes, &ground, PATCHES / 3).await?;
    let after = eyes.run(HANDS, Value::Null).await?;
    let top = |hands: &Value| hands["row"].as_f64().unwrap_or(f64::MAX);
    ensure!(
        after["stays"] == true && (top(&before) - top(&after)).abs() <= 1.0,
        "reading\n{before}\n{after}"
    );
    ensure!(before["open"] == after["open"], "unfolded\n{before}\n{after}");
    let offered = eyes
        .run(
            "return document.querySelector('.updates')?.innerText ?? ''",
            Value::Null,
        )
        .await?;
    ensure!(
        offered.as_str().is_some_and(|words| words.contains(" new")),
        "{offered}"
    );
    let patches = eyes.run("return window.patches", Value::Null).await?;
    println!("{patches} changes arrived; the person has everything they had");
    ensure!(patches.as_u64() >= Some(PATCHES), "{patches}");
    let errors = eyes.browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    eyes.close().await
}
