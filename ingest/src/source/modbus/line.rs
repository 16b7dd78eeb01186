//! One connection to one endpoint, made anew after everything that could leave a late answer in it.

use super::plan::Block;
use model::{GapReason, RegisterSpace};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, Request, Response, Slave};

/// Why a block was not read. After anything but the device's own no, the connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: GapReason,
    /// In words, for the log.
    pub(super) cause: String,
}

/// The way to the units behind one endpoint. One question at a time.
pub(super) struct Line {
    endpoint: String,
    context: Option<Context>,
}

impl Line {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), context: None }
    }

    /// The words of a block as unit `unit` holds them now; bits are words of 0 and 1. Connecting and asking may each take `patience`.
    ///
    /// A connection kept from an earlier question may have been closed meanwhile, as a device does that restarts: that is
    /// found out only by asking, so the question is then asked once more over a new connection.
    pub(super) async fn read(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, Failure> {
        let kept = self.context.is_some();
        match self.ask(unit, block, patience).await {
            Err(lost) if kept && lost.reason == GapReason::Unreachable => self.ask(unit, block, patience).await,
            outcome => outcome,
        }
    }

    async fn ask(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, Failure> {
        // Taken out, and put back only when the answer was whole: a late answer must never meet the next question,
        // not even when this future is dropped half way.
        let mut context = match self.context.take() {
            Some(context) => context,
            None => connect(&self.endpoint, patience).await?,
        };
        context.set_slave(Slave(unit));
        let answer = timeout(patience, context.call(question(block))).await;
        let words = match answer {
            Err(_) => return Err(failure(GapReason::Timeout, format!("no answer within {patience:?}"))),
            Ok(Err(cause)) => return Err(wire_failure(&cause)),
            Ok(Ok(Err(exception))) => {
                self.context = Some(context);
                return Err(failure(GapReason::Exception(exception.into()), exception.to_string()));
            }
            Ok(Ok(Ok(response))) => words(response, block)?,
        };
        self.context = Some(context);
        Ok(words)
    }
}

async fn connect(endpoint: &str, patience: Duration) -> Result<Context, Failure> {
    match timeout(patience, TcpStream::connect(endpoint)).await {
        Ok(Ok(stream)) => {
            // Without it small questions may wait for company; failing to set it costs only time.
            let _ = stream.set_nodelay(true);
            Ok(tcp::attach(stream))
        }
        Ok(Err(cause)) => Err(failure(GapReason::Unreachable, format!("{endpoint}: {cause}"))),
        Err(_) => Err(failure(GapReason::Unreachable, format!("{endpoint}: no connection within {patience:?}"))),
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
        other => return Err(failure(GapReason::BadAnswer, format!("an answer to another question: {other:?}"))),
    };
    if fits {
        return Ok(words);
    }
    Err(failure(GapReason::BadAnswer, format!("asked for {wanted}, got {}", words.len())))
}

fn wire_failure(cause: &Error) -> Failure {
    let reason = match cause {
        Error::Protocol(_) => GapReason::BadAnswer,
        // What the codec says of bytes that it can't read; an error of the connection itself has other kinds.
        Error::Transport(cause) if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::Other) => {
            GapReason::BadAnswer
        }
        Error::Transport(_) => GapReason::Unreachable,
    };
    failure(reason, cause.to_string())
}

fn failure(reason: GapReason, cause: String) -> Failure {
    Failure { reason, cause }
}
