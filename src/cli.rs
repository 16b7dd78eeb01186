//! The command line.

use crate::correct::CorrectOrder;
use crate::delete::DeleteOrder;
use crate::probe::ModbusOptions;
use crate::proposals::AdoptOrder;
use crate::quarantine::{Choice, LedgerOrder, RedecodeOrder, ReplayOrder};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Telemetry from field hardware into a durable time-series store, served to people and programs.
#[derive(Debug, Parser)]
#[command(name = "pescaia", version, about, after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 78 wrong configuration.")]
pub(crate) struct Cli {
    /// Log lines as JSON
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A river in flood on this machine: simulated field devices against the real doors
    #[command(after_help = "Example:\n  pescaia demo --data /tmp/pescaia-demo --http 127.0.0.1:8080")]
    Demo(DemoOptions),
    /// The service
    #[command(after_help = "Example:\n  pescaia run --config /etc/pescaia/pescaia.toml")]
    Run {
        #[arg(long)]
        config: PathBuf,
    },
    /// Checks configuration, networks, ports, disk and store, and says in plain words what to mend
    #[command(after_help = "Examples:\n  pescaia doctor --config pescaia.toml\n  pescaia doctor --data /var/lib/pescaia")]
    Doctor {
        #[arg(long)]
        config: Option<PathBuf>,
        /// Only the disk and the store in this directory
        #[arg(long, conflicts_with = "config")]
        data: Option<PathBuf>,
        /// Prints the configuration file with all defaults, to start one from
        #[arg(long)]
        print_config: bool,
    },
    /// What stands in the field
    Network {
        #[command(subcommand)]
        command: NetworkCommand,
    },
    /// History from a CSV file, or a month that was put away; what can't be taken is listed with its line, the rest goes in
    #[command(after_help = "Examples:\n  pescaia import 2014.csv --pattern 2014.toml --config pescaia.toml --dry-run\n  \
                            pescaia import exported.csv --datastream empoli-level --data /var/lib/pescaia\n  \
                            pescaia import per-excel.csv --pattern italian --datastream empoli-level --data /var/lib/pescaia\n\n\
                            A pattern says what the file looks like; docs/guida/storico.md explains it, demo/patterns has examples.\n\
                            Exit codes: 0 all rows were taken or there already, 3 some were refused, 1 all, 78 the pattern does not fit the file.")]
    Import {
        /// The CSV file, a month's .parquet, or the directory of pescaia export --all; - reads CSV from the standard input
        file: PathBuf,
        /// What the CSV file looks like: a file, or export or italian for what pescaia export wrote
        #[arg(long)]
        pattern: Option<PathBuf>,
        /// The datastream that the pattern's one column feeds; without a pattern the file is one that pescaia export wrote
        #[arg(long)]
        datastream: Option<String>,
        /// Shows what it understood, and writes nothing
        #[arg(long)]
        dry_run: bool,
        /// For how many days a month that is brought back stays, whatever keep_months says
        #[arg(long, default_value_t = 30)]
        keep_days: u32,
        /// Where refused rows are kept with their reasons, beside the file when left out; a file that is there is left as it is
        #[arg(long)]
        refused: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// Observations of a datastream as CSV; or everything, as Parquet and JSON
    #[command(
        after_help = "Examples:\n  pescaia export empoli-level --from 2014-01-01T00:00:00+01:00 --out empoli.csv --config pescaia.toml\n  \
                      pescaia export --all /mnt/tutto --config pescaia.toml, and back: pescaia import /mnt/tutto --data DIR"
    )]
    Export {
        /// Its id, as in the network file
        #[arg(required_unless_present = "all")]
        datastream: Option<String>,
        /// Everything into a new directory: a Parquet file for each month, and pescaia.json; the latter holds hashes of passwords
        #[arg(long, value_name = "DIR", conflicts_with_all = ["datastream", "from", "to", "as_of", "italian", "out"])]
        all: Option<PathBuf>,
        /// RFC 3339 with an offset, included; from the first one when left out
        #[arg(long)]
        from: Option<String>,
        /// RFC 3339 with an offset, excluded; to the last one when left out
        #[arg(long)]
        to: Option<String>,
        /// As it was served at this moment, whatever was revised or received since; RFC 3339 with an offset
        #[arg(long)]
        as_of: Option<String>,
        /// Semicolons and decimal commas, for Italian spreadsheets
        #[arg(long)]
        italian: bool,
        /// The standard output when left out, or -
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// The whole store into one file, beside the running instance or without one; read back before it counts
    #[command(after_help = "Example, every night:\n  pescaia backup /mnt/backup/pescaia-$(date +%F).db --config pescaia.toml\n\n\
                            The file holds hashes of passwords and what is private: it is readable by its owner only. The configuration and\n\
                            the keys of TLS are not in it. A plain copy of a running store's directory is no backup.")]
    Backup {
        /// A new file
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// A backup into an empty directory, or into the running instance, which then has what both have
    #[command(after_help = "Examples:\n  pescaia restore /mnt/backup/pescaia-2026-11-23.db --data /var/lib/pescaia\n\n\
                            Where the backup and the store hold different values for one time, the one that came later is served and the\n\
                            other is kept.")]
    Restore {
        /// What pescaia backup wrote
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Reads every byte of a store, or of a backup, and says whether it is as it was written; beside a running instance too
    #[command(after_help = "Examples:\n  pescaia verify --config pescaia.toml\n  pescaia verify /mnt/backup/pescaia-2026-11-23.db\n\n\
                            Exit code 1 when something is damaged; it is named.")]
    Verify(VerifyOptions),
    /// What could not be taken: why, and how to take it once that is mended
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// What became of everything that each device sent, by civil day: received = accepted + duplicates + revised + quarantined
    #[command(after_help = "Example:\n  pescaia ledger --from 2026-11-01 --device empoli-gauge --config pescaia.toml")]
    Ledger {
        #[command(flatten)]
        order: LedgerOrder,
        #[command(flatten)]
        at: At,
    },
    /// Reads the raw payloads of a device again, after its layout was mended
    #[command(after_help = "Example:\n  pescaia redecode sonda-7 --owner acque --from 2026-11-01 --dry-run --config pescaia.toml")]
    Redecode {
        #[command(flatten)]
        order: RedecodeOrder,
        #[command(flatten)]
        at: At,
    },
    /// Corrects a wrong factor or zero over an interval; the old values are kept, and it can be taken back
    #[command(
        after_help = "Examples:\n  pescaia correct empoli-level --from 2026-11-01T00:00:00+01:00 --factor 0.01 --why \"sent in cm\" --dry-run --config pescaia.toml\n  \
                            pescaia correct --undo 3 --why \"the sensor was right\" --config pescaia.toml"
    )]
    Correct {
        #[command(flatten)]
        order: CorrectOrder,
        #[command(flatten)]
        at: At,
    },
    /// Deletes observations for good; shows what would go until --yes is added
    #[command(
        after_help = "Examples:\n  pescaia delete empoli-level --from 2026-11-01T00:00:00+01:00 --to 2026-11-02T00:00:00+01:00 --why \"sensor on the bench\" --config pescaia.toml\n  \
                            pescaia delete --device contatore-17 --owner acque --why \"erasure asked for by its customer\" --yes --config pescaia.toml\n\n\
                            A wrong value is better corrected (pescaia correct), which keeps what it was. What was deleted stays deleted after a restore."
    )]
    Delete {
        #[command(flatten)]
        order: DeleteOrder,
        #[command(flatten)]
        at: At,
    },
    /// Who changed what, when and why
    Audit {
        #[command(flatten)]
        at: At,
    },
    /// Says that this machine's clock is right although something was committed at a later time: it was ahead then
    #[command(after_help = "Example:\n  pescaia clock --trust --config pescaia.toml\n\n\
                            A clock that lies before the last commit is not believed: what comes waits in the quarantine. /readyz says so.")]
    Clock {
        /// It is right as it is now
        #[arg(long, required = true)]
        trust: bool,
        #[command(flatten)]
        at: At,
    },
    /// How the way to an InfluxDB is ([influx] in the configuration), and what it refused
    Influx {
        /// Writes everything there once more, e.g. into an emptied bucket
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        at: At,
    },
    /// The months that are over, as Parquet files that any program reads: which there are, and what lies only in them
    #[command(
        after_help = "They lie in the data directory, parquet/month=YYYY-MM/observations.parquet. keep_months in the network file says how\n\
                            many months an owner, or a datastream, wants in the store; what is older stays in its file and comes back with:\n  \
                            pescaia import …/month=2024-03/observations.parquet --config pescaia.toml"
    )]
    Archive {
        /// Writes what is missing and makes room at once, instead of within the hour
        #[arg(long)]
        now: bool,
        /// Reads every byte of the months' files
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        at: At,
    },
    /// Unknown channels of known owners, with what can be guessed of them
    Proposals {
        #[command(subcommand)]
        command: ProposalsCommand,
    },
    /// Looks at a device in the field, and only looks
    Probe {
        #[command(subcommand)]
        command: ProbeCommand,
    },
    /// Tokens for programs
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Passwords of devices
    Password {
        #[command(subcommand)]
        command: PasswordCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Where the store lies; started again on the same directory it goes on where it was
    #[arg(long, default_value = "pescaia-demo")]
    pub(crate) data: PathBuf,
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:1883")]
    pub(crate) mqtt: SocketAddr,
    /// Lets MQTT listen beyond this machine although passwords go unencrypted
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
    /// Everything but the simulated devices
    #[arg(long)]
    pub(crate) no_field: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Makes the registry what the files say, TOML or a table in CSV; twice the same changes nothing
    #[command(after_help = "Example:\n  pescaia network apply network.toml --config pescaia.toml --dry-run")]
    Apply {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Shows what would change, and changes nothing
        #[arg(long)]
        dry_run: bool,
        /// Tells every change, however many
        #[arg(long)]
        all: bool,
        /// Why, for those who look back: kept with the former description
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        at: At,
    },
    /// Prints what was adopted from proposals, as a network file to go on with
    Adopted {
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// What is wrong, by device, reason and channel
    List {
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        at: At,
    },
    /// One message with its reasons and every byte
    Show {
        number: u64,
        #[command(flatten)]
        at: At,
    },
    /// Reads messages again as the network stands now; what can be taken goes into the store
    #[command(after_help = "Examples:\n  pescaia quarantine replay --device empoli-gauge --dry-run --config pescaia.toml\n  \
                            pescaia quarantine replay --reason future-time --device logger-7 --shift -365d --config pescaia.toml")]
    Replay {
        #[command(flatten)]
        order: ReplayOrder,
        #[command(flatten)]
        at: At,
    },
}

#[expect(clippy::large_enum_variant, reason = "there is one in a process, and it is made once")]
#[derive(Debug, Subcommand)]
pub(crate) enum ProposalsCommand {
    /// What waits, and what it looks like
    List {
        #[command(flatten)]
        at: At,
    },
    /// Makes one a datastream and takes what waited
    #[command(
        after_help = "Example:\n  pescaia proposals adopt a84041ffff1f8020 livello --owner acque --station empoli --config pescaia.toml"
    )]
    Adopt {
        #[command(flatten)]
        order: AdoptOrder,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Shows each register of a Modbus device in every order side by side, over several samples
    #[command(after_help = "Examples:\n  pescaia probe modbus 10.20.4.15:502 --unit 246 --space input --from 100 --to 110\n  \
                            pescaia probe modbus /dev/ttyUSB0 --baud 9600 --parity even --write contatore.toml")]
    Modbus(ModbusOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Makes a token and prints it, this once
    #[command(after_help = "Example:\n  pescaia token new --owner medio-valdarno --scope ingest --scope read --config pescaia.toml")]
    New {
        #[arg(long)]
        owner: String,
        /// ingest, read, manage or audit; may be given several times
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// For how long it holds, e.g. 90d or 12h, or until when, e.g. 2027-01-31T00:00:00Z; for ever when left out
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Every token without its secret: whose, for what, since when, until when, used when last
    List {
        /// As lines of JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Revokes a token for good, at once and on every door
    #[command(after_help = "Example:\n  pescaia token revoke 1f3a9c02 --config pescaia.toml")]
    Revoke {
        /// As the list shows it: what stands between the two underscores of the token
        id: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Reads a password from the standard input and prints the password_hash for a network file
    Hash,
}

/// Which store: one of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct At {
    /// The data directory
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// The configuration that names the data directory
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
}

/// What is read: one of the three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct VerifyOptions {
    /// A backup
    file: Option<PathBuf>,
    /// The data directory
    #[arg(long)]
    data: Option<PathBuf>,
    /// The configuration that names the data directory
    #[arg(long)]
    config: Option<PathBuf>,
}

impl VerifyOptions {
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn database(&self) -> Result<PathBuf, crate::say::Complaints> {
        let at = At { data: self.data.clone(), config: self.config.clone() };
        self.file.clone().map_or_else(|| Ok(at.data_dir()?.join("store.db")), Ok)
    }
}

impl At {
    /// The network files that the configuration names, where there is one: a start applies them.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn networks(&self) -> Result<Vec<PathBuf>, crate::say::Complaints> {
        self.config.as_ref().map_or_else(|| Ok(Vec::new()), |config| Ok(crate::config::Config::read(config)?.networks))
    }

    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, crate::say::Complaints> {
        match (&self.data, &self.config) {
            (Some(data), _) => Ok(data.clone()),
            (None, Some(config)) => Ok(crate::config::Config::read(config)?.data_dir),
            (None, None) => Ok(crate::config::Config::default().data_dir),
        }
    }
}
