//! One request at a time over one TCP connection. We read; nothing here can write.

use super::plan::Block;
use model::{GapReason, RegisterSpace};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_modbus::client::{Context, Reader, tcp};
use tokio_modbus::slave::{Slave, SlaveContext};

/// A connection to one endpoint, made when it is needed and dropped after every failure of the wire, so that a late answer
/// can never be taken for the next one.
pub(super) struct Wire {
    endpoint: String,
    context: Option<Context>,
}

impl Wire {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), context: None }
    }

    /// The words of a block (bits are 0 or 1), or why there are none.
    pub(super) async fn read(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, GapReason> {
        if self.context.is_none() {
            self.context = Some(connect(&self.endpoint, patience).await?);
        }
        let Some(context) = &mut self.context else { return Err(GapReason::Unreachable) };
        context.set_slave(Slave(unit));
        let answer = timeout(patience, ask(context, block)).await;
        match answer {
            Ok(Ok(Ok(words))) if words.len() == usize::from(block.count) => Ok(words),
            // The device's own no: the wire is well.
            Ok(Ok(Err(exception))) => Err(GapReason::Exception(u8::from(exception))),
            Ok(Ok(Ok(_))) => self.drop_for(GapReason::BadAnswer),
            Ok(Err(tokio_modbus::Error::Protocol(_))) => self.drop_for(GapReason::BadAnswer),
            Ok(Err(tokio_modbus::Error::Transport(cause))) => self.drop_for(match cause.kind() {
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => GapReason::BadAnswer,
                _ => GapReason::Unreachable,
            }),
            Err(_) => self.drop_for(GapReason::Timeout),
        }
    }

    fn drop_for<T>(&mut self, reason: GapReason) -> Result<T, GapReason> {
        self.context = None;
        Err(reason)
    }
}

async fn connect(endpoint: &str, patience: Duration) -> Result<Context, GapReason> {
    let connecting = async {
        let mut last = None;
        for addr in lookup_host(endpoint).await.map_err(|_| GapReason::Unreachable)? {
            match TcpStream::connect(addr).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(tcp::attach(stream));
                }
                Err(cause) => last = Some(cause),
            }
        }
        tracing::debug!(event = "modbus_unreachable", endpoint, cause = ?last, "a Modbus device can't be reached");
        Err(GapReason::Unreachable)
    };
    timeout(patience, connecting).await.unwrap_or(Err(GapReason::Unreachable))
}

type Answer = Result<Result<Vec<u16>, tokio_modbus::ExceptionCode>, tokio_modbus::Error>;

async fn ask(context: &mut Context, block: Block) -> Answer {
    let Block { space, start, count } = block;
    let bits = |answer: Result<Result<Vec<bool>, _>, _>| answer.map(|bits| bits.map(|bits: Vec<bool>| bits.into_iter().map(u16::from).collect()));
    match space {
        RegisterSpace::Coil => bits(context.read_coils(start, count).await),
        RegisterSpace::Discrete => bits(context.read_discrete_inputs(start, count).await),
        RegisterSpace::Holding => context.read_holding_registers(start, count).await,
        RegisterSpace::Input => context.read_input_registers(start, count).await,
    }
}
