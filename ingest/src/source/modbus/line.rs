//! One connection to one endpoint, made anew after everything that could leave a late answer in it.

use super::ear::{Ear, Heard};
use super::plan::Block;
use model::{GapReason, ModbusWire, Parity, RegisterSpace};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_modbus::client::{Client, Context, rtu, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};
use tokio_serial::SerialStream;

/// Why a block was not read. After anything but the device's own no, the connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: GapReason,
    /// In words, for the log.
    pub(super) cause: String,
}

/// How a question is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Manners {
    /// How long connecting, and an answer, may each take.
    pub(super) patience: Duration,
    /// Quiet after a connection is made, and between two requests.
    pub(super) after_connect: Duration,
    pub(super) between: Duration,
}

/// How often a device that is busy is asked again within one poll, and the first wait, which doubles.
const BUSY_AGAIN: u32 = 2;
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// What of an earlier question may still come over a line without numbers of transactions is heard out so long.
const DRAIN: Duration = Duration::from_millis(30);

/// The way to the units behind one wire. One question at a time.
pub(super) struct Line {
    wire: ModbusWire,
    context: Option<Context>,
    heard: Heard,
    /// No question before then: the device, or the line after a silence, needs its quiet.
    quiet_until: Option<Instant>,
}

impl Line {
    pub(super) fn new(wire: &ModbusWire) -> Self {
        Self { wire: wire.clone(), context: None, heard: Heard::default(), quiet_until: None }
    }

    /// As [`Line::read_once`]; a device that says that it is busy, or has taken note (exceptions 6 and 5), is asked again.
    pub(super) async fn read(&mut self, unit: u8, block: Block, manners: Manners) -> Result<Vec<u16>, Failure> {
        let mut wait = BUSY_WAIT;
        for _ in 0..BUSY_AGAIN {
            match self.read_once(unit, block, manners).await {
                Err(Failure { reason: GapReason::Exception(5 | 6), .. }) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                outcome => return outcome,
            }
        }
        self.read_once(unit, block, manners).await
    }

    /// The words of a block as unit `unit` holds them now; bits are words of 0 and 1.
    ///
    /// A connection kept from an earlier question may have been closed meanwhile, as a device does that restarts: that is
    /// found out only by asking, so the question is then asked once more over a new connection.
    async fn read_once(&mut self, unit: u8, block: Block, manners: Manners) -> Result<Vec<u16>, Failure> {
        let kept = self.context.is_some();
        match self.ask(unit, block, manners).await {
            Err(lost) if kept && lost.reason == GapReason::Unreachable => self.ask(unit, block, manners).await,
            outcome => outcome,
        }
    }

    async fn ask(&mut self, unit: u8, block: Block, manners: Manners) -> Result<Vec<u16>, Failure> {
        let patience = manners.patience;
        if let Some(until) = self.quiet_until.take() {
            tokio::time::sleep_until(until).await;
        }
        // Taken out, and put back only when the answer was whole: a late answer must never meet the next question,
        // not even when this future is dropped half way.
        let mut context = match self.context.take() {
            Some(context) => context,
            None => {
                let context = connect(&self.wire, patience, &self.heard).await?;
                tokio::time::sleep(manners.after_connect).await;
                context
            }
        };
        context.set_slave(Slave(unit));
        let answer = timeout(patience, context.call(question(block))).await;
        let words = match answer {
            Err(_) => {
                self.leave_alone(patience);
                return Err(match self.heard.bytes() {
                    0 => failure(GapReason::Timeout, format!("no answer within {patience:?}")),
                    _ if self.is_of_another_question() => failure(
                        GapReason::BadAnswer,
                        format!("only answers to other questions within {patience:?}; is timeout_s too short for it?"),
                    ),
                    bytes => failure(GapReason::BadAnswer, format!("{bytes} bytes within {patience:?}, and no whole answer in them")),
                });
            }
            Ok(Err(cause)) => {
                // Another's answer, or to another question: the one to this may still be on its way.
                if matches!(cause, Error::Protocol(_)) {
                    self.leave_alone(patience);
                }
                return Err(self.wire_failure(&cause));
            }
            Ok(Ok(Err(exception))) => {
                self.keep(context, manners);
                return Err(failure(GapReason::Exception(exception.into()), said_no(exception.into())));
            }
            Ok(Ok(Ok(response))) => words(response, block)?,
        };
        self.keep(context, manners);
        Ok(words)
    }

    /// Why an answer can't be taken, by what was asked and what came in.
    fn wire_failure(&self, cause: &Error) -> Failure {
        let (asked, head) = (self.heard.asked(), self.heard.head());
        let bad = |cause: String| failure(GapReason::BadAnswer, cause);
        match cause {
            Error::Protocol(_) if matches!(self.wire, ModbusWire::Tcp { .. }) => match (asked.as_slice(), head.as_slice()) {
                ([_, _, _, _, _, _, unit, ..], [_, _, _, _, _, _, other, ..]) if unit != other => {
                    bad(format!("it answers as unit {other} where unit {unit} was asked; write unit = {other}"))
                }
                _ => bad("an answer to another question: its function is not the one that was asked".into()),
            },
            Error::Protocol(_) => match (asked.first(), head.first()) {
                (Some(unit), Some(other)) if unit != other => {
                    bad(format!("unit {other} answers where unit {unit} was asked; is an address given twice on this line?"))
                }
                _ => bad("an answer to another question: its function is not the one that was asked".into()),
            },
            // What the codec says of bytes that it can't read; an error of the connection itself has other kinds.
            Error::Transport(_) if self.counts_registers() => {
                bad("it counts registers where the bytes of its answer belong; its firmware is at fault".into())
            }
            Error::Transport(cause) if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::Other) => {
                let shown: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
                bad(format!(
                    "what came in is no answer of Modbus; it begins with {}",
                    if shown.is_empty() { "nothing".into() } else { shown.join(" ") }
                ))
            }
            Error::Transport(cause) => failure(GapReason::Unreachable, closed(cause.kind()).to_owned()),
        }
    }

    fn is_of_another_question(&self) -> bool {
        let (asked, head) = (self.heard.asked(), self.heard.head());
        matches!(self.wire, ModbusWire::Tcp { .. }) && head.len() > 2 && asked.get(..2) != head.get(..2)
    }

    fn counts_registers(&self) -> bool {
        let (asked, head) = (self.heard.asked(), self.heard.head());
        let asked_for = asked.get(11).copied().filter(|_| matches!(asked.get(7), Some(3 | 4)));
        matches!(self.wire, ModbusWire::Tcp { .. }) && asked_for.is_some() && head.get(8).copied() == asked_for
    }

    /// On a line without numbers of transactions an answer may still come, and would be taken for that of the next question: the
    /// connection is gone, and the line is left alone as long again.
    fn leave_alone(&mut self, patience: Duration) {
        if !matches!(self.wire, ModbusWire::Tcp { .. }) {
            self.quiet_until = Some(Instant::now() + patience);
        }
    }

    fn keep(&mut self, context: Context, manners: Manners) {
        self.context = Some(context);
        if !manners.between.is_zero() {
            self.quiet_until = Some(Instant::now() + manners.between);
        }
    }
}

async fn connect(wire: &ModbusWire, patience: Duration, heard: &Heard) -> Result<Context, Failure> {
    let heard = heard.clone();
    match wire {
        ModbusWire::Tcp { address, is_outside } => Ok(tcp::attach(Ear::of_tcp(stream(address, *is_outside, patience).await?, heard))),
        ModbusWire::RtuOverTcp { address, is_outside } => {
            let mut stream = stream(address, *is_outside, patience).await?;
            drain(&mut stream).await;
            Ok(rtu::attach(Ear::of_rtu(stream, heard)))
        }
        ModbusWire::Serial { path, baud, parity, stop_bits } => {
            let parity = match parity {
                Parity::None => tokio_serial::Parity::None,
                Parity::Even => tokio_serial::Parity::Even,
                Parity::Odd => tokio_serial::Parity::Odd,
            };
            let stop_bits = if *stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
            let builder = tokio_serial::new(path, *baud).parity(parity).stop_bits(stop_bits);
            let mut line = SerialStream::open(&builder).map_err(|cause| failure(GapReason::Unreachable, format!("{path}: {cause}")))?;
            drain(&mut line).await;
            Ok(rtu::attach(Ear::of_rtu(line, heard)))
        }
    }
}

/// Reads away what an earlier question left in the line.
async fn drain(line: &mut (impl AsyncRead + Unpin)) {
    let mut waste = [0; 256];
    while let Ok(Ok(1..)) = timeout(DRAIN, line.read(&mut waste)).await {}
}

async fn stream(address: &str, is_outside: bool, patience: Duration) -> Result<TcpStream, Failure> {
    let unreachable = |cause: String| failure(GapReason::Unreachable, format!("{address}: {cause}"));
    let connecting = async {
        // A name may lead anywhere: what it leads to is looked at, and that is what is connected to.
        let found = tokio::net::lookup_host(address).await.map_err(|_| "its name is not known".to_owned())?;
        let inside: Vec<_> = found.filter(|found| is_outside || model::is_inside(found.ip())).collect();
        if inside.is_empty() {
            return Err("it leads outside private networks; give the device outside = true if that is meant".to_owned());
        }
        TcpStream::connect(inside.as_slice()).await.map_err(|cause| closed(cause.kind()).to_owned())
    };
    match timeout(patience, connecting).await {
        Ok(Ok(stream)) => {
            // Without it small questions may wait for company; failing to set it costs only time.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(cause)) => Err(unreachable(cause)),
        Err(_) => Err(unreachable(format!("no connection within {patience:?}"))),
    }
}

/// The only questions that we know: functions 1, 2, 3 and 4. Nothing here can write.
fn question(block: Block) -> Request<'static> {
    match block.space {
        RegisterSpace::Coil => Request::ReadCoils(block.start, block.count),
        RegisterSpace::Discrete => Request::ReadDiscreteInputs(block.start, block.count),
        RegisterSpace::Holding => Request::ReadHoldingRegisters(block.start, block.count),
        RegisterSpace::Input => Request::ReadInputRegisters(block.start, block.count),
    }
}

fn words(response: Response, block: Block) -> Result<Vec<u16>, Failure> {
    let wanted = usize::from(block.count);
    let (words, fits) = match response {
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
            // Bits come in whole bytes: up to seven more than asked for.
            let fits = bits.len() == wanted.div_ceil(8) * 8;
            (bits.into_iter().take(wanted).map(u16::from).collect::<Vec<u16>>(), fits)
        }
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
            let fits = words.len() == wanted;
            (words, fits)
        }
        _ => return Err(failure(GapReason::BadAnswer, "an answer to another question".into())),
    };
    if fits {
        return Ok(words);
    }
    Err(failure(GapReason::BadAnswer, format!("asked for {wanted}, got {}", words.len())))
}

/// What a device says no with (Modbus Application Protocol 1.1b3, 7).
fn said_no(exception: u8) -> String {
    let what = match exception {
        1 => "it does not know this function; try space = \"input\" instead of \"holding\", or the other way round",
        2 => "it has no such register; look whether the manual counts from 1 or from 40001, and whether max_hole reads over a hole",
        3 => "it does not give so many registers at once; lower max_batch",
        4 => "it failed while it answered",
        5 | 6 => "it is busy",
        10 => "the gateway has no way to this unit",
        11 => "the device behind the gateway does not answer",
        _ => return format!("it says no with exception {exception}"),
    };
    format!("it says no with exception {exception}: {what}")
}

fn closed(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            "it closed the connection"
        }
        ErrorKind::ConnectionRefused => "nothing listens at its address",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no way to its address",
        ErrorKind::TimedOut => "no answer from its address",
        _ => "the connection broke",
    }
}

fn failure(reason: GapReason, cause: String) -> Failure {
    Failure { reason, cause }
}
