//! External brokers: what others already collect is subscribed to and acknowledged to the broker once it is on disk.
//!
//! The promise is the broker's up to here: what it hands us is not lost. The session is kept by the broker (fixed client id, no clean
//! start), so what came while we were away comes then; several pescaia may share the work in one `$share` group.

use crate::commit::Settling;
use crate::decode::sparkplug::Rebirth;
use crate::decode::spoken;
use crate::frame::Frame;
use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::mqtt::topic::Address;
use crate::source::{Source, Stop, stopped};
use model::{OwnerId, Timestamp};
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeFilter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::SecretFile;
use tokio::sync::mpsc;

/// Messages that may be on their way to the disk before the broker has to wait.
const UNSETTLED: usize = 1024;
/// Acknowledgements that may wait for the wire: as many as there are packet ids, so that saying one never waits.
const ACKS: usize = 65_536;
/// The largest packet, as at our own door.
const MAX_PACKET: usize = 256 * 1024;
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A broker and what is wanted from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// Names it in logs and metrics.
    pub name: String,
    pub host: String,
    pub port: u16,
    /// The broker keeps our session under this name; no two pescaia may have the same.
    pub client_id: String,
    pub user: Option<String>,
    pub password: Option<SecretFile>,
    /// In whose name everything from there is taken.
    pub owner: OwnerId,
    /// Filters, e.g. `application/#`.
    pub topics: Vec<String>,
    /// What messages are written in where a device says nothing else, one of [`model::PAYLOAD_FORMATS`].
    pub format: String,
    /// Members of one group share the messages between them.
    pub share: Option<String>,
}

/// Takes what one broker has for us.
pub struct Broker {
    settings: BrokerSettings,
    meters: Meters,
}

/// A message on its way to the disk, and the connection that it came by: an acknowledgement sent on another one could mean another
/// message.
struct Taken {
    settling: Settling,
    publish: Publish,
    generation: u64,
}

impl Broker {
    #[must_use]
    pub fn new(settings: BrokerSettings, meters: Meters) -> Self {
        Self { settings, meters }
    }

    fn options(&self) -> MqttOptions {
        let settings = &self.settings;
        let mut options = MqttOptions::new(settings.client_id.clone(), settings.host.clone(), settings.port);
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(MAX_PACKET, MAX_PACKET);
        self.show_password(&mut options);
        options
    }

    /// As its file holds it now: it may have been mended.
    fn show_password(&self, options: &mut MqttOptions) {
        if let Some(user) = &self.settings.user {
            options.set_credentials(user.clone(), self.settings.password.as_ref().map_or_else(String::new, SecretFile::current));
        }
    }

    fn filters(&self) -> Vec<SubscribeFilter> {
        let shared = |topic: &String| match &self.settings.share {
            Some(group) => format!("$share/{group}/{topic}"),
            None => topic.clone(),
        };
        self.settings.topics.iter().map(|topic| SubscribeFilter::new(shared(topic), QoS::AtLeastOnce)).collect()
    }

    /// A message as the pipeline takes it. Our own topics name device and channel.
    fn frame(&self, publish: &Publish, intake: &Intake, received_at: Timestamp) -> Frame {
        let address = Address::parse(&publish.topic).filter(|address| address.owner == self.settings.owner);
        let (device, channel) = address.map_or((None, None), |address| (Some(address.device), address.channel));
        let registry = intake.store().registry();
        let said = device
            .as_ref()
            .and_then(|device| registry.device(self.settings.owner.as_str(), device.as_str()))
            .and_then(|device| device.format());
        let format = match (said, &channel) {
            (Some(format), None) => format,
            (_, Some(_)) => "bare",
            (None, None) => &self.settings.format,
        };
        Frame {
            source: "broker",
            format: spoken(format).unwrap_or(if format == "bare" { "bare" } else { "native" }),
            route: publish.topic.clone(),
            owner: self.settings.owner.clone(),
            device,
            channel,
            received_at,
            bytes: publish.payload.clone(),
        }
    }

    /// One connection after another; returns when it is time to stop.
    async fn listen(&self, client: &AsyncClient, events: &mut EventLoop, line: &Line, intake: &Intake, stop: &mut Stop) {
        let part = intake.store().part("broker", &self.settings.name, Some(self.settings.owner.clone()));
        let mut wait = SHORTEST_WAIT;
        let mut is_known_lost = false;
        loop {
            let event = tokio::select! {
                () = stopped(stop) => return,
                // Nobody acknowledges any more: all is begun anew, and the broker sends again what was not acknowledged.
                () = line.taken.closed() => return,
                () = line.broken.notified() => {
                    // What could not be committed is not acknowledged; over a new connection the broker hands it to us again.
                    events.clean();
                    line.generation.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(SHORTEST_WAIT).await;
                    continue;
                }
                event = events.poll() => event,
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(ack))) if ack.code == ConnectReturnCode::Success => {
                    line.generation.fetch_add(1, Ordering::Relaxed);
                    self.meters.broker_connected(&self.settings.name, 1);
                    tracing::info!(
                        event = "broker_connected",
                        broker = self.settings.name,
                        session = ack.session_present,
                        "listening to a broker"
                    );
                    (wait, is_known_lost) = (SHORTEST_WAIT, false);
                    part.ok("connected");
                    // Also with a session: the list of topics may have changed since.
                    if let Err(cause) = client.try_subscribe_many(self.filters()) {
                        tracing::error!(event = "broker_subscribe", broker = self.settings.name, %cause, "the topics could not be asked for");
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let refused = ack.return_codes.iter().filter(|code| matches!(code, rumqttc::SubscribeReasonCode::Failure)).count();
                    if refused > 0 {
                        tracing::error!(event = "broker_refused", broker = self.settings.name, refused, topics = ?self.settings.topics, "the broker refuses topics; give this user the right to read them");
                        part.degraded(format!("it refuses {refused} topics; give this user the right to read them there"));
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let mut settling = intake.take(self.frame(&publish, intake, intake.store().clock().now()));
                    if let Some(Rebirth { topic, payload }) = settling.rebirth.take() {
                        tracing::info!(
                            event = "sparkplug_rebirth",
                            audit = true,
                            broker = self.settings.name,
                            topic,
                            "a node is asked to be born again"
                        );
                        let _ = client.try_publish(topic, QoS::AtMostOnce, false, payload);
                    }
                    let generation = line.generation.load(Ordering::Relaxed);
                    // When it is full the broker waits, as it should.
                    let _ = line.taken.send(Taken { settling, publish, generation }).await;
                }
                Ok(_) => {}
                Err(cause) => {
                    self.meters.broker_connected(&self.settings.name, 0);
                    self.show_password(&mut events.mqtt_options);
                    let cure = cure(&cause);
                    part.degraded(format!("no connection to it: {cause}; {cure}"));
                    if !is_known_lost {
                        tracing::warn!(event = "broker_lost", broker = self.settings.name, %cause, cure, "no connection to a broker");
                        is_known_lost = true;
                    }
                    // Jitter, so that many don't come back at once.
                    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let jitter = intake.store().clock().now().micros().unsigned_abs() % (millis / 2 + 1);
                    tokio::select! {
                        () = stopped(stop) => return,
                        () = tokio::time::sleep(Duration::from_millis(millis / 2 + jitter)) => {}
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }
}

fn cure(cause: &ConnectionError) -> &'static str {
    match cause {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            "give the right user and password_file under [[broker]]"
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => "give another client_id under [[broker]]",
        _ => "it is tried again, at most 30 s apart; what the broker keeps for us comes then",
    }
}

/// Between the connection and the settler.
struct Line {
    taken: mpsc::Sender<Taken>,
    generation: Arc<AtomicU64>,
    /// A message could not be committed.
    broken: Arc<tokio::sync::Notify>,
}

impl Source for Broker {
    async fn run(self, intake: Intake, mut stop: Stop) {
        let (client, mut events) = AsyncClient::new(self.options(), ACKS);
        let (taken, settling) = mpsc::channel(UNSETTLED);
        let line = Line { taken, generation: Arc::default(), broken: Arc::default() };
        let settler =
            tokio::spawn(settle(settling, client.clone(), line.generation.clone(), line.broken.clone(), self.settings.name.clone()));
        self.listen(&client, &mut events, &line, &intake, &mut stop).await;
        drop(line);
        // What was taken is settled, and its acknowledgements get a moment to go out.
        let rest = async {
            let _ = settler.await;
            let _ = client.try_disconnect();
            while events.poll().await.is_ok() {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
        self.meters.broker_connected(&self.settings.name, 0);
    }
}

/// Acknowledges what is on disk, in the order of receipt, on the connection that it came by.
async fn settle(
    mut taken: mpsc::Receiver<Taken>,
    client: AsyncClient,
    generation: Arc<AtomicU64>,
    broken: Arc<tokio::sync::Notify>,
    broker: String,
) {
    while let Some(Taken { settling, publish, generation: of }) = taken.recv().await {
        match settling.await {
            Ok(_) if publish.qos == QoS::AtMostOnce || generation.load(Ordering::Relaxed) != of => {}
            Ok(_) => {
                let _ = client.ack(&publish).await;
            }
            Err(cause) if generation.load(Ordering::Relaxed) == of => {
                tracing::warn!(event = "broker_unsettled", broker, %cause, "a message could not be committed; the broker keeps it and sends it again");
                broken.notify_one();
            }
            Err(_) => {}
        }
    }
}
