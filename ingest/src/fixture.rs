//! What this crate's tests share: a clock that stands, and a network of one gauge.

use model::{Clock, Timestamp};
use std::sync::Arc;
use store::{Store, load_embedded};

/// It is always half past six on 23 November 2026, UTC.
pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-23T06:30:00Z").expect("a time")
    }
}

/// The owner `demo` with the station `prova` and its public datastream `prova-level`, in metres, every ten seconds.
const GAUGE: &str = r#"
    [[owner]]
    id = "demo"
    name = "demo"
    [[station]]
    id = "prova"
    owner = "demo"
    name = "Prova"
    where = [43.9, 11.1]
    [[datastream]]
    id = "prova-level"
    station = "prova"
    property = "water_level"
    span = [-2, 15]
    period_s = 10
    visibility = "public"
"#;

/// The gauge's device where it needs no way in of its own: it speaks in centimetres.
pub(crate) const HTTP_DEVICE: &str = r#"
    [[device]]
    id = "prova"
    owner = "demo"
    http = true
    feeds = [{ channel = "level", datastream = "prova-level", unit = "cm" }]
"#;

/// A store in memory that knows the gauge and what `more` of a network file says.
pub(crate) fn store(more: &str) -> Store {
    let store = Store::in_memory(Arc::new(Fixed)).expect("a store");
    apply(&store, more);
    store
}

/// Makes the gauge and what `more` says known to a store.
pub(crate) fn apply(store: &Store, more: &str) {
    let network = load_embedded("net.toml", &format!("{GAUGE}{more}"), &[]).unwrap_or_else(|complaints| panic!("{}", complaints[0]));
    store.apply(&network).expect("applied");
}
