//! What is served, beside what was sent and what was acknowledged.

use super::publisher::{BATCH, Journal, Kind, readings, stream_name};
use super::world::World;
use model::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) found: u64,
    pub(crate) revised: u64,
    /// Messages that were never acknowledged: there whole, or not at all.
    pub(crate) there: u64,
    pub(crate) missing: u64,
}

/// Looks at everything. `drained`: all that was sent is acknowledged by now.
pub(crate) fn look(world: &World, crew: &[Kind], journals: &[Journal], drained: bool) -> Result<Found, String> {
    let mut all = Found::default();
    for ((number, kind), journal) in (0..).zip(crew).zip(journals) {
        one(world, number, *kind, *journal, drained, &mut all).map_err(|why| format!("{kind:?} {number}, {journal:?}: {why}"))?;
    }
    if drained {
        counters(world, &all)?;
    }
    Ok(all)
}

fn one(world: &World, number: u64, kind: Kind, journal: Journal, drained: bool, all: &mut Found) -> Result<(), String> {
    if drained && journal.acked != journal.sent {
        return Err("not all that was sent is acknowledged".to_owned());
    }
    let found = served(world, &stream_name(number))?;
    if !found.is_sorted_by(|(one, _), (other, _)| one < other) {
        return Err("not in order, or one twice".to_owned());
    }
    let found: BTreeMap<i64, f64> = found.into_iter().collect();
    all.found += found.len() as u64;
    // Of each time the values that were said of it, with the number that said so.
    let mut said: BTreeMap<i64, Vec<(u64, f64)>> = BTreeMap::new();
    for n in 0..journal.sent {
        readings(number, kind, n).into_iter().for_each(|(at, value)| said.entry(at).or_default().push((n, value)));
    }
    for (at, values) in &said {
        // The last that was acknowledged, or one that was sent after it.
        let last = values.iter().rposition(|(n, _)| *n < journal.acked);
        all.revised += values.len() as u64 - 1;
        match (found.get(at), last) {
            (None, Some(_)) => return Err(format!("lost: {at}, acknowledged")),
            (None, None) => {}
            (Some(value), last) => {
                let may = &values[last.unwrap_or(0)..];
                // A resend may have brought an older value back for a moment, when the newer one is owed as well.
                let owed = values.iter().filter(|(n, _)| n + 16 >= journal.acked && journal.acked < journal.sent);
                if !may.iter().chain(owed).any(|(_, must)| must.to_bits() == value.to_bits()) {
                    return Err(format!("wrong: {at} is {value}, must be one of {may:?}"));
                }
            }
        }
    }
    if let Some(at) = found.keys().find(|at| !said.contains_key(at)) {
        return Err(format!("never sent: {at}"));
    }
    for n in journal.acked..journal.sent {
        let parts = readings(number, kind, n);
        let there = parts.iter().filter(|(at, value)| found.get(at).is_some_and(|found| found.to_bits() == value.to_bits())).count() as u64;
        match there {
            0 => all.missing += 1,
            some if some == parts.len() as u64 => all.there += 1,
            some => return Err(format!("message {n} is there by half: {some} of {BATCH}")),
        }
    }
    Ok(())
}

/// Times in seconds and results of a datastream, page by page.
fn served(world: &World, datastream: &str) -> Result<Vec<(i64, f64)>, String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path =
            format!("/api/v1/datastreams/{datastream}/observations?from=2000-01-02T00:00:00Z&to=2030-01-01T00:00:00Z&limit=5000{cursor}");
        let page: Value = serde_json::from_str(&world.get(&path)?).map_err(|cause| cause.to_string())?;
        for item in page["items"].as_array().ok_or("no items")? {
            let time = item["phenomenon_time"].as_str().ok_or("no time")?;
            let time = Timestamp::parse(time).map_err(|cause| cause.to_string())?;
            found.push((time.seconds(), item["result"].as_f64().ok_or("no result")?));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

/// Counters say what was found.
fn counters(world: &World, all: &Found) -> Result<(), String> {
    let metrics = world.get("/metrics")?;
    let read = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let found = all.found as f64;
    let kept = read("pescaia_store_observations ").ok_or("no pescaia_store_observations")?;
    let of = |what: &str| read(&format!("pescaia_ledger_readings{{owner=\"o\",what=\"{what}\"}} ")).unwrap_or(0.0);
    let parts = of("accepted") + of("duplicate") + of("revised") + of("quarantined");
    let same = |one: f64, other: f64| (one - other).abs() < 0.5;
    if same(kept, found) && same(of("accepted"), found) && same(of("received"), parts) && same(of("quarantined"), 0.0) {
        return Ok(());
    }
    Err(format!("{found} found, {kept} counted, {} accepted in the ledger, {} received, {parts} in parts", of("accepted"), of("received")))
}
