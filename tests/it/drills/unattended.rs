//! Unattended drills: all scenarios of the house are played by themselves, three times each, with the same scorecard; their
//! wrong paths are punished; what cannot go on is ended with the rule that keeps it from going on.

use std::path::{Path, PathBuf};

use muster::{
    cli::drill::theatre::Theatre,
    domain::{
        drill::EndKind,
        score::{Score, Verdict},
    },
    store::scenarios::ScenarioVersion,
};

use crate::{scratch::Scratch, support::database::Database};

const SEED: u64 = 7;

struct House {
    theatre: Theatre,
    _database: Database,
    _scratch: Scratch,
}

impl House {
    /// A theatre over these runbooks.
    async fn open(runbooks: &Path) -> Self {
        let database = Database::new().await;
        let scratch = Scratch::new();
        let options = database.url().parse().unwrap();
        let relay = PathBuf::from(env!("CARGO_BIN_EXE_muster"));
        let theatre = Theatre::open(&options, runbooks, relay, scratch.path().join("twins"))
            .await
            .unwrap();
        Self {
            theatre,
            _database: database,
            _scratch: scratch,
        }
    }

    async fn scenario(&self, slug: &str) -> ScenarioVersion {
        let all = self.theatre.scenarios().await.unwrap();
        let found = all.into_iter().find(|version| version.slug == slug);
        found.unwrap_or_else(|| panic!("there is no scenario {slug}"))
    }

    async fn play(&self, slug: &str, wrong: Option<&str>) -> (Score, EndKind, String) {
        let version = self.scenario(slug).await;
        let card = self.theatre.play(version.id, SEED, wrong).await.unwrap();
        let (_, why, reason) = card.drill.ended.unwrap();
        (card.score, why, reason)
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_passes_and_the_same_seed_gives_the_same_scorecard() {
    let house = House::open(&samples()).await;
    let all = house.theatre.scenarios().await.unwrap();
    assert!(all.len() >= 10, "{} scenarios", all.len());
    let mut problems = Vec::new();
    for version in all {
        let (first, why, reason) = house.play(&version.slug, None).await;
        if !first.passes() {
            problems.push(format!(
                "{}: {why}: {reason}: {:#?}",
                version.slug,
                first.shortfalls()
            ));
        }
        for _ in 0..2 {
            let (again, ..) = house.play(&version.slug, None).await;
            if again != first {
                problems.push(format!(
                    "{} came out otherwise: {first:#?} and then {again:#?}",
                    version.slug
                ));
            }
        }
    }
    house.theatre.close().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_costs_what_it_costs() {
    let house = House::open(&samples()).await;
    let mut punished = 0;
    let mut problems = Vec::new();
    for version in house.theatre.scenarios().await.unwrap() {
        for wrong in &version.scenario.wrong {
            if wrong.instead_of.is_none() {
                continue;
            }
            let (score, ..) = house.play(&version.slug, Some(&wrong.id)).await;
            let slip = score.wrong.iter().find(|slip| slip.id == wrong.id);
            let is_told = slip.is_some_and(|slip| slip.done.is_some());
            let replaced = wrong.instead_of.as_deref();
            let is_missing = score
                .expected
                .iter()
                .any(|one| Some(one.id.as_str()) == replaced && one.verdict() != Verdict::InTime);
            if is_told && is_missing && !score.passes() {
                punished += 1;
            } else {
                problems.push(format!(
                    "{}/{}: {:#?}",
                    version.slug,
                    wrong.id,
                    score.shortfalls()
                ));
            }
        }
    }
    house.theatre.close().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(punished >= 2, "{punished} wrong paths");
}

/// A small scenario over one small runbook, with a rule put in.
fn write(folder: &Path, rule: &str) {
    std::fs::create_dir_all(folder.join("drills")).unwrap();
    let runbook = "runbook: look\ntitle: Look\nsummary: Looks.\nowner: team\nmatch: ['alertname=\"Full\"']\nstart: automatic\n\
                   steps:\n  - id: depth\n    phase: detect\n    title: How deep?\n    check: postgres\n    \
                   with: { target: db, query: select depth }\n";
    std::fs::write(folder.join("look.yaml"), runbook).unwrap();
    let scenario = format!(
        "scenario: filling\ntitle: It fills\nsummary: S\nbrief: B\nlength: 5m\nrunbooks: [look]\n\
         world:\n  services:\n    queue: {{ state: {{ depth: 0, odd: 0 }} }}\n  each_second:\n    \
         - set: {{ queue.depth: \"{{{{ queue.depth + 1 }}}}\" }}\n{rule}\n\
         twins:\n  db: {{ postgres: {{ answers: [{{ query: select depth, rows: [{{ depth: \"{{{{ queue.depth }}}}\" }}] }}] }} }}\n\
         alerts:\n  - labels: {{ alertname: Full }}\n    while: queue.depth > 20 and queue.depth < 100\n\
         expected:\n  - {{ id: take, acknowledge: true, within: 1m }}\n  - {{ id: over, resolve: true, after: take, within: 4m }}\n"
    );
    std::fs::write(folder.join("drills/filling.yaml"), scenario).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_without_end_ends_with_its_rule() {
    let scratch = Scratch::new();
    let endless = "  always:\n    - { when: queue.depth > 40, set: { queue.odd: \"{{ queue.odd + 1 }}\" } }";
    write(scratch.path(), endless);
    let house = House::open(scratch.path()).await;
    let (score, why, reason) = house.play("filling", None).await;
    house.theatre.close().await;
    assert_eq!(why, EndKind::Fault);
    assert!(
        reason.starts_with("13:7: the world does not come to rest"),
        "{reason}"
    );
    assert!(reason.ends_with("41 s into the drill"), "{reason}");
    assert_eq!(
        score.expected[0].verdict(),
        Verdict::InTime,
        "until then it counts"
    );
    assert_eq!(score.expected[1].verdict(), Verdict::Missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_seed_may_be_another_drill_and_a_quiet_one_ends_in_time() {
    let scratch = Scratch::new();
    write(scratch.path(), "");
    let house = House::open(scratch.path()).await;
    let (score, why, _) = house.play("filling", None).await;
    house.theatre.close().await;
    assert_eq!(why, EndKind::Finished);
    assert!(score.passes(), "{:#?}", score.shortfalls());
}
