//! A Modbus TCP device that answers from an [`Image`] made at the moment of reading. Nothing can be written to it.

use crate::image::Image;
use model::{Clock, RegisterSpace, Timestamp};
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// What the device's registers hold at an instant.
pub type Registers = Arc<dyn Fn(Timestamp) -> Image + Send + Sync>;

/// A device that is bound to its port and not yet answering.
pub struct Slave {
    listener: TcpListener,
    answers: Answers,
}

#[derive(Clone)]
struct Answers {
    unit: u8,
    registers: Registers,
    clock: Arc<dyn Clock>,
}

impl Slave {
    /// Takes a port of the loopback from the system for the device with this unit address.
    ///
    /// # Errors
    /// The system's, when it has no port.
    pub async fn bind(unit: u8, registers: Registers, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self { listener, answers: Answers { unit, registers, clock } })
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
        let answers = self.answers;
        let greet = |stream: TcpStream, _| {
            let service = answers.clone();
            async move { Ok(Some((service, stream))) }
        };
        let server = Server::new(self.listener);
        let broken = |cause: io::Error| tracing::debug!(cause = %cause, "a Modbus client sent what is no question");
        tokio::select! {
            outcome = server.serve(&greet, broken) => outcome,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }
}

impl Service for Answers {
    type Request = SlaveRequest<'static>;
    /// `None` is silence: what is addressed to another unit is not for us.
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, question: Self::Request) -> Self::Future {
        if question.slave != self.unit {
            return ready(Ok(None));
        }
        ready(self.answer(&question.request).map(Some))
    }
}

impl Answers {
    fn answer(&self, request: &Request<'_>) -> Result<Response, ExceptionCode> {
        let (space, start, count) = match *request {
            Request::ReadCoils(start, count) => (RegisterSpace::Coil, start, count),
            Request::ReadDiscreteInputs(start, count) => (RegisterSpace::Discrete, start, count),
            Request::ReadHoldingRegisters(start, count) => (RegisterSpace::Holding, start, count),
            Request::ReadInputRegisters(start, count) => (RegisterSpace::Input, start, count),
            _ => return Err(ExceptionCode::IllegalFunction),
        };
        if count == 0 || count > if space.is_bits() { 2000 } else { 125 } {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let words = (self.registers)(self.clock.now()).read(space, start, count).ok_or(ExceptionCode::IllegalDataAddress)?;
        let bits = |words: Vec<u16>| words.into_iter().map(|word| word != 0).collect();
        Ok(match space {
            RegisterSpace::Coil => Response::ReadCoils(bits(words)),
            RegisterSpace::Discrete => Response::ReadDiscreteInputs(bits(words)),
            RegisterSpace::Holding => Response::ReadHoldingRegisters(words),
            RegisterSpace::Input => Response::ReadInputRegisters(words),
        })
    }
}
