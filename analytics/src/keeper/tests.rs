use super::*;
use crate::dataset::LivelliGiornalieri;
use model::{Clock, Observation, Quality};
use std::sync::Mutex;
use store::{Batch, Format, Published};

/// A clock that is set by hand.
struct Set(Mutex<Timestamp>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("a clock")
    }
}

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "O"
[[station]]
id = "a"
owner = "o"
name = "=Alfa <script>"
river = "Arno"
where = [43.9, 11.1]
[[station]]
id = "b"
owner = "o"
name = "Beta"
where = [43.8, 11.2]
[[datastream]]
id = "a-level"
station = "a"
property = "water_level"
period_s = 3600
visibility = "public"
[[datastream]]
id = "b-level"
station = "b"
property = "water_level"
period_s = 3600
visibility = "public"
[[datastream]]
id = "b-secret"
station = "b"
property = "level_up"
period_s = 3600
visibility = "private"
"#;

struct World {
    store: Store,
    clock: Arc<Set>,
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

impl World {
    fn on(now: &str) -> Self {
        let clock = Arc::new(Set(Mutex::new(at(now))));
        let store = Store::in_memory(clock.clone()).expect("a store");
        let world = Self { store, clock };
        world.apply(NETWORK);
        world
    }
    fn apply(&self, network: &str) {
        self.store.apply(&store::load_embedded("n.toml", network, &[]).expect("a network")).expect("applied");
    }
    fn now(&self, now: &str) {
        *self.clock.0.lock().expect("a clock") = at(now);
    }
    /// One value at each of the hours, received when it was measured, or now.
    fn measured(&self, key: &str, from: &str, hours: i64, value: impl Fn(i64) -> f64, late: bool) {
        let id = self.store.registry().datastream_by_key(key).expect(key).id;
        let observation = |hour: i64| {
            let phenomenon_time = at(from).plus_seconds(hour * 3600);
            let received_at = if late { self.clock.now() } else { phenomenon_time };
            Observation { datastream: id, phenomenon_time, received_at, result: value(hour), quality: Quality::GOOD }
        };
        let observations = (0..hours).map(observation).collect();
        self.store.commit_blocking(Batch { observations, ..Batch::default() }).expect("committed");
    }
    fn refresh(&self) -> Option<Refreshed> {
        let through = *self.store.late_changes().borrow();
        refresh(&self.store, &LivelliGiornalieri, through).expect("made")
    }
    fn dataset(&self) -> Arc<Published> {
        self.store.seen_by(&model::Viewer::Public).dataset("livelli-giornalieri").expect("published")
    }
    fn csv(&self, month: &str) -> Vec<String> {
        let view = self.store.seen_by(&model::Viewer::Public);
        let (_, bytes) =
            view.dataset_file("livelli-giornalieri", &format!("livelli-giornalieri-{month}.csv")).expect("read").expect("there");
        String::from_utf8(bytes).expect("UTF-8").lines().skip(1).map(str::to_owned).collect()
    }
}

#[test]
fn the_days_of_the_clock_change_have_23_and_25_hours() {
    let world = World::on("2026-11-01T12:00:00Z");
    world.measured("a-level", "2026-03-27T23:00:00Z", 3 * 24, |_| 1.0, false);
    world.measured("a-level", "2026-10-23T22:00:00Z", 3 * 24, |_| 1.0, false);
    world.refresh();
    let ends = |month| world.csv(month).iter().map(|row| row.splitn(6, ',').last().expect("a row").to_owned()).collect::<Vec<_>>();
    assert_eq!(
        ends("2026-03"),
        [
            "2026-03-28,1,1,1,2026-03-27T23:00:00Z,24,24,1",
            "2026-03-29,1,1,1,2026-03-28T23:00:00Z,23,23,1",
            "2026-03-30,1,1,1,2026-03-29T22:00:00Z,24,24,1",
            "2026-03-31,1,,1,2026-03-30T22:00:00Z,1,24,0.041666666666666664",
        ]
    );
    assert_eq!(ends("2026-10")[1], "2026-10-25,1,1,1,2026-10-24T22:00:00Z,25,25,1");
}

#[test]
fn one_observation_of_a_far_year_makes_no_work_of_the_days_since() {
    let world = World::on("2026-11-23T12:00:00Z");
    world.measured("a-level", "1850-03-01T06:00:00Z", 1, |_| 7.0, false);
    world.measured("a-level", "2026-09-01T00:00:00Z", 30 * 24, |_| 1.0, false);
    world.measured("b-level", "2026-11-20T00:00:00Z", 24, |_| 1.0, false);
    let made = world.refresh().expect("published");
    assert_eq!((made.why, made.days), (Why::Anew, 1 + 31 + 3), "days that have observations; of a short time all days");
    let rows: u64 = world.dataset().files.iter().filter(|file| file.format == Format::Csv).map(|file| file.rows).sum();
    assert_eq!((rows, world.csv("1850-03").len()), (1 + 31 + 2, 1));
    // Imported later it is one day to heal.
    world.measured("b-level", "1851-07-01T06:00:00Z", 1, |_| 8.0, true);
    let healed = world.refresh().expect("published");
    assert_eq!((healed.why, healed.days), (Why::Late, 1));
    assert_eq!(world.csv("1851-07").len(), 1);
}

#[test]
fn a_name_is_inert_in_every_format_and_what_is_private_is_in_none() {
    let world = World::on("2026-11-23T12:00:00Z");
    world.measured("a-level", "2026-11-21T23:00:00Z", 24, |hour| f64::from(i32::try_from(hour).expect("small")), false);
    world.measured("b-secret", "2026-11-21T23:00:00Z", 24, |_| 7.0, false);
    world.refresh();
    assert_eq!(world.csv("2026-11"), ["a,'=Alfa <script>,Arno,a-level,water_level,2026-11-22,0,11.5,23,2026-11-22T22:00:00Z,24,24,1"]);
    let files = &world.dataset().files;
    assert_eq!(
        files.iter().map(|file| (file.format, file.rows)).collect::<Vec<_>>(),
        [(Format::Csv, 1), (Format::Parquet, 1), (Format::GeoJson, 1)]
    );
    let view = world.store.seen_by(&model::Viewer::Public);
    let (_, geojson) = view.dataset_file("livelli-giornalieri", "livelli-giornalieri-2026-11.geojson").expect("read").expect("there");
    let geojson: serde_json::Value = serde_json::from_slice(&geojson).expect("JSON");
    let feature = &geojson["features"][0];
    assert_eq!(feature["geometry"]["coordinates"], serde_json::json!([11.1, 43.9]));
    assert_eq!(
        (&feature["properties"]["max"], &feature["properties"]["name"]),
        (&serde_json::json!(23.0), &serde_json::json!("=Alfa <script>"))
    );
}

#[test]
fn a_late_observation_makes_only_its_own_day_again() {
    let world = World::on("2026-11-23T12:00:00Z");
    world.measured("a-level", "2026-10-29T23:00:00Z", 24 * 24, |_| 1.0, false);
    world.measured("b-level", "2026-10-29T23:00:00Z", 24 * 24, |_| 1.0, false);
    assert_eq!(world.refresh().expect("first").days, 2 * 24);
    assert!(world.refresh().is_none(), "nothing has changed");
    let before = world.dataset();
    // Today's are no business of a dataset of whole days.
    world.measured("a-level", "2026-11-23T01:00:00Z", 3, |_| 9.0, false);
    assert!(world.refresh().is_none());
    world.measured("b-level", "2026-11-10T11:30:00Z", 1, |_| 4.5, true);
    let healed = world.refresh().expect("healed");
    assert_eq!((healed.days, healed.published.edition, healed.why), (1, 2, Why::Late));
    let rows = world.csv("2026-11");
    assert_eq!(rows.iter().filter(|row| row.contains(",4.5,2026-11-10T11:30:00Z,25,24,1")).count(), 1);
    assert_eq!(rows.iter().filter(|row| row.contains(",2026-11-10,")).count(), 2);
    assert_eq!(rows.len(), 2 * 22);
    // The month that it did not touch is the same file.
    let of = |dataset: &Published, month: &str| dataset.files.iter().filter(|file| file.month == month).cloned().collect::<Vec<_>>();
    assert_eq!(of(&before, "2026-10"), of(&healed.published, "2026-10"));
    assert_ne!(of(&before, "2026-11"), of(&healed.published, "2026-11"));
    assert!(world.refresh().is_none(), "a mark is worked off once");
}

#[test]
fn days_of_a_clock_that_went_ahead_and_came_back_leave_a_dataset() {
    let world = World::on("2026-11-22T12:00:00Z");
    world.measured("a-level", "2026-11-19T23:00:00Z", 2 * 24, |_| 1.0, false);
    world.now("2036-11-22T12:00:00Z");
    world.measured("a-level", "2036-11-19T23:00:00Z", 24, |_| 9.0, false);
    world.refresh();
    let months = || world.dataset().files.iter().map(|file| file.month.clone()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(months().into_iter().collect::<Vec<_>>(), ["2026-11", "2036-11"]);
    world.now("2026-11-22T12:10:00Z");
    world.refresh();
    assert_eq!(months().into_iter().collect::<Vec<_>>(), ["2026-11"]);
    assert_eq!(world.dataset().complete_to, at("2026-11-21T23:00:00Z"));
    world.measured("a-level", "2026-11-21T23:00:00Z", 2 * 24, |_| 1.0, false);
    world.now("2026-11-23T23:05:00Z");
    assert_eq!(world.refresh().expect("two days more").days, 2);
    assert_eq!(world.csv("2026-11").len(), 4);
}

#[test]
fn a_day_that_ends_is_added_and_a_network_that_changes_makes_everything_again() {
    let world = World::on("2026-11-22T12:00:00Z");
    world.measured("a-level", "2026-11-19T23:00:00Z", 4 * 24, |_| 1.0, false);
    world.refresh();
    assert_eq!(world.csv("2026-11").len(), 2);
    world.now("2026-11-22T23:05:00Z");
    assert_eq!(world.refresh().expect("a day more").days, 1);
    assert_eq!(world.csv("2026-11").len(), 3);
    assert_eq!(world.dataset().complete_to, at("2026-11-22T23:00:00Z"));
    world.apply(&NETWORK.replacen("visibility = \"public\"", "visibility = \"private\"", 1));
    world.refresh();
    assert!(world.dataset().files.is_empty(), "what became private is in no file any more");
}

#[test]
fn a_clock_that_was_ten_years_ahead_does_not_keep_the_days_that_follow_from_being_made() {
    let world = World::on("2026-11-22T12:00:00Z");
    world.measured("a-level", "2026-11-20T23:00:00Z", 24, |_| 1.0, false);
    world.refresh();
    world.now("2036-11-22T12:00:00Z");
    world.measured("a-level", "2026-11-21T23:00:00Z", 5, |_| 2.0, true);
    world.measured("a-level", "2036-11-21T23:00:00Z", 1, |_| 9.0, false);
    world.refresh();
    world.now("2026-11-22T18:00:00Z");
    world.measured("a-level", "2026-11-22T04:00:00Z", 19, |_| 2.0, false);
    world.refresh();
    assert_eq!(world.dataset().complete_to, at("2026-11-21T23:00:00Z"), "it goes by the clock as it is now");
    world.now("2026-11-22T23:05:00Z");
    world.refresh().expect("the day is over");
    let rows = world.csv("2026-11");
    assert!(rows.iter().any(|row| row.ends_with(",2026-11-22,2,2,2,2026-11-21T23:00:00Z,24,24,1")), "{rows:?}");
    assert!(world.refresh().is_none(), "nothing has changed");
}

#[test]
fn the_clock_is_asked_again_within_a_quarter_of_an_hour() {
    for (now, expected) in [("2026-11-22T12:00:00Z", 900.0), ("2026-11-22T22:57:00Z", 300.0), ("2026-10-24T22:00:00Z", 900.0)] {
        assert_eq!(until_next_day(at(now)).as_secs_f64(), expected, "{now}");
    }
}

/// A job with a mistake in it.
struct Broken;

impl Job for Broken {
    fn about(&self) -> model::Dataset {
        model::Dataset { id: "rotto".into(), ..LivelliGiornalieri.about() }
    }
    fn wants(&self, datastream: &model::Datastream) -> bool {
        LivelliGiornalieri.wants(datastream)
    }
    fn revision(&self) -> u32 {
        1
    }
    fn build(&self, _: &crate::frames::Frames, _: model::Interval) -> Result<polars::frame::DataFrame, crate::Error> {
        panic!("the plant")
    }
}

#[test]
fn a_job_that_panics_is_named_and_holds_up_no_other() {
    let world = World::on("2026-11-22T09:00:00Z");
    world.measured("a-level", "2026-11-20T00:00:00Z", 24, |_| 1.0, false);
    let keeper = Keeper::new(world.store.clone(), vec![Box::new(Broken), Box::new(LivelliGiornalieri)], Meters::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert!(!runtime.block_on(keeper.make_all()), "not all could be made");
    let parts = world.store.health().parts;
    let of = |name: &str| parts.iter().find(|part| part.kind == "dataset" && part.name == name).expect("a part");
    assert_eq!(of("rotto").state, store::PartState::Degraded);
    assert!(of("rotto").detail.contains("the plant"), "{}", of("rotto").detail);
    assert_eq!(of(&LivelliGiornalieri.about().id).state, store::PartState::Ok);
    assert_eq!(world.dataset().edition, 1, "the other was made");
}
