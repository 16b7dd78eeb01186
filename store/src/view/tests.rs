use super::Bucket;
use crate::{Batch, Store, load_embedded};
use model::{Clock, Flag, Interval, Level, Observation, Quality, QualityTest, Timestamp, Viewer};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock that stands where it is put.
struct Put(AtomicI64);
impl Clock for Put {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "o"
[[station]]
id = "s"
owner = "o"
name = "s"
where = [43.9, 11.1]
[[datastream]]
id = "open"
station = "s"
property = "water_level"
period_s = 900
visibility = "public"
[[datastream.threshold]]
value = 2.0
label = "soglia 1"
[[datastream]]
id = "own"
station = "s"
property = "water_level"
period_s = 900
"#;

const METER: &str = r#"
[[datastream]]
id = "meter"
station = "s"
property = "energy_counter"
period_s = 900
visibility = "public"
counter = { digits = 6 }
"#;

const RAIN: &str = r#"
[[datastream]]
id = "rain"
station = "s"
property = "rain_increment"
period_s = 900
visibility = "public"
"#;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

fn world(now: &str) -> (Store, Arc<Put>) {
    let clock = Arc::new(Put(AtomicI64::new(at(now).seconds())));
    let store = Store::in_memory(clock.clone()).expect("a store");
    store.apply(&load_embedded("n", NETWORK, &[]).expect("a network")).expect("applied");
    (store, clock)
}

/// One value each quarter of an hour from `from`.
fn measure(store: &Store, datastream: &str, from: &str, values: &[f64]) {
    let id = store.registry().datastream_by_key(datastream).expect("there").id;
    let observation = |(quarter, result): (i64, &f64)| {
        let time = at(from).plus_seconds(quarter * 900);
        Observation { datastream: id, phenomenon_time: time, received_at: time, result: *result, quality: Quality::GOOD }
    };
    let observations = (0..).zip(values).map(observation).collect();
    store.commit_blocking(Batch { observations, ..Batch::default() }).expect("committed");
}

#[test]
fn a_civil_day_has_as_many_quarters_as_the_clock_change_leaves_it() {
    let (store, _) = world("2026-11-23T00:00:00Z");
    measure(&store, "open", "2026-10-23T22:00:00Z", &[1.0; 400]);
    measure(&store, "own", "2026-03-27T23:00:00Z", &[1.0; 300]);
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![model::Scope::Read] });
    let days = |datastream: &str| {
        let datastream = view.datastream(datastream).expect("seen");
        let rows = view.buckets(&datastream, Interval::ALL, Bucket::CivilDay, 9).expect("rows");
        rows.iter().map(|row| (row.start.to_string(), row.count)).collect::<Vec<_>>()
    };
    let autumn = days("open");
    assert_eq!(autumn[..2], [("2026-10-23T22:00:00Z".to_owned(), 96), ("2026-10-24T22:00:00Z".to_owned(), 100)]);
    let spring = days("own");
    assert_eq!(spring[..2], [("2026-03-27T23:00:00Z".to_owned(), 96), ("2026-03-28T23:00:00Z".to_owned(), 92)]);
}

#[test]
fn what_fell_until_midnight_is_of_the_day_that_ends_then() {
    let (store, _) = world("2026-11-23T00:00:00Z");
    store.apply(&load_embedded("n", &format!("{NETWORK}{RAIN}"), &[]).expect("a network")).expect("applied");
    // A quarter of an hour after the day has begun, to the midnight at which it ends: a plain day, one of 25 hours, one of 23.
    for (first, quarters, day) in [
        ("2026-02-01T23:15:00Z", 96, "2026-02-01T23:00:00Z"),
        ("2026-10-24T22:15:00Z", 100, "2026-10-24T22:00:00Z"),
        ("2026-03-28T23:15:00Z", 92, "2026-03-28T23:00:00Z"),
    ] {
        measure(&store, "rain", first, &vec![0.5; quarters]);
        let view = store.seen_by(&Viewer::Public);
        let rain = view.datastream("rain").expect("seen");
        let end = at(first).plus_seconds(i64::try_from(quarters).expect("few") * 900 - 900);
        // The interval ends with the day, and is of what fell in it.
        let rows = view.buckets(&rain, Interval::new(at(day), end), Bucket::CivilDay, 9).expect("rows");
        let expected = (at(day), end, quarters as u64, quarters as f64 / 2.0);
        assert_eq!(rows.iter().map(|row| (row.start, row.end, row.count, row.sum)).collect::<Vec<_>>(), [expected]);
        let hours = view.buckets(&rain, Interval::new(at(day), end), Bucket::Seconds(3600), 99).expect("rows");
        assert!(hours.len() == quarters / 4 && hours.iter().all(|hour| hour.count == 4), "{day}");
        // The page after a page of rows begins where the last of them ended.
        let rest = view.buckets(&rain, Interval::new(hours[4].start, end), Bucket::Seconds(3600), 99).expect("rows");
        assert_eq!(rest, hours[4..]);
    }
}

#[test]
fn a_state_follows_the_clock_without_anything_arriving() {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    let state = || {
        let view = store.seen_by(&Viewer::Public);
        let latest = view.latest().expect("latest");
        assert_eq!(latest.len(), 1, "what is private is not there");
        (latest[0].state.level, latest[0].state.stale)
    };
    assert_eq!(state(), (Level::Unknown, true));
    measure(&store, "open", "2026-11-23T05:15:00Z", &[1.9, 2.0, 2.05]);
    assert_eq!(state(), (Level::Over(1), false));
    clock.0.store(at("2026-11-23T06:31:00Z").seconds(), Ordering::Relaxed);
    assert_eq!(state(), (Level::Unknown, true), "three periods later nobody knows");
    measure(&store, "open", "2026-11-23T06:00:00Z", &[1.97, 1.97]);
    assert_eq!(state(), (Level::Over(1), false), "not yet under the clearing level");
}

#[test]
fn what_was_stamped_by_a_clock_that_was_wrong_does_not_stand_before_what_is_measured_since() {
    for wrong in ["2026-11-23T07:00:00Z", "2028-02-29T06:00:00Z", "2036-11-23T06:00:00Z"] {
        let (store, clock) = world("2026-11-23T06:00:00Z");
        measure(&store, "open", "2026-11-23T05:15:00Z", &[2.1, 2.1, 2.1]);
        clock.0.store(at(wrong).seconds(), Ordering::Relaxed);
        measure(&store, "open", wrong, &[0.5]);
        let last = || {
            let view = store.seen_by(&Viewer::Public);
            let (latest, row) = (view.latest().expect("latest").remove(0), view.levels().expect("levels").remove(0));
            assert_eq!((row.latest.state, row.latest.observation), (latest.state, latest.observation));
            (latest.observation.map(|one| one.result), latest.state.level, latest.state.stale)
        };
        assert_eq!(last(), (Some(0.5), Level::Below, false), "{wrong}: nobody can know better yet");
        clock.0.store(at("2026-11-23T06:00:00Z").seconds(), Ordering::Relaxed);
        assert_eq!(last(), (Some(2.1), Level::Over(1), false), "{wrong}: the clock is right again");
        measure(&store, "open", "2026-11-23T06:00:00Z", &[2.2]);
        assert_eq!(last(), (Some(2.2), Level::Over(1), false), "{wrong}: what comes is shown");
        clock.0.store(at("2026-11-23T06:46:00Z").seconds(), Ordering::Relaxed);
        assert_eq!(last(), (Some(2.2), Level::Unknown, true), "{wrong}: three periods later nobody knows");
    }
}

#[test]
fn what_a_viewer_may_not_see_is_nowhere() {
    let (store, _) = world("2026-11-23T06:00:00Z");
    measure(&store, "own", "2026-11-23T05:00:00Z", &[1.0; 4]);
    let own = store.registry().datastream_by_key("own").expect("there").clone();
    for (viewer, seen) in [
        (Viewer::Public, 0),
        (Viewer::Token { owner: "other".into(), scopes: model::Scope::ALL.to_vec() }, 0),
        (Viewer::Token { owner: "o".into(), scopes: vec![model::Scope::Ingest] }, 0),
        (Viewer::Token { owner: "o".into(), scopes: vec![model::Scope::Read] }, 4),
    ] {
        let view = store.seen_by(&viewer);
        assert_eq!(view.datastream("own").is_some(), seen > 0, "{viewer:?}");
        assert_eq!(view.observations(&own, Interval::ALL, 9).expect("read").len(), seen, "{viewer:?}");
        assert_eq!(view.observations_before(&own, Timestamp::MAX, 9).expect("read").len(), seen);
        assert_eq!(view.buckets(&own, Interval::ALL, Bucket::Seconds(900), 9).expect("read").len(), seen);
        assert_eq!(view.extent(&own).expect("read").map_or(0, |(count, ..)| count), seen as u64);
        assert_eq!(
            view.latest().expect("read").iter().filter(|latest| latest.datastream.key.as_str() == "own").count(),
            usize::from(seen > 0)
        );
        assert_eq!(
            view.levels().expect("read").iter().filter(|row| row.latest.datastream.key.as_str() == "own").count(),
            usize::from(seen > 0)
        );
        assert_eq!(view.datastream_by_id(own.id).is_some(), seen > 0);
        let mut each = 0;
        view.each_observation(&own, Interval::ALL, |_| each += 1).expect("read");
        assert_eq!(each, seen);
        assert!(view.gaps(&own, Interval::ALL).expect("read").is_empty());
    }
}

#[test]
fn the_table_of_levels_says_how_each_changed_and_agrees_with_the_latest() {
    let (store, _) = world("2026-11-23T12:00:00Z");
    // A day that rises by a centimetre each quarter of an hour, with two hours missing before the last one.
    let values: Vec<f64> = (0..96).map(|quarter| 1.10 + f64::from(quarter) / 100.0).collect();
    measure(&store, "open", "2026-11-22T12:15:00Z", &values[..84]);
    measure(&store, "open", "2026-11-23T11:15:00Z", &values[92..]);
    let view = store.seen_by(&Viewer::Public);
    let row = view.levels().expect("read").remove(0);
    let rounded = row.changes.map(|change| change.map(|metres| (metres * 1000.0).round() / 1000.0));
    assert_eq!(rounded, [None, Some(0.12), Some(0.24)], "an hour ago nothing was measured");
    assert_eq!((row.day.len(), row.day.iter().filter(|hour| hour.is_none()).count()), (24, 1));
    assert_eq!(row.day.last().copied().flatten(), Some(values[95]));
    let latest = view.latest().expect("read").remove(0);
    assert_eq!((row.latest.state, row.latest.age_s), (latest.state, latest.age_s));
}

#[test]
fn a_sensor_that_says_nonsense_says_nothing_about_the_water() {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    measure(&store, "open", "2026-11-23T05:00:00Z", &[2.1, 2.1, 2.1]);
    let id = store.registry().datastream_by_key("open").expect("there").id;
    let nonsense = |time: &str| {
        let quality = Quality::GOOD.with(model::QualityTest::GrossRange, model::Flag::Fail);
        let observation = Observation { datastream: id, phenomenon_time: at(time), received_at: at(time), result: 99.99, quality };
        store.commit_blocking(Batch { observations: vec![observation], ..Batch::default() }).expect("committed");
    };
    let state = || {
        let view = store.seen_by(&Viewer::Public);
        let (latest, row) = (view.latest().expect("latest").remove(0), view.levels().expect("levels").remove(0));
        assert_eq!(row.latest.state, latest.state);
        (latest.state.level, latest.state.stale, latest.state.rise_per_hour)
    };
    nonsense("2026-11-23T05:45:00Z");
    assert_eq!(state(), (Level::Over(1), false, None), "one nonsense value does not hide the flood");
    clock.0.store(at("2026-11-23T06:30:00Z").seconds(), Ordering::Relaxed);
    nonsense("2026-11-23T06:00:00Z");
    nonsense("2026-11-23T06:15:00Z");
    nonsense("2026-11-23T06:30:00Z");
    assert_eq!(state(), (Level::Unknown, false, None), "three periods of nonsense later nobody knows");
}

#[test]
fn a_counter_is_shared_among_the_days_between_its_readings_and_their_sum_is_the_difference_of_the_index() {
    let (store, _) = world("2026-03-31T00:00:00Z");
    store.apply(&load_embedded("n", &format!("{NETWORK}{METER}"), &[]).expect("a network")).expect("applied");
    // Read at noon UTC; the 29th of March has 23 hours, and the index begins again at a million.
    measure(&store, "meter", "2026-03-27T12:00:00Z", &[999_000.0]);
    measure(&store, "meter", "2026-03-28T12:00:00Z", &[999_240.0]);
    measure(&store, "meter", "2026-03-30T12:00:00Z", &[200.0]);
    let view = store.seen_by(&Viewer::Public);
    let meter = view.datastream("meter").expect("there");
    let whole = Interval::new(at("2026-03-26T23:00:00Z"), at("2026-03-30T22:00:00Z"));
    let days = view.increases(&meter, whole, Bucket::CivilDay, 99).expect("read");
    let amounts: Vec<f64> = days.iter().map(|day| day.amount.expect("near enough")).collect();
    // 10 a hour until the 28th at noon, then 20: 110, 130 and 11 hours at 20, 23 hours, 14 hours.
    assert_eq!(amounts, [110.0, 350.0, 460.0, 280.0]);
    assert_eq!(amounts.iter().sum::<f64>(), 1_000_200.0 - 999_000.0);
    let part = view.increases(&meter, Interval::new(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")), Bucket::CivilDay, 9);
    assert_eq!(part.expect("read").iter().map(|day| day.amount).collect::<Vec<_>>(), [Some(460.0)], "asked for alone it is the same");
    measure(&store, "meter", "2026-04-02T12:15:00Z", &[300.0]);
    let far = view.increases(&meter, Interval::new(at("2026-04-01T00:00:00Z"), at("2026-04-02T00:00:00Z")), Bucket::CivilDay, 9);
    assert!(far.expect("read").iter().all(|day| day.amount.is_none()), "more than 48 hours apart");
}

#[test]
fn a_counter_that_is_read_in_parts_counts_as_one_that_is_read_at_once() {
    use super::increments::READINGS;
    let (store, _) = world("2026-03-31T00:00:00Z");
    store.apply(&load_embedded("n", &format!("{NETWORK}{METER}"), &[]).expect("a network")).expect("applied");
    let start = at("2026-01-01T00:00:00Z");
    // A silence of three days where the first part ends, and a rollover where the second does.
    let count = READINGS as i64 * 2 + 500;
    let time_of = |n: i64| start.plus_seconds(n * 60 + if n >= READINGS as i64 { 3 * 86_400 } else { 0 });
    let index_of = |n: i64| ((999_000 + n * 3) % 1_000_000) as f64;
    let meter_id = store.registry().datastream_by_key("meter").expect("there").id;
    let observation = |n: i64| Observation {
        datastream: meter_id,
        phenomenon_time: time_of(n),
        received_at: time_of(n),
        result: index_of(n),
        quality: Quality::NOT_EVALUATED,
    };
    let all: Vec<Observation> = (0..count).map(observation).collect();
    for group in all.chunks(5000) {
        store.commit_blocking(crate::Batch { observations: group.to_vec(), ..crate::Batch::default() }).expect("committed");
    }
    let view = store.seen_by(&Viewer::Public);
    let meter = view.datastream("meter").expect("there");
    let whole = Interval::new(start, time_of(count).plus_seconds(86_400));
    for bucket in [Bucket::Seconds(900), Bucket::Seconds(3600), Bucket::CivilDay] {
        let at_once = view.increases_of(&meter, whole, whole.to, bucket, usize::MAX).expect("read");
        assert_eq!(view.increases(&meter, whole, bucket, usize::MAX).expect("read"), at_once);
        assert!(at_once.iter().any(|row| row.amount.is_none()) && at_once.iter().any(|row| row.amount.is_some()));
    }
    assert_eq!(view.increments(&meter, whole, usize::MAX).expect("read"), model::increments(&all, &meter.counter));
}

/// A level of a year, with a crest of one quarter of an hour, a trough, a night without signal and an hour that failed.
fn a_year(store: &Store) -> Vec<f64> {
    let mut values: Vec<f64> = (0_i32..35_040).map(|quarter| 1.0 + f64::from(quarter * 7919 % 97) / 1000.0).collect();
    (values[20_003], values[7_001]) = (4.57, -0.31);
    measure(store, "open", "2025-11-23T00:00:00Z", &values[..30_000]);
    measure(store, "open", "2026-10-01T20:00:00Z", &values[30_020..]);
    values
}

#[test]
fn thinning_loses_no_crest_at_any_number_of_columns() {
    let (store, _) = world("2026-11-24T00:00:00Z");
    a_year(&store);
    let view = store.seen_by(&Viewer::Public);
    let open = view.datastream("open").expect("seen");
    let interval = Interval::new(at("2025-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z"));
    let all = view.observations(&open, interval, usize::MAX).expect("read");
    for columns in [1, 2, 3, 7, 100, 719, 720, 5000, 100_000, u32::MAX] {
        let kept = view.thinned(&open, interval, columns).expect("read");
        assert!(kept.len() <= (columns as usize).saturating_mul(4), "{columns}: {}", kept.len());
        assert!(kept.is_sorted_by(|one, next| one.observation.phenomenon_time < next.observation.phenomenon_time));
        let measured = |one: &super::Thinned| all.binary_search_by_key(&one.observation.phenomenon_time, |of| of.phenomenon_time);
        assert!(kept.iter().all(|one| measured(one).is_ok_and(|place| all[place] == one.observation)), "as measured");
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::MAX, f64::MIN), |(least, most): (f64, f64), value| (least.min(value), most.max(value)))
        };
        assert_eq!(ends(&mut kept.iter().map(|one| one.observation.result)), (-0.31, 4.57), "{columns}");
        // And so in every part: whatever is drawn of it reaches as high and as low as what was measured there.
        if columns == 720 {
            let length = interval.to.micros() - interval.from.micros();
            let part = |time: Timestamp| i128::from(time.micros() - interval.from.micros()) * 720 / i128::from(length);
            for number in 0..720 {
                let whole = ends(&mut all.iter().filter(|one| part(one.phenomenon_time) == number).map(|one| one.result));
                let thin = kept.iter().map(|one| one.observation).filter(|one| part(one.phenomenon_time) == number);
                assert_eq!(ends(&mut thin.map(|one| one.result)), whole, "part {number}");
            }
        }
    }
}

#[test]
fn a_thinned_line_crosses_no_gap_at_any_number_of_columns() {
    let (store, _) = world("2026-11-24T00:00:00Z");
    a_year(&store);
    // Half a day that failed: nobody may draw through it either.
    let id = store.registry().datastream_by_key("open").expect("there").id;
    let failed = |quarter: i64| {
        let time = at("2026-03-01T00:00:00Z").plus_seconds(quarter * 900);
        Observation {
            datastream: id,
            phenomenon_time: time,
            received_at: time.plus_seconds(1),
            result: 99.0,
            quality: Quality::GOOD.with(QualityTest::DeviceStatus, Flag::Fail),
        }
    };
    store.commit_blocking(Batch { observations: (0..48).map(failed).collect(), ..Batch::default() }).expect("committed");
    let view = store.seen_by(&Viewer::Public);
    let open = view.datastream("open").expect("seen");
    let interval = Interval::new(at("2025-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z"));
    let usable: Vec<_> = view.observations(&open, interval, usize::MAX).expect("read");
    let usable: Vec<_> = usable.into_iter().filter(|one| one.quality.is_usable()).map(|one| one.phenomenon_time).collect();
    let gaps: Vec<_> = usable.windows(2).filter(|pair| pair[1].seconds() - pair[0].seconds() > 2700).collect();
    assert_eq!(gaps.len(), 2);
    for columns in [1, 2, 7, 365, 720, 40_000] {
        let kept = view.thinned(&open, interval, columns).expect("read");
        assert!(kept.iter().all(|one| one.observation.quality.is_usable()));
        let lines = kept.windows(2).filter(|pair| !pair[1].after_gap);
        let crosses = |pair: &[super::Thinned]| {
            let (from, to) = (pair[0].observation.phenomenon_time, pair[1].observation.phenomenon_time);
            gaps.iter().any(|gap| gap[0] >= from && gap[1] <= to)
        };
        assert_eq!(lines.filter(|pair| crosses(pair)).count(), 0, "{columns}");
        assert_eq!(kept.iter().filter(|one| one.after_gap).count(), 2, "{columns}");
    }
}

#[test]
fn a_value_of_a_clock_that_jumped_ten_years_is_nobodys_last_value() {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    measure(&store, "open", "2026-11-23T04:00:00Z", &[1.5; 8]);
    clock.0.store(at("2036-11-23T06:00:00Z").seconds(), Ordering::Relaxed);
    measure(&store, "open", "2036-11-23T05:45:00Z", &[1.8]);
    clock.0.store(at("2026-11-23T06:10:00Z").seconds(), Ordering::Relaxed);
    measure(&store, "open", "2026-11-23T06:00:00Z", &[2.1]);
    let view = store.seen_by(&Viewer::Public);
    let latest = view.latest().expect("read").remove(0);
    assert_eq!(latest.observation.map(|last| (last.phenomenon_time, last.result)), Some((at("2026-11-23T06:00:00Z"), 2.1)));
    assert_eq!((latest.state.level, latest.state.stale, latest.age_s), (Level::Over(1), false, Some(600)));
    let row = view.levels().expect("read").remove(0);
    assert_eq!(row.latest.observation, latest.observation);
    let open = view.datastream("open").expect("seen");
    let last = view.observations_before(&open, Timestamp::MAX, 1).expect("read");
    assert_eq!(last.first().map(|one| one.result), Some(2.1));
    assert_eq!(view.observations(&open, Interval::ALL, 99).expect("read").len(), 10, "it is kept, to be mended");
    assert_eq!(store.health().ahead, 1);
    clock.0.store(at("2036-11-23T06:00:00Z").seconds(), Ordering::Relaxed);
    assert_eq!(store.health().ahead, 0);
}

const GAUGES: &str = r#"
[[datastream]]
id = "tips"
station = "s"
property = "rain_increment"
period_s = 900
visibility = "public"
[[datastream]]
id = "index"
station = "s"
property = "rain_counter"
period_s = 900
visibility = "public"
"#;

fn gauges() -> (Store, Arc<Put>) {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    store.apply(&load_embedded("n", &(NETWORK.to_owned() + GAUGES), &[]).expect("a network")).expect("applied");
    (store, clock)
}

#[test]
fn rain_is_summed_by_the_end_of_its_intervals_whatever_the_last_value_is() {
    let (store, _) = gauges();
    // Quarters that end at 03:15 … 06:00; the last one is dry.
    measure(&store, "tips", "2026-11-23T03:15:00Z", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.2, 0.4, 0.8, 0.0]);
    let view = store.seen_by(&Viewer::Public);
    let latest = view.latest().expect("latest").into_iter().find(|one| one.datastream.key.as_str() == "tips").expect("there");
    let rain = latest.rain.expect("sums");
    let over = |hours| rain.over(hours).map(|sum| ((sum.millimetres * 10.0).round() / 10.0, sum.is_whole));
    assert_eq!((over(1), over(3), over(24)), (Some((1.4, true)), Some((37.4, true)), Some((37.4, false))));
    assert!(view.latest().expect("latest").iter().filter(|one| one.datastream.property.is_level()).all(|one| one.rain.is_none()));
}

#[test]
fn a_bar_of_rain_holds_what_ends_in_it() {
    let (store, _) = gauges();
    measure(&store, "tips", "2026-11-23T03:15:00Z", &[1.0, 2.0, 3.0, 4.0, 5.0]);
    measure(&store, "index", "2026-11-23T03:00:00Z", &[100.0, 101.0, 103.0, 106.0, 110.0, 115.0]);
    let view = store.seen_by(&Viewer::Public);
    let hours = |key: &str| {
        let gauge = view.datastream(key).expect("seen");
        let bars = view.rain_bars(&gauge, Interval::new(at("2026-11-23T03:00:00Z"), at("2026-11-23T06:00:00Z")), 3600).expect("bars");
        bars.iter().map(|bar| (bar.start.to_string(), bar.sum)).collect::<Vec<_>>()
    };
    let expected = vec![("2026-11-23T03:00:00Z".to_owned(), 10.0), ("2026-11-23T04:00:00Z".to_owned(), 5.0)];
    assert_eq!(hours("tips"), expected);
    assert_eq!(hours("index"), expected, "of a counter its increments, never its index");
}

#[test]
fn a_current_value_says_from_when_on_it_is_stale() {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    measure(&store, "open", "2026-11-23T05:30:00Z", &[1.0, 1.0, 1.0]);
    let one = || store.seen_by(&Viewer::Public).latest().expect("latest").remove(0);
    let stale_at = one().stale_at().expect("measured");
    for (second, expected) in [(-1, false), (0, true)] {
        clock.0.store(stale_at.seconds() + second, Ordering::Relaxed);
        assert_eq!(one().state.stale, expected, "{second}");
    }
    assert_eq!(one().stale_at(), Some(stale_at));
}

#[test]
fn a_level_near_its_threshold_says_so_and_an_old_one_does_not() {
    let (store, clock) = world("2026-11-23T06:00:00Z");
    measure(&store, "open", "2026-11-23T05:15:00Z", &[1.71, 1.72, 1.73, 1.74]);
    let near = || store.seen_by(&Viewer::Public).latest().expect("latest").remove(0).approach().map(|near| near.threshold);
    assert_eq!(near(), Some(1));
    clock.0.store(at("2026-11-23T07:00:00Z").seconds(), Ordering::Relaxed);
    assert_eq!(near(), None);
}
