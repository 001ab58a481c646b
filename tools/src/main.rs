//! `wharf`, from the command line to the exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Runtime;
use wharf_tools::cli::{Cli, Command};
use wharf_tools::commands::{self, Context};
use wharf_tools::exit::Exit;
use wharf_tools::output::Output;

fn main() -> ExitCode {
    // clap prints help and errors itself, and uses 2 for wrong command lines as we do.
    let cli = Cli::parse();
    let context = Context::new(cli.global);
    let ended = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.spawn(end_on_interrupt(context.output.clone()));
        run(&cli.command, &context, &runtime)
    });
    let exit = ended.unwrap_or_else(|error| report(&error, &context));
    ExitCode::from(exit.code())
}

/// Runs the command until it ends.
fn run(command: &Command, context: &Context, runtime: &Runtime) -> anyhow::Result<Exit> {
    match command {
        Command::Verify(args) => commands::verify::run(args, context),
        Command::Offer { command } => commands::offer::run(command, context),
        Command::Rules(args) => commands::rules::run(args, context),
        Command::Package(args) => commands::package::run(args, context),
        Command::Push(args) => runtime.block_on(commands::push::run(args, context)),
        Command::Promote { command } => runtime.block_on(commands::promote::run(command, context)),
    }
}

/// Ends the program when the user asks for it. What commands keep on disk is whole at any moment, so
/// there is nothing to wait for.
async fn end_on_interrupt(output: Output) {
    if tokio::signal::ctrl_c().await.is_ok() {
        output.failure("interrupted", Exit::Interrupted.hint());
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

/// Says why the command failed, outermost reason first.
fn report(error: &anyhow::Error, context: &Context) -> Exit {
    let exit = Exit::of(error.as_ref());
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // A reason that the one before it already holds is not said twice.
        if message.contains(&cause) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&cause);
    }
    context.output.failure(&message, exit.hint());
    exit
}
