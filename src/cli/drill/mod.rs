//! `muster drill`: scenarios checked, and unattended drills, for continuous integration and for the night. Each is played by itself in
//! compressed time, in a Muster of its own; a team can hold back a runbook's change when its drills do not pass.

pub mod lint;
pub mod report;
pub mod theatre;

use std::process::ExitCode;

use anyhow::Context;

use super::{complain, say};
use crate::{
    app::OpenDatabase,
    config::{Database, DrillFormat, DrillRun},
};
use report::Played;
use theatre::Theatre;

/// Plays them; the exit code is 0 when all pass.
pub async fn run(asked: &DrillRun) -> anyhow::Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("muster-drill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("making the folder of the drills")?;
    let database = OpenDatabase::open(&Database {
        database_url: asked.database_url.clone(),
        data: folder.join("data"),
    })
    .await?;
    let relay = std::env::current_exe().context("finding Muster's own program")?;
    let theatre = Theatre::open(&database.options, &asked.runbooks, relay, folder.join("twins")).await?;
    let played = play(&theatre, asked).await;
    theatre.close().await;
    database.close().await;
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        complain(&format!("the folder {} stays: {error}", folder.display()));
    }
    let played = played?;
    match asked.format {
        DrillFormat::Text => say(&report::text(&played)),
        DrillFormat::Json => say(&format!("{:#}", report::json(&played))),
        DrillFormat::Junit => say(report::junit(&played).trim_end()),
    }
    Ok(match played.iter().all(Played::passes) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn play(theatre: &Theatre, asked: &DrillRun) -> anyhow::Result<Vec<Played>> {
    let known = theatre.scenarios().await?;
    if let Some(missing) = asked
        .scenarios
        .iter()
        .find(|name| !known.iter().any(|version| version.slug == **name))
    {
        let names: Vec<&str> = known.iter().map(|version| version.slug.as_str()).collect();
        anyhow::bail!(
            "there is no scenario {missing} without faults in {} that plays by itself (a game day does not); there are: {}",
            asked.runbooks.join("drills").display(),
            names.join(", ")
        );
    }
    let wanted = known
        .into_iter()
        .filter(|version| asked.scenarios.is_empty() || asked.scenarios.contains(&version.slug));
    let mut played = Vec::new();
    for version in wanted {
        let card = theatre.play(version.id, asked.seed, asked.wrong.as_deref()).await;
        played.push(Played {
            scenario: version.slug,
            seed: asked.seed,
            card: card.map_err(|error| format!("{error:#}")),
        });
    }
    anyhow::ensure!(
        !played.is_empty(),
        "there are no scenarios in {}",
        asked.runbooks.join("drills").display()
    );
    Ok(played)
}
