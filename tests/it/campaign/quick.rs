//! The cheap look after every kill: what must hold at any moment, whatever was just cut off.

use std::collections::BTreeMap;

use muster::domain::id::StepId;
use sqlx::Row;

use super::{World, shapes::Place};
use crate::support::ledger::Entry;

/// What must be empty at any moment, and what it means when it is not.
const EMPTY: [(&str, &str); 6] = [
    (
        "P7: a timeline has a gap or its counter is wrong",
        "select i.id from incidents i left join events e on e.incident_id = i.id
         group by i.id having count(e.seq) <> i.next_seq - 1 or coalesce(max(e.seq), 0) <> i.next_seq - 1",
    ),
    (
        "P6: a lock is held by a run that is over",
        "select l.run_id from target_locks l left join run_queue q on q.run_id = l.run_id where q.run_id is null",
    ),
    (
        "P6: a process wrote about a run that another one held",
        "select run_id from stray_writes",
    ),
    (
        "P9: a run is neither over nor in the queue, or both",
        "select r.id from runs r left join run_queue q on q.run_id = r.id
         where (r.result is null) <> (q.run_id is not null)",
    ),
    (
        "P2: a group has two incidents",
        "select min(id) from incidents group by group_key having count(*) > 1",
    ),
    (
        "P3: an attempt of an earlier claim was left open when a later one began",
        "select a.run_id from attempts a join attempts b on b.run_id = a.run_id and b.started_at > a.started_at
         where a.state = 'started' and b.fence > a.fence and b.effect <> 'safe' and a.effect <> 'safe'",
    ),
];

/// What earlier looks saw.
#[derive(Default)]
pub struct Past {
    /// The newest event of each timeline when it was last looked at.
    tips: BTreeMap<i64, (i64, Vec<u8>)>,
    pub looks: usize,
}

impl Past {
    /// Looks; returns what is wrong.
    pub async fn look(&mut self, world: &World) -> Vec<String> {
        self.looks += 1;
        let pool = &world.database.pools.background;
        let mut found = Vec::new();
        for (what, sql) in EMPTY {
            let wrong: Vec<i64> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
            if !wrong.is_empty() {
                found.push(format!("{what}: {wrong:?}"));
            }
        }
        found.extend(self.history(world).await);
        let entries = world.ledger.entries();
        found.extend(too_often(world, &entries));
        found
    }

    /// What was the newest event at an earlier look still stands where it stood.
    async fn history(&mut self, world: &World) -> Vec<String> {
        let incidents: Vec<i64> = self.tips.keys().copied().collect();
        let seqs: Vec<i64> = self.tips.values().map(|(seq, _)| *seq).collect();
        let hashes: Vec<&[u8]> = self.tips.values().map(|(_, hash)| hash.as_slice()).collect();
        let pool = &world.database.pools.background;
        let rewritten: Vec<i64> = sqlx::query_scalar(
            "select t.incident from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as t (incident, seq, hash)
             left join events e on e.incident_id = t.incident and e.seq = t.seq
             where e.hash is distinct from t.hash",
        )
        .bind(incidents)
        .bind(seqs)
        .bind(hashes)
        .fetch_all(pool)
        .await
        .unwrap();
        let tips = sqlx::query("select id, next_seq - 1 as seq, last_hash from incidents where next_seq > 1")
            .fetch_all(pool)
            .await
            .unwrap();
        for row in tips {
            self.tips
                .insert(row.get("id"), (row.get("seq"), row.get("last_hash")));
        }
        match rewritten.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "P7: the history of incidents {rewritten:?} was rewritten"
            )],
        }
    }
}

/// Steps that may be sent once and came more often than people allowed. All that is posted has the effect `once`.
pub fn too_often(world: &World, entries: &[Entry]) -> Vec<String> {
    let mut counts: BTreeMap<Place, usize> = BTreeMap::new();
    for place in entries.iter().filter_map(|entry| Place::read(&entry.path)) {
        if is_once(&place.step) {
            *counts.entry(place).or_default() += 1;
        }
    }
    let notes = world.notebook.lock().unwrap();
    counts
        .into_iter()
        .filter_map(|(place, count)| {
            let allowed = 1 + notes.repeats_of(place.run, &place.step);
            (count > allowed).then(|| {
                format!(
                    "P4: {} of run {} was sent {count} times, {allowed} allowed",
                    place.step, place.run
                )
            })
        })
        .collect()
}

/// Whether a step of the campaign may be sent once.
pub fn is_once(step: &str) -> bool {
    let step = StepId(step.to_owned());
    step.undone().is_none() && (step.base().ends_with("strike") || step.base() == "refuse")
}
