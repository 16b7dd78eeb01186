//! Rows with their time, in the order of the file. Rows of the hour that happens twice are held until the file has shown which is which.

use super::pattern::{Pattern, RepeatedHour};
use super::zone::{Read, Times};
use csv::{ReaderBuilder, StringRecord};
use jiff::civil::DateTime;
use model::Timestamp;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read as Source};
use store::Complaint;

/// One row.
pub(super) struct Row {
    /// From 1, in the file.
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
    /// Or the column (from 1) of what is wrong, and what.
    pub(super) time: Result<Timestamp, (usize, String)>,
}

pub(super) struct Rows<R: Source> {
    reader: csv::Reader<BufReader<R>>,
    name: String,
    header: Vec<String>,
    /// Lines passed over before the reader began.
    before: usize,
    times: Times,
    time_places: Vec<usize>,
    ready: VecDeque<Row>,
    /// Rows of one hour that happens twice, each with its wall clock and its two instants.
    held: Vec<(Row, DateTime, Timestamp, Timestamp)>,
    is_at_end: bool,
}

impl<R: Source> Rows<R> {
    pub(super) fn open(source: R, name: &str, pattern: &Pattern) -> Result<Self, Vec<Complaint>> {
        let wrong = |line: usize, message: String| vec![Complaint { file: name.to_owned(), line, column: usize::from(line > 0), message }];
        let mut source = BufReader::with_capacity(1 << 16, source);
        for line in 1..=pattern.skip {
            let mut passed = Vec::new();
            let count = source.read_until(b'\n', &mut passed).map_err(|cause| wrong(line, format!("it can't be read: {cause}")))?;
            if count == 0 {
                return Err(wrong(line, format!("the file ends within the {} lines that skip passes over; lower skip", pattern.skip)));
            }
        }
        let mut reader = ReaderBuilder::new()
            .delimiter(u8::try_from(pattern.separator).unwrap_or(b','))
            .comment(pattern.comment.and_then(|sign| u8::try_from(sign).ok()))
            .has_headers(false)
            .flexible(true)
            .from_reader(source);
        let header = match &pattern.columns {
            Some(names) => names.clone(),
            None => {
                let mut first = csv::ByteRecord::new();
                match reader.read_byte_record(&mut first) {
                    Ok(true) => first.iter().map(|cell| text(cell).trim_start_matches('\u{feff}').trim().to_owned()).collect(),
                    Ok(false) => return Err(wrong(0, "the file is empty".into())),
                    Err(cause) => return Err(wrong(0, format!("it can't be read: {cause}"))),
                }
            }
        };
        if header.iter().any(|name| name.chars().any(char::is_control)) {
            return Err(wrong(
                pattern.skip + 1,
                "its first line is no text: is it a CSV file, and not one of a spreadsheet program or a compressed one?".into(),
            ));
        }
        let times = Times::of(&pattern.time).map_err(|(at, message)| {
            let at = at.unwrap_or_else(|| pattern.text.find("[time]").unwrap_or(0));
            vec![pattern.complain(at, message)]
        })?;
        let mut rows = Self {
            reader,
            name: name.to_owned(),
            header,
            before: pattern.skip,
            times,
            time_places: Vec::new(),
            ready: VecDeque::new(),
            held: Vec::new(),
            is_at_end: false,
        };
        let at = pattern.text.find("[time]").unwrap_or(0);
        let places = pattern.time.column.names().iter().map(|name| rows.place(name, pattern, at));
        rows.time_places = places.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    pub(super) fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Where a column stands, from 0; or what to do about it.
    pub(super) fn place(&self, column: &str, pattern: &Pattern, at: usize) -> Result<usize, Vec<Complaint>> {
        if let Some(place) = self.header.iter().position(|name| name == column) {
            return Ok(place);
        }
        let cure = match self.header.as_slice() {
            [only] => match [';', ',', '\t', '|'].into_iter().find(|sign| *sign != pattern.separator && only.contains(*sign)) {
                Some(sign) => format!("its header is one cell; it seems to be separated by {sign:?}: write separator = {sign:?}"),
                None => format!("its header has only {only:?}; are there lines before the header? say how many with skip"),
            },
            names => match store::nearest(column, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("it has {}", names.join(", ")),
            },
        };
        Err(vec![pattern.complain(at, format!("{} has no column {column:?}; {cure}", self.name))])
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Vec<Complaint>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            if self.is_at_end {
                return Ok(None);
            }
            let mut record = csv::ByteRecord::new();
            let has_more = self.reader.read_byte_record(&mut record).map_err(|cause| {
                vec![Complaint { file: self.name.clone(), line: 0, column: 0, message: format!("it can't be read: {cause}") }]
            })?;
            if !has_more {
                self.is_at_end = true;
                self.release();
                continue;
            }
            let line = self.before + record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
            let record = StringRecord::from_byte_record_lossy(record);
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            self.take(line, cells);
        }
    }

    fn take(&mut self, line: usize, cells: Vec<String>) {
        if cells.len() != self.header.len() {
            let cure = if cells.len() > self.header.len() { "; is there a decimal comma between commas?" } else { "; is the row cut off?" };
            let message = format!("{} cells where the header has {}{cure}", cells.len(), self.header.len());
            self.plain(Row { line, cells, time: Err((1, message)) });
            return;
        }
        let place = self.time_places.first().copied().unwrap_or(0);
        let texts: Vec<&str> = self.time_places.iter().filter_map(|place| cells.get(*place)).map(String::as_str).collect();
        match self.times.read(&texts.join(" ")) {
            Ok(Read::At(at)) => self.plain(Row { line, cells, time: Ok(at) }),
            Err(message) => self.plain(Row { line, cells, time: Err((place + 1, message)) }),
            Ok(Read::Twice(civil, first, second)) => match self.times.repeated_hour() {
                RepeatedHour::First => self.plain(Row { line, cells, time: Ok(first) }),
                RepeatedHour::Second => self.plain(Row { line, cells, time: Ok(second) }),
                RepeatedHour::Order => self.held.push((Row { line, cells, time: Ok(first) }, civil, first, second)),
            },
        }
    }

    fn plain(&mut self, row: Row) {
        self.release();
        self.ready.push_back(row);
    }

    /// The held rows are all there are of that hour: where the wall clock steps back, the second pass begins. Without such a step
    /// nobody can know which pass they are.
    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        let steps: Vec<_> = held
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| matches!(pair, [one, next] if next.1 <= one.1))
            .map(|(place, _)| place + 1)
            .collect();
        for (place, (mut row, civil, first, second)) in held.into_iter().enumerate() {
            let column = self.time_places.first().map_or(1, |place| place + 1);
            row.time = match steps.as_slice() {
                [step] => Ok(if place < *step { first } else { second }),
                [] => Err((
                    column,
                    format!(
                        "{civil} happened twice and the file has it once; write repeated_hour = \"first\" or \"second\" in [time], or zone = \"+01:00\" if the clock never changed"
                    ),
                )),
                _ => Err((column, format!("{civil} happened twice and the file has it more than twice; it can't be told which is which"))),
            };
            self.ready.push_back(row);
        }
    }
}

/// Files of loggers are UTF-8 or older: what is not UTF-8 is shown with a sign in its place.
fn text(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}
