//! `acr-double`: the ACR double as a program, for scripts and for clients in other processes.
//!
//! When both ports are bound it prints one line of JSON with their addresses; it ends on SIGTERM or
//! SIGINT. Counts and faults are at `/_double/` on the registry's port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use wharf_testkit::double::{Account, AcrDouble, DoubleConfig, Habits};

/// Stands before an OCI registry and gives it the habits of Azure Container Registry.
#[derive(Parser)]
#[command(name = "acr-double")]
struct Arguments {
    /// Where the registry listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the storage listens that blobs are redirected to.
    #[arg(long, default_value = "127.0.0.1:0")]
    storage_listen: SocketAddr,
    /// HOST:PORT of the storage in redirects, when clients reach it by another name.
    #[arg(long)]
    storage_public: Option<String>,
    /// The registry behind, http://HOST:PORT.
    #[arg(long)]
    backing: String,
    /// The user that may do everything.
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// Its password.
    #[arg(long, env = "ACR_DOUBLE_PASSWORD", hide_env_values = true, requires = "username")]
    password: Option<String>,
    /// A user that may only pull, USER:PASSWORD. Repeatable.
    #[arg(long, value_parser = parse_reader)]
    reader: Vec<Account>,
    /// The Entra token that /oauth2/exchange accepts.
    #[arg(long)]
    aad_token: Option<String>,
    /// Callers without credentials get tokens for pulling.
    #[arg(long)]
    anonymous_pull: bool,
    /// Older Locations of an upload keep working.
    #[arg(long)]
    lenient_location: bool,
    /// Uploads with Transfer-Encoding: chunked are taken.
    #[arg(long)]
    accept_chunked: bool,
    /// The largest body of the PUT that ends an upload, in bytes; 0 for no limit.
    #[arg(long, default_value_t = 20 * 1024 * 1024)]
    put_bytes_max: u64,
    /// The largest chunk of an upload, in bytes; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    patch_bytes_max: u64,
    /// Names in one page of a list.
    #[arg(long, default_value_t = 100)]
    page_size: usize,
    /// How long an access token holds, in seconds.
    #[arg(long, default_value_t = 75 * 60)]
    access_token_life_s: u64,
    /// How long a link to the storage holds, in seconds.
    #[arg(long, default_value_t = 20 * 60)]
    link_life_s: u64,
}

fn parse_reader(text: &str) -> Result<Account, String> {
    let (username, password) = text.split_once(':').ok_or("write it as USER:PASSWORD")?;
    Ok(Account::reader(username, password))
}

impl Arguments {
    fn into_config(self) -> DoubleConfig {
        let admin = self.username.zip(self.password);
        let admin = admin.map(|(username, password)| Account::admin(username, password));
        DoubleConfig {
            listen: self.listen,
            storage_listen: self.storage_listen,
            storage_public: self.storage_public,
            accounts: admin.into_iter().chain(self.reader).collect(),
            aad_token: self.aad_token,
            anonymous_pull: self.anonymous_pull,
            habits: Habits {
                strict_location: !self.lenient_location,
                refuse_chunked: !self.accept_chunked,
                put_bytes_max: Some(self.put_bytes_max).filter(|bytes| *bytes > 0),
                patch_bytes_max: Some(self.patch_bytes_max).filter(|bytes| *bytes > 0),
                page_size: self.page_size.max(1),
                access_token_life: Duration::from_secs(self.access_token_life_s),
                link_life: Duration::from_secs(self.link_life_s),
                ..Habits::default()
            },
            ..DoubleConfig::new(self.backing)
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Listening for signals first: a stop that comes as soon as the line is out is not missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let double = AcrDouble::start(Arguments::parse().into_config()).await?;
    announce(&double);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    double.stop().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "scripts read the addresses from this line")]
fn announce(double: &AcrDouble) {
    let line = serde_json::json!({
        "addr": double.addr().to_string(),
        "storage_addr": double.storage_addr().to_string(),
        "url": double.url(),
        "pid": std::process::id(),
    });
    println!("{line}");
}
