//! What a device does with a question, honest or not: the list of fault F15.

use crate::frame::{Framing, Question, wrap};
use std::time::Duration;

/// Illegal function, data address, data value.
const FUNCTION: u8 = 1;
const ADDRESS: u8 = 2;
const VALUE: u8 = 3;

/// How one question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    Honest,
    /// Silence: hung, or unplugged.
    Hang,
    /// The right answer after this long.
    Late(Duration),
    Exception(u8),
    /// A well-formed frame of one register less than was asked for.
    Short,
    /// A well-formed frame of one register more.
    Long,
    /// A CRC that does not fit; over MBAP, which has none, a protocol identifier that is not Modbus's.
    BadCrc,
    OtherUnit,
    OtherFunction,
    /// Over RTU, which has no transaction numbers, honest.
    OtherTransaction,
    /// A byte count of one register more than follows.
    WrongByteCount,
    /// The first half of the frame, then silence on an open connection.
    HalfFrame,
    /// The largest lengths that the header can say, and a few bytes: 65535 over MBAP, 255 over RTU.
    Boasts,
    /// The two words of each number the other way round: a frame without fault, and another number.
    SwappedWords,
}

impl Conduct {
    /// What goes over the wire, and after how long; `None` is silence. `words` are what the registers hold, `None` where there are
    /// none at this address.
    #[must_use]
    pub fn answer(self, framing: Framing, asked: &Question, words: Option<Vec<u16>>) -> Option<(Duration, Vec<u8>)> {
        let no = |code: u8| wrap(framing, asked.transaction, asked.unit, &[asked.function | 0x80, code]);
        let after = if let Self::Late(after) = self { after } else { Duration::ZERO };
        let most = match asked.space() {
            Some(space) if space.is_bits() => 2000,
            Some(_) => 125,
            None => 0,
        };
        let held = match (self, words) {
            (Self::Hang, _) => return None,
            (Self::Exception(code), _) => return Some((after, no(code))),
            _ if most == 0 => return Some((after, no(FUNCTION))),
            _ if asked.count == 0 || asked.count > most => return Some((after, no(VALUE))),
            (_, None) => return Some((after, no(ADDRESS))),
            (_, Some(words)) => words,
        };
        Some((after, self.frame(framing, asked, held)))
    }

    fn frame(self, framing: Framing, asked: &Question, mut words: Vec<u16>) -> Vec<u8> {
        match self {
            Self::Short => drop(words.pop()),
            Self::Long => words.push(0),
            Self::SwappedWords => words.chunks_exact_mut(2).for_each(<[u16]>::reverse),
            _ => {}
        }
        let payload = asked.payload(&words);
        let count = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        let (transaction, unit, function, count) = match self {
            Self::OtherTransaction => (asked.transaction.wrapping_add(7), asked.unit, asked.function, count),
            Self::OtherUnit => (asked.transaction, asked.unit.wrapping_add(1), asked.function, count),
            Self::OtherFunction => (asked.transaction, asked.unit, if asked.function == 3 { 4 } else { 3 }, count),
            Self::WrongByteCount => (asked.transaction, asked.unit, asked.function, count.wrapping_add(2)),
            Self::Boasts => (asked.transaction, asked.unit, asked.function, u8::MAX),
            _ => (asked.transaction, asked.unit, asked.function, count),
        };
        let mut frame = wrap(framing, transaction, unit, &[&[function, count], &payload[..]].concat());
        let length = frame.len();
        match (self, framing) {
            (Self::BadCrc, Framing::Rtu) => frame.iter_mut().skip(length - 1).for_each(|byte| *byte ^= 0x55),
            (Self::BadCrc, Framing::Mbap) => frame.iter_mut().skip(2).take(2).for_each(|byte| *byte = 0x55),
            (Self::Boasts, Framing::Mbap) => frame.iter_mut().skip(4).take(2).for_each(|byte| *byte = 0xFF),
            (Self::HalfFrame, _) => frame.truncate(length / 2),
            _ => {}
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Question = Question { transaction: 0x0102, unit: 3, function: 3, start: 100, count: 2 };

    fn bytes(conduct: Conduct, framing: Framing) -> Vec<u8> {
        conduct.answer(framing, &ASKED, Some(vec![0x4026, 0xE979])).map_or_else(Vec::new, |(_, bytes)| bytes)
    }

    // Written by hand from the specification; 2.608 is 4026 E979 (domain.md 3.3).
    #[test]
    fn every_lie_differs_from_the_truth_where_its_name_says() {
        let honest = [1, 2, 0, 0, 0, 7, 3, 3, 4, 0x40, 0x26, 0xE9, 0x79];
        for (conduct, expected) in [
            (Conduct::Honest, honest.to_vec()),
            (Conduct::Late(Duration::from_secs(1)), honest.to_vec()),
            (Conduct::Hang, vec![]),
            (Conduct::Exception(6), vec![1, 2, 0, 0, 0, 3, 3, 0x83, 6]),
            (Conduct::Short, vec![1, 2, 0, 0, 0, 5, 3, 3, 2, 0x40, 0x26]),
            (Conduct::Long, vec![1, 2, 0, 0, 0, 9, 3, 3, 6, 0x40, 0x26, 0xE9, 0x79, 0, 0]),
            (Conduct::BadCrc, vec![1, 2, 0x55, 0x55, 0, 7, 3, 3, 4, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::OtherUnit, vec![1, 2, 0, 0, 0, 7, 4, 3, 4, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::OtherFunction, vec![1, 2, 0, 0, 0, 7, 3, 4, 4, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::OtherTransaction, vec![1, 9, 0, 0, 0, 7, 3, 3, 4, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::WrongByteCount, vec![1, 2, 0, 0, 0, 7, 3, 3, 6, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::HalfFrame, vec![1, 2, 0, 0, 0, 7]),
            (Conduct::Boasts, vec![1, 2, 0, 0, 0xFF, 0xFF, 3, 3, 0xFF, 0x40, 0x26, 0xE9, 0x79]),
            (Conduct::SwappedWords, vec![1, 2, 0, 0, 0, 7, 3, 3, 4, 0xE9, 0x79, 0x40, 0x26]),
        ] {
            assert_eq!(bytes(conduct, Framing::Mbap), expected, "{conduct:?}");
        }
        let honest = bytes(Conduct::Honest, Framing::Rtu);
        assert_eq!(honest[..7], [3, 3, 4, 0x40, 0x26, 0xE9, 0x79]);
        let torn = bytes(Conduct::BadCrc, Framing::Rtu);
        assert!(torn[..8] == honest[..8] && torn[8] != honest[8]);
    }

    #[test]
    fn what_an_honest_device_does_not_have_it_refuses() {
        let no = |asked: Question, words| Conduct::Honest.answer(Framing::Mbap, &asked, words).map(|(_, bytes)| bytes[7..].to_vec());
        assert_eq!(no(ASKED, None), Some(vec![0x83, 2]));
        assert_eq!(no(Question { count: 126, ..ASKED }, None), Some(vec![0x83, 3]));
        assert_eq!(no(Question { function: 6, ..ASKED }, None), Some(vec![0x86, 1]), "nothing can be written");
    }
}
