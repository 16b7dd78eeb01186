//! A link between two programs that can be narrow, broken and cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes bytes both ways, as its settings say.
pub(crate) struct Link {
    pub(crate) port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// Bytes a second one way; 0 is as fast as it goes.
    rate: AtomicU64,
    /// One piece in so many resets the connection; 0 is never.
    reset_one_in: AtomicU64,
    pieces: AtomicU64,
    /// Connections made before the last [`Link::half_open`] stay open, and nothing comes through them any more.
    generation: AtomicU64,
    /// How much later each piece comes, milliseconds.
    delay_ms: AtomicU64,
    /// Bytes that went through, both ways.
    passed: AtomicU64,
}

impl Link {
    pub(crate) fn to(door: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, open, state) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())), Arc::new(State::default()));
        let link = Self { port, open: open.clone(), state: state.clone() };
        let door = door.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if state.is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&door) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    open.lock().unwrap().push(from.try_clone().unwrap());
                    let state = state.clone();
                    let generation = state.generation.load(Ordering::Relaxed);
                    std::thread::spawn(move || pass(from, to, &state, generation));
                }
            }
        });
        link
    }
    /// Nothing goes through, and nobody gets in, until [`Link::mend`].
    pub(crate) fn cut(&self) {
        self.state.is_cut.store(true, Ordering::Relaxed);
        self.drop_all();
    }
    /// Ends every connection; the next ones go through.
    pub(crate) fn drop_all(&self) {
        self.open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
    pub(crate) fn mend(&self) {
        self.state.is_cut.store(false, Ordering::Relaxed);
    }
    pub(crate) fn narrow(&self, bytes_a_second: u64, reset_one_in: u64) {
        self.state.rate.store(bytes_a_second, Ordering::Relaxed);
        self.state.reset_one_in.store(reset_one_in, Ordering::Relaxed);
    }
    /// What is connected now never hears anything again, and is not told; new connections go through.
    pub(crate) fn half_open(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay_ms.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }
    pub(crate) fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State, generation: u64) {
    let mut bytes = [0; 4096];
    loop {
        let rate = state.rate.load(Ordering::Relaxed);
        let most = if rate == 0 { bytes.len() } else { usize::try_from(rate / 4).unwrap().clamp(1, bytes.len()) };
        let read = from.read(&mut bytes[..most]);
        while state.generation.load(Ordering::Relaxed) != generation {
            std::thread::park();
        }
        let Ok(count @ 1..) = read else { break };
        // A connection that was being made when it was cut.
        if state.is_cut.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_millis(state.delay_ms.load(Ordering::Relaxed)));
        if rate > 0 {
            std::thread::sleep(Duration::from_secs_f64(count as f64 / rate as f64));
        }
        let piece = state.pieces.fetch_add(1, Ordering::Relaxed) + 1;
        let one_in = state.reset_one_in.load(Ordering::Relaxed);
        if one_in > 0 && piece.is_multiple_of(one_in) {
            break;
        }
        state.passed.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
