//! One MQTT connection of a device, from CONNECT until it breaks. What was on its way when it broke is the device's to send again.

use rumqttc::{AsyncClient, ConnAck, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, Request};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The door's largest packet; rumqttc's own default of 10 KiB would break the connection over a backlog.
const MOST_BYTES: usize = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// In whose name a device connects.
#[derive(Debug, Clone)]
pub struct Identity {
    pub owner: String,
    /// Also its user name and its client id.
    pub device: String,
    pub password: String,
}

impl Identity {
    /// The topic of messages that name their channels.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("pescaia/v1/{}/{}", self.owner, self.device)
    }
}

/// What a connection tells its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Connected {
        session_present: bool,
    },
    /// A message went out under this packet id.
    Sent(u16),
    /// It is safe.
    Thanked(u16),
    /// The connection is gone; nothing more will be told.
    Broken(String),
}

/// Dropped, it is cut without a word, as by a lost link.
pub(crate) struct Link {
    client: AsyncClient,
    told: mpsc::Receiver<Told>,
    _polling: JoinSet<()>,
}

impl Link {
    /// Begins to connect. `unthanked` is the message that was on its way when the last connection broke: if the door still has
    /// the session, it is sent again under its id and marked as a repetition, as MQTT 3.1.1 (4.4) wants.
    pub(crate) fn open(door: SocketAddr, identity: &Identity, unthanked: Option<(u16, String)>) -> Self {
        let mut options = MqttOptions::new(identity.device.clone(), door.ip().to_string(), door.port());
        options.set_credentials(identity.device.clone(), identity.password.clone());
        options.set_clean_session(false);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MOST_BYTES, MOST_BYTES);
        let (client, mut events) = AsyncClient::new(options, 8);
        if let Some((id, payload)) = unthanked {
            let mut again = Publish::new(identity.topic(), QoS::AtLeastOnce, payload);
            again.pkid = id;
            again.dup = true;
            events.pending.push_back(Request::Publish(again));
        }
        let (tell, told) = mpsc::channel(64);
        let mut polling = JoinSet::new();
        polling.spawn(poll(events, tell));
        Self { client, told, _polling: polling }
    }

    /// Hands a message over. A connection that does not take it is gone and says so by itself.
    pub(crate) fn publish(&self, topic: String, payload: String) {
        let _ = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload);
    }

    pub(crate) async fn told(&mut self) -> Told {
        self.told.recv().await.unwrap_or_else(|| Told::Broken("the connection is gone".into()))
    }
}

/// The event loop must be polled all the time, so it has a task of its own.
async fn poll(mut events: EventLoop, tell: mpsc::Sender<Told>) {
    loop {
        let told = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ConnAck { session_present, .. }))) => Told::Connected { session_present },
            Ok(Event::Incoming(Packet::PubAck(ack))) => Told::Thanked(ack.pkid),
            Ok(Event::Outgoing(Outgoing::Publish(id))) => Told::Sent(id),
            Ok(_) => continue,
            Err(cause) => Told::Broken(cause.to_string()),
        };
        let broken = matches!(told, Told::Broken(_));
        if tell.send(told).await.is_err() || broken {
            return;
        }
    }
}
