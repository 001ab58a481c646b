//! `wharf`, from the command line to the exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wharf_tools::cli::{Cli, Command};
use wharf_tools::commands::{self, Context, GoingOn};
use wharf_tools::exit::Exit;
use wharf_tools::logins;
use wharf_tools::output::Output;
use wharf_tools::temporary;
use wharf_tools::usage::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::of_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let context = Context::new(cli.global);
    let name = cli.command.name();
    if arguments.has_login() {
        let message = format!("an argument holds a login and is not shown; {}", logins::ADVICE);
        context.output.end(name, &message, None, Exit::Usage);
        return ExitCode::from(Exit::Usage.code());
    }
    let ended = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let (output, going_on) = (context.output.clone(), context.going_on.clone());
        runtime.spawn(end_on_interrupt(name, output, going_on));
        run(&cli.command, &context, &runtime)
    });
    let exit = ended.unwrap_or_else(|error| report(&error, name, &context));
    ExitCode::from(exit.code())
}

/// The errors of clap about a command line, and its output for `--help`. It uses 2 as we do.
fn refuse(error: &clap::Error, arguments: &Arguments) -> ExitCode {
    let text = error.render();
    if !error.use_stderr() || arguments.hide_in(&text.to_string()) == text.to_string() {
        // A closed stream is no other reason.
        let _ = error.print();
    } else {
        let _ = writeln!(io::stderr(), "{}", arguments.hide_in(text.to_string().trim_end()));
    }
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if arguments.want_json() {
        let _ = io::stdout().write_all(arguments.refusal_json(error).as_bytes());
    }
    ExitCode::from(Exit::Usage.code())
}

/// Runs the command until it ends.
fn run(command: &Command, context: &Context, runtime: &Runtime) -> anyhow::Result<Exit> {
    // Synchronous commands wait for registries through this runtime.
    let _entered = runtime.enter();
    match command {
        Command::Verify(args) => commands::verify::run(args, context),
        Command::Offer { command } => commands::offer::run(command, context),
        Command::Diff(args) => commands::diff::run(args, context),
        Command::Tags(args) => commands::tags::run(args, context),
        Command::Rules(args) => commands::rules::run(args, context),
        Command::Package(args) => commands::package::run(args, context),
        Command::Push(args) => runtime.block_on(commands::push::run(args, context)),
        Command::Promote { command } => runtime.block_on(commands::promote::run(command, context)),
    }
}

/// Ends the program on a signal. The finished files of commands are whole at any moment; the
/// unfinished ones go. A second signal does not wait for their removal.
async fn end_on_interrupt(command: &'static str, output: Output, going_on: GoingOn) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    asked(&mut interrupt, &mut terminate).await;
    let (tell, removed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        temporary::remove_all();
        let _ = tell.send(());
    });
    tokio::select! {
        _ = removed => {}
        () = asked(&mut interrupt, &mut terminate) => {}
    }
    commands::offer::leave_questions();
    output.end(command, "interrupted", going_on.told().as_deref(), Exit::Interrupted);
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

async fn asked(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Says why the command failed, outermost reason first.
fn report(error: &anyhow::Error, command: &str, context: &Context) -> Exit {
    let exit = Exit::of(error.as_ref());
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // A reason contained in the one before it is not repeated.
        if message.contains(&cause) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&cause);
    }
    context.output.end(command, &message, exit.hint_for(error.as_ref()), exit);
    exit
}
