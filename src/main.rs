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
mod headers;
mod history;
mod http;
mod import;
mod influx;
mod logs;
mod memory;
mod outgoing;
mod probe;
mod proposals;
mod quarantine;
mod reload;
mod run;
mod say;
mod serve;
mod shown;
mod stopping;
mod target;
mod token;

use clap::Parser;
use std::process::ExitCode;

/// Exit code for a wrong configuration or network file, as in sysexits.h.
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    stopping::hold_back();
    let cli = cli::Cli::parse();
    let is_service = matches!(cli.command, cli::Command::Demo(_) | cli::Command::Run { .. });
    if is_service {
        memory::share_heaps();
        // What the service writes is its own user's alone.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    }
    let log = logs::start(cli.log_json);
    let done = match is_service {
        true => serve_until_asked(cli.command, &log),
        false => {
            stopping::let_come();
            dispatch(cli.command, &log)
        }
    };
    // What it said comes before the last word.
    log.flush();
    match done {
        Ok(code) => code,
        Err(cause) => failed(cause),
    }
}

/// Says what went wrong; the exit code for it.
fn failed(cause: anyhow::Error) -> ExitCode {
    let cause = match cause.downcast::<say::Complaints>() {
        Ok(complaints) => {
            complaints.say();
            return ExitCode::from(CONFIG);
        }
        Err(cause) => cause,
    };
    match cause.downcast::<say::Failures>() {
        Ok(failures) => failures.0.iter().for_each(|line| say::error(&format!("pescaia: {line}"))),
        Err(cause) => say::error(&format!("pescaia: {cause:#}")),
    }
    ExitCode::FAILURE
}

/// A role that goes on until a signal ends it.
fn serve_until_asked(command: cli::Command, log: &logs::Log) -> anyhow::Result<ExitCode> {
    let stopping = stopping::Stopping::listen()?;
    stopping::let_come();
    match command {
        cli::Command::Demo(options) => async_main(demo::demo(options, log, &stopping))?,
        cli::Command::Run { config } => async_main(run::run(&config, log, &stopping))?,
        other => return dispatch(other, log),
    }
    Ok(ExitCode::SUCCESS)
}

fn dispatch(command: cli::Command, log: &logs::Log) -> anyhow::Result<ExitCode> {
    use cli::{Command, NetworkCommand, PasswordCommand, ProbeCommand, ProposalsCommand, QuarantineCommand, TokenCommand};
    use control::Request;
    match command {
        Command::Demo(_) | Command::Run { .. } => return serve_until_asked(command, log),
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
            return import::Import { file: &file, pattern, datastream, refused, dry_run, at: &at }.run();
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
        Command::Proposals { command: ProposalsCommand::Adopt { order, at } } => quarantine::command(&Request::Adopt(order.signed()), &at)?,
        Command::Probe { command: ProbeCommand::Modbus(options) } => async_main(probe::modbus(options))?,
        Command::Correct { order, at } => quarantine::command(&Request::Correct(order.signed()), &at)?,
        Command::Delete { order, at } => quarantine::command(&Request::Delete(order.signed()), &at)?,
        Command::Archive { now, check, at } => archive::archive_command(now, check, &at)?,
        Command::Influx { again, at } => quarantine::command(&Request::Influx { again }, &at)?,
        Command::Clock { at, .. } => quarantine::command(&Request::ClockTrust, &at)?,
        Command::Audit { at } => quarantine::command(&Request::Audit, &at)?,
        Command::Redecode { order, at } => quarantine::command(&Request::Redecode(order), &at)?,
        Command::Ledger { order, at } => quarantine::command(&Request::Ledger(order), &at)?,
        Command::Token { command: TokenCommand::New { owner, scope, expires, at } } => token::new(&owner, &scope, expires, &at)?,
        Command::Token { command: TokenCommand::List { json, at } } => token::list(json, &at)?,
        Command::Token { command: TokenCommand::Revoke { id, at } } => token::revoke(&id, &at)?,
        Command::Password { command: PasswordCommand::Hash } => token::hash_password()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn async_main(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // What still computes is given up with the process: nobody waits for it any more, and what was acknowledged is on disk.
    runtime.shutdown_background();
    done
}
