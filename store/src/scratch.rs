//! For tests that need a store on a disk.

use crate::{Settings, Store};
use model::{Clock, DeviceId, Message, Reject, RejectReason, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;

/// A clock that stands still, at so many seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Still(pub(crate) i64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0)
    }
}

/// A directory that goes away with its owner.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pescaia-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("store.db")
    }

    pub(crate) fn open(&self, clock: Still) -> Store {
        Store::open(&self.0, Settings::default(), Arc::new(clock)).expect("open")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a device of the owner `o` said and was refused for.
pub(crate) fn refusal(device: &str, received_at: Timestamp, bytes: &[u8]) -> Reject {
    Reject {
        message: Arc::new(Message {
            source: "mqtt",
            format: "native",
            route: format!("o/{device}"),
            owner: Some("o".into()),
            device: Some(device.into()),
            channel: None,
            received_at,
            uptime: None,
            bytes: bytes.to_vec().into(),
        }),
        reason: RejectReason::UnknownChannel,
        detail: "a test".into(),
        place: 0,
        said: None,
        line: DeviceId::from(device),
        count: 1,
    }
}
