//! Answers on a serial line, found among what else comes in: the question itself, where a transceiver hears what it sends, and
//! stray bytes from when the line changes hands. Source: Modbus over Serial Line 1.02.

/// The longest frame.
const LONGEST: usize = 256;

/// What came in since the last question, and what of it is an answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    asked: Vec<u8>,
    is_echo_over: bool,
    held: Vec<u8>,
}

impl Answers {
    pub(super) fn ask(&mut self, question: &[u8]) {
        *self = Self { asked: question.to_vec(), ..Self::default() };
    }

    /// What of an answer is found by these bytes goes to `answer`.
    pub(super) fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        if !self.is_echo_over {
            if self.held.len() < self.asked.len() && self.asked.starts_with(&self.held) {
                return;
            }
            if self.held.starts_with(&self.asked) {
                self.held.drain(..self.asked.len());
            }
            self.is_echo_over = true;
        }
        if let Some((from, to)) = self.find() {
            answer.extend(self.held.get(from..to).unwrap_or_default());
            self.held.drain(..to);
        }
        let over = self.held.len().saturating_sub(2 * LONGEST);
        self.held.drain(..over);
    }

    /// The wire ended: what is held will not become an answer, and is handed on so that this can be said.
    pub(super) fn end(&mut self, answer: &mut Vec<u8>) {
        answer.append(&mut self.held);
    }

    /// Where the answer lies: to this question, wherever it begins; else any whole answer at the beginning, so that it can be said whose
    /// it is.
    fn find(&self) -> Option<(usize, usize)> {
        let (unit, function) = (self.asked.first()?, self.asked.get(1)?);
        let is_meant = |frame: &[u8]| match frame {
            [of, kind, ..] if kind & 0x80 != 0 => of == unit && kind & 0x7F == *function,
            [of, kind, length, ..] => of == unit && kind == function && Some(usize::from(*length)) == self.wanted_bytes(),
            _ => false,
        };
        let whole = |from: usize| whole_frame(self.held.get(from..)?).map(|length| (from, from + length));
        let meant = (0..self.held.len()).filter_map(whole).find(|(from, to)| self.held.get(*from..*to).is_some_and(is_meant));
        meant.or_else(|| whole(0))
    }

    /// Of the values in the answer to what was asked.
    fn wanted_bytes(&self) -> Option<usize> {
        let count = usize::from(u16::from_be_bytes([*self.asked.get(4)?, *self.asked.get(5)?]));
        Some(if matches!(self.asked.get(1), Some(1 | 2)) { count.div_ceil(8) } else { 2 * count })
    }
}

/// The length of the answer that begins here, once it is whole and its check is right.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let before_check = match bytes {
        [_, 0x81..=0x84, ..] => 3,
        [_, 1..=4, length, ..] => 3 + usize::from(*length),
        _ => return None,
    };
    let check = bytes.get(before_check..before_check + 2)?;
    (crc(bytes.get(..before_check)?).to_le_bytes() == check).then_some(before_check + 2)
}

pub(super) fn crc(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [bytes, &crc(bytes).to_le_bytes()].concat()
    }

    /// What is handed on of `line`, however it is cut into pieces.
    fn check(question: &[u8], line: &[u8], expected: &[u8]) {
        for piece in [1, 3, 8, 64] {
            let mut answers = Answers::default();
            answers.ask(&framed(question));
            let mut taken = Vec::new();
            for bytes in line.chunks(piece) {
                answers.hear(bytes, &mut taken);
            }
            assert_eq!(taken, expected, "in pieces of {piece}: {line:02x?}");
        }
    }

    #[test]
    fn the_answer_is_found_behind_an_echo_and_stray_bytes() {
        // Two registers of unit 3 from 100, one of which looks like the head of a frame.
        let (question, answer) = ([3, 3, 0, 100, 0, 2], framed(&[3, 3, 4, 3, 3, 4, 210]));
        let echo = framed(&question);
        check(&question, &answer, &answer);
        check(&question, &[echo.clone(), answer.clone()].concat(), &answer);
        check(&question, &[vec![0], answer.clone()].concat(), &answer);
        check(&question, &[vec![0xFF, 3, 3, 200], answer.clone()].concat(), &answer);
        check(&question, &[echo.clone(), vec![0, 0], answer.clone()].concat(), &answer);
        check(&question, &[answer.clone(), vec![0, 0, 0]].concat(), &answer);
        check(&question, &echo, &[]);
        // A no of the device; an answer of another, which is told apart above.
        let no = framed(&[3, 0x83, 2]);
        check(&question, &[vec![0], no.clone()].concat(), &no);
        let other = framed(&[4, 3, 4, 0, 1, 0, 2]);
        check(&question, &other, &other);
        check(&question, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[]);
    }

    #[test]
    fn bits_are_found_too() {
        let (question, answer) = ([1, 1, 3, 0, 0, 19], framed(&[1, 1, 3, 0xCD, 0x6B, 0x05]));
        check(&question, &[framed(&question), answer.clone()].concat(), &answer);
    }
}
