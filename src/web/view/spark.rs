//! What came in each hour of a day, as a line of bars beside its numbers: one look says whether a sender went quiet. The
//! sentence says the same to whoever does not see it.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::format;

/// Hours that are drawn.
pub const HOURS: usize = 24;
/// Width of a bar with the space after it, and of the bar alone.
const STEP: usize = 5;
const BAR: usize = 4;
/// Height of the whole.
const HEIGHT: i64 = 20;

/// The drawing.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<svg role="img" width="{{ WIDTH }}" height="{{ HEIGHT }}" viewBox="0 0 {{ WIDTH }} {{ HEIGHT }}" aria-label="{{ summary }}" fill="currentColor">{% for (x, height) in bars %}<rect x="{{ x }}" y="{{ HEIGHT - height }}" width="{{ BAR }}" height="{{ height }}"/>{% endfor %}</svg>"#
)]
pub struct Spark {
    /// Where each bar stands, and how high it is: the oldest hour first, one unit where nothing came.
    bars: Vec<(usize, i64)>,
    /// The whole in a sentence.
    summary: String,
}

impl HtmlSafe for Spark {}

const WIDTH: usize = HOURS * STEP;

impl Spark {
    /// The drawing of the hours up to `now`; counts by hour, 0 for the one that began [`HOURS`] ago. `is_cut` when only
    /// the newest were counted. `None` when nothing came.
    pub fn of(counts: &[(i32, i64)], is_cut: bool, now: DateTime<Utc>) -> Option<Self> {
        let mut hours = [0i64; HOURS];
        for (hour, count) in counts {
            // What came in this very moment belongs to the last hour.
            let hour = (*hour).clamp(0, HOURS as i32 - 1);
            hours[hour as usize] += count;
        }
        let (busiest, most) = hours
            .iter()
            .copied()
            .enumerate()
            .max_by_key(|(hour, count)| (*count, std::cmp::Reverse(*hour)))
            .filter(|(_, most)| *most > 0)?;
        let at = |hour: usize| now - TimeDelta::hours((HOURS - hour) as i64);
        let quiet = hours.iter().rev().take_while(|count| **count == 0).count();
        let cut = match is_cut {
            true => " of the newest",
            false => "",
        };
        let end = match quiet {
            0 => "some in the last hour".to_owned(),
            n => format!("none in the last {}", format::count(n as i64, "hour", "hours")),
        };
        Some(Self {
            bars: hours
                .iter()
                .enumerate()
                .map(|(hour, count)| (hour * STEP, height(*count, most)))
                .collect(),
            summary: format!(
                "Deliveries by hour{cut}: at most {} from {} on, {end}.",
                format::grouped(most),
                at(busiest).format("%H:%M")
            ),
        })
    }
}

/// Something is never drawn as nothing, nor nothing as something: that is the ground line.
fn height(count: i64, most: i64) -> i64 {
    match count {
        0 => 1,
        count => (count * HEIGHT / most).max(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_316_400, 0).unwrap_or_default()
    }

    #[test]
    fn the_busiest_hour_fills_the_height_and_a_quiet_end_is_said() {
        let spark = Spark::of(&[(0, 1), (3, 400), (21, 8)], false, now()).unwrap();
        assert_eq!(spark.bars.len(), HOURS);
        assert_eq!(
            (spark.bars[3], spark.bars[0], spark.bars[1]),
            ((15, HEIGHT), (0, 3), (5, 1))
        );
        let from = (now() - TimeDelta::hours(21)).format("%H:%M");
        assert_eq!(
            spark.summary,
            format!("Deliveries by hour: at most 400 from {from} on, none in the last 2 hours.")
        );
        assert!(!spark.to_string().contains("style="));
    }

    #[test]
    fn nothing_is_not_drawn_and_the_present_moment_is_in_the_last_hour() {
        assert_eq!(Spark::of(&[], false, now()), None);
        let spark = Spark::of(&[(24, 2), (-1, 1)], true, now()).unwrap();
        assert_eq!((spark.bars[23].1, spark.bars[0].1), (HEIGHT, HEIGHT / 2));
        assert!(spark.summary.contains("of the newest") && spark.summary.contains("some in the last hour"));
    }
}
