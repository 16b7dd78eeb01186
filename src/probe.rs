//! `pescaia probe modbus`: what a device holds, side by side in every order.

use crate::say;
use anyhow::Context;
use ingest::source::modbus::probe::{Found, Probe};
use model::{ByteOrder, ModbusWire, NumberType, Parity, RegisterSpace};
use std::path::PathBuf;
use std::time::Duration;

/// What is looked at, and how it is reached.
#[derive(Debug, clap::Args)]
pub(crate) struct ModbusOptions {
    /// host:port of a Modbus TCP device; rtu+tcp://host:port of a serial device server; or a serial line, e.g. /dev/ttyUSB0
    wire: String,
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// coil, discrete, holding or input
    #[arg(long, default_value = "holding")]
    space: String,
    /// The first address, from 0; the manual's 40001 is holding 0
    #[arg(long, default_value_t = 0)]
    from: u16,
    /// The last address, included
    #[arg(long, default_value_t = 49)]
    to: u16,
    /// How often everything is read
    #[arg(long, default_value_t = 5)]
    samples: u32,
    /// Seconds between two samples
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Seconds that an answer may take
    #[arg(long, default_value_t = 2.0)]
    timeout: f64,
    #[arg(long, default_value_t = 9600)]
    baud: u32,
    /// none, even or odd
    #[arg(long, default_value = "none")]
    parity: String,
    /// The address may lie outside private networks
    #[arg(long)]
    outside: bool,
    /// Writes a profile to begin with
    #[arg(long)]
    write: Option<PathBuf>,
}

pub(crate) async fn modbus(options: ModbusOptions) -> anyhow::Result<()> {
    let space = RegisterSpace::ALL.iter().find(|(_, word)| *word == options.space).map(|(space, _)| *space);
    let space = space.with_context(|| format!("there is no space \"{}\"; it may be coil, discrete, holding or input", options.space))?;
    anyhow::ensure!(options.from <= options.to, "--from {} lies behind --to {}", options.from, options.to);
    let probe = Probe {
        wire: wire(&options)?,
        unit: options.unit,
        space,
        from: options.from,
        to: options.to,
        samples: options.samples.clamp(1, 1000),
        every: Duration::try_from_secs_f64(options.every).context("--every can't be")?,
        timeout: Duration::try_from_secs_f64(options.timeout).context("--timeout can't be")?,
    };
    let found = probe.run(say::error).await.map_err(anyhow::Error::msg)?;
    for line in lines(&found, space) {
        say::line(&line);
    }
    if let Some(path) = &options.write {
        let name = path.file_stem().map_or_else(|| "device".to_owned(), |stem| stem.to_string_lossy().into_owned());
        std::fs::write(path, found.profile(&name, space)).with_context(|| format!("{} can't be written", path.display()))?;
        say::line(&format!("a profile to begin with is in {}: look at every line of it", path.display()));
    }
    Ok(())
}

fn wire(options: &ModbusOptions) -> anyhow::Result<ModbusWire> {
    let is_outside = options.outside;
    let text = options.wire.as_str();
    if let Some(address) = text.strip_prefix("rtu+tcp://") {
        return Ok(ModbusWire::RtuOverTcp { address: address.to_owned(), is_outside });
    }
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    if text.starts_with('/') || !text.contains(':') {
        let parity = match options.parity.as_str() {
            "none" => Parity::None,
            "even" => Parity::Even,
            "odd" => Parity::Odd,
            other => anyhow::bail!("--parity {other} is not known; it may be none, even or odd"),
        };
        return Ok(ModbusWire::Serial { path: text.to_owned(), baud: options.baud, parity, stop_bits: 1 });
    }
    Ok(ModbusWire::Tcp { address: text.to_owned(), is_outside })
}

/// A table: each address with its word, and how the number that begins there reads.
fn lines(found: &Found, space: RegisterSpace) -> Vec<String> {
    let mut lines = Vec::new();
    if !space.is_bits() {
        lines.push(format!(
            "{:>7} {:>6} {:>7} {:>7} | {:>13} {:>13} {:>13} {:>13} | {:>11} {:>11}",
            "address", "hex", "uint16", "int16", "float ABCD", "float CDAB", "float BADC", "float DCBA", "int32 ABCD", "int32 CDAB"
        ));
    }
    for seen in &found.seen {
        let last = seen.words.last().copied().unwrap_or(0);
        if space.is_bits() {
            lines.push(format!("{:>7} {}", seen.address, seen.words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
            continue;
        }
        let readings = found.readings(seen.address, space);
        let last_of = |number: NumberType, order: ByteOrder| {
            let reading = readings.iter().find(|reading| reading.number == number && reading.order == order);
            reading.and_then(|reading| *reading.values.last()?).map_or_else(|| "-".to_owned(), shown)
        };
        let float = |order| last_of(NumberType::Float32, order);
        let suggestion = found.suggestion(seen.address, space).map_or_else(String::new, |reading| {
            let order = ByteOrder::ALL.iter().find(|(known, _)| *known == reading.order).map_or("", |(_, word)| word);
            let values: Vec<String> = reading.values.iter().flatten().copied().map(shown).collect();
            format!("   ← looks like a float32 {order}: {}", values.join(", "))
        });
        lines.push(format!(
            "{:>7}   {last:04X} {last:>7} {:>7} | {:>13} {:>13} {:>13} {:>13} | {:>11} {:>11}{suggestion}",
            seen.address,
            last.cast_signed(),
            float(ByteOrder::Abcd),
            float(ByteOrder::Cdab),
            float(ByteOrder::Badc),
            float(ByteOrder::Dcba),
            last_of(NumberType::Int32, ByteOrder::Abcd),
            last_of(NumberType::Int32, ByteOrder::Cdab),
        ));
    }
    lines.extend(found.refused.iter().map(|(from, to, cause)| format!("{from:>7} to {to}: refused, {cause}")));
    if found.seen.is_empty() {
        lines.push("the device gives none of these; try another --space, or other addresses".into());
    }
    lines
}

fn shown(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e9).contains(&value.abs()) { format!("{value:.3e}") } else { format!("{}", (value * 1e5).round() / 1e5) }
}
