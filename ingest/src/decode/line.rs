//! Line protocol, as Telegraf and InfluxDB's clients write it: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.
//! The device is the series, `measurement,tag=value` with its tags in order, the channel is the field; texts say nothing that is
//! measured. Each line is judged alone. Source: InfluxDB's line protocol reference.

use super::{Decoded, Decoder, LeftOut, Placed, Refusal};
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
        let refuse = |index, reason, detail| Placed { index, what: Refusal { reason, detail } };
        let Ok(text) = std::str::from_utf8(&frame.bytes) else {
            decoded.rejects.push(refuse(0, RejectReason::Unreadable, "the lines are no UTF-8".into()));
            return decoded;
        };
        let micros_of = precision(&frame.route);
        let (mut last, mut numbers) = (Series::default(), Vec::new());
        decoded.readings.reserve((text.len() / 40).min(MOST_READINGS));
        let (mut beyond, mut unlisted) = (Counted::default(), Counted::default());
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.as_bytes().first() == Some(&b'#') {
                continue;
            }
            // Not read any more, or a flood of lines would cost as much as if it were taken.
            if decoded.readings.len() >= MOST_READINGS {
                beyond.add(index);
                continue;
            }
            let read = read(line, micros_of, &mut last, &mut numbers, |channel, series, value, time| {
                if decoded.readings.len() >= MOST_READINGS {
                    return beyond.add(index);
                }
                let (owner, device) = (frame.owner.clone(), last_device(frame, series));
                let reading = Reading { owner, device, channel, phenomenon_time: time, value, unit: None, flag: None };
                decoded.readings.push(Placed { index, what: reading });
            });
            if let Err((reason, what)) = read {
                if decoded.rejects.len() < MOST_REFUSALS {
                    decoded.rejects.push(refuse(index, reason, format!("line {}: {what}", index + 1)));
                } else {
                    unlisted.add(index);
                }
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

/// Where a topic names the device it is that one, whatever the line says.
fn last_device(frame: &Frame, series: &DeviceId) -> DeviceId {
    frame.device.clone().unwrap_or_else(|| series.clone())
}

/// Nanoseconds of one step of a timestamp, as the address asks; nanoseconds when it does not.
fn precision(route: &str) -> i64 {
    let query = route.split_once('?').map_or("", |(_, query)| query);
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("precision="));
    match asked {
        Some("us" | "u") => 1000,
        Some("ms") => 1_000_000,
        Some("s") => 1_000_000_000,
        _ => 1,
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
        let mut name = measurement.to_owned();
        for tag in tags {
            name.push(',');
            name.push_str(tag);
        }
        Ok(name.into())
    }
}

type Wrong = (RejectReason, String);

/// Gives every number of a line to `each`: field, device, value, time; none when the line is refused.
fn read<'a>(
    line: &'a str,
    nanos: i64,
    series: &mut Series<'a>,
    numbers: &mut Vec<(ChannelName, f64)>,
    mut each: impl FnMut(ChannelName, &DeviceId, f64, Option<Timestamp>),
) -> Result<(), Wrong> {
    if line.len() > LONGEST {
        return Err((RejectReason::TooMany, format!("longer than {LONGEST} bytes")));
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
    let time = if time.is_empty() { None } else { Some(instant(time, nanos)?) };
    numbers.clear();
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
        if let Some(value) = number(value).map_err(|what| (RejectReason::NotANumber, format!("{}: {what}", shown(name))))? {
            numbers.push((series.channel(name), value));
        }
        rest = more;
        if rest.is_empty() && fields.as_bytes().last() == Some(&b',') {
            return Err((RejectReason::WrongShape, "the fields end with a comma".into()));
        }
    }
    for (name, value) in numbers.drain(..) {
        each(name, &device, value, time);
    }
    Ok(())
}

fn instant(text: &str, nanos: i64) -> Result<Timestamp, Wrong> {
    let whole: i64 = text.parse().map_err(|_| (RejectReason::BadTime, format!("{} is no timestamp; write a whole number", shown(text))))?;
    if nanos == 1 {
        return Ok(Timestamp::from_micros(whole.div_euclid(1000)));
    }
    let nanos = i128::from(whole) * i128::from(nanos);
    i64::try_from(nanos.div_euclid(1000))
        .map(Timestamp::from_micros)
        .map_err(|_| (RejectReason::BadTime, format!("{} lies outside the years that can be kept; say ?precision=", shown(text))))
}

/// `None` for a text, which says nothing that is measured.
fn number(text: &str) -> Result<Option<f64>, String> {
    if let Some(rest) = text.strip_prefix('"') {
        return if rest.ends_with('"') && rest.len() == closing(rest).map_or(0, |at| at + 1) {
            Ok(None)
        } else {
            Err("the text has no end".into())
        };
    }
    let no_number = || format!("{} is no number", shown(text));
    let bytes = text.as_bytes();
    let starts_as_one = bytes.first().is_some_and(|first| first.is_ascii_digit() || b"+-.".contains(first));
    if !starts_as_one {
        return match text {
            "t" | "T" | "true" | "True" | "TRUE" => Ok(Some(1.0)),
            "f" | "F" | "false" | "False" | "FALSE" => Ok(Some(0.0)),
            _ => Err(no_number()),
        };
    }
    let whole = text.get(..text.len() - 1).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "what is measured has fewer digits")]
    match bytes.last() {
        Some(b'i') => return whole.parse::<i64>().map(|whole| Some(whole as f64)).map_err(|_| no_number()),
        Some(b'u') => return whole.parse::<u64>().map(|whole| Some(whole as f64)).map_err(|_| no_number()),
        _ => {}
    }
    let value: f64 = text.parse().map_err(|_| no_number())?;
    if value.is_finite() { Ok(Some(value)) } else { Err(no_number()) }
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
        let mut is_escaped = false;
        text.bytes().position(|byte| {
            let is_found = !is_escaped && byte == wanted as u8;
            is_escaped = !is_escaped && byte == b'\\';
            is_found
        })
    })
}

/// As [`unescaped`], and not within a text in quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    first(text, wanted, |byte| matches!(byte, b'\\' | b'"')).or_else_look(|| {
        let (mut is_escaped, mut is_quoted) = (false, false);
        text.bytes().position(|byte| {
            let is_found = !is_escaped && !is_quoted && byte == wanted as u8;
            is_quoted ^= !is_escaped && byte == b'"';
            is_escaped = !is_escaped && byte == b'\\';
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

/// Without the backslashes.
fn plain(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(if char == '\\' { chars.next().unwrap_or('\\') } else { char });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], route: &str) -> Decoded {
        Line.decode(&Frame {
            source: "http",
            format: "line-protocol",
            route: route.into(),
            owner: "acque".into(),
            device: None,
            channel: None,
            received_at: Timestamp::from_seconds(1_700_000_000),
            bytes: bytes.to_vec().into(),
        })
    }

    /// `device|channel|value|time` of each reading, then the code and line of each refusal.
    fn check(text: &str, expected: &[&str]) {
        let found = decoded(text.as_bytes(), "/api/v2/write?precision=s");
        let mut said: Vec<String> = found
            .readings
            .iter()
            .map(|placed| {
                let one = &placed.what;
                let time = one.phenomenon_time.map_or_else(|| "now".into(), |time| time.seconds().to_string());
                format!("{}|{}|{}|{time}", one.device, one.channel, one.value)
            })
            .collect();
        said.extend(found.rejects.iter().map(|placed| format!("{} {}", placed.what.reason.code(), placed.index)));
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn series_fields_and_times_are_read_with_their_escapes() {
        check(
            "modbus,name=pump1,host=a level=1.42,starts=7i,run=true 1700000000",
            &[
                "modbus,host=a,name=pump1|level|1.42|1700000000",
                "modbus,host=a,name=pump1|starts|7|1700000000",
                "modbus,host=a,name=pump1|run|1|1700000000",
            ],
        );
        check("m f=-1e-3,g=18446744073709551615u,h=f", &["m|f|-0.001|now", "m|g|18446744073709552000|now", "m|h|0|now"]);
        check(r"my\ m\,x,t\=a=b\ c f\ 1=2 -5", &[r"my\ m\,x,t\=a=b\ c|f 1|2|-5"]);
        check("m s=\"a, b=c \\\" d\",f=1 5\r\n# comment\n\nm f=2 6\n", &["m|f|1|5", "m|f|2|6"]);
        check("m s=\"only text\" 5", &[]);
    }

    #[test]
    fn a_bad_line_is_refused_with_its_number_and_the_others_go_in() {
        check("m f=1 5\nno fields\nm f=x 6\nm f=2 7", &["m|f|1|5", "m|f|2|7", "wrong-shape 1", "not-a-number 2"]);
        for (line, code) in [
            ("m", "wrong-shape"),
            (",t=1 f=1", "wrong-shape"),
            ("m,t f=1", "wrong-shape"),
            ("m,t= f=1", "wrong-shape"),
            ("m =1", "wrong-shape"),
            ("m f=", "not-a-number"),
            ("m f=1,", "wrong-shape"),
            ("m f=NaN", "not-a-number"),
            ("m f=inf", "not-a-number"),
            ("m f=1e999", "not-a-number"),
            ("m f=\"open", "not-a-number"),
            ("m f=1 1.5", "bad-time"),
            ("m f=1 9223372036854775807", "bad-time"),
            ("m f=1 99999999999999999999", "bad-time"),
        ] {
            check(line, &[&format!("{code} 0")]);
        }
        assert_eq!(decoded(b"\xff\xfe m f=1", "").rejects[0].what.reason, RejectReason::Unreadable);
        assert_eq!(decoded(&[b'x'; 200_000], "").rejects.len(), 1);
    }

    #[test]
    fn the_address_says_what_a_step_of_time_is() {
        for (query, text) in [
            ("?precision=ns", "1700000000000000000"),
            ("", "1700000000000000000"),
            ("?precision=us", "1700000000000000"),
            ("?org=x&precision=ms", "1700000000000"),
            ("?precision=s", "1700000000"),
        ] {
            let found = decoded(format!("m f=1 {text}").as_bytes(), &format!("/api/v2/write{query}"));
            assert_eq!(found.readings[0].what.phenomenon_time, Some(Timestamp::from_seconds(1_700_000_000)), "{query}");
        }
    }

    #[test]
    fn what_is_too_much_is_counted_and_takes_no_memory() {
        let found = decoded("m f=1\n".repeat(MOST_READINGS + 7).as_bytes(), "");
        let left: Vec<_> = found.left_out.iter().map(|left| (left.index, left.reason, left.count)).collect();
        assert_eq!((found.readings.len(), found.rejects.len(), left), (MOST_READINGS, 0, vec![(MOST_READINGS, RejectReason::TooMany, 7)]));
        let found = decoded("x\n".repeat(MOST_REFUSALS + 9).as_bytes(), "");
        let left: Vec<_> = found.left_out.iter().map(|left| (left.index, left.reason, left.count)).collect();
        assert_eq!((found.rejects.len(), left), (MOST_REFUSALS, vec![(MOST_REFUSALS, RejectReason::WrongShape, 9)]));
    }
}
