//! Finding out what a device holds: its registers, several times, each in every order side by side, and a guess where the samples
//! leave only one. A guess is said, never made silently, and never taken for an answer.

use super::line::{Failure, Line, Manners};
use super::plan::Block;
use crate::decode::registers;
use model::{ByteOrder, GapReason, ModbusWire, NumberType, Register, RegisterSpace};
use std::fmt::Write;
use std::time::Duration;

/// Registers asked for at once; refused stretches are asked for in halves.
const AT_ONCE: u16 = 32;
/// What a plausible value is between, besides zero.
const PLAUSIBLE: (f64, f64) = (1e-3, 1e6);
/// Of its own size, the most that a measured value changes from one sample to the next.
const SMOOTH: f64 = 0.1;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Probe {
    pub wire: ModbusWire,
    pub unit: u8,
    pub space: RegisterSpace,
    /// The first and the last address, from 0.
    pub from: u16,
    pub to: u16,
    pub samples: u32,
    pub every: Duration,
    pub timeout: Duration,
}

/// One address that answered, with its word in each sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub address: u16,
    pub words: Vec<u16>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Ascending.
    pub seen: Vec<Seen>,
    /// Stretches that the device refuses, with its reason.
    pub refused: Vec<(u16, u16, String)>,
}

/// One way to read a number, and the values that it gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub address: u16,
    pub number: NumberType,
    pub order: ByteOrder,
    pub values: Vec<Option<f64>>,
}

impl Probe {
    /// Reads every address, `samples` times.
    ///
    /// # Errors
    /// In words, when the device can't be reached at all.
    pub async fn run(&self, mut tell: impl FnMut(&str)) -> Result<Found, String> {
        let mut line = Line::new(&self.wire);
        let manners = Manners { patience: self.timeout, after_connect: Duration::ZERO, between: Duration::ZERO };
        let mut found = Found::default();
        let mut stretches: Vec<(u16, u16)> = Vec::new();
        for start in (self.from..=self.to).step_by(usize::from(AT_ONCE)) {
            stretches.push((start, start.saturating_add(AT_ONCE - 1).min(self.to)));
        }
        // The last is asked first: the lowest addresses last, so that they end on top.
        let mut readable: Vec<(u16, u16)> = Vec::new();
        while let Some((from, to)) = stretches.pop() {
            match self.ask(&mut line, from, to, manners).await {
                Ok(_) => readable.push((from, to)),
                Err(Failure { reason: GapReason::Exception(code), .. }) if from == to => {
                    found.refused.push((from, to, format!("exception {code}")));
                }
                Err(Failure { reason: GapReason::Exception(_), .. }) => {
                    let middle = from + (to - from) / 2;
                    stretches.push((from, middle));
                    stretches.push((middle + 1, to));
                }
                Err(failure) if readable.is_empty() && found.refused.is_empty() => return Err(explained(&failure, self.unit)),
                Err(failure) => found.refused.push((from, to, failure.cause)),
            }
        }
        readable.sort_unstable();
        found.refused.sort_unstable();
        for sample in 1..=self.samples.max(1) {
            if sample > 1 {
                tokio::time::sleep(self.every).await;
            }
            tell(&format!("sample {sample} of {}", self.samples.max(1)));
            for (from, to) in &readable {
                let words = self.ask(&mut line, *from, *to, manners).await.map_err(|failure| explained(&failure, self.unit))?;
                for (address, word) in (*from..=*to).zip(words) {
                    match found.seen.binary_search_by_key(&address, |seen| seen.address) {
                        Ok(place) => found.seen.get_mut(place).into_iter().for_each(|seen| seen.words.push(word)),
                        Err(place) => found.seen.insert(place, Seen { address, words: vec![word] }),
                    }
                }
            }
        }
        Ok(found)
    }

    async fn ask(&self, line: &mut Line, from: u16, to: u16, manners: Manners) -> Result<Vec<u16>, Failure> {
        line.read(self.unit, Block { space: self.space, start: from, count: to - from + 1 }, manners).await
    }
}

fn explained(failure: &Failure, unit: u8) -> String {
    match failure.reason {
        GapReason::Timeout => {
            format!("{}; the wire is there, but unit {unit} says nothing: check the unit's number, speed and parity", failure.cause)
        }
        GapReason::Unreachable => format!("no way to the device: {}", failure.cause),
        _ => format!("what comes back is not an answer of unit {unit}: {}", failure.cause),
    }
}

impl Found {
    /// How the number at an address reads in each type and order, where its registers were seen.
    #[must_use]
    pub fn readings(&self, address: u16, space: RegisterSpace) -> Vec<Reading> {
        use NumberType::{Float32, Int16, Int32, Uint16, Uint32};
        let pair = [ByteOrder::Abcd, ByteOrder::Cdab, ByteOrder::Badc, ByteOrder::Dcba];
        let mut ways: Vec<(NumberType, ByteOrder)> = vec![(Uint16, ByteOrder::Abcd), (Int16, ByteOrder::Abcd)];
        for number in [Float32, Int32, Uint32] {
            ways.extend(pair.map(|order| (number, order)));
        }
        let read = |(number, order): (NumberType, ByteOrder)| {
            let register = Register { space, address, number, order, ..Register::default() };
            let values = self.samples(address, number.width())?.iter().map(|words| registers::value(words, &register)).collect();
            Some(Reading { address, number, order, values })
        };
        ways.into_iter().filter_map(read).collect()
    }

    /// The words of neighbours, sample by sample.
    fn samples(&self, address: u16, width: u16) -> Option<Vec<Vec<u16>>> {
        let neighbours: Option<Vec<&Seen>> = (address..address.checked_add(width)?)
            .map(|address| self.seen.binary_search_by_key(&address, |seen| seen.address).ok().and_then(|place| self.seen.get(place)))
            .collect();
        let neighbours = neighbours?;
        let count = neighbours.iter().map(|seen| seen.words.len()).min()?;
        Some((0..count).map(|sample| neighbours.iter().filter_map(|seen| seen.words.get(sample).copied()).collect()).collect())
    }

    /// The only order in which the pair at an address reads as a float that could be measured; `None` when there is none, or more.
    #[must_use]
    pub fn suggestion(&self, address: u16, space: RegisterSpace) -> Option<Reading> {
        let floats = self
            .readings(address, space)
            .into_iter()
            .filter(|reading| reading.number == NumberType::Float32 && is_plausible(&reading.values));
        let mut floats: Vec<Reading> = floats.collect();
        if floats.len() == 1 { floats.pop() } else { None }
    }

    /// A register map to begin with: a float where only one order is plausible, else the word as it is. Every line is to be looked at.
    #[must_use]
    pub fn profile(&self, name: &str, space: RegisterSpace) -> String {
        let word = RegisterSpace::ALL.iter().find(|(known, _)| *known == space).map_or("holding", |(_, word)| word);
        let mut text = format!(
            "# Begun by pescaia probe. Look at every line: names, types, orders, scales and units are guesses, or yours to say.\n\
             name = {name:?}\ntitle = {name:?}\n"
        );
        for (from, to, _) in &self.refused {
            let _ = write!(text, "\n[[forbidden]]\nspace = \"{word}\"\nfrom = {from}\nto = {to}\n");
        }
        let mut skip = None;
        for seen in &self.seen {
            if skip == Some(seen.address) {
                continue;
            }
            let (kind, order, width) = match self.suggestion(seen.address, space) {
                Some(reading) => {
                    ("float32", ByteOrder::ALL.iter().find(|(order, _)| *order == reading.order).map_or("ABCD", |(_, word)| word), 2)
                }
                None if space.is_bits() => ("bit", "ABCD", 1),
                None => ("uint16", "ABCD", 1),
            };
            skip = if width == 2 { seen.address.checked_add(1) } else { None };
            let values: Vec<String> = self
                .readings(seen.address, space)
                .into_iter()
                .find(|reading| {
                    NumberType::ALL.iter().any(|(number, word)| *number == reading.number && *word == kind)
                        && (width == 1 || ByteOrder::ALL.iter().any(|(known, word)| *known == reading.order && *word == order))
                })
                .map_or_else(Vec::new, |reading| {
                    reading.values.iter().map(|value| value.map_or_else(|| "-".into(), |value| value.to_string())).collect()
                });
            let _ = write!(
                text,
                "\n# seen: {}\n[[register]]\nchannel = \"{word}_{}\"\nspace = \"{word}\"\naddress = {}\ntype = \"{kind}\"\n",
                values.join(", "),
                seen.address,
                seen.address
            );
            if kind == "float32" {
                let _ = writeln!(text, "order = \"{order}\"");
            }
            text.push_str("scale = 1\nunit = \"1\"\n");
        }
        text
    }
}

/// Numbers of a size that is measured, that do not jump from one sample to the next, and are not all nothing.
fn is_plausible(values: &[Option<f64>]) -> bool {
    let numbers: Option<Vec<f64>> = values.iter().copied().collect();
    let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else { return false };
    let in_size = |value: &f64| *value == 0.0 || (PLAUSIBLE.0..=PLAUSIBLE.1).contains(&value.abs());
    let is_smooth = numbers.windows(2).all(|pair| match pair {
        [one, next] => (next - one).abs() <= SMOOTH * one.abs().max(next.abs()).max(0.01),
        _ => true,
    });
    numbers.iter().all(in_size) && is_smooth && numbers.iter().any(|value| *value != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(start: u16, samples: &[&[u16]]) -> Found {
        let count = samples[0].len();
        let seen = (0..count).map(|place| Seen {
            address: start + u16::try_from(place).expect("few"),
            words: samples.iter().map(|sample| sample[place]).collect(),
        });
        Found { seen: seen.collect(), refused: vec![(9, 9, "exception 2".into())] }
    }

    fn words(value: f32, order: ByteOrder) -> [u16; 2] {
        let [a, b, c, d] = value.to_be_bytes();
        let pair = |one: u8, other: u8| u16::from_be_bytes([one, other]);
        match order {
            ByteOrder::Abcd => [pair(a, b), pair(c, d)],
            ByteOrder::Cdab => [pair(c, d), pair(a, b)],
            ByteOrder::Badc => [pair(b, a), pair(d, c)],
            ByteOrder::Dcba => [pair(d, c), pair(b, a)],
        }
    }

    #[test]
    fn a_level_is_found_in_its_order_by_size_and_smoothness() {
        for (order, _) in ByteOrder::ALL {
            let samples: Vec<[u16; 2]> = [2.608, 2.611, 2.613, 2.61].map(|level| words(level, order)).to_vec();
            let samples: Vec<&[u16]> = samples.iter().map(<[u16; 2]>::as_slice).collect();
            let found = seen(100, &samples);
            let reading = found.suggestion(100, RegisterSpace::Holding).expect("one order");
            assert_eq!((reading.order, reading.values[0]), (order, Some(2.608)));
            let profile = found.profile("trovato", RegisterSpace::Holding);
            let parsed = store::parse_profile("trovato.toml", &profile).unwrap_or_else(|wrong| panic!("{}\n{profile}", wrong[0]));
            assert_eq!((parsed.registers.len(), parsed.registers[0].order, parsed.registers[0].number), (1, order, NumberType::Float32));
            assert_eq!(parsed.forbidden, [(RegisterSpace::Holding, 9, 9)]);
        }
    }

    #[test]
    fn where_nothing_can_be_told_nothing_is_guessed() {
        for samples in [[&[0_u16, 0][..], &[0, 0]], [&[1, 2], &[700, 9]], [&[0x4026, 0x4026], &[0x4026, 0x4026]]] {
            let found = seen(0, &samples);
            assert_eq!(found.suggestion(0, RegisterSpace::Input), None, "{samples:?}");
        }
        let found = seen(0, &[&[7]]);
        assert_eq!(found.readings(0, RegisterSpace::Input).len(), 2, "half a pair reads only as a word");
    }
}
