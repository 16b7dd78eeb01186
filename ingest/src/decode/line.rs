//! Line protocol, as Telegraf and InfluxDB's clients write it: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.
//! The device is the series, `measurement,tag=value` with its tags in order, the channel is the field; texts say nothing that is
//! measured. Each line is judged alone. Source: InfluxDB's line protocol reference.

use super::number::{self, Fault};
use super::text::{not_utf_8, trimmed};
use super::{Decoded, Decoder, LeftOut, Matters, Placed, Refusal, Unread};
use crate::bounds::{MOST_READINGS, MOST_REFUSALS};
use crate::frame::Frame;
use crate::recurring::Recurring;
use crate::shown::shown;
use model::{ChannelName, DeviceId, Reading, RejectReason, Timestamp};

/// Series of one message that are remembered; a message may make up a new one in each line.
const MOST_SERIES: usize = 10_000;
/// The longest line.
const LONGEST: usize = 64 * 1024;

pub(super) struct Line;

impl Decoder for Line {
    fn name(&self) -> &'static str {
        "line-protocol"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let steps = Steps::of(&frame.route);
        let (mut last, mut said) = (Series::default(), Vec::new());
        decoded.readings.reserve((frame.bytes.len() / 40).min(MOST_READINGS));
        let (mut beyond, mut unlisted) = (Counted::default(), Counted::default());
        for (index, line) in lines(&frame.bytes) {
            // Not read any more, or a flood of lines would cost as much as if it were taken.
            if decoded.readings.len() + decoded.unread.len() >= MOST_READINGS {
                beyond.add(index);
                continue;
            }
            let read = match std::str::from_utf8(line) {
                Ok(line) => read(line, steps, &mut last, &mut said),
                Err(_) => Err((RejectReason::Unreadable, not_utf_8(line).into())),
            };
            match read {
                Ok((device, time)) => {
                    // Where a topic names the device it is that one, whatever the line says.
                    let device = frame.device.clone().unwrap_or(device);
                    for (channel, value) in said.drain(..) {
                        if decoded.readings.len() + decoded.unread.len() >= MOST_READINGS {
                            beyond.add(index);
                        } else {
                            put(&mut decoded, frame, index, &device, channel, time, value);
                        }
                    }
                }
                Err((reason, what)) if decoded.rejects.len() < MOST_REFUSALS => {
                    let refusal = Refusal { reason, detail: format!("line {}: {what}", index + 1) };
                    decoded.rejects.push(Placed { index, what: refusal });
                }
                Err(_) => unlisted.add(index),
            }
        }
        let count = beyond.count;
        let detail = || {
            format!(
                "more than {MOST_READINGS} numbers in one message; {count} lines or numbers at its end were not taken; send them in smaller messages"
            )
        };
        decoded.left_out.extend(beyond.left_out(RejectReason::TooMany, detail));
        let count = unlisted.count;
        let detail = || format!("{count} lines more can't be read; only the first {MOST_REFUSALS} are listed");
        decoded.left_out.extend(unlisted.left_out(RejectReason::WrongShape, detail));
        decoded
    }
}

/// What is not kept, and where it began.
#[derive(Default)]
struct Counted {
    first: usize,
    count: u32,
}

impl Counted {
    fn add(&mut self, index: usize) {
        if self.count == 0 {
            self.first = index;
        }
        self.count = self.count.saturating_add(1);
    }
    fn left_out(self, reason: RejectReason, detail: impl FnOnce() -> String) -> Option<LeftOut> {
        (self.count > 0).then(|| LeftOut { index: self.first, reason, detail: detail(), count: self.count })
    }
}

fn put(
    decoded: &mut Decoded,
    frame: &Frame,
    index: usize,
    device: &DeviceId,
    channel: ChannelName,
    time: Option<Timestamp>,
    value: Result<f64, NoNumber>,
) {
    match value {
        Ok(value) => {
            let (owner, device) = (frame.owner.clone(), device.clone());
            let reading = Reading { owner, device, channel, phenomenon_time: time, value, unit: None, flag: None };
            decoded.readings.push(Placed { index, what: reading });
        }
        Err((fault, found, matters)) => {
            let refusal = fault.refusal(&format!("line {}: {}", index + 1, shown(channel.as_str())), &found);
            decoded.unread.push(Placed { index, what: Unread { device: device.clone(), channel, time, refusal, matters } });
        }
    }
}

/// The lines of a message with their numbers from 0: a line end within a text in quotes belongs to the text. Empty lines and
/// comments are passed over.
fn lines(message: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message);
    let mut next = 0;
    // Most messages hold no text, so that each line end ends a line.
    let has_texts = rest.contains(&b'"');
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (line, more) = rest.split_at(if has_texts { line_end(rest) } else { plain_end(rest) });
            let index = next;
            next += 1;
            if has_texts {
                next += line.iter().filter(|byte| **byte == b'\n').count();
            }
            rest = more.get(1..).unwrap_or_default();
            let line = trimmed(line);
            if !line.is_empty() && line.first() != Some(&b'#') {
                return Some((index, line));
            }
        }
        None
    })
}

/// Where the first line ends in a message without a text.
fn plain_end(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len())
}

/// Where the first line ends.
fn line_end(text: &[u8]) -> usize {
    let plain = plain_end(text);
    let first = text.get(..plain).unwrap_or(text);
    // Most lines hold no text; and in a comment a quote means nothing.
    if !first.contains(&b'"') || first.trim_ascii_start().first() == Some(&b'#') {
        return plain;
    }
    let (mut has_fields, mut is_quoted, mut is_escaped, mut before) = (false, false, false, 0);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'\n' if !is_quoted => return at,
            b' ' => has_fields = has_fields || at > 0,
            // A text begins right after the equals sign of its field; elsewhere a quote is a character like others.
            b'"' if is_quoted => is_quoted = false,
            b'"' => is_quoted = has_fields && before == b'=',
            _ => {}
        }
        before = *byte;
    }
    text.len()
}

/// What one step of a timestamp is, as the address asks; nanoseconds when it does not.
#[derive(Debug, Clone, Copy)]
struct Steps {
    nanos: i64,
    /// The address may be asked with another precision.
    has_query: bool,
}

/// Words for a step, and its nanoseconds: those of InfluxDB 2, then those that only InfluxDB 1 knows.
const STEPS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("n", 1),
    ("u", 1000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Steps {
    fn of(route: &str) -> Self {
        let query = route.split_once('?').map_or("", |(_, query)| query);
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("precision="));
        let step = asked.and_then(|asked| STEPS.iter().find(|(word, _)| *word == asked));
        Self { nanos: step.map_or(1, |(_, nanos)| *nanos), has_query: route.starts_with('/') }
    }
    fn word(self) -> &'static str {
        STEPS.iter().find(|(_, nanos)| *nanos == self.nanos).map_or("ns", |(word, _)| word)
    }
}

/// The series of this message so far: most lines repeat one.
#[derive(Default)]
struct Series<'a> {
    known: Recurring<&'a str>,
    devices: Vec<DeviceId>,
    /// The field of last time: neighbours mostly have the same.
    channel: Option<ChannelName>,
}

impl<'a> Series<'a> {
    fn device(&mut self, text: &'a str) -> Result<DeviceId, Wrong> {
        if let Some(device) = self.known.number(text).and_then(|number| self.devices.get(number)) {
            return Ok(device.clone());
        }
        let device = Self::named(text)?;
        if self.devices.len() < MOST_SERIES {
            self.known.add(text);
            self.devices.push(device.clone());
        }
        Ok(device)
    }

    fn channel(&mut self, name: &str) -> ChannelName {
        match &self.channel {
            Some(channel) if channel.as_str() == name => channel.clone(),
            _ => self.channel.insert(plain(name).into()).clone(),
        }
    }

    fn named(text: &str) -> Result<DeviceId, Wrong> {
        let mut parts = parts(text, ',');
        let measurement = parts.next().unwrap_or_default();
        if measurement.is_empty() {
            return Err((RejectReason::WrongShape, "no measurement; write measurement,tag=value field=1.5".into()));
        }
        let mut tags: Vec<&str> = parts.collect();
        if let Some(bad) = tags.iter().find(|tag| unescaped(tag, '=').is_none_or(|at| at == 0 || at + 1 == tag.len())) {
            return Err((RejectReason::WrongShape, format!("{} is no tag; write tag=value", shown(bad))));
        }
        tags.sort_unstable();
        let mut name = String::with_capacity(text.len());
        escape(&plain(measurement), &[',', ' '], &mut name);
        for tag in tags {
            let (key, value) = tag.split_at(unescaped(tag, '=').unwrap_or(0));
            name.push(',');
            escape(&plain(key), &[',', '=', ' '], &mut name);
            name.push('=');
            escape(&plain(value.get(1..).unwrap_or_default()), &[',', '=', ' '], &mut name);
        }
        Ok(name.into())
    }
}

type Wrong = (RejectReason, String);

/// Why a field holds no number, what it holds, and for whom that is refused.
type NoNumber = (Fault, String, Matters);

/// The device and the time of a line, and in `said` what its fields say; nothing when the line is refused.
fn read<'a>(
    line: &'a str,
    steps: Steps,
    series: &mut Series<'a>,
    said: &mut Vec<(ChannelName, Result<f64, NoNumber>)>,
) -> Result<(DeviceId, Option<Timestamp>), Wrong> {
    said.clear();
    if line.len() > LONGEST {
        return Err((RejectReason::TooMany, format!("longer than {LONGEST} bytes; is a quote missing that ends a text?")));
    }
    let Some(at) = unescaped(line, ' ') else {
        return Err((RejectReason::WrongShape, format!("{} has no fields; write measurement,tag=value field=1.5", shown(line))));
    };
    let (key, rest) = line.split_at(at);
    let device = series.device(key)?;
    let rest = rest.trim_ascii_start();
    let (fields, time) = match unquoted(rest, ' ') {
        Some(at) => {
            let (fields, time) = rest.split_at(at);
            (fields, time.trim_ascii())
        }
        None => (rest, ""),
    };
    let time = if time.is_empty() { None } else { Some(instant(time, steps)?) };
    let mut rest = fields;
    while !rest.is_empty() {
        let (field, more) = match unquoted(rest, ',') {
            Some(at) => (rest.get(..at).unwrap_or(rest), rest.get(at + 1..).unwrap_or("")),
            None => (rest, ""),
        };
        let Some(at) = unescaped(field, '=').filter(|at| *at > 0) else {
            return Err((RejectReason::WrongShape, format!("{} is no field; write field=1.5", shown(field))));
        };
        let (name, value) = (field.get(..at).unwrap_or(""), field.get(at + 1..).unwrap_or(""));
        let value = number(value).map_err(|what| (RejectReason::NotANumber, format!("{}: {what}", shown(name))))?;
        said.push((series.channel(name), value));
        rest = more;
        if rest.is_empty() && fields.as_bytes().last() == Some(&b',') {
            return Err((RejectReason::WrongShape, "the fields end with a comma".into()));
        }
    }
    Ok((device, time))
}

/// Within these years a time is what somebody meant: 2000 to 2100, in seconds.
const MEANT: std::ops::Range<i128> = 946_684_800..4_102_444_800;

fn instant(text: &str, steps: Steps) -> Result<Timestamp, Wrong> {
    let whole: i64 = text.parse().map_err(|_| (RejectReason::BadTime, format!("{} is no timestamp; write a whole number", shown(text))))?;
    if steps.nanos == 1 && MEANT.contains(&i128::from(whole.div_euclid(1_000_000_000))) {
        return Ok(Timestamp::from_micros(whole.div_euclid(1000)));
    }
    let seconds = |nanos: i64| (i128::from(whole) * i128::from(nanos)).div_euclid(1_000_000_000);
    let meant = || STEPS.iter().take(4).find(|(_, nanos)| MEANT.contains(&seconds(*nanos)));
    if !MEANT.contains(&seconds(steps.nanos))
        && let Some((word, _)) = meant()
    {
        let cure = if steps.has_query { format!("say ?precision={word}") } else { "write it in nanoseconds".to_owned() };
        let detail = format!("the timestamp {whole} is read in {}, and was meant in {word}; {cure}", steps.word());
        return Err((RejectReason::BadTime, detail));
    }
    let micros = (i128::from(whole) * i128::from(steps.nanos)).div_euclid(1000);
    i64::try_from(micros)
        .map(Timestamp::from_micros)
        .map_err(|_| (RejectReason::BadTime, format!("{} lies outside the years that can be kept; say ?precision=", shown(text))))
}

/// The number of a field, or what it holds instead.
///
/// # Errors
/// Where it is neither a number nor a text: then nothing in the line is sure.
fn number(text: &str) -> Result<Result<f64, NoNumber>, String> {
    if let Some(rest) = text.strip_prefix('"') {
        let Some(inner) = rest.strip_suffix('"').filter(|inner| closing(rest) == Some(inner.len())) else {
            return Err("the text has no end, or something follows it; write \" within a text as \\\"".into());
        };
        return Ok(number::read(inner).map_err(|fault| (fault, format!("the text {}", shown(inner)), Matters::WhereFed)));
    }
    let no_number = || format!("{} is no number", shown(text));
    let meant = |fault: Fault| (fault, text.chars().take(40).collect(), Matters::Always);
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Ok(1.0)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Ok(0.0)),
        _ => {}
    }
    // The suffix says that it is whole.
    if let Some(whole) = text.strip_suffix('i') {
        let whole = whole.parse::<i64>().map_err(|_| no_number())?;
        return Ok(number::whole(i128::from(whole)).map_err(meant));
    }
    if let Some(whole) = text.strip_suffix('u') {
        let whole = whole.parse::<u64>().map_err(|_| no_number())?;
        return Ok(number::whole(i128::from(whole)).map_err(meant));
    }
    // Without one it is a double, however it is written.
    match number::read(text) {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::NotExact) => Ok(text.parse::<f64>().map_err(|_| meant(Fault::NoNumber))),
        Err(Fault::NoNumber) => Err(no_number()),
        Err(fault) => Ok(Err(meant(fault))),
    }
}

/// The quote that ends a text that began before.
fn closing(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where `wanted`, an ASCII character, stands first without a backslash before it.
fn unescaped(text: &str, wanted: char) -> Option<usize> {
    first(text, wanted, |byte| byte == b'\\').or_else_look(|| {
        let mut before = 0;
        text.bytes().position(|byte| {
            let is_found = before != b'\\' && byte == wanted as u8;
            before = byte;
            is_found
        })
    })
}

/// As [`unescaped`], and not within a text in quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    first(text, wanted, |byte| matches!(byte, b'\\' | b'"')).or_else_look(|| {
        let (mut is_escaped, mut is_quoted, mut before) = (false, false, 0);
        text.bytes().position(|byte| {
            let is_found = !is_escaped && !is_quoted && byte == wanted as u8;
            // A text begins right after the equals sign of its field.
            is_quoted = if is_quoted { is_escaped || byte != b'"' } else { byte == b'"' && before == b'=' };
            is_escaped = !is_escaped && byte == b'\\';
            before = byte;
            is_found
        })
    })
}

/// What a plain look at a text found.
enum Look {
    At(Option<usize>),
    /// Something before it gives what follows another meaning.
    Closer,
}

impl Look {
    fn or_else_look(self, closely: impl FnOnce() -> Option<usize>) -> Option<usize> {
        match self {
            Self::At(place) => place,
            Self::Closer => closely(),
        }
    }
}

/// Most lines have neither escapes nor quotes.
#[inline]
fn first(text: &str, wanted: char, is_odd: impl Fn(u8) -> bool) -> Look {
    let bytes = text.as_bytes();
    let place = bytes.iter().position(|byte| *byte == wanted as u8);
    let before = bytes.get(..place.unwrap_or(bytes.len())).unwrap_or_default();
    if before.iter().any(|byte| is_odd(*byte)) { Look::Closer } else { Look::At(place) }
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match unescaped(text, separator) {
            Some(at) => {
                rest = text.get(at + 1..);
                text.get(..at)
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// Without the backslashes before commas, equals signs and blanks; others are characters like any.
fn plain(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek() {
            Some(',' | '=' | ' ') if char == '\\' => plain.extend(chars.next()),
            _ => plain.push(char),
        }
    }
    plain
}

/// As [`plain`] undoes it: one way of writing a name, whatever its sender escaped.
fn escape(plain: &str, special: &[char], into: &mut String) {
    for char in plain.chars() {
        if special.contains(&char) {
            into.push('\\');
        }
        into.push(char);
    }
}

#[cfg(test)]
mod tests;
