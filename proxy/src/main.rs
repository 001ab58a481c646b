//! `wharfd`: arguments, configuration, log, runtime, serve, exit code. The story, nothing else.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use wharf_proxy::{Config, ServeError, Server};

use cli::{Cli, Command, Serve};

/// The configuration cannot be run.
const EXIT_CONFIG: u8 = 2;
/// It could be run, but not here and now: port, store.
const EXIT_FAILED: u8 = 5;

fn main() -> ExitCode {
    let Cli { command: Command::Serve(serve) } = Cli::parse();
    cli::start_log(&serve);
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
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILED, &error),
    };
    match runtime.block_on(run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Config(error)) => fail(EXIT_CONFIG, &error),
        Err(error) => fail(EXIT_FAILED, &error),
    }
}

fn load(serve: Serve) -> Result<Config, wharf_proxy::ConfigError> {
    let file = serve.config.clone();
    Config::load(file.as_deref(), serve.into_overrides()?)
}

async fn run(config: &Config) -> Result<(), ServeError> {
    let server = Server::bind(config).await?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(stop_on_signal(stop));
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

/// Tells the server to drain at the first SIGTERM or SIGINT. At the second the process ends at once.
async fn stop_on_signal(stop: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be caught; stop with SIGKILL");
        return;
    };
    for last in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if last {
            std::process::exit(130);
        }
        tracing::info!("draining");
        stop.send_replace(true);
    }
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    cli::say(&format!("error: {error}"));
    ExitCode::from(code)
}
