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
use rumqttc::mqttbytes::Error as Malformed;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, StateError, SubscribeFilter,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::SecretFile;
use tokio::sync::mpsc;

/// Messages that may be on their way to the disk before the broker has to wait.
const UNSETTLED: usize = 1024;
/// Acknowledgements that may wait for the wire: as many as there are packet ids, so that saying one never waits.
const ACKS: usize = 65_536;
/// The largest message that is taken: the birth of an edge node with ten thousand metrics fits.
const MAX_PAYLOAD: usize = 4 * 1024 * 1024;
/// The largest packet that is received at all: what lies between is received, named and passed over. Were it not received it would come
/// again at each connection, and nothing behind it.
const MAX_PACKET: usize = 16 * 1024 * 1024;
/// Connections that ended one after another without a message, before it is said that something is wrong.
const MOST_FRUITLESS: u32 = 3;
/// As `/readyz` says of one that has nothing to mend.
const CONNECTED: &str = "connected";
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
    /// None where nothing of it is kept.
    settling: Option<Settling>,
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

    /// Hands a message to the pipeline; none where it holds nothing to keep.
    async fn take(&self, publish: &Publish, intake: &Intake, passed_over: &mut u64) -> Option<Settling> {
        if publish.payload.is_empty() {
            // It clears what the broker retained under its topic.
            self.meters.passed_over("retained", 1);
            return None;
        }
        if publish.payload.len() > MAX_PAYLOAD {
            *passed_over += 1;
            self.meters.passed_over("too-large", 1);
            // At the 1st, 2nd, 4th, 8th … : a device gone mad must not fill the log too.
            if passed_over.is_power_of_two() {
                let topic: String = publish.topic.chars().take(128).collect();
                tracing::warn!(event = "broker_too_large", broker = self.settings.name, topic = ?topic, bytes = publish.payload.len(), most = MAX_PAYLOAD, count = *passed_over, "a message is larger than what is taken, and was passed over; let its device send it in parts");
            }
            return None;
        }
        let frame = self.frame(publish, intake, intake.store().clock().now());
        Some(if publish.retain { intake.take_retained(frame).await } else { intake.take(frame).await })
    }

    /// One connection after another; returns when it is time to stop.
    async fn listen(&self, client: &AsyncClient, events: &mut EventLoop, line: &Line, intake: &Intake, stop: &mut Stop) {
        let part = intake.store().part("broker", &self.settings.name, Some(self.settings.owner.clone()));
        let mut wait = SHORTEST_WAIT;
        let mut is_known_lost = false;
        let (mut passed_over, mut fruitless, mut is_refused) = (0, 0_u32, false);
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
                    self.meters.broker_connected(self.settings.owner.as_str(), &self.settings.name, 1);
                    tracing::info!(
                        event = "broker_connected",
                        broker = self.settings.name,
                        session = ack.session_present,
                        "listening to a broker"
                    );
                    (wait, is_known_lost) = (SHORTEST_WAIT, false);
                    // One that ended again and again before anything came is not believed yet.
                    if fruitless < MOST_FRUITLESS {
                        part.ok(CONNECTED);
                    }
                    // Also with a session: the list of topics may have changed since.
                    if let Err(cause) = client.try_subscribe_many(self.filters()) {
                        tracing::error!(event = "broker_subscribe", broker = self.settings.name, %cause, "the topics could not be asked for");
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let refused = ack.return_codes.iter().filter(|code| matches!(code, rumqttc::SubscribeReasonCode::Failure)).count();
                    is_refused = refused > 0;
                    if refused > 0 {
                        tracing::error!(event = "broker_refused", broker = self.settings.name, refused, topics = ?self.settings.topics, "the broker refuses topics; give this user the right to read them");
                        part.degraded(format!("it refuses {refused} topics; give this user the right to read them there"));
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if fruitless > 0 {
                        fruitless = 0;
                        if !is_refused {
                            part.ok(CONNECTED);
                        }
                    }
                    let mut settling = self.take(&publish, intake, &mut passed_over).await;
                    if let Some(Rebirth { topic, payload }) = settling.as_mut().and_then(|settling| settling.rebirth.take()) {
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
                Ok(Event::Incoming(Packet::PingResp)) if fruitless > 0 => {
                    // It has stood for a while, and had nothing for us.
                    fruitless = 0;
                    if !is_refused {
                        part.ok(CONNECTED);
                    }
                }
                Ok(_) => {}
                Err(cause) => {
                    self.meters.broker_connected(self.settings.owner.as_str(), &self.settings.name, 0);
                    self.show_password(&mut events.mqtt_options);
                    let (why, cure) = why(&cause);
                    fruitless = fruitless.saturating_add(1);
                    part.degraded(match fruitless {
                        1 => format!("{why}; {cure}"),
                        times => format!("{why}, {times} times in a row; {cure}"),
                    });
                    if !is_known_lost {
                        tracing::warn!(event = "broker_lost", broker = self.settings.name, cause = why, cure, "no connection to a broker");
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

/// Why a connection ended, and the cure, in words of ours.
fn why(cause: &ConnectionError) -> (String, String) {
    let again = "it is tried again, at most 30 s apart; what the broker keeps for us comes then".to_owned();
    match cause {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            ("the broker refuses the user or its password".into(), "give the right user and password_file under [[broker]]".into())
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => {
            ("the broker refuses the client id".into(), "give another client_id under [[broker]]".into())
        }
        ConnectionError::ConnectionRefused(_) => ("the broker refuses the connection".into(), "look into its log".into()),
        ConnectionError::MqttState(StateError::Deserialization(Malformed::PayloadSizeLimitExceeded(bytes))) => (
            format!("the broker sends a message of {bytes} bytes, larger than the {MAX_PACKET} that can be received, again at each connection, and nothing behind it"),
            "bound what the broker takes (message_size_limit of mosquitto), and give another client_id under [[broker]], whose session begins without that message".into(),
        ),
        ConnectionError::MqttState(StateError::Deserialization(_)) => {
            ("the broker sends what is no MQTT 3.1.1".into(), "is it an MQTT broker, and its port without TLS?".into())
        }
        ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) | ConnectionError::NetworkTimeout => {
            ("the broker does not answer in time".into(), again)
        }
        ConnectionError::FlushTimeout => ("the broker takes nothing from us".into(), again),
        ConnectionError::MqttState(StateError::ConnectionAborted) => (
            "the broker closed the connection".into(),
            "if it does so again and again, another client has the same client_id: give another under [[broker]]; else it is tried again, at most 30 s apart".into(),
        ),
        ConnectionError::Io(cause) | ConnectionError::MqttState(StateError::Io(cause)) => (in_words(cause.kind()).into(), again),
        _ => ("the connection broke".into(), again),
    }
}

fn in_words(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused => "nothing listens at its address",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => "the broker closed the connection",
        Kind::TimedOut => "no answer from its address",
        Kind::HostUnreachable | Kind::NetworkUnreachable => "no way to its address",
        Kind::NotFound => "its name is not known",
        _ => "its address can't be reached",
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
        self.meters.broker_connected(self.settings.owner.as_str(), &self.settings.name, 0);
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
        let settled = match settling {
            Some(settling) => settling.await.map(|_| ()),
            None => Ok(()),
        };
        match settled {
            Ok(()) if publish.qos == QoS::AtMostOnce || generation.load(Ordering::Relaxed) != of => {}
            Ok(()) => {
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
