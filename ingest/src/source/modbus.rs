//! The Modbus door, over TCP, RTU over TCP and serial lines: asks the devices of the network for their registers, and only asks.
//!
//! One task per wire owns the one connection there; the units behind it are asked in turn. A poll gives a value or a gap
//! with its reason, never the value of an earlier one.

use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::{Source, Stop, stopped};
use model::{Device, Link, ModbusWire};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use store::{Part, Registry, Store, supervise};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod bus;
mod ear;
mod line;
pub mod plan;
pub mod probe;
mod rtu;
mod tcp;
mod unit;

#[cfg(test)]
mod tests;

use bus::Bus;
use unit::Unit;

/// Polls every Modbus device of the registry, and follows its changes.
pub struct Poller {
    meters: Meters,
}

/// A bus at work, and the devices that it was made for.
struct Working {
    devices: Vec<Arc<Device>>,
    part: Part,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Poller {
    #[must_use]
    pub fn new(meters: Meters) -> Self {
        Self { meters }
    }

    /// Stops the buses whose devices changed and starts those that are wanted now; the others go on undisturbed.
    async fn follow(&self, working: &mut BTreeMap<ModbusWire, Working>, registry: &Registry, intake: &Intake) {
        let wanted = by_endpoint(registry);
        let kept = |endpoint: &ModbusWire, bus: &Working| wanted.get(endpoint) == Some(&bus.devices);
        let changed: Vec<ModbusWire> =
            working.iter().filter(|(endpoint, bus)| !kept(endpoint, bus)).map(|(endpoint, _)| endpoint.clone()).collect();
        let stopped: Vec<Working> = changed.iter().filter_map(|endpoint| working.remove(endpoint)).collect();
        halt(stopped).await;
        for (endpoint, devices) in wanted {
            if let Entry::Vacant(vacant) = working.entry(endpoint) {
                let bus = self.start(vacant.key(), devices, intake);
                vacant.insert(bus);
            }
        }
    }

    fn start(&self, wire: &ModbusWire, devices: Vec<Arc<Device>>, intake: &Intake) -> Working {
        let (stop, stopped) = watch::channel(false);
        let part = part(wire, &devices, intake.store());
        tracing::info!(event = "polling", endpoint = %wire, devices = devices.len(), "polling over Modbus");
        let begin = {
            let (wire, devices, part, stopped) = (wire.clone(), devices.clone(), part.clone(), stopped.clone());
            let (intake, meters) = (intake.clone(), self.meters.clone());
            move || {
                let bus = Bus::new(&wire, units(&wire, &devices), intake.store().clock().as_ref(), part.clone());
                bus.run(intake.clone(), meters.clone(), stopped.clone())
            }
        };
        let task = tokio::spawn(supervise(part.clone(), stopped, begin));
        Working { devices, part, stop, task }
    }
}

/// The line in `/readyz`. One that devices of several owners share belongs to none of them, and is not named.
fn part(wire: &ModbusWire, devices: &[Arc<Device>], store: &Store) -> Part {
    let first = devices.first().map(|device| &device.owner);
    let is_shared = devices.iter().any(|device| Some(&device.owner) != first);
    match first {
        Some(owner) if !is_shared => store.part("modbus-line", &wire.to_string(), Some(owner.clone())),
        _ => store.part("modbus-line", "shared", None),
    }
}

fn units(wire: &ModbusWire, devices: &[Arc<Device>]) -> Vec<Unit> {
    let mut units = Vec::new();
    for device in devices {
        match Unit::new(device) {
            Some(Ok(unit)) => units.push(unit),
            Some(Err(cause)) => {
                tracing::error!(event = "no_plan", device = device.id.as_str(), endpoint = %wire, cause = %cause, "a device is not polled; mend its profile and apply the network again");
            }
            None => {}
        }
    }
    units
}

impl Source for Poller {
    async fn run(self, intake: Intake, mut stop: Stop) {
        let mut changes = intake.store().registry_changes();
        let mut working = BTreeMap::new();
        loop {
            let registry = changes.borrow_and_update().clone();
            self.follow(&mut working, &registry, &intake).await;
            tokio::select! {
                () = stopped(&mut stop) => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        halt(working.into_values().collect()).await;
    }
}

/// The devices to poll, by endpoint, in the registry's order.
fn by_endpoint(registry: &Registry) -> BTreeMap<ModbusWire, Vec<Arc<Device>>> {
    let mut wanted: BTreeMap<ModbusWire, Vec<Arc<Device>>> = BTreeMap::new();
    for device in registry.devices() {
        if let Link::Modbus { wire, .. } = &device.link {
            wanted.entry(wire.clone()).or_default().push(device.clone());
        }
    }
    wanted
}

/// All are told first, then waited for: a bus ends within the timeouts of the unit that it is asking.
async fn halt(buses: Vec<Working>) {
    for bus in &buses {
        let _ = bus.stop.send(true);
    }
    for bus in buses {
        let _ = bus.task.await;
        bus.part.remove();
    }
}
