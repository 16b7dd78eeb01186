//! Ill-treats pescaia as a seed says, and looks from outside whether it kept its word. `torture sim` puts a simulated disk under the real
//! store; `torture proc` runs the real binary and kills, stops and starves it. How to run it: docs/faults.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tool: a panic is a red run, and it talks to people"
)]

mod args;
mod dice;
mod proc;
mod sim;

use args::Args;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let args = Args::read(words);
    let outcome = match mode.as_str() {
        "sim" => sim::run(&args),
        "proc" => proc::run(&args),
        _ => Err("usage: torture sim [--seed S] [--seeds N] | torture proc [--binary FILE] [--seed S] [--kills N | --minutes M] \
                  [--nemesis kill9,stop,term,eio,enospc,cut]"
            .to_owned()),
    };
    match outcome {
        Ok(said) => {
            println!("green: {said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("RED: {why}");
            ExitCode::FAILURE
        }
    }
}
