//! What of a night its scenario leaves out. Whatever a bound cuts is told here, with how much it was: nothing goes silently.

use super::super::GAPS_MAX;

/// The gaps of one night.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps(Vec<String>);

impl Gaps {
    /// Those that were known before.
    pub fn of(lines: &[String]) -> Self {
        Self(lines.to_vec())
    }

    /// Tells one, once.
    pub fn say(&mut self, line: String) {
        if !self.0.contains(&line) {
            self.0.push(line);
        }
    }

    /// Tells how many of these were cut beyond the first `most`, if any were.
    pub fn cut(&mut self, what: &str, most: usize, cut: usize) {
        if cut > 0 {
            self.say(format!("{what} beyond the first {most} are left out: {cut}"));
        }
    }

    /// Cuts a list to the first `most`, and tells how many were cut.
    pub fn keep<T>(&mut self, what: &str, most: usize, list: &mut Vec<T>) {
        self.cut(what, most, list.len().saturating_sub(most));
        list.truncate(most);
    }

    /// One line each, no more than a scenario may have; the last counts those that have no room.
    pub fn told(mut self) -> Vec<String> {
        let more = self.0.len().saturating_sub(GAPS_MAX);
        if more > 0 {
            self.0.truncate(GAPS_MAX - 1);
            self.0.push(format!("and {} more of this kind", more + 1));
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_told_with_its_bound_and_how_much_it_was() {
        let mut gaps = Gaps::default();
        let mut list = vec![1, 2, 3];
        gaps.keep("alerts", 3, &mut list);
        gaps.keep("alerts", 2, &mut list);
        assert_eq!(list, [1, 2]);
        assert_eq!(gaps.told(), ["alerts beyond the first 2 are left out: 1"]);
    }

    #[test]
    fn too_many_gaps_are_counted() {
        let mut gaps = Gaps::default();
        for number in 0..GAPS_MAX + 4 {
            gaps.say(format!("gap {number}"));
            gaps.say(format!("gap {number}"));
        }
        let told = gaps.told();
        assert_eq!(told.len(), GAPS_MAX);
        assert_eq!(told[GAPS_MAX - 1], "and 5 more of this kind");
    }
}
