//! Modbus frames to the byte, as a device sees them. Sources: MODBUS Application Protocol 1.1b3, Messaging on TCP/IP 1.0b, over
//! Serial Line 1.02.

use model::RegisterSpace;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How questions and answers are told from one another on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Modbus TCP: a header with a transaction number and a length.
    Mbap,
    /// A unit address before, a CRC after, and nothing that says which question an answer is for.
    Rtu,
}

/// What a master asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// 0 over RTU.
    pub transaction: u16,
    pub unit: u8,
    pub function: u8,
    /// Protocol address, from 0.
    pub start: u16,
    /// Registers, or bits.
    pub count: u16,
}

impl Question {
    /// The next one on a connection. Functions 1 to 6 have questions of one length; others end the conversation.
    ///
    /// # Errors
    /// The connection's own; `InvalidData` for what is no question.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin), framing: Framing) -> io::Result<Self> {
        let no_question = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut transaction = 0;
        let mut asked = [0; 6];
        match framing {
            Framing::Mbap => {
                transaction = stream.read_u16().await?;
                if stream.read_u16().await? != 0 {
                    return Err(no_question("a protocol identifier that is not 0"));
                }
                if stream.read_u16().await? != 6 {
                    return Err(no_question("a length that is not 6"));
                }
                stream.read_exact(&mut asked).await?;
            }
            Framing::Rtu => {
                stream.read_exact(&mut asked).await?;
                if stream.read_u16_le().await? != crc(&asked) {
                    return Err(no_question("a CRC that does not fit"));
                }
            }
        }
        let [unit, function, start_high, start_low, count_high, count_low] = asked;
        if !(1..=6).contains(&function) {
            return Err(no_question("a function that is not among the first six"));
        }
        let (start, count) = (u16::from_be_bytes([start_high, start_low]), u16::from_be_bytes([count_high, count_low]));
        Ok(Self { transaction, unit, function, start, count })
    }

    /// The table asked for; `None` where the question is to write.
    #[must_use]
    pub fn space(&self) -> Option<RegisterSpace> {
        match self.function {
            1 => Some(RegisterSpace::Coil),
            2 => Some(RegisterSpace::Discrete),
            3 => Some(RegisterSpace::Holding),
            4 => Some(RegisterSpace::Input),
            _ => None,
        }
    }

    /// The bytes after the byte count of an honest answer: two a register, eight bits a byte with the lowest first.
    #[must_use]
    pub fn payload(&self, words: &[u16]) -> Vec<u8> {
        if self.space().is_some_and(RegisterSpace::is_bits) {
            let byte = |bits: &[u16]| bits.iter().zip(0..).fold(0, |byte, (bit, place)| byte | u8::from(*bit != 0) << place);
            return words.chunks(8).map(byte).collect();
        }
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }
}

/// A frame around `pdu`, the function and what follows it.
#[must_use]
pub fn wrap(framing: Framing, transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Mbap => {
            let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
            [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[unit], pdu].concat()
        }
        Framing::Rtu => {
            let mut frame = [&[unit], pdu].concat();
            frame.extend(crc(&frame).to_le_bytes());
            frame
        }
    }
}

/// CRC-16/MODBUS.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc: u16, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // 123456789 → 4B37 is the published check value of CRC-16/MODBUS; the two frames are those of the serial line guide's example
    // shape, function 3 on unit 17.
    #[tokio::test]
    async fn frames_are_as_the_specification_has_them() {
        assert_eq!(crc(b"123456789"), 0x4B37);
        let rtu = [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87];
        let asked = Question::read(&mut rtu.as_slice(), Framing::Rtu).await.expect("a question");
        assert_eq!(asked, Question { transaction: 0, unit: 17, function: 3, start: 107, count: 3 });
        let mbap = [0x00, 0x07, 0, 0, 0, 6, 0x11, 0x01, 0x00, 0x13, 0x00, 0x0A];
        let asked = Question::read(&mut mbap.as_slice(), Framing::Mbap).await.expect("a question");
        assert_eq!((asked.transaction, asked.space()), (7, Some(RegisterSpace::Coil)));
        assert_eq!(asked.payload(&[1, 0, 1, 1, 0, 0, 1, 1, 1, 0]), [0b1100_1101, 0b01]);
        assert_eq!(wrap(Framing::Mbap, 7, 17, &[3, 2, 0x0A, 0x30]), [0, 7, 0, 0, 0, 5, 17, 3, 2, 0x0A, 0x30]);
        let mut torn = rtu;
        torn[7] ^= 1;
        assert!(Question::read(&mut torn.as_slice(), Framing::Rtu).await.is_err());
    }
}
