//! `pescaia delete`: for good, with a preview first; and the list of what was deleted, which lies beside the backups.

use crate::control::Answer;
use anyhow::Context;
use ingest::pipeline::Intake;
use model::{Interval, Timestamp};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use store::{Erased, Store, Subject, Tombstone};

/// What is deleted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct DeleteOrder {
    /// A datastream's id, as in the network file
    #[arg(required_unless_present = "device", conflicts_with = "device")]
    pub(crate) datastream: Option<String>,
    /// Everything that this device said: its datastreams, its raw payloads, its messages in the quarantine; with --owner
    #[arg(long, requires = "owner")]
    pub(crate) device: Option<String>,
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// RFC 3339 with an offset, included; from the first one when left out
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// RFC 3339 with an offset, excluded; to the last one when left out
    #[arg(long)]
    pub(crate) to: Option<String>,
    /// Stands in the audit, for those who come later
    #[arg(long)]
    pub(crate) why: String,
    /// Deletes; without it nothing is changed, and what would go is shown
    #[arg(long)]
    pub(crate) yes: bool,
    #[arg(skip)]
    pub(crate) who: String,
}

impl DeleteOrder {
    /// With the name of the person at the terminal.
    pub(crate) fn signed(mut self) -> Self {
        self.who = crate::correct::person();
        self
    }
}

pub(crate) fn delete(intake: &Intake, order: &DeleteOrder) -> Answer {
    match deleted(intake.store(), order) {
        Ok(lines) => Answer::Lines(lines),
        Err(cause) => Answer::Wrong(vec![cause]),
    }
}

fn deleted(store: &Store, order: &DeleteOrder) -> Result<Vec<String>, String> {
    let instant = |text: &Option<String>, otherwise| {
        text.as_deref().map_or(Ok(otherwise), |text| Timestamp::parse(text).map_err(|cause| cause.to_string()))
    };
    let interval = Interval::new(instant(&order.from, Timestamp::MIN)?, instant(&order.to, Timestamp::MAX)?);
    let failed = |cause: store::Error| cause.to_string();
    let registry = store.registry();
    let mut lines = Vec::new();
    let keys: Vec<String> = match (&order.datastream, &order.device, &order.owner) {
        (Some(key), ..) => vec![key.clone()],
        (None, Some(device), Some(owner)) => {
            let subject = Subject { owner: owner.as_str().into(), device: device.as_str().into() };
            let (meant, others) = of_subject(store, &subject)?;
            lines.extend(others);
            meant
        }
        _ => return Err("name a datastream, or --device with --owner".into()),
    };
    for key in &keys {
        let Some(datastream) = registry.datastream_by_key(key) else {
            let known = registry.datastreams().map(|datastream| datastream.key.as_str());
            let cure = store::nearest(key, known).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(format!("there is no datastream \"{key}\"{cure}"));
        };
        lines.push(if order.yes {
            let removed = store.delete(datastream.id, interval, &order.who, &order.why).map_err(failed)?;
            format!("{key}: {removed} observations are deleted, with the values that they replaced")
        } else {
            format!("{key}: {} observations would be deleted for good", store.count_in(datastream.id, interval).map_err(failed)?)
        });
    }
    if let (Some(device), Some(owner)) = (&order.device, &order.owner) {
        let subject = Subject { owner: owner.as_str().into(), device: device.as_str().into() };
        let (erased, goes) = if order.yes {
            (store.delete_subject(&subject, interval, &order.who, &order.why).map_err(failed)?, "are deleted")
        } else {
            (store.count_of(&subject, interval).map_err(failed)?, "would be deleted for good")
        };
        let Erased { payloads, messages } = erased;
        let when = if order.from.is_some() || order.to.is_some() { " that came in that time" } else { "" };
        lines.push(format!("{device}: {payloads} raw payloads and {messages} messages in the quarantine{when} {goes}"));
    }
    lines.push(match order.yes {
        true => "what is derived from them is made again; older backups still hold them, and a restore deletes them again where \
                 pescaia-deleted.jsonl lies beside the backup (every later backup writes it there)"
            .into(),
        false => "nothing was changed; add --yes to do it".into(),
    });
    Ok(lines)
}

/// What a device feeds or fed; what another feeds by now is only told, for it may be somebody else's. A meter that was taken out of the
/// network is still known.
fn of_subject(store: &Store, subject: &Subject) -> Result<(Vec<String>, Vec<String>), String> {
    let failed = |cause: store::Error| cause.to_string();
    let Subject { owner, device } = subject;
    let fed = store.ever_fed_by(subject).map_err(failed)?;
    let erased = store.count_of(subject, Interval::ALL).map_err(failed)?;
    let registry = store.registry();
    let is_known = registry.devices().any(|one| one.id == *device && one.owner == *owner);
    if fed.is_empty() && erased == Erased::default() && !is_known {
        return Err(format!("the owner {owner} has, and had, no device {device}"));
    }
    let (mut meant, mut others) = (Vec::new(), Vec::new());
    for key in fed.into_iter().filter(|key| registry.datastream_by_key(key).is_some()) {
        let id = registry.datastream_by_key(&key).map(|known| known.id);
        let feeds_it = |other: &&std::sync::Arc<model::Device>| other.feeds.iter().any(|feed| Some(feed.datastream) == id);
        match registry.devices().find(feeds_it).filter(|now| now.id != *device || now.owner != *owner) {
            None => meant.push(key),
            Some(now) => others
                .push(format!("{key}: fed by {device} before and by {} now, so it is left; delete it by its id if it is meant", now.id)),
        }
    }
    Ok((meant, others))
}

/// The list beside a backup.
fn beside(backup: &Path) -> PathBuf {
    backup.with_file_name("pescaia-deleted.jsonl")
}

/// Adds what was deleted so far to the list beside a backup; older lines stay.
pub(crate) fn keep_beside(store: &Store, backup: &Path) -> anyhow::Result<()> {
    let path = beside(backup);
    let mut all = read_beside(backup)?;
    for tombstone in store.tombstones()? {
        let tombstone = Tombstone { pending: false, ..tombstone };
        if !all.contains(&tombstone) {
            all.push(tombstone);
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    let failed = || format!("{} can't be written", path.display());
    let part = path.with_extension("part");
    let mut file = store::create_private(&part).with_context(failed)?;
    for tombstone in &all {
        serde_json::to_writer(&mut file, tombstone)?;
        file.write_all(b"\n")?;
    }
    file.sync_all().with_context(failed)?;
    std::fs::rename(&part, &path).with_context(failed)
}

/// What was deleted, as the list beside a backup has it.
pub(crate) fn read_beside(backup: &Path) -> anyhow::Result<Vec<Tombstone>> {
    let path = beside(backup);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}:{} is no deletion; mend or remove the line", path.display(), number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}
