//! `pescaia`: one binary from field hardware to a durable store, an API and pages. Roles are subcommands.

mod apply;
mod archive;
mod backup;
mod cli;
mod clock;
mod config;
mod control;
mod correct;
mod delete;
mod demo;
mod descriptors;
mod doctor;
mod history;
mod http;
mod import;
mod influx;
mod logs;
mod memory;
mod probe;
mod proposals;
mod quarantine;
mod reload;
mod run;
mod say;
mod serve;
mod target;
mod token;

use clap::Parser;
use std::process::ExitCode;

/// Exit code for a wrong configuration or network file, as in sysexits.h.
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if matches!(cli.command, cli::Command::Demo(_) | cli::Command::Run { .. }) {
        memory::share_heaps();
    }
    let log = logs::start(cli.log_json);
    let outcome = dispatch(cli.command, &log);
    // What it said comes before the last word.
    log.flush();
    match outcome {
        Ok(code) => code,
        Err(cause) => match cause.downcast::<say::Complaints>() {
            Ok(complaints) => {
                say::error(&complaints.to_string());
                ExitCode::from(CONFIG)
            }
            Err(cause) => {
                say::error(&format!("pescaia: {cause:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn dispatch(command: cli::Command, log: &logs::Log) -> anyhow::Result<ExitCode> {
    use cli::{Command, NetworkCommand, PasswordCommand, ProbeCommand, ProposalsCommand, QuarantineCommand, TokenCommand};
    use control::Request;
    match command {
        Command::Demo(options) => async_main(demo::demo(options, log))?,
        Command::Run { config } => async_main(run::run(&config, log))?,
        Command::Doctor { data: Some(data), .. } => return doctor::of_store(&data),
        Command::Doctor { config, data: None, print_config } => return doctor::doctor(config.as_deref(), print_config),
        Command::Network { command: NetworkCommand::Apply { files, dry_run, all, why, at } } => {
            apply::apply(&files, dry_run, all, why, &at)?
        }
        Command::Import { file, pattern, datastream, dry_run, keep_days, refused, at } => {
            if file.is_dir() {
                archive::import_all_command(&file, keep_days, &at)?;
                return Ok(ExitCode::SUCCESS);
            }
            if file.extension().is_some_and(|ending| ending == "parquet") {
                archive::bring_back_command(&file, keep_days, &at)?;
                return Ok(ExitCode::SUCCESS);
            }
            let (pattern, datastream) = (pattern.as_deref(), datastream.as_deref());
            import::Import { file: &file, pattern, datastream, refused, dry_run, at: &at }.run()?;
        }
        Command::Export { all: Some(dir), at, .. } => archive::export_all_command(&dir, &at)?,
        Command::Export { datastream, from, to, as_of, italian, out, at, all: None } => {
            let datastream = datastream.unwrap_or_default();
            import::export_command(history::ExportOrder { datastream, from, to, italian, as_of }, out.as_deref(), &at)?;
        }
        Command::Backup { file, at } => backup::backup_command(&file, &at)?,
        Command::Restore { file, at } => backup::restore_command(&file, &at)?,
        Command::Verify(options) => backup::verify_command(&options)?,
        Command::Quarantine { command } => match command {
            QuarantineCommand::List { choice, at } => quarantine::command(&Request::QuarantineList(choice), &at)?,
            QuarantineCommand::Show { number, at } => quarantine::command(&Request::QuarantineShow { number }, &at)?,
            QuarantineCommand::Replay { order, at } => quarantine::command(&Request::QuarantineReplay(order), &at)?,
        },
        Command::Network { command: NetworkCommand::Adopted { at } } => quarantine::command(&Request::Adopted, &at)?,
        Command::Proposals { command: ProposalsCommand::List { at } } => quarantine::command(&Request::Proposals, &at)?,
        Command::Proposals { command: ProposalsCommand::Adopt { order, at } } => quarantine::command(&Request::Adopt(order), &at)?,
        Command::Probe { command: ProbeCommand::Modbus(options) } => async_main(probe::modbus(options))?,
        Command::Correct { order, at } => quarantine::command(&Request::Correct(order.signed()), &at)?,
        Command::Delete { order, at } => quarantine::command(&Request::Delete(order.signed()), &at)?,
        Command::Archive { now, check, at } => archive::archive_command(now, check, &at)?,
        Command::Influx { again, at } => quarantine::command(&Request::Influx { again }, &at)?,
        Command::Clock { at, .. } => quarantine::command(&Request::ClockTrust, &at)?,
        Command::Audit { at } => quarantine::command(&Request::Audit, &at)?,
        Command::Redecode { order, at } => quarantine::command(&Request::Redecode(order), &at)?,
        Command::Ledger { order, at } => quarantine::command(&Request::Ledger(order), &at)?,
        Command::Token { command: TokenCommand::New { owner, scope, at } } => token::new(&owner, &scope, &at)?,
        Command::Password { command: PasswordCommand::Hash } => token::hash_password()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn async_main(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
