//! `wharfd`: arguments, configuration, log, runtime, serve, exit code. The story, nothing else.

mod access_commands;
mod arenas;
mod cli;
mod open_files;
mod push_commands;
mod signals;
mod store_commands;
mod tag_commands;

use std::process::ExitCode;

use clap::Parser;
use wharf_proxy::{Config, ServeError, Server};

use cli::{Cli, Command, Serve};

/// The configuration cannot be run.
const EXIT_CONFIG: u8 = 2;
/// It could be run, but not here and now: port, store.
const EXIT_FAILED: u8 = 5;
/// Told to end before it was done.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    cli::start_log(&command);
    match command {
        Command::Serve(serve) => serve_until_told(serve),
        Command::Store(command) => store_commands::run(command),
        Command::Push(command) => push_commands::run(command),
        Command::Tags(command) => tag_commands::run(command),
        Command::Access(command) => access_commands::run(command),
    }
}

fn serve_until_told(serve: Serve) -> ExitCode {
    arenas::bound();
    open_files::raise();
    let check_only = serve.check_config;
    let config = match load(serve) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    if check_only {
        cli::say("the configuration is good");
        return ExitCode::SUCCESS;
    }
    tracing::debug!(?config, "effective configuration");
    match in_runtime(run(&config)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(ServeError::Config(error))) => fail(EXIT_CONFIG, &error),
        Ok(Err(error)) => fail(EXIT_FAILED, &error),
        Err(error) => fail(EXIT_FAILED, &error),
    }
}

/// Runs async work to its end.
fn in_runtime<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}

fn load(serve: Serve) -> Result<Config, wharf_proxy::ConfigError> {
    let file = serve.config.clone();
    Config::load(file.as_deref(), serve.into_overrides()?)
}

async fn run(config: &Config) -> Result<(), ServeError> {
    let stopped = signals::stop_on_signal().map_err(ServeError::Signals)?;
    let server = Server::bind(config).await?;
    for upstream in &config.upstreams {
        let prefix = upstream.prefix.as_ref().map_or_else(String::new, ToString::to_string);
        tracing::info!(upstream = %upstream.url, prefix, "upstream");
    }
    if let Some(address) = server.admin_address() {
        tracing::info!("admin on {address}");
    }
    if let Ok(address) = server.address() {
        tracing::info!("listening on {address}");
    }
    server.run(stopped).await;
    tracing::info!("stopped");
    Ok(())
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    cli::say(&format!("error: {error}"));
    ExitCode::from(code)
}
