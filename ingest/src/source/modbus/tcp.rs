//! Answers over Modbus TCP, found among others: those to earlier questions are passed over, and check bytes that gateways leave behind
//! the frame of a serial line are taken off. Source: Modbus Messaging on TCP/IP 1.0b.

use super::rtu::crc;

/// Before the bytes that a frame's length counts: transaction, protocol, length.
const BEFORE: usize = 6;
/// The longest that a frame's length can be.
const LONGEST: usize = 254;

/// What came in since the last question, and what of it is an answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    asked: Vec<u8>,
    held: Vec<u8>,
    /// Something came that is no Modbus: all is handed on as it is.
    is_foreign: bool,
}

impl Answers {
    pub(super) fn ask(&mut self, question: &[u8]) {
        *self = Self { asked: question.to_vec(), ..Self::default() };
    }

    /// What of an answer is found by these bytes goes to `answer`.
    pub(super) fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        while let [_, _, protocol_high, protocol_low, high, low, ..] = self.held.as_slice() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            // No frame of Modbus: let it be told apart where it is read.
            if (*protocol_high, *protocol_low) != (0, 0) || !(2..=LONGEST + 2).contains(&length) {
                self.is_foreign = true;
                break;
            }
            let end = BEFORE + length;
            let Some(frame) = self.held.get(..end) else { return };
            if frame.get(..2) == self.asked.get(..2) {
                answer.extend(without_check(frame));
            }
            self.held.drain(..end);
        }
        if self.is_foreign {
            answer.append(&mut self.held);
        }
    }

    /// The wire ended: what is held will not become an answer, and is handed on so that this can be said.
    pub(super) fn end(&mut self, answer: &mut Vec<u8>) {
        answer.append(&mut self.held);
    }
}

/// The frame without the check of a serial line at its end, where one is there.
fn without_check(frame: &[u8]) -> Vec<u8> {
    let whole = || {
        let (head, serial) = frame.split_at_checked(BEFORE)?;
        let (said, check) = serial.split_at_checked(serial.len().checked_sub(2)?)?;
        // An answer with values says how many bytes they are: it is too long by two. A no has two bytes behind its unit.
        let is_too_long = match said {
            [_, 1..=4, bytes, ..] => said.len() == 3 + usize::from(*bytes),
            [_, 0x81..=0x84, _] => true,
            _ => false,
        };
        if !is_too_long || crc(said).to_le_bytes() != check {
            return None;
        }
        let length = u16::try_from(said.len()).ok()?.to_be_bytes();
        Some([head.get(..4)?, &length, said].concat())
    };
    whole().unwrap_or_else(|| frame.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(transaction: u8, serial: &[u8]) -> Vec<u8> {
        [&[0, transaction, 0, 0, 0, u8::try_from(serial.len()).expect("short")], serial].concat()
    }

    fn check(line: &[u8], expected: &[u8]) {
        for piece in [1, 5, 64] {
            let mut answers = Answers::default();
            answers.ask(&frame(7, &[3, 3, 0, 100, 0, 1]));
            let mut taken = Vec::new();
            line.chunks(piece).for_each(|bytes| answers.hear(bytes, &mut taken));
            assert_eq!(taken, expected, "in pieces of {piece}: {line:02x?}");
        }
    }

    #[test]
    fn the_answer_is_found_behind_older_ones_and_without_a_check_of_a_serial_line() {
        let said = [3, 3, 2, 4, 210];
        let answer = frame(7, &said);
        check(&answer, &answer);
        check(&[frame(6, &[3, 3, 2, 0, 1]), answer.clone()].concat(), &answer);
        let checked = [&said[..], &crc(&said).to_le_bytes()].concat();
        check(&frame(7, &checked), &answer);
        let no = [3, 0x83, 2];
        check(&frame(7, &[&no[..], &crc(&no).to_le_bytes()].concat()), &frame(7, &no));
        // Another unit, and what is none: both are told apart where they are read.
        check(&frame(7, &[0, 3, 2, 4, 210]), &frame(7, &[0, 3, 2, 4, 210]));
        check(b"HTTP/1.1 400", b"HTTP/1.1 400");
    }
}
