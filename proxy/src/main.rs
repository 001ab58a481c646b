//! `wharfd`: arguments, configuration, log, runtime, serve, exit code. The story, nothing else.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::sync::watch;
use wharf_proxy::observe::log;
use wharf_proxy::observe::traces::{Collector, Traces};
use wharf_proxy::{ConfigSource, LoadedConfig, ServeError, Server, Signals};

use cli::{Cli, Command, Serve, output};

/// The configuration cannot be used.
const EXIT_CONFIG: u8 = 2;
/// The configuration is valid, but the port or the store is not usable.
const EXIT_FAILED: u8 = 5;
/// Ended by a signal before the work was done.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // Before any thread or file exists: each file made here, by RocksDB too, is its owner's alone.
    umask(Mode::RWXG | Mode::RWXO);
    let Cli { command } = Cli::try_parse().unwrap_or_else(|error| output::refuse(&error));
    match command {
        Command::Serve(serve) => serve_until_told(serve),
        Command::Store(command) => {
            output::start_log_of_command();
            cli::store::run(command)
        }
        Command::Push(command) => {
            output::start_log_of_command();
            cli::push::run(command)
        }
        Command::Tags(command) => {
            output::start_log_of_command();
            cli::tags::run(command)
        }
        Command::Access(command) => {
            output::start_log_of_command();
            cli::access::run(command)
        }
    }
}

fn serve_until_told(serve: Serve) -> ExitCode {
    cli::malloc::bound();
    cli::fd_limit::raise();
    let (check_only, form) = (serve.check_config, serve.log_form());
    let (source, loaded) = match load(serve) {
        Ok(loaded) => loaded,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    if check_only {
        output::start_log_of_command();
        loaded.config.announce();
        output::say("the configuration is good");
        return ExitCode::SUCCESS;
    }
    let (traces, collector) = match Traces::prepare(&loaded.config.telemetry) {
        Ok(prepared) => prepared.unzip(),
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    log::start(form, "info", traces);
    tracing::debug!(config = ?loaded.config, "effective configuration");
    match in_runtime(run(source, loaded, collector)) {
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

fn load(serve: Serve) -> Result<(ConfigSource, LoadedConfig), wharf_proxy::ConfigError> {
    let file = serve.config.clone();
    let source = ConfigSource::new(file, serve.into_overrides()?);
    let loaded = source.load()?;
    Ok((source, loaded))
}

async fn run(
    source: ConfigSource,
    loaded: LoadedConfig,
    collector: Option<Collector>,
) -> Result<(), ServeError> {
    let stop = cli::signals::stop_on_signal().map_err(ServeError::Signals)?;
    let reload = cli::signals::reload_on_signal().map_err(ServeError::Signals)?;
    let server = Server::bind(&loaded.config).await?;
    let (over, is_over) = watch::channel(false);
    let collecting = collector.map(|collector| tokio::spawn(collector.run(is_over)));
    loaded.config.announce();
    for upstream in &loaded.config.upstreams {
        let prefix = upstream.prefix.as_ref().map_or_else(String::new, ToString::to_string);
        tracing::info!(upstream = %upstream.url, prefix, "upstream");
    }
    for address in server.admin_addresses() {
        tracing::info!("admin on {address}");
    }
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    server.run(Signals { stop, reload, source, loaded }).await;
    over.send_replace(true);
    if let Some(collecting) = collecting {
        let _ = collecting.await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Prints the error with its causes, each once.
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    output::say(&format!("error: {text}"));
    ExitCode::from(code)
}
