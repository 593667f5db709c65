//! The track of a runbook: what its past says of whether it can be trusted, without pretending.

use chrono::{DateTime, TimeDelta, Utc};

use super::{coverage::Tally, id::DrillId, run::RunResult};

/// What is known of a runbook's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// The newest real run, of whatever version.
    pub last: Option<LastRun>,
    /// The newest run in a drill, of whatever version.
    pub drill: Option<LastDrill>,
    /// How much of the version in question drills have covered, where that was asked for.
    pub coverage: Option<Tally>,
    /// Whether it is due for a drill.
    pub is_due: bool,
    /// Runs that have ended, among the newest ones that are counted.
    pub ended: i64,
    /// Those of them that worked.
    pub worked: i64,
    /// How long those took, in the middle.
    pub median: Option<TimeDelta>,
    /// What the newest look at the version in use found.
    pub check: Option<Check>,
    /// Whether any version of it was ever found for an incident.
    pub has_matched: bool,
}

/// The newest run of a runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Number of the version it was pinned to.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How it ended; `None` while it goes on.
    pub result: Option<RunResult>,
}

/// The newest run of a runbook in a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDrill {
    /// Which drill.
    pub drill: DrillId,
    /// Number of the version it was pinned to.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How it ended; `None` while it goes on.
    pub result: Option<RunResult>,
    /// Whether the drill is over.
    pub is_over: bool,
    /// Whether the drill was played to its end.
    pub is_whole: bool,
}

/// A look at whether a version could work: its targets were asked, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// When.
    pub at: DateTime<Utc>,
    /// The first credential that was not there.
    pub missing: Option<String>,
    /// The first thing that could not work, credentials included.
    pub broken: Option<String>,
}

/// One thing a track says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No version of it ever ran.
    NeverRun,
    /// Its newest run.
    LastRun {
        /// Number of its version, when it is another one than the one in question: this one has not run since it changed.
        other: Option<i32>,
        /// When it began.
        at: DateTime<Utc>,
        /// How it ended; `None` while it goes on.
        result: Option<RunResult>,
    },
    /// Nobody has practised it.
    NeverDrilled,
    /// The newest drill in which it ran.
    LastDrill {
        /// Number of the version that ran there, when it is another one than the one in question.
        other: Option<i32>,
        /// When it began.
        at: DateTime<Utc>,
        /// How the run ended; `None` while it goes on.
        result: Option<RunResult>,
        /// Whether the drill ended before its time.
        is_cut_short: bool,
    },
    /// So much of it drills have covered.
    Covered(Tally),
    /// So many of the runs that ended worked.
    Worked {
        /// How many worked.
        worked: i64,
        /// How many ended.
        ended: i64,
    },
    /// How long a run that works takes, in the middle.
    Median(TimeDelta),
    /// Nobody has looked yet whether its credentials are there.
    NotChecked,
    /// Its credentials were there, and its targets answered.
    Checked(DateTime<Utc>),
    /// A credential was not there.
    Missing {
        /// Which.
        what: String,
        /// When somebody looked.
        at: DateTime<Utc>,
    },
    /// Its credentials were there, but something else could not work.
    Broken {
        /// What.
        what: String,
        /// When somebody looked.
        at: DateTime<Utc>,
    },
}

impl Mark {
    /// Whether it is a reason to look twice before relying on the runbook.
    pub fn is_bad(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Broken { .. } => true,
            Self::LastRun { result, .. } => *result == Some(RunResult::Failed),
            _ => false,
        }
    }
}

impl Track {
    /// What it says of the version of that number, in the order people read it.
    pub fn marks(&self, number: i32) -> Vec<Mark> {
        let mut marks = Vec::new();
        marks.push(match self.last {
            None => Mark::NeverRun,
            Some(last) => Mark::LastRun {
                other: (last.number != number).then_some(last.number),
                at: last.at,
                result: last.result,
            },
        });
        marks.push(match self.drill {
            None => Mark::NeverDrilled,
            Some(drill) => Mark::LastDrill {
                other: (drill.number != number).then_some(drill.number),
                at: drill.at,
                result: drill.result,
                is_cut_short: drill.is_over && !drill.is_whole,
            },
        });
        // Of what nobody has practised that is said above.
        let is_practised = |tally: &Tally| self.drill.is_some() || tally.covered > 0;
        marks.extend(self.coverage.filter(is_practised).map(Mark::Covered));
        if self.ended > 0 {
            marks.push(Mark::Worked {
                worked: self.worked,
                ended: self.ended,
            });
        }
        marks.extend(self.median.map(Mark::Median));
        marks.push(match &self.check {
            None => Mark::NotChecked,
            Some(Check {
                at,
                missing: Some(what),
                ..
            }) => Mark::Missing {
                what: what.clone(),
                at: *at,
            },
            Some(Check {
                at,
                broken: Some(what),
                ..
            }) => Mark::Broken {
                what: what.clone(),
                at: *at,
            },
            Some(check) => Mark::Checked(check.at),
        });
        marks
    }

    /// Whether the newest look found something that cannot work.
    pub fn is_failing(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.broken.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn last(number: i32, result: Option<RunResult>) -> Option<LastRun> {
        Some(LastRun {
            number,
            at: at(1),
            result,
        })
    }

    #[test]
    fn nothing_known_is_said_as_such() {
        assert_eq!(
            Track::default().marks(1),
            [Mark::NeverRun, Mark::NeverDrilled, Mark::NotChecked]
        );
        assert!(!Track::default().is_failing());
    }

    #[test]
    fn a_run_of_another_version_does_not_stand_for_this_one() {
        for (ran, asked, other) in [(14, 14, None), (13, 14, Some(13)), (15, 14, Some(15))] {
            let track = Track {
                last: last(ran, Some(RunResult::Succeeded)),
                ..Track::default()
            };
            let Mark::LastRun { other: said, .. } = track.marks(asked)[0] else {
                unreachable!("it has run");
            };
            assert_eq!(said, other, "{ran} {asked}");
        }
    }

    #[test]
    fn what_failed_is_bad_and_a_stop_by_a_person_is_not() {
        for (result, is_bad) in [
            (None, false),
            (Some(RunResult::Succeeded), false),
            (Some(RunResult::Failed), true),
            (Some(RunResult::Rejected), false),
            (Some(RunResult::Stopped), false),
        ] {
            let track = Track {
                last: last(1, result),
                ended: i64::from(result.is_some()),
                ..Track::default()
            };
            let marks = track.marks(1);
            assert_eq!(marks[0].is_bad(), is_bad, "{result:?}");
            let counted = marks.iter().any(|mark| matches!(mark, Mark::Worked { .. }));
            assert_eq!(counted, result.is_some());
        }
    }

    #[test]
    fn a_missing_credential_is_named_before_anything_else_that_is_broken() {
        let check = |missing: Option<&str>, broken: Option<&str>| Track {
            check: Some(Check {
                at: at(2),
                missing: missing.map(str::to_owned),
                broken: broken.map(str::to_owned),
            }),
            ..Track::default()
        };
        let told = |track: &Track| track.marks(1).pop().unwrap();
        assert_eq!(told(&check(None, None)), Mark::Checked(at(2)));
        let (what, at) = ("down".to_owned(), at(2));
        let down = check(None, Some("down"));
        assert_eq!(told(&down), Mark::Broken { what, at });
        assert!(down.is_failing());
        let what = "LB_TOKEN".to_owned();
        assert_eq!(
            told(&check(Some("LB_TOKEN"), Some("down"))),
            Mark::Missing { what, at }
        );
    }
}
