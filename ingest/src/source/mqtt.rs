//! The MQTT door: 3.1, 3.1.1 and 5 on one port, QoS 0, 1 and 2. A PUBACK or PUBREC goes out only after the commit that holds the message,
//! in the order of receipt. Who subscribes hears what is committed, as far as it may see it; nothing is queued for who is away. A will is accepted and
//! ignored, a retain flag too. Rules: docs/decisions/0004-mqtt-door.md.

mod answers;
mod certificate;
mod codec;
mod connection;
mod ended;
mod endings;
mod filter;
mod gate;
mod hello;
mod in_flight;
mod linger;
mod live;
mod pass;
mod penalty;
mod quota;
mod tls;
pub(crate) mod topic;
mod wire;

pub use tls::{TlsError, TlsSettings};

use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::guard::{AcceptFailures, Networks, Stranger, StrangerLimits, Strangers, WrongSignIns};
use crate::source::{Source, Stop, stopped};
use ended::Ended;
use endings::Endings;
use gate::Gate;
use hello::Caller;
use live::Live;
use pass::Pass;
use penalty::Penalties;
use quota::Quotas;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, supervise};
use tls::TlsDoor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Limits of the door.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// The largest packet, bytes; looked at before anything is kept of it.
    pub max_packet: usize,
    /// How long a client may take for its whole CONNECT.
    pub connect_timeout: Duration,
    pub max_connections: usize,
    /// Connections of these that have not yet shown who they are; for one more the oldest that has not sent its whole CONNECT is closed.
    pub max_unauthenticated: usize,
    /// Such connections from one address, and wrong sign-ins that it may have at once.
    pub per_address: usize,
    /// Networks that these are not counted for.
    pub exempt: Networks,
    /// Kept sessions of one credential; beyond them a client is taken without one.
    pub max_sessions: usize,
    /// How long a client may leave our answers unread.
    pub write_timeout: Duration,
    /// Messages of one connection on their way to the disk; reading stops there. MQTT 5 clients are told.
    pub max_unacked: u16,
    /// Messages that one owner may send each second, for all its connections together; twice as many after a rest.
    pub messages_per_s: u32,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            max_packet: 256 * 1024,
            connect_timeout: Duration::from_secs(5),
            max_connections: 10_000,
            max_unauthenticated: 256,
            per_address: 64,
            exempt: Networks::default(),
            max_sessions: 256,
            write_timeout: Duration::from_secs(30),
            max_unacked: 64,
            messages_per_s: 50_000,
        }
    }
}

/// A door that is bound to its address and not yet open. All clones are the same door: one is opened after the other should it end early.
#[derive(Clone)]
pub struct Door {
    listener: Arc<TcpListener>,
    tls: Option<Arc<TlsDoor>>,
    shared: Arc<Shared>,
}

/// What all connections of a door have in common.
struct Shared {
    store: Store,
    settings: DoorSettings,
    meters: Meters,
    gate: Gate,
    penalties: Penalties,
    wrong_sign_ins: WrongSignIns,
    strangers: Strangers,
    quotas: Quotas,
    live: Arc<Live>,
    endings: Endings,
    /// The connection that speaks for each client, to be told when another takes over.
    clients: Mutex<Clients>,
    told_of_sessions: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Clients {
    generation: u64,
    speaking: HashMap<String, Speaking>,
    /// Packet ids of QoS 2 that are on disk and not released, of kept sessions whose client is away.
    unreleased: HashMap<String, Vec<u16>>,
}

/// The connection that speaks for a client.
struct Speaking {
    generation: u64,
    /// Tells it to go.
    go: oneshot::Sender<()>,
    /// Resolves when it has settled what it took, and is gone.
    gone: oneshot::Receiver<()>,
}

/// A connection's turn to speak for its client.
struct Turn {
    generation: u64,
    /// Resolves when another takes over.
    taken_over: oneshot::Receiver<()>,
    /// Of the one before.
    before: Option<oneshot::Receiver<()>>,
    /// Dropped when this one is gone.
    _gone: oneshot::Sender<()>,
}

/// Sessions of clients that are away whose packet ids of QoS 2 are remembered: in memory, so that after a restart such a message may
/// be another one.
const MOST_AWAY: usize = 10_000;

impl Shared {
    /// Makes this connection the one that speaks for `client`; the one before it is told to go.
    fn take_over(&self, client: &str) -> Turn {
        let ((go, taken_over), (is_gone, gone)) = (oneshot::channel(), oneshot::channel());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.generation += 1;
        let generation = clients.generation;
        let before = clients.speaking.insert(client.to_owned(), Speaking { generation, go, gone }).map(|before| {
            let _ = before.go.send(());
            before.gone
        });
        Turn { generation, taken_over, before, _gone: is_gone }
    }
    /// Tells, at most once a minute, that a client is taken without the session that it asked for.
    fn tell_sessions(&self, pass: &Pass) {
        let now = Instant::now();
        let mut told = self.told_of_sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.duration_since(told) >= Duration::from_secs(60)) {
            *told = Some(now);
            tracing::warn!(event = "mqtt_sessions", device = %pass.device.id, "this credential has as many kept sessions as it may have; its further clients are taken without one: give them fixed client ids, or raise [quota] sessions");
        }
    }
    /// `unreleased` are the packet ids of QoS 2 that a kept session goes on with.
    fn leave(&self, client: &str, generation: u64, unreleased: Vec<u16>) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if !unreleased.is_empty() && clients.unreleased.len() < MOST_AWAY {
            clients.unreleased.insert(client.to_owned(), unreleased);
        }
        if clients.speaking.get(client).is_some_and(|speaking| speaking.generation == generation) {
            clients.speaking.remove(client);
        }
    }
    /// What the session of a client that is back left unreleased.
    fn unreleased(&self, client: &str) -> Vec<u16> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).unreleased.remove(client).unwrap_or_default()
    }
}

impl Door {
    /// # Errors
    /// The operating system's, when the address can't be had.
    pub async fn bind(addr: SocketAddr, store: Store, settings: DoorSettings, meters: Meters) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind(addr).await?);
        if !addr.ip().is_loopback() {
            meters.mqtt_plaintext.set(1);
            tracing::warn!(event = "mqtt_plaintext", %addr, "MQTT without TLS can be reached from other machines; passwords go unencrypted");
        }
        let live = Live::new(store.clone(), meters.clone());
        let DoorSettings { max_unauthenticated: most, per_address, .. } = settings;
        let strangers = Strangers::new(StrangerLimits { most, per_address, exempt: settings.exempt.clone() });
        let shared = Shared {
            store,
            meters,
            gate: Gate::default(),
            penalties: Penalties::default(),
            wrong_sign_ins: WrongSignIns::new(per_address, settings.exempt.clone()),
            strangers,
            quotas: Quotas::new(settings.messages_per_s),
            live,
            endings: Endings::default(),
            clients: Mutex::default(),
            told_of_sessions: Mutex::default(),
            settings,
        };
        Ok(Self { listener, tls: None, shared: Arc::new(shared) })
    }

    /// The same door, over TLS too, on an address of its own.
    ///
    /// # Errors
    /// Which file or address is in the way, and the cure.
    pub async fn with_tls(self, settings: TlsSettings) -> Result<Self, TlsError> {
        let tls = TlsDoor::open(settings, self.shared.meters.clone(), self.shared.store.clone()).await?;
        Ok(Self { tls: Some(Arc::new(tls)), ..self })
    }

    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where it listens for TLS, if it does.
    ///
    /// # Errors
    /// The operating system's.
    pub fn tls_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.tls.as_ref().map(|tls| tls.listener.local_addr()).transpose()
    }

    /// The next connection, and how to speak TLS on it if it came that way.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<Arc<TlsDoor>>)> {
        let encrypted = async {
            match &self.tls {
                Some(tls) => tls.listener.accept().await.map(|(stream, peer)| (stream, peer, Some(tls.clone()))),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.listener.accept() => accepted.map(|(stream, peer)| (stream, peer, None)),
            accepted = encrypted => accepted,
        }
    }
}

impl Source for Door {
    async fn run(self, intake: Intake, mut stop: Stop) {
        let slots = Arc::new(Semaphore::new(self.shared.settings.max_connections));
        let mut failures = AcceptFailures::default();
        let mut connections = JoinSet::new();
        if let Some(tls) = &self.tls {
            let (tls, stopping) = (tls.clone(), stop.clone());
            let part = self.shared.store.part("certificate-watch", "mqtt", None);
            connections.spawn(supervise(part, stop.clone(), move || tls.clone().renew(stopping.clone())));
        }
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer, tls)) => {
                    failures.over();
                    match (slots.clone().try_acquire_owned(), self.shared.strangers.admit(peer.ip())) {
                        (Ok(slot), Some(stranger)) => {
                            let places = Places { slot, stranger };
                            connections.spawn(serve(
                                self.shared.clone(),
                                intake.clone(),
                                Knock { stream, peer, tls },
                                stop.clone(),
                                places,
                            ));
                        }
                        (Err(_), _) => self.shared.meters.disconnected("too-many-connections"),
                        (_, None) => self.shared.meters.disconnected("too-many-newcomers"),
                    }
                }
                Err(cause) => {
                    let (pause, is_told) = failures.another(&cause, Instant::now());
                    if is_told {
                        tracing::warn!(event = "mqtt_accept", %cause, "MQTT connections can't be accepted; if descriptors have run out, raise the service's limit of open files (LimitNOFILE)");
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
        let all_gone = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(10), all_gone).await;
    }
}

/// Under which limits a connection was let in.
struct Places {
    slot: OwnedSemaphorePermit,
    stranger: Stranger,
}

/// A connection that nothing has been said on.
struct Knock {
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<TlsDoor>>,
}

async fn serve(shared: Arc<Shared>, intake: Intake, knock: Knock, mut stop: Stop, places: Places) {
    let Knock { stream, peer, tls } = knock;
    let _ = stream.set_nodelay(true);
    let keep_alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(120));
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive);
    shared.meters.mqtt_connections.inc();
    let until = Instant::now() + shared.settings.connect_timeout;
    let Places { slot, stranger } = places;
    let ended = match tls {
        None => connection::run(&shared, &intake, stream, Caller { peer, certificate: None, until }, stop, stranger).await,
        Some(door) => {
            let shaken = tokio::select! {
                biased;
                shaken = Box::pin(tls::shake_hands(&door, stream, peer, until, &stranger)) => shaken,
                () = stranger.evicted() => Err(Ended::Crowded),
                () = stopped(&mut stop) => Err(Ended::ShuttingDown),
            };
            match shaken {
                Ok((stream, certificate)) => {
                    // Boxed: a connection without TLS holds no room for one with it.
                    Box::pin(connection::run(&shared, &intake, stream, Caller { peer, certificate, until }, stop, stranger)).await
                }
                Err(ended) => ended,
            }
        }
    };
    shared.meters.mqtt_connections.dec();
    shared.meters.disconnected(ended.word());
    tracing::debug!(event = "mqtt_closed", %peer, reason = ended.word(), "an MQTT connection ended");
    drop(slot);
}

#[cfg(test)]
mod tests;
