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
    /// Addresses that are series, as [`canonical`] writes them, under the part that the fewest of them share: few must be looked at for each name.
    series: HashMap<String, Vec<(String, Arc<Device>)>>,
}

impl Names {
    pub(crate) fn of<'a>(devices: impl Iterator<Item = &'a Arc<Device>> + Clone) -> Self {
        let addressed = || devices.clone().filter_map(|device| Some((device.address.as_deref()?, device)));
        let canonical: Vec<(String, &Arc<Device>)> = addressed().map(|(address, device)| (canonical(address), device)).collect();
        let mut exact: HashMap<String, Arc<Device>> =
            canonical.iter().map(|(address, device)| (address.clone(), (*device).clone())).collect();
        exact.extend(addressed().map(|(address, device)| (address.to_owned(), device.clone())));
        exact.extend(devices.clone().map(|device| (device.id.to_string(), device.clone())));
        let mut shared: HashMap<String, usize> = HashMap::new();
        for part in canonical.iter().flat_map(|(address, _)| parts(address)) {
            *shared.entry(part).or_default() += 1;
        }
        let mut series: HashMap<String, Vec<(String, Arc<Device>)>> = HashMap::new();
        for (address, device) in canonical {
            let rarest = parts(&address).min_by_key(|part| shared.get(part).copied());
            series.entry(rarest.unwrap_or_default()).or_default().push((address, device.clone()));
        }
        Self { exact, series }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Device>> {
        if let Some(device) = self.exact.get(name) {
            return Some(device);
        }
        let name = canonical(name);
        if let Some(device) = self.exact.get(&name) {
            return Some(device);
        }
        let all: Vec<&str> = unescaped(&name).collect();
        let (measurement, tags) = all.split_first().filter(|(_, tags)| !tags.is_empty())?;
        let covers = |address: &str| {
            let mut parts = unescaped(address);
            (parts.next() == Some(measurement)).then(|| parts.try_fold(0, |count, tag| tags.contains(&tag).then_some(count + 1)))?
        };
        let near = std::iter::once((*measurement).to_owned()).chain(parts(&name)).filter_map(|part| self.series.get(&part)).flatten();
        let fitting = near.filter_map(|(address, device)| Some((covers(address)?, address, device)));
        fitting.max_by_key(|(count, address, _)| (*count, std::cmp::Reverse(*address))).map(|(_, _, device)| device)
    }
}

/// One way of writing what names one device: a `DevEUI` is a number, whose letters may be capitals and whose bytes may be parted; in a
/// series of line protocol a blank may be escaped or not.
pub(crate) fn canonical(address: &str) -> String {
    let digits: String = address.chars().filter(|one| !matches!(one, '-' | ':')).collect();
    if digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return digits.to_ascii_lowercase();
    }
    if !address.contains(',') || !address.contains(['\\', ' ']) {
        return address.to_owned();
    }
    let mut written = String::with_capacity(address.len());
    let mut is_escaped = false;
    for one in address.chars() {
        if one == ' ' && !is_escaped {
            written.push('\\');
        }
        is_escaped = one == '\\';
        written.push(one);
    }
    written
}

/// What stands between commas that no backslash stands before.
fn unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut before = ' ';
    text.split(move |one| {
        let is_comma = one == ',' && before != '\\';
        before = one;
        is_comma
    })
}

/// Each tag with its measurement; the measurement where there is no tag.
fn parts(address: &str) -> impl Iterator<Item = String> {
    let mut all = unescaped(address);
    let measurement = all.next().unwrap_or_default();
    let tags: Vec<String> = all.filter(|tag| !tag.is_empty()).map(|tag| format!("{measurement},{tag}")).collect();
    let alone = tags.is_empty().then(|| measurement.to_owned());
    alone.into_iter().chain(tags)
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

    #[test]
    fn a_dev_eui_is_a_number_and_a_series_is_the_same_however_it_is_escaped() {
        let devices = [
            device("capitals", Some("A84041FFFF1F80AA")),
            device("parted", Some("a8-40-41-ff-ff-1f-80-bb")),
            device("small", Some("a84041ffff1f80cc")),
            device("blank", Some("modbus,name=pump one,area=a\\,b")),
            device("escaped", Some(r"modbus,name=pump\ two")),
        ];
        let names = Names::of(devices.iter());
        let check = |name: &str, expected: Option<&str>| assert_eq!(names.get(name).map(|device| device.id.as_str()), expected, "{name}");
        check("a84041ffff1f80aa", Some("capitals"));
        check("A84041FFFF1F80AA", Some("capitals"));
        check("a84041ffff1f80bb", Some("parted"));
        check("A84041FFFF1F80CC", Some("small"));
        check(r"modbus,area=a\,b,host=x,name=pump\ one", Some("blank"));
        check(r"modbus,host=x,name=pump\ two", Some("escaped"));
        check(r"modbus,host=x,name=pump\ three", None);
        check(r"modbus,area=a,name=pump\ one", None);
    }
}
