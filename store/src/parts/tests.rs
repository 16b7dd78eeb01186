use super::{PartState, Parts, supervise};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

#[tokio::test]
async fn a_task_that_returns_or_panics_is_named_and_started_again_until_the_stop() {
    let (parts, (stop, stopping)) = (Parts::default(), watch::channel(false));
    let starts = Arc::new(AtomicU32::new(0));
    let (running, mut runs) = watch::channel(0);
    let start = {
        let (starts, stopping) = (starts.clone(), stopping.clone());
        move || {
            let (number, running, mut stopping) = (starts.fetch_add(1, Ordering::Relaxed), running.clone(), stopping.clone());
            async move {
                assert_ne!(number, 0, "the first breaks");
                if number == 1 {
                    return;
                }
                running.send_replace(number);
                let _ = stopping.wait_for(|stop| *stop).await;
            }
        }
    };
    let part = parts.part("broker", "one", Some("demo".into()));
    part.ok("connected");
    let task = tokio::spawn(supervise(part, stopping, start));
    runs.wait_for(|number| *number == 2).await.expect("it runs the third time");
    let health = parts.health().remove(0);
    assert_eq!((health.kind, health.name.as_str(), health.state), ("broker", "one", PartState::Degraded));
    assert!(health.detail.contains("returned although nobody had stopped it") && health.detail.contains("2 times"), "{}", health.detail);
    stop.send_replace(true);
    task.await.expect("it ends with the stop");
    assert_eq!(starts.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_words_of_a_panic_reach_the_health() {
    let (parts, (_stop, stopping)) = (Parts::default(), watch::channel(false));
    let task = tokio::spawn(supervise(parts.part("edge", "", None), stopping, || async { panic!("the plant") }));
    while !parts.health()[0].detail.contains("the plant") {
        tokio::task::yield_now().await;
    }
    assert_eq!(parts.health()[0].state, PartState::Degraded);
    task.abort();
}
