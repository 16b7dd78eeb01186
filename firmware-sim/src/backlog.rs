//! A logger that was without a link for hours and then sends all that it kept: in no order, more than once, and by a clock that is wrong.

use model::Timestamp;

/// What such a logger keeps.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// The last true time before the link was lost.
    pub lost_at: Timestamp,
    pub period_s: i64,
    pub count: i64,
    /// How far its clock is ahead of the true time, s.
    pub clock_ahead_s: i64,
}

impl Backlog {
    /// The message of the `number`th period after the link was lost, 0 the last one before: `{"time": seconds, "values": {"level": m}}`
    /// with the time of its own clock.
    #[must_use]
    pub fn message(&self, number: i64) -> String {
        let at = self.lost_at.seconds() + number * self.period_s;
        format!("{{\"time\": {}, \"values\": {{\"level\": {}}}}}", at + self.clock_ahead_s, Self::level_m(at))
    }

    /// All that it kept, in an order of this round's own.
    #[must_use]
    pub fn resent(&self, round: u64) -> Vec<String> {
        let mut messages: Vec<String> = (1..=self.count).map(|number| self.message(number)).collect();
        let mut state = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for place in (1..messages.len()).rev() {
            // xorshift64, as good as a logger's flash is at keeping order.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let other = usize::try_from(state % (place as u64 + 1)).unwrap_or(place);
            messages.swap(place, other);
        }
        messages
    }

    /// Another at each time, to the millimetre.
    fn level_m(at: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "less than a thousand")]
        let level = at.rem_euclid(977) as f64 / 1000.0;
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_round_has_all_of_it_in_another_order_by_the_wrong_clock() {
        let backlog = Backlog { lost_at: Timestamp::from_seconds(1_700_000_000), period_s: 300, count: 72, clock_ahead_s: 70 };
        assert_eq!(backlog.message(1), r#"{"time": 1700000370, "values": {"level": 0.76}}"#);
        let (one, other) = (backlog.resent(1), backlog.resent(2));
        assert!(one != other && !one.is_sorted() && !other.is_sorted());
        let all = |round: &[String]| round.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!((all(&one), all(&one).len()), (all(&other), 72));
    }
}
