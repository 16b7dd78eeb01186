//! `pescaia proposals`: unknown channels, and one command that makes them known.

use crate::control::Answer;
use ingest::pipeline::Intake;
use ingest::propose::{Adoption, Proposal, Publicity, Unadopted, property, proposals, unit};
use model::{Lang, ObservedProperty, OwnerId, Scope, Viewer, local_time};
use serde::{Deserialize, Serialize};

/// What is made of a proposal.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub(crate) struct AdoptOrder {
    /// What messages call the device, as list shows it
    device: String,
    channel: String,
    #[arg(long)]
    owner: String,
    /// An existing station of the owner
    #[arg(long)]
    station: String,
    /// The new datastream's id; the station and the channel when left out
    #[arg(long)]
    datastream: Option<String>,
    /// What is measured, e.g. water_level; as guessed when left out
    #[arg(long)]
    property: Option<String>,
    /// The unit that the device speaks; as guessed when left out
    #[arg(long)]
    unit: Option<String>,
    /// Seconds between two readings; as guessed when left out
    #[arg(long)]
    period_s: Option<u32>,
    /// Everybody may see it
    #[arg(long)]
    public: bool,
    #[arg(skip)]
    #[serde(default)]
    who: String,
}

impl AdoptOrder {
    /// With the name of the person at the terminal.
    pub(crate) fn signed(mut self) -> Self {
        self.who = crate::correct::person();
        self
    }
}

pub(crate) fn list(intake: &Intake) -> Answer {
    let mut lines = Vec::new();
    let registry = intake.store().registry();
    for owner in registry.owners() {
        let view = intake.store().seen_by(&Viewer::Token { owner: owner.id.clone(), scopes: vec![Scope::Manage] });
        match proposals(&view, intake) {
            Ok(found) => lines.extend(found.iter().map(|one| line(&owner.id, one))),
            Err(cause) => return Answer::Wrong(vec![cause.to_string()]),
        }
    }
    if lines.is_empty() {
        lines.push("no unknown channel waits".into());
    } else {
        lines.push("adopt one with: pescaia proposals adopt DEVICE CHANNEL --owner … --station … (--property, --unit and --period-s where the guess is wrong)".into());
    }
    Answer::Lines(lines)
}

fn line(owner: &OwnerId, one: &Proposal) -> String {
    let guess = match (one.property, one.unit) {
        (Some(property), Some(unit)) => format!("{} ({}) in {unit}", property.word(), property.class().word()),
        (Some(property), None) => property.word().to_owned(),
        (None, _) => "? say --property".into(),
    };
    let device = if one.known_as.is_some() { one.device.clone() } else { format!("{} (new)", one.device) };
    format!(
        "{owner}  {device}  {}  {} readings from {} to {}, the last {}; looks like {guess}, every {} s",
        one.channel,
        one.count,
        local_time(one.first, Lang::En),
        local_time(one.last, Lang::En),
        one.value,
        one.period_s
    )
}

pub(crate) fn adopt(intake: &Intake, order: &AdoptOrder) -> Answer {
    let words = || -> Result<(Option<ObservedProperty>, Option<model::Unit>), String> {
        Ok((order.property.as_deref().map(property).transpose()?, order.unit.as_deref().map(unit).transpose()?))
    };
    let (property, unit) = match words() {
        Ok(words) => words,
        Err(cause) => return Answer::Wrong(vec![cause]),
    };
    let adoption = Adoption {
        device: order.device.clone(),
        channel: order.channel.clone(),
        station: order.station.clone(),
        datastream: order.datastream.clone(),
        property,
        unit,
        period_s: order.period_s,
        is_public: if order.public { Publicity::Public } else { Publicity::Private },
    };
    match intake.adopt(&order.owner.as_str().into(), &adoption, &order.who) {
        Ok(adopted) => {
            let mut lines = adopted.changes;
            lines.push(format!("{}: {} readings that waited are taken, {} still wait", adopted.datastream, adopted.accepted, adopted.left));
            lines.push("\"pescaia network adopted\" prints what was adopted, to go on with in a file of your own".into());
            Answer::Lines(lines)
        }
        Err(Unadopted::Wrong(cause) | Unadopted::Missing(cause) | Unadopted::Forbidden(cause)) => Answer::Wrong(vec![cause]),
        Err(Unadopted::Network(complaints)) => Answer::Wrong(complaints.iter().map(|complaint| complaint.message.clone()).collect()),
        Err(Unadopted::Store(cause)) => Answer::Wrong(vec![cause.to_string()]),
    }
}

pub(crate) fn adopted(intake: &Intake) -> Answer {
    match intake.store().adopted() {
        Ok(text) if text.is_empty() => Answer::Lines(vec!["# nothing was adopted yet".into()]),
        Ok(text) => Answer::Lines(text.trim().lines().map(str::to_owned).collect()),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}
