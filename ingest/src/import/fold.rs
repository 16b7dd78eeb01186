//! The hour that happens twice in autumn, told apart by the order of the rows, whether a file begins with its oldest or its newest.

use jiff::civil::DateTime;
use model::Timestamp;
use std::cmp::Ordering;

/// Rows held at most until the hour is over.
pub(super) const MOST: usize = 100_000;
/// A row further away than this says nothing of the order around the hour.
const NEAR_S: i64 = 86_400;

/// One row of that hour: what the clock showed, and its two instants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twice {
    pub(super) civil: DateTime,
    pub(super) first: Timestamp,
    pub(super) second: Timestamp,
}

/// Why it can't be told which is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untold {
    Once,
    TooOften,
    NoOrder,
}

/// The instant of each row of the hour, all that there are of it, between the row before and the row after. Where the clock steps
/// against the order of the file, the other pass begins.
///
/// # Errors
/// When there is no such step, more than one, or no order.
pub(super) fn told_apart(rows: &[Twice], before: Option<Timestamp>, after: Option<Timestamp>) -> Result<Vec<Timestamp>, Untold> {
    if let [_] = rows {
        return Err(Untold::Once);
    }
    let is_descending = match direction(rows, before, after) {
        Some(order) => order == Ordering::Greater,
        None => return Err(Untold::NoOrder),
    };
    let against = |pair: &[Twice]| match pair {
        [one, next] if is_descending => next.civil >= one.civil,
        [one, next] => next.civil <= one.civil,
        _ => false,
    };
    let steps: Vec<usize> = rows.windows(2).enumerate().filter(|(_, pair)| against(pair)).map(|(place, _)| place + 1).collect();
    match steps.as_slice() {
        [] => Err(Untold::Once),
        [step] => {
            let is_first = |place: usize| (place < *step) != is_descending;
            Ok(rows.iter().enumerate().map(|(place, row)| if is_first(place) { row.first } else { row.second }).collect())
        }
        _ => Err(Untold::TooOften),
    }
}

/// `Less` for oldest first. The rows around the hour say it; where there are none, the steps within.
fn direction(rows: &[Twice], before: Option<Timestamp>, after: Option<Timestamp>) -> Option<Ordering> {
    let (earliest, latest) = (rows.iter().map(|row| row.first).min()?, rows.iter().map(|row| row.second).max()?);
    let near = |at: &Timestamp| (at.seconds() - earliest.seconds()).abs() <= NEAR_S;
    let side = |at: Timestamp| if at < earliest { Some(Ordering::Less) } else { (at > latest).then_some(Ordering::Greater) };
    let before = before.filter(near).and_then(side);
    let after = after.filter(near).and_then(side).map(Ordering::reverse);
    match (before, after) {
        (Some(one), Some(other)) => (one == other).then_some(one),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => {
            let count =
                |order: Ordering| rows.windows(2).filter(|pair| matches!(pair, [one, next] if one.civil.cmp(&next.civil) == order)).count();
            match count(Ordering::Less).cmp(&count(Ordering::Greater)) {
                Ordering::Equal => None,
                Ordering::Greater => Some(Ordering::Less),
                Ordering::Less => Some(Ordering::Greater),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes after two of each row; what is expected is `1` for the first pass, `2` for the second.
    fn check(minutes: &[i8], before: Option<i64>, after: Option<i64>, expected: Result<&str, Untold>) {
        let at = |minute: i8, pass: i64| Timestamp::from_seconds(1_414_281_600 + i64::from(minute) * 60 + pass * 3600);
        let rows: Vec<Twice> = minutes
            .iter()
            .map(|minute| Twice {
                civil: jiff::civil::date(2014, 10, 26).at(2, *minute, 0, 0),
                first: at(*minute, 0),
                second: at(*minute, 1),
            })
            .collect();
        let around = |minutes: Option<i64>| minutes.map(|minutes| Timestamp::from_seconds(1_414_281_600 + minutes * 60));
        let passes = |times: Vec<Timestamp>| {
            times.iter().zip(minutes).map(|(time, minute)| if *time == at(*minute, 0) { '1' } else { '2' }).collect::<String>()
        };
        assert_eq!(told_apart(&rows, around(before), around(after)).map(passes), expected.map(str::to_owned));
    }

    #[test]
    fn both_orders_are_told_apart_hourly_and_at_ten_minutes() {
        let ten = [0, 10, 20, 30, 40, 50, 0, 10, 20, 30, 40, 50];
        let mut newest = ten;
        newest.reverse();
        check(&[0, 0], Some(-60), Some(120), Ok("12"));
        check(&[0, 0], Some(120), Some(-60), Ok("21"));
        check(&[0, 0], Some(120), None, Ok("21"));
        check(&[0, 0], None, Some(120), Ok("12"));
        check(&[0, 0], None, None, Err(Untold::NoOrder));
        check(&ten, Some(-10), Some(120), Ok("111111222222"));
        check(&newest, Some(120), Some(-10), Ok("222222111111"));
        check(&newest, None, None, Ok("222222111111"));
        check(&[0, 30, 0, 30], None, None, Ok("1122"));
        check(&[30, 0], Some(-10), None, Ok("12"));
        check(&[0, 30], Some(-10), None, Err(Untold::Once));
        check(&[30, 0], Some(120), None, Err(Untold::Once));
        check(&[0], Some(120), None, Err(Untold::Once));
        check(&[0, 0, 0], Some(-10), None, Err(Untold::TooOften));
    }
}
