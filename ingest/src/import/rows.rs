//! Rows with their time, in the order of the file. Rows of the hour that happens twice are held until the file has shown which is which.

use super::choice::{Condition, Place, conditions, place};
use super::fold::{self, Twice, Untold};
use super::pattern::{ColumnRef, Pattern, RepeatedHour};
use super::record::{Record, Records};
use super::refused;
use super::zone::{Read, Times};
use crate::shown::shown;
use model::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as Source};
use std::sync::Arc;
use store::Complaint;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// From 1, in the file.
    pub(super) line: usize,
    /// As it stands in the file.
    pub(super) raw: String,
    pub(super) cells: Vec<String>,
    /// The name of its block, and the line that heads it.
    pub(super) block: Arc<str>,
    pub(super) heading: Option<Arc<str>>,
    /// Or the column (from 1) of what is wrong, and what.
    pub(super) time: Result<Timestamp, (usize, String)>,
}

/// The names of the columns.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Of the file.
    file: String,
    pub(super) names: Vec<String>,
}

/// Rows that were read and say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    pub(super) headers: u64,
    pub(super) empty: u64,
    pub(super) not_chosen: u64,
    /// Times that were a date alone where the format has an hour.
    pub(super) bare_dates: u64,
}

pub(super) struct Rows<R: Source> {
    records: Records<R>,
    header: Header,
    /// What a file of refused rows begins with.
    head: String,
    separator: char,
    times: Times,
    time_places: Vec<usize>,
    value_places: Vec<usize>,
    chosen: Vec<Condition>,
    /// Cells that part the rows of different datastreams: the order of time holds among those of one.
    key_places: Vec<Place>,
    heading_sign: Option<String>,
    block: Arc<str>,
    heading: Option<Arc<str>>,
    passed: Passed,
    ready: VecDeque<Row>,
    order: HashMap<String, Order>,
    is_at_end: bool,
}

/// How far the rows of one datastream are.
#[derive(Default)]
struct Order {
    last: Option<Timestamp>,
    /// Rows of one hour that happens twice.
    held: Vec<(Row, Twice)>,
}

impl<R: Source> Rows<R> {
    pub(super) fn open(source: R, name: &str, pattern: &Pattern) -> Result<Self, Vec<Complaint>> {
        let encoding = pattern.encoding()?;
        let unreadable = |cause: io::Error| wrong(name, 0, format!("it can't be read: {cause}"));
        let mut records = Records::open(source, encoding, pattern.separator, pattern.quote, pattern.comment).map_err(unreadable)?;
        let times =
            Times::of(&pattern.time).map_err(|(at, message)| vec![pattern.complain(at.unwrap_or_else(|| pattern.time_at()), message)])?;
        let mut head = preamble(&mut records, name, pattern)?;
        let (mut block, mut heading) = (Arc::from(""), None);
        let names = match &pattern.columns {
            Some(names) => names.clone(),
            None => {
                let wide = pattern.time.column.columns().len();
                let looks_like_a_row = |cells: &[String]| cells.windows(wide.max(1)).any(|cells| times.is_time(&cells.join(" ")));
                let record = loop {
                    match records.next(&looks_like_a_row).map_err(unreadable)? {
                        None => return Err(wrong(name, 0, "the file is empty".into())),
                        Some(record) => match headed(pattern.heading.as_deref(), &record) {
                            Some(named) => (block, heading) = (named, Some(Arc::from(record.raw.as_str()))),
                            None => break record,
                        },
                    }
                };
                let mut names = header_of(name, &record)?;
                refused::strip_header(&mut names);
                head += &refused::header_row(&record.raw, pattern.separator);
                names
            }
        };
        let header = Header { file: name.to_owned(), names };
        let time_places = pattern.time.column.columns().iter().map(|column| header.place(column, pattern, pattern.time_at()));
        let time_places = time_places.collect::<Result<_, _>>()?;
        let chosen = conditions(&header, pattern, &pattern.chosen)?;
        let key_places = key_places(&header, pattern)?;
        Ok(Self {
            records,
            header,
            head,
            separator: pattern.separator,
            times,
            time_places,
            value_places: Vec::new(),
            chosen,
            key_places,
            heading_sign: pattern.heading.clone(),
            block,
            heading,
            passed: Passed::default(),
            ready: VecDeque::new(),
            order: HashMap::new(),
            is_at_end: false,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }
    pub(super) fn head(&self) -> &str {
        &self.head
    }
    pub(super) fn times(&self) -> &Times {
        &self.times
    }
    pub(super) fn chosen(&self) -> &[Condition] {
        &self.chosen
    }
    pub(super) fn passed(&self) -> Passed {
        self.passed
    }
    pub(super) fn bytes(&self) -> u64 {
        self.records.bytes()
    }
    /// Lines that were no UTF-8.
    pub(super) fn as_windows(&self) -> u64 {
        self.records.as_windows()
    }
    /// Where the values stand: a row without any of them is cut off.
    pub(super) fn values_at(&mut self, places: Vec<usize>) {
        self.value_places = places;
    }
    /// Places that are neither time nor value.
    pub(super) fn other_places(&self) -> Vec<usize> {
        let is_other = |place: &usize| !self.time_places.contains(place) && !self.value_places.contains(place);
        (0..self.header.names.len()).filter(is_other).collect()
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
            let (times, places, wide) = (&self.times, &self.time_places, self.header.names.len() > 1);
            let stands = |cells: &[String]| (cells.len() > 1 || !wide) && times.is_time(&joined(places, cells));
            let record = self.records.next(&stands).map_err(|cause| wrong(&self.header.file, 0, format!("it can't be read: {cause}")))?;
            match record {
                Some(record) => self.take(record),
                None => {
                    self.is_at_end = true;
                    let rest = std::mem::take(&mut self.order);
                    rest.into_values().for_each(|mut order| self.release(&mut order, None));
                }
            }
        }
    }

    fn take(&mut self, record: Record) {
        let Record { line, mut raw, mut cells, is_ended, wrong } = record;
        refused::strip_row(&mut raw, &mut cells, self.separator);
        let row = |cells, time, rows: &Self| Row {
            line,
            raw: raw.clone(),
            cells,
            block: rows.block.clone(),
            heading: rows.heading.clone(),
            time,
        };
        if let Some(wrong) = wrong {
            let row = row(cells, Err(wrong), self);
            return self.ready.push_back(row);
        }
        if let Some(block) = headed_cells(self.heading_sign.as_deref(), &cells) {
            (self.block, self.heading) = (block, Some(Arc::from(raw.as_str())));
            return;
        }
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            self.passed.empty += 1;
            return;
        }
        if self.header.is_repeated(&cells) {
            self.passed.headers += 1;
            return;
        }
        let cells = match self.fitted(cells, is_ended) {
            Ok(cells) => cells,
            Err((cells, message)) => {
                let row = row(cells, Err((1, message)), self);
                return self.ready.push_back(row);
            }
        };
        if !self.chosen.iter().all(|condition| condition.is_met(&cells, &self.block)) {
            self.passed.not_chosen += 1;
            return;
        }
        let key = self.key(&cells);
        match self.times.read(&joined(&self.time_places, &cells)) {
            Err(message) => {
                let column = self.time_places.first().map_or(1, |place| place + 1);
                let row = row(cells, Err((column, message)), self);
                self.ready.push_back(row);
            }
            Ok((read, is_bare)) => {
                self.passed.bare_dates += u64::from(is_bare);
                let (time, twice) = match (read, self.times.repeated_hour()) {
                    (Read::At(at), _) => (at, None),
                    (Read::Twice(_, first, _), RepeatedHour::First) => (first, None),
                    (Read::Twice(_, _, second), RepeatedHour::Second) => (second, None),
                    (Read::Twice(civil, first, second), RepeatedHour::Order) => (first, Some(Twice { civil, first, second })),
                };
                let row = row(cells, Ok(time), self);
                self.in_order(key, row, time, twice);
            }
        }
    }

    fn in_order(&mut self, key: String, row: Row, time: Timestamp, twice: Option<Twice>) {
        let mut order = self.order.remove(&key).unwrap_or_default();
        match twice {
            Some(twice) if order.held.len() < fold::MOST => order.held.push((row, twice)),
            _ => {
                self.release(&mut order, Some(time));
                order.last = Some(time);
                self.ready.push_back(row);
            }
        }
        self.order.insert(key, order);
    }

    fn key(&self, cells: &[String]) -> String {
        let parts: Vec<&str> = self.key_places.iter().map(|place| place.of(cells, &self.block)).collect();
        parts.join("\u{1f}")
    }

    /// The held rows are all there are of that hour.
    fn release(&mut self, order: &mut Order, after: Option<Timestamp>) {
        let (mut rows, twice): (Vec<Row>, Vec<Twice>) = std::mem::take(&mut order.held).into_iter().unzip();
        if rows.is_empty() {
            return;
        }
        let column = self.time_places.first().map_or(1, |place| place + 1);
        match fold::told_apart(&twice, order.last, after) {
            Ok(times) => rows.iter_mut().zip(times).for_each(|(row, time)| row.time = Ok(time)),
            Err(untold) => {
                for (row, Twice { civil, .. }) in rows.iter_mut().zip(&twice) {
                    row.time = Err((column, words(untold, civil)));
                }
            }
        }
        self.ready.extend(rows);
    }

    /// The cells as the header has them: a separator too many at the end, or a last cell left out, is forgiven.
    fn fitted(&self, mut cells: Vec<String>, is_ended: bool) -> Result<Vec<String>, (Vec<String>, String)> {
        let wanted = self.header.names.len();
        let found = cells.len();
        while cells.len() > wanted && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
            cells.pop();
        }
        if cells.len() > wanted {
            return Err((cells, format!("{found} cells where the header has {wanted}; is there a decimal comma between commas?")));
        }
        if cells.len() < wanted {
            let is_there = |place: &usize| *place < cells.len();
            let is_whole = is_ended && self.time_places.iter().all(is_there) && self.value_places.iter().any(is_there);
            if !is_whole {
                return Err((cells, format!("{found} cells where the header has {wanted}; is the row cut off?")));
            }
            cells.resize(wanted, String::new());
        }
        Ok(cells)
    }
}

fn joined(places: &[usize], cells: &[String]) -> String {
    let texts: Vec<&str> = places.iter().filter_map(|place| cells.get(*place)).map(|cell| cell.trim()).collect();
    texts.join(" ")
}

fn words(untold: Untold, civil: &jiff::civil::DateTime) -> String {
    match untold {
        Untold::Once => format!(
            "{civil} happened twice and the file has it once; write repeated_hour = \"first\" or \"second\" in [time], or zone = \"+01:00\" if the clock never changed"
        ),
        Untold::TooOften => format!("{civil} happened twice and the file has it more than twice; it can't be told which is which"),
        Untold::NoOrder => format!(
            "{civil} happened twice, and no row around it says whether the file begins with its oldest or its newest; write repeated_hour = \"first\" or \"second\" in [time]"
        ),
    }
}

fn wrong(name: &str, line: usize, message: String) -> Vec<Complaint> {
    vec![Complaint { file: name.to_owned(), line, column: usize::from(line > 0), message }]
}

/// Passes over what stands before the header, and gives it back as text.
fn preamble<R: Source>(records: &mut Records<R>, name: &str, pattern: &Pattern) -> Result<String, Vec<Complaint>> {
    let unreadable = |line: usize| move |cause: io::Error| wrong(name, line, format!("it can't be read: {cause}"));
    let mut head = String::new();
    for line in 1..=pattern.skip {
        let Some(passed) = records.line().map_err(unreadable(line))? else {
            return Err(wrong(name, line, format!("the file ends within the {} lines that skip passes over; lower skip", pattern.skip)));
        };
        head.push_str(&passed.text);
        head.push('\n');
    }
    let Some(line) = records.line().map_err(unreadable(pattern.skip + 1))? else { return Ok(head) };
    let separator = line.text.get(..4).filter(|word| word.eq_ignore_ascii_case("sep=")).and_then(|_| line.text.chars().nth(4));
    match separator {
        Some(sign) if line.text.chars().count() == 5 && sign == pattern.separator => {
            head.push_str(&line.text);
            head.push('\n');
        }
        Some(sign) if line.text.chars().count() == 5 => {
            return Err(wrong(
                name,
                line.number,
                format!("its first line says that it is separated by {sign:?}; write separator = {sign:?}"),
            ));
        }
        _ => records.put_back(line),
    }
    Ok(head)
}

/// The names of a header row.
fn header_of(name: &str, record: &Record) -> Result<Vec<String>, Vec<Complaint>> {
    if let Some((_, message)) = &record.wrong {
        return Err(wrong(name, record.line, message.clone()));
    }
    let names: Vec<String> = record.cells.iter().map(|cell| squeezed(cell)).collect();
    if names.iter().any(|name| name.chars().any(char::is_control)) {
        let message = "its first line is no text: is it a CSV file, and not one of a spreadsheet program or a compressed one?";
        return Err(wrong(name, record.line, message.into()));
    }
    Ok(names)
}

/// One blank for each run of blanks and line breaks.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name of the block that a line heads.
fn headed(sign: Option<&str>, record: &Record) -> Option<Arc<str>> {
    headed_cells(sign, &record.cells)
}

fn headed_cells(sign: Option<&str>, cells: &[String]) -> Option<Arc<str>> {
    let (first, others) = cells.split_first()?;
    let rest = first.trim().strip_prefix(sign?)?.trim();
    let name = std::iter::once(rest).chain(others.iter().map(|cell| cell.trim())).find(|part| !part.is_empty());
    Some(Arc::from(name.unwrap_or("")))
}

/// What the rows of different datastreams are told apart by.
fn key_places(header: &Header, pattern: &Pattern) -> Result<Vec<Place>, Vec<Complaint>> {
    let mut places: Vec<Place> = pattern.heading.iter().map(|_| Place::Block).collect();
    for value in &pattern.value {
        places.extend(conditions(header, pattern, &value.chosen)?.iter().map(|condition| condition.place));
        if let Some(column) = &value.datastream_column {
            places.push(place(header, pattern, column.get_ref(), column.span().start)?);
        }
    }
    let mut kept: Vec<Place> = Vec::new();
    places.into_iter().for_each(|place| {
        if !kept.contains(&place) {
            kept.push(place)
        }
    });
    Ok(kept)
}

impl Header {
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    fn is_repeated(&self, cells: &[String]) -> bool {
        let mut cells: Vec<String> = cells.iter().map(|cell| squeezed(cell)).collect();
        refused::strip_header(&mut cells);
        cells == self.names
    }

    /// Where a column stands, from 0; or what to do about it.
    pub(super) fn place(&self, column: &ColumnRef, pattern: &Pattern, at: usize) -> Result<usize, Vec<Complaint>> {
        let complain = |message: String| Err(vec![pattern.complain(at, message)]);
        let name = match column {
            ColumnRef::Number(number) if (1..=self.names.len()).contains(number) => return Ok(number - 1),
            ColumnRef::Number(number) => {
                return complain(format!("{} has no column {number}; it has {}, counted from 1", self.file, self.names.len()));
            }
            ColumnRef::Name(name) => squeezed(name),
        };
        let places: Vec<usize> =
            self.names.iter().enumerate().filter(|(_, known)| squeezed(known) == name).map(|(place, _)| place).collect();
        match places.as_slice() {
            [place] => Ok(*place),
            [] => complain(format!("{} has no column {name:?}; {}", self.file, self.cure(&name, pattern.separator))),
            several => {
                let numbers: Vec<String> = several.iter().map(|place| (place + 1).to_string()).collect();
                complain(format!(
                    "{} has several columns {name:?}: the numbers {}; choose one by its number, such as column = {}",
                    self.file,
                    numbers.join(" and "),
                    numbers.first().map_or("1", String::as_str)
                ))
            }
        }
    }

    fn cure(&self, name: &str, separator: char) -> String {
        match self.names.as_slice() {
            [only] => match [';', ',', '\t', '|'].into_iter().find(|sign| *sign != separator && only.contains(*sign)) {
                Some(sign) => format!("its header is one cell; it seems to be separated by {sign:?}: write separator = {sign:?}"),
                None => format!("its header has only {}; are there lines before the header? say how many with skip", shown(only)),
            },
            names => match crate::shown::nearest(name, names.iter().map(String::as_str).filter(|known| known.len() <= 200)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => {
                    let first: Vec<String> = names.iter().take(30).map(|known| shown(known).to_string()).collect();
                    format!("it has {}", first.join(", "))
                }
            },
        }
    }
}
