//! Buffers that are sealed because there is too much in all of them, though none is full.

use super::*;
use crate::chunk::Recovered;
use crate::engine::Memory;
use model::Quality;

const DATASTREAMS: u32 = 600;
const TOGETHER: usize = 50;
/// Commits in which the oldest of all datastreams are sealed.
const ROUND: usize = DATASTREAMS as usize / TOGETHER;

struct Limits {
    log: usize,
    buffered: u64,
    records: usize,
}

fn recovered(engine: &Arc<Memory>, limits: &Limits) -> (Chunks, ChunkWriter) {
    let Recovered { chunks, mut writer, damage, .. } = Chunks::recover(engine.clone()).expect("recovered");
    assert!(damage.is_empty());
    (writer.log_limit, writer.buffered_limit, writer.records_limit) = (limits.log, limits.buffered, limits.records);
    writer.oldest_together = TOGETHER;
    (chunks, writer)
}

/// A third of the datastreams say something at each minute, each another value.
fn at(minute: u32) -> Vec<Observation> {
    let one = |id: u32| Observation {
        datastream: DatastreamId(id),
        phenomenon_time: Timestamp::from_seconds(1_795_000_000 + i64::from(minute) * 60),
        received_at: Timestamp::from_seconds(1_795_000_001 + i64::from(minute) * 60),
        result: f64::from((id * 7919 + minute * 104_729) % 10_007) / 100.0,
        quality: Quality::GOOD,
    };
    (0..DATASTREAMS).filter(|id| id % 3 == minute % 3).map(one).collect()
}

fn commit(chunks: &Chunks, writer: &mut ChunkWriter, engine: &Memory, observations: &[Observation]) -> Staged {
    let mut changes = Vec::new();
    let mut staged = chunks.stage(writer, Group { observations, is_correction: false }, &mut changes).expect("staged");
    Chunks::put_log(&mut staged, &[], &mut changes);
    engine.commit(&changes).expect("committed");
    chunks.publish(writer, &mut staged);
    staged
}

#[test]
fn what_a_failed_commit_had_staged_is_new_when_it_comes_again() {
    let engine = Arc::new(Memory::default());
    let none = Limits { log: usize::MAX / 2, buffered: u64::MAX / 2, records: usize::MAX / 2 };
    let (chunks, mut writer) = recovered(&engine, &none);
    commit(&chunks, &mut writer, &engine, &at(0));
    let group: Vec<Observation> = at(1);
    chunks.stage(&mut writer, Group { observations: &group, is_correction: false }, &mut Vec::new()).expect("staged");
    // The disk was full. Its senders come again, in another order and, as it happens, with the same value everywhere.
    let again: Vec<Observation> = group.iter().rev().map(|one| Observation { result: 1.5, ..*one }).collect();
    let staged = commit(&chunks, &mut writer, &engine, &again);
    assert!(staged.outcomes.iter().all(|outcome| *outcome == crate::Outcome::Accepted), "{:?}", staged.outcomes);
    for one in &again {
        assert_eq!(chunks.last(one.datastream), Some(*one));
    }
}

fn records(engine: &Memory) -> Vec<(u64, usize)> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let rows = engine.range(Table::Log, all, Order::Ascending, usize::MAX).expect("read");
    rows.iter().map(|row| (row.at.cast_unsigned(), row.body.len())).collect()
}

/// Everything up to a minute is there, once, and counted.
fn holds(chunks: &Chunks, minutes: u32) {
    for id in (0..DATASTREAMS).map(DatastreamId) {
        let must: Vec<Observation> =
            (0..minutes).filter(|minute| id.0 % 3 == minute % 3).map(|minute| at(minute)[(id.0 / 3) as usize]).collect();
        let found = chunks.scan(id, Interval::ALL, usize::MAX, None).expect("read");
        assert!(found == must, "{id:?}: {} there, {} said", found.len(), must.len());
        assert_eq!(chunks.extent(id).map(|(count, ..)| count), Some(must.len() as u64), "{id:?}");
        assert_eq!(chunks.last(id), must.last().copied(), "{id:?}");
    }
}

/// Crosses a limit many times and never goes far beyond it.
fn check(what: &str, limits: &Limits) {
    let engine = Arc::new(Memory::default());
    let (mut chunks, mut writer) = recovered(&engine, limits);
    let (mut sealed, mut minutes) = (0, 0);
    for start in 0..3 {
        for minute in minutes..minutes + 100 {
            let staged = commit(&chunks, &mut writer, &engine, &at(minute));
            assert!(staged.seals.len() <= TOGETHER, "{what}: {} sealed by one commit", staged.seals.len());
            sealed += staged.seals.len();
            let kept = records(&engine);
            assert_eq!(kept, writer.log.iter().copied().collect::<Vec<_>>(), "{what}: what the writer takes for kept is");
            // A round may begin when the one before has ended.
            let (few, bytes) = (2 * ROUND + 2, kept.iter().map(|(_, bytes)| bytes).sum::<usize>());
            let of_few: usize = kept.iter().rev().take(few).map(|(_, bytes)| bytes).sum();
            assert!(kept.len() <= limits.records + few, "{what}: {} records", kept.len());
            assert!(bytes <= limits.log + of_few, "{what}: {bytes} bytes of log");
            let buffered = chunks.heads().buffered_points();
            assert!(buffered <= limits.buffered + (few * at(minute).len()) as u64, "{what}: {buffered} buffered");
            // Looking puts everything into its buffer: mostly it is left as it comes.
            if minute % 10 == 0 {
                let buffers: usize = chunks.settled().iter().map(|(_, head)| head.fresh.len() + head.late.len()).sum();
                assert_eq!(buffered, buffers as u64, "{what}");
            }
        }
        minutes += 100;
        holds(&chunks, minutes);
        assert!(records(&engine)[0].0 > u64::from(minutes - 100), "{what}: the log of an earlier hundred is freed");
        assert!(sealed >= DATASTREAMS as usize * (start + 1), "{what}: {sealed} sealed");
        // As a kill leaves it, in the middle of a round.
        (chunks, writer) = recovered(&engine, limits);
        holds(&chunks, minutes);
    }
}

#[test]
fn beyond_a_limit_the_oldest_are_sealed_a_few_at_a_time_and_the_log_is_freed() {
    let none = || Limits { log: usize::MAX / 2, buffered: u64::MAX / 2, records: usize::MAX / 2 };
    check("bytes", &Limits { log: 10_000, ..none() });
    check("points", &Limits { buffered: 4000, ..none() });
    check("records", &Limits { records: 30, ..none() });
}
