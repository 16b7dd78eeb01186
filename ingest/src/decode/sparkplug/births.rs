//! What births say of metrics: their datatypes, units and aliases, by which the data that follow are read.

use super::wire::{Metric, Value};
use model::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Every metric of one edge node and the devices behind it.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// By node or device, as messages call it, and name.
    declared: HashMap<(String, String), Declared>,
    aliases: BTreeMap<u64, (String, String)>,
    /// When the node was born, by our clock.
    pub(super) born_at: Option<Timestamp>,
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// As the specification numbers them; 0 is unknown.
    pub(super) datatype: u32,
    pub(super) unit: Option<Unit>,
}

/// One metric as it is kept on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    device: String,
    metric: String,
    datatype: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    born_us: Option<i64>,
    metrics: Vec<Kept>,
}

impl Births {
    /// The most metrics of one node.
    const MOST: usize = 20_000;

    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Remembers the metrics of a birth of `device`, members of templates by their path.
    pub(super) fn declare(&mut self, device: &str, metrics: &[Metric]) {
        for metric in metrics {
            if let Some(name) = &metric.name {
                self.declare_one(device, name, metric);
            }
        }
    }

    fn declare_one(&mut self, device: &str, name: &str, metric: &Metric) {
        let key = (device.to_owned(), name.to_owned());
        if self.declared.len() >= Self::MOST && !self.declared.contains_key(&key) {
            return;
        }
        if let Some(alias) = metric.alias {
            self.aliases.insert(alias, key.clone());
        }
        let unit = metric.unit();
        self.declared.insert(key, Declared { datatype: metric.datatype.unwrap_or(0), unit });
        if let Some(Value::Template(template)) = &metric.value {
            for member in &template.metrics {
                if let Some(member_name) = &member.name {
                    self.declare_one(device, &format!("{name}/{member_name}"), member);
                }
            }
        }
    }

    pub(super) fn of(&self, device: &str, metric: &str) -> Option<&Declared> {
        self.declared.get(&(device.to_owned(), metric.to_owned()))
    }

    /// The device and the name that an alias stands for.
    pub(super) fn aliased(&self, alias: u64) -> Option<(&str, &str)> {
        self.aliases.get(&alias).map(|(device, metric)| (device.as_str(), metric.as_str()))
    }

    pub(super) fn restore(text: &str) -> Option<Self> {
        let Text { born_us, metrics } = serde_json::from_str(text).ok()?;
        let mut births = Self { born_at: born_us.map(Timestamp::from_micros), ..Self::default() };
        for Kept { device, metric, datatype, alias, unit } in metrics {
            let key = (device, metric);
            if let Some(alias) = alias {
                births.aliases.insert(alias, key.clone());
            }
            births.declared.insert(key, Declared { datatype, unit: unit.as_deref().and_then(Unit::from_symbol) });
        }
        Some(births)
    }

    pub(super) fn text(&self) -> Option<String> {
        let aliases: HashMap<&(String, String), u64> = self.aliases.iter().map(|(alias, key)| (key, *alias)).collect();
        let kept = |(key, declared): (&(String, String), &Declared)| Kept {
            device: key.0.clone(),
            metric: key.1.clone(),
            datatype: declared.datatype,
            alias: aliases.get(key).copied(),
            unit: declared.unit.map(|unit| unit.symbol().to_owned()),
        };
        let mut metrics: Vec<Kept> = self.declared.iter().map(kept).collect();
        metrics.sort_by(|one, other| (&one.device, &one.metric).cmp(&(&other.device, &other.metric)));
        serde_json::to_string(&Text { born_us: self.born_at.map(Timestamp::micros), metrics }).ok()
    }
}
