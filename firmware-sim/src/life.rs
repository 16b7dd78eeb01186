//! One life of a Sparkplug node at a broker: its will, its births, what it says, births again when asked, and its end.

use crate::sparkplug::{EdgeNode, Message, Said};
use model::Clock;
use rumqttc::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A connection. Dropped, it is cut without a word, and the broker says the node's will.
pub struct Life {
    client: AsyncClient,
    node: Arc<Mutex<EdgeNode>>,
    clock: Arc<dyn Clock>,
    _polling: JoinSet<()>,
}

/// Why a life did not begin, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("the broker can't be reached")]
    Unreachable(#[from] Box<ConnectionError>),
    #[error("the connection is gone")]
    Gone,
}

impl Life {
    /// Connects with the node's will and says its births. The node is shared: it goes on with its next life where this one ended.
    ///
    /// # Errors
    /// [`Ended`], when there is no connection to be had.
    pub async fn begin(node: Arc<Mutex<EdgeNode>>, broker: SocketAddr, clock: Arc<dyn Clock>) -> Result<Self, Ended> {
        let will = locked(&node).will();
        let commands = locked(&node).commands();
        let mut options = MqttOptions::new(commands.replace('/', "-"), broker.ip().to_string(), broker.port());
        options.set_keep_alive(Duration::from_secs(10));
        options.set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, false));
        let (client, events) = AsyncClient::new(options, 64);
        let (tell, born) = oneshot::channel();
        let mut polling = JoinSet::new();
        polling.spawn(live(events, client.clone(), node.clone(), clock.clone(), tell));
        born.await.map_err(|_| Ended::Gone)??;
        Ok(Self { client, node, clock, _polling: polling })
    }

    /// Says these values now, by their numbers alone.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn says(&self, said: &[Said]) -> Result<(), Ended> {
        let message = locked(&self.node).says(self.clock.now(), said);
        self.client.publish(message.topic, QoS::AtMostOnce, false, message.payload).await.map_err(|_| Ended::Gone)
    }
}

async fn live(
    mut events: EventLoop,
    client: AsyncClient,
    node: Arc<Mutex<EdgeNode>>,
    clock: Arc<dyn Clock>,
    born: oneshot::Sender<Result<(), Ended>>,
) {
    let mut born = Some(born);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let begun = subscribe(&client, &node).and_then(|()| give_birth(&client, &node, clock.as_ref()));
                if let Some(born) = born.take() {
                    let _ = born.send(begun.map_err(|_| Ended::Gone));
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let command = Message { topic: publish.topic, payload: publish.payload.to_vec() };
                let is_asked = locked(&node).is_rebirth(&command);
                if is_asked && give_birth(&client, &node, clock.as_ref()).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(cause) => {
                if let Some(born) = born.take() {
                    let _ = born.send(Err(Ended::Unreachable(Box::new(cause))));
                }
                return;
            }
        }
    }
}

fn subscribe(client: &AsyncClient, node: &Mutex<EdgeNode>) -> Result<(), ClientError> {
    client.try_subscribe(locked(node).commands(), QoS::AtLeastOnce)
}

fn give_birth(client: &AsyncClient, node: &Mutex<EdgeNode>, clock: &dyn Clock) -> Result<(), ClientError> {
    for message in locked(node).births(clock.now()) {
        client.try_publish(message.topic, QoS::AtMostOnce, false, message.payload)?;
    }
    Ok(())
}

fn locked(node: &Mutex<EdgeNode>) -> MutexGuard<'_, EdgeNode> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}
