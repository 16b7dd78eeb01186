//! What stands in the field, as a snapshot in memory: read without waiting, replaced whole when a network is applied.

mod names;

pub(crate) use names::{Names, canonical};

use model::{Credential, Datastream, DatastreamId, Device, Owner, Station};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Immutable; take it anew for each message.
#[derive(Debug, Default)]
pub struct Registry {
    pub(crate) owners: BTreeMap<String, Arc<Owner>>,
    pub(crate) stations: BTreeMap<String, Arc<Station>>,
    /// By their number; nothing where an entry can't be read, or can't stand.
    datastreams: Vec<Option<Arc<Datastream>>>,
    pub(crate) by_key: BTreeMap<String, DatastreamId>,
    /// By owner and id.
    pub(crate) devices: BTreeMap<String, BTreeMap<String, Arc<Device>>>,
    /// By owner: what messages call them.
    pub(crate) names: HashMap<String, Names>,
    pub(crate) by_user: HashMap<String, Arc<Device>>,
    /// Those that show a certificate, by what is known of it.
    pub(crate) by_certificate: HashMap<Credential, Arc<Device>>,
}

impl Registry {
    /// Puts a datastream under its number.
    pub(crate) fn put_datastream(&mut self, datastream: Arc<Datastream>) {
        let index = datastream.id.index();
        if self.datastreams.len() <= index {
            self.datastreams.resize(index + 1, None);
        }
        if let Some(place) = self.datastreams.get_mut(index) {
            *place = Some(datastream);
        }
    }
    #[must_use]
    pub fn owner(&self, id: &str) -> Option<&Arc<Owner>> {
        self.owners.get(id)
    }
    #[must_use]
    pub fn station(&self, id: &str) -> Option<&Arc<Station>> {
        self.stations.get(id)
    }
    #[must_use]
    pub fn datastream(&self, id: DatastreamId) -> Option<&Arc<Datastream>> {
        self.datastreams.get(id.index())?.as_ref()
    }
    #[must_use]
    pub fn datastream_by_key(&self, key: &str) -> Option<&Arc<Datastream>> {
        self.datastream(*self.by_key.get(key)?)
    }
    /// A device in service.
    #[must_use]
    pub fn device(&self, owner: &str, device: &str) -> Option<&Arc<Device>> {
        self.devices.get(owner)?.get(device).filter(|device| !device.retired)
    }
    /// The device in service that a message calls so: by its id, else by its address. An address that is a series of line
    /// protocol (`measurement,tag=value`) stands for every series of this measurement with at least these tags; the one with the
    /// most tags is meant.
    #[must_use]
    pub fn device_called(&self, owner: &str, name: &str) -> Option<&Arc<Device>> {
        self.names.get(owner)?.get(name)
    }
    /// The device that connects over MQTT with this user name.
    #[must_use]
    pub fn device_by_user(&self, user: &str) -> Option<&Arc<Device>> {
        self.by_user.get(user)
    }
    /// The device that connects over MQTT with this certificate, by its SHA-256 or its name.
    #[must_use]
    pub fn device_by_certificate(&self, certificate: &Credential) -> Option<&Arc<Device>> {
        self.by_certificate.get(certificate)
    }
    /// Every device in service.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<Device>> {
        self.devices.values().flat_map(BTreeMap::values).filter(|device| !device.retired)
    }
    pub fn owners(&self) -> impl Iterator<Item = &Arc<Owner>> {
        self.owners.values()
    }
    pub fn stations(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.stations.values()
    }
    pub fn datastreams(&self) -> impl Iterator<Item = &Arc<Datastream>> {
        self.datastreams.iter().flatten()
    }
}
