//! What messages call the devices of one owner: by id, by address, and, where the address is a series of line protocol, by part of
//! the tags.

use model::Device;
use std::collections::HashMap;
use std::sync::Arc;

/// The names of one owner's devices in service.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Ids and addresses; an id goes before the same address of another device.
    exact: HashMap<String, Arc<Device>>,
    /// Addresses that are series, under the part that the fewest of them share: few must be looked at for each name.
    series: HashMap<String, Vec<Arc<Device>>>,
}

impl Names {
    pub(crate) fn of<'a>(devices: impl Iterator<Item = &'a Arc<Device>> + Clone) -> Self {
        let addressed = || devices.clone().filter_map(|device| Some((device.address.as_deref()?, device)));
        let mut exact: HashMap<String, Arc<Device>> = addressed().map(|(address, device)| (address.to_owned(), device.clone())).collect();
        exact.extend(devices.clone().map(|device| (device.id.to_string(), device.clone())));
        let mut shared: HashMap<String, usize> = HashMap::new();
        for part in addressed().flat_map(|(address, _)| parts(address)) {
            *shared.entry(part).or_default() += 1;
        }
        let mut series: HashMap<String, Vec<Arc<Device>>> = HashMap::new();
        for (address, device) in addressed() {
            let rarest = parts(address).min_by_key(|part| shared.get(part).copied());
            series.entry(rarest.unwrap_or_default()).or_default().push(device.clone());
        }
        Self { exact, series }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Device>> {
        if let Some(device) = self.exact.get(name) {
            return Some(device);
        }
        let (measurement, tags) = name.split_once(',')?;
        let tags: Vec<&str> = tags.split(',').collect();
        let covers = |address: &str| {
            let mut parts = address.split(',');
            (parts.next() == Some(measurement)).then(|| parts.try_fold(0, |count, tag| tags.contains(&tag).then_some(count + 1)))?
        };
        let near = std::iter::once(measurement.to_owned()).chain(parts(name)).filter_map(|part| self.series.get(&part)).flatten();
        let fitting = near.filter_map(|device| {
            let address = device.address.as_deref()?;
            Some((covers(address)?, address, device))
        });
        fitting.max_by_key(|(count, address, _)| (*count, std::cmp::Reverse(*address))).map(|(_, _, device)| device)
    }
}

/// Each tag with its measurement; the measurement where there is no tag.
fn parts(address: &str) -> impl Iterator<Item = String> {
    let (measurement, tags) = address.split_once(',').unwrap_or((address, ""));
    let alone = tags.is_empty().then(|| measurement.to_owned());
    alone.into_iter().chain(tags.split(',').filter(|tag| !tag.is_empty()).map(move |tag| format!("{measurement},{tag}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Link;

    fn device(id: &str, address: Option<&str>) -> Arc<Device> {
        Arc::new(Device {
            id: id.into(),
            owner: "o".into(),
            link: Link::Http,
            feeds: Vec::new(),
            address: address.map(str::to_owned),
            layout: None,
            lines: None,
            retired: false,
        })
    }

    #[test]
    fn a_series_is_the_device_whose_address_says_most_of_it() {
        let devices = [
            device("pump", Some("modbus,name=pump")),
            device("pump-b", Some("modbus,host=b,name=pump")),
            device("any", Some("modbus")),
            device("level", None),
            device("odd", Some("level")),
        ];
        let names = Names::of(devices.iter());
        let check = |name: &str, expected: Option<&str>| assert_eq!(names.get(name).map(|device| device.id.as_str()), expected, "{name}");
        check("modbus,host=a,name=pump", Some("pump"));
        check("modbus,host=b,name=pump,slave=1", Some("pump-b"));
        check("modbus,host=c", Some("any"));
        check("modbus", Some("any"));
        check("cpu,name=pump", None);
        check("level", Some("level"));
        check("pump", Some("pump"));
    }
}
