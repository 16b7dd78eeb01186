//! Several Modbus devices behind one endpoint, over Modbus TCP or RTU over TCP, each with a conduct that can change while they run.

use crate::conduct::Conduct;
use crate::frame::{Framing, Question};
use crate::image::Image;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One device on a bus. Clones are the same device.
#[derive(Clone)]
pub struct Instrument(Arc<Mutex<Inside>>);

struct Inside {
    image: Image,
    /// For the next questions, one each.
    script: VecDeque<Conduct>,
    /// For those after them.
    then: Conduct,
    asked: Vec<Question>,
}

impl Instrument {
    /// An honest device that holds this.
    #[must_use]
    pub fn new(image: Image) -> Self {
        Self(Arc::new(Mutex::new(Inside { image, script: VecDeque::new(), then: Conduct::Honest, asked: Vec::new() })))
    }
    /// From now on it holds this.
    pub fn hold(&self, image: Image) {
        self.inside().image = image;
    }
    /// From now on: these for the next questions, one each, and `then` for all after them.
    pub fn conduct(&self, script: impl IntoIterator<Item = Conduct>, then: Conduct) {
        let mut inside = self.inside();
        (inside.script, inside.then) = (script.into_iter().collect(), then);
    }
    /// Every question so far, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<Question> {
        self.inside().asked.clone()
    }
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The conduct for this question, and what its registers hold.
    fn meet(&self, asked: Question) -> (Conduct, Option<Vec<u16>>) {
        let mut inside = self.inside();
        inside.asked.push(asked);
        let conduct = inside.script.pop_front().unwrap_or(inside.then);
        let words = asked.space().and_then(|space| inside.image.read(space, asked.start, asked.count));
        (conduct, words)
    }
}

/// Where answers are written. Over RTU it is whoever is connected when the device speaks, as behind a serial device server; over MBAP
/// the connection that asked.
type Mouth = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;

/// Devices that are bound to their port and not yet answering.
pub struct Bus {
    listener: TcpListener,
    framing: Framing,
    instruments: Arc<BTreeMap<u8, Instrument>>,
    /// The last one to connect.
    mouth: Arc<Mutex<Option<Mouth>>>,
}

impl Bus {
    /// Takes a port of the loopback from the system. A unit address that nobody has is silence.
    ///
    /// # Errors
    /// The system's, when it has no port.
    pub async fn bind(framing: Framing, instruments: impl IntoIterator<Item = (u8, Instrument)>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self { listener, framing, instruments: Arc::new(instruments.into_iter().collect()), mouth: Arc::default() })
    }

    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is true.
    ///
    /// # Errors
    /// The system's, when the port is lost.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let accepting = async {
            loop {
                let (stream, _) = self.listener.accept().await?;
                let _ = stream.set_nodelay(true);
                tokio::spawn(converse(stream, self.framing, self.instruments.clone(), self.mouth.clone()));
            }
        };
        tokio::select! {
            outcome = accepting => outcome,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }
}

/// Questions are answered as they come, a late answer after those that were asked later.
async fn converse(stream: TcpStream, framing: Framing, instruments: Arc<BTreeMap<u8, Instrument>>, line: Arc<Mutex<Option<Mouth>>>) {
    let (mut ear, mouth) = stream.into_split();
    let mouth: Mouth = Arc::new(tokio::sync::Mutex::new(mouth));
    *line.lock().unwrap_or_else(PoisonError::into_inner) = Some(mouth.clone());
    loop {
        let asked = match Question::read(&mut ear, framing).await {
            Ok(asked) => asked,
            Err(cause) => {
                tracing::debug!(cause = %cause, "a Modbus client is gone, or sent what is no question");
                return;
            }
        };
        let Some(instrument) = instruments.get(&asked.unit) else { continue };
        let (conduct, words) = instrument.meet(asked);
        let Some((after, bytes)) = conduct.answer(framing, &asked, words) else { continue };
        let (mouth, line) = (mouth.clone(), line.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let heard_by = match framing {
                Framing::Mbap => Some(mouth),
                Framing::Rtu => line.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            };
            if let Some(mouth) = heard_by {
                // Whoever has hung up does not hear it.
                let _ = mouth.lock().await.write_all(&bytes).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ByteOrder, RegisterSpace};
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    async fn bus(framing: Framing) -> (SocketAddr, Instrument, watch::Sender<bool>) {
        let mut image = Image::default();
        image.float(RegisterSpace::Holding, 100, 2.608, ByteOrder::Abcd);
        let radar = Instrument::new(image);
        let bus = Bus::bind(framing, [(3, radar.clone())]).await.expect("a port");
        let address = bus.address().expect("an address");
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(bus.run(stopped));
        (address, radar, stop)
    }

    #[tokio::test]
    async fn a_device_answers_as_it_is_told_and_other_units_are_silence() {
        let (address, radar, _running) = bus(Framing::Mbap).await;
        let mut master = TcpStream::connect(address).await.expect("connected");
        let question = |unit: u8| [0, 9, 0, 0, 0, 6, unit, 3, 0, 100, 0, 2];
        radar.conduct([Conduct::Exception(6)], Conduct::Honest);
        let mut busy = [0; 9];
        // What unit 4 would say never comes, or it would come first.
        master.write_all(&question(4)).await.expect("sent");
        master.write_all(&question(3)).await.expect("sent");
        master.read_exact(&mut busy).await.expect("an answer");
        assert_eq!(busy, [0, 9, 0, 0, 0, 3, 3, 0x83, 6]);
        let mut honest = [0; 13];
        master.write_all(&question(3)).await.expect("sent");
        master.read_exact(&mut honest).await.expect("an answer");
        assert_eq!(honest[7..], [3, 4, 0x40, 0x26, 0xE9, 0x79]);
        assert_eq!(radar.asked().len(), 2);
    }

    #[tokio::test]
    async fn on_a_line_a_late_answer_is_heard_by_whoever_is_connected_then() {
        let (address, radar, _running) = bus(Framing::Rtu).await;
        radar.conduct([Conduct::Late(Duration::from_millis(150))], Conduct::Hang);
        let mut first = TcpStream::connect(address).await.expect("connected");
        first.write_all(&[3, 3, 0, 100, 0, 2, 0x84, 0x36]).await.expect("sent");
        while radar.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(first);
        let mut second = TcpStream::connect(address).await.expect("connected");
        let mut late = [0; 9];
        second.read_exact(&mut late).await.expect("an answer to nothing");
        assert_eq!(late[..7], [3, 3, 4, 0x40, 0x26, 0xE9, 0x79]);
    }
}
