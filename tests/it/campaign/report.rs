//! What a campaign did, what it hit and what it found, in one page.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    Scale, World,
    checker::Evidence,
    figures::{self, Figure, Fires},
    instruments,
    killer::Toll,
    quick::Past,
    replicas::Replicas,
    succession::{self, BUSY, TAKE_OVER_MAX, TakeOver},
};

/// The report.
pub struct Report {
    scale: Scale,
    took: Duration,
    figures: Vec<Figure>,
    results: BTreeMap<String, usize>,
    after_kill: Times,
    after_stop: Times,
    pub violations: Vec<String>,
}

impl Report {
    /// Puts it together. What `violations` has already is followed by take-overs that came too late.
    pub async fn new(
        world: &World,
        replicas: &Replicas,
        evidence: &Evidence,
        toll: &Toll,
        past: &Past,
        mut violations: Vec<String>,
        took: Duration,
    ) -> Self {
        let pool = &world.database.pools.background;
        let (leases, moves) = (
            instruments::leases(pool).await,
            instruments::queue_moves(pool).await,
        );
        let succession = succession::follow(&replicas.diary, &leases, &moves);
        if world.scale.is_full {
            let is_late = |one: &&TakeOver| one.attended && one.after > TAKE_OVER_MAX + BUSY;
            let late = succession.killed.iter().filter(is_late);
            violations.extend(late.map(|one| format!("a run waited {:?} for another worker", one.after)));
        }
        let mut results = BTreeMap::new();
        for run in &evidence.runs {
            let result = run.result.clone().unwrap_or_else(|| "none".to_owned());
            *results.entry(result).or_default() += 1;
        }
        Self {
            scale: world.scale.clone(),
            took,
            figures: figures::all(world, evidence, toll, past, &succession, &replicas.logs()),
            results,
            after_kill: Times::of(&succession.killed),
            after_stop: Times::of(&succession.stopped),
            violations,
        }
    }

    /// Faults that hit nothing.
    pub fn silent(&self) -> Vec<&'static str> {
        let must_fire = if self.scale.is_full {
            Fires::InFull
        } else {
            Fires::Always
        };
        self.figures
            .iter()
            .filter(|figure| figure.fires >= must_fire && figure.count == 0)
            .map(|figure| figure.name.trim())
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale {
            runs,
            kills,
            seed,
            is_full,
            ..
        } = &self.scale;
        let leases = match is_full {
            true => "real leases",
            false => "leases of killed processes ended by hand",
        };
        writeln!(
            f,
            "campaign: {runs} runs, {kills} kills, seed {seed}, {leases}, took {:.0?}",
            self.took
        )?;
        for figure in &self.figures {
            writeln!(f, "  {:<52} {:>7}", figure.name, figure.count)?;
        }
        writeln!(f, "  runs by result: {:?}", self.results)?;
        writeln!(
            f,
            "  a run's wait for another worker after a kill\n{}",
            self.after_kill
        )?;
        writeln!(
            f,
            "  a run's wait for another worker after a stop\n{}",
            self.after_stop
        )?;
        writeln!(f, "  violations: {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "    {violation}")?;
        }
        Ok(())
    }
}

/// How long runs waited for another worker.
struct Times {
    all: Vec<Duration>,
    /// Those with another process up all the time: these have a bar.
    attended: Vec<Duration>,
}

impl Times {
    fn of(take_overs: &[TakeOver]) -> Self {
        let sorted = |attended_only: bool| {
            let chosen = take_overs.iter().filter(|one| one.attended || !attended_only);
            let mut times: Vec<Duration> = chosen.map(|one| one.after).collect();
            times.sort();
            times
        };
        Self {
            all: sorted(false),
            attended: sorted(true),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("while another process was up", &self.attended),
            ("all, also while none was", &self.all),
        ];
        for (at, (name, times)) in lines.into_iter().enumerate() {
            let [p50, max] = [0.5, 1.0].map(|share| succession::quantile(times, share).as_secs_f64());
            let count = times.len();
            let end = if at == 0 { "\n" } else { "" };
            write!(
                f,
                "    {name:<30} {count:>4}, p50 {p50:.2} s, max {max:.2} s{end}"
            )?;
        }
        Ok(())
    }
}
