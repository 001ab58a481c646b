//! The command line of `wharfd` as types.

pub(crate) mod access;
pub(crate) mod fd_limit;
pub(crate) mod malloc;
pub(crate) mod output;
pub(crate) mod push;
pub(crate) mod signals;
pub(crate) mod store;
pub(crate) mod tags;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wharf_proxy::observe::log::LogForm;
use wharf_proxy::{ByteSize, ConfigError, Listen, Overrides, UpstreamConfig};

use self::access::AccessArgs;
use self::push::PushArgs;
use self::store::StoreArgs;
use self::tags::TagsArgs;

/// A container registry, and a registry proxy in front of Azure Container Registry.
///
/// Pulls are served from a verified store, pushes go to the upstream, at once or behind. Exit codes: 0
/// done, or stopped as asked, 1 damage was found in a store, or an upstream refused what was pushed,
/// 2 usage or configuration, 3 a command on a store failed, 5 the port, the store or the audit log
/// cannot be used, 130 interrupted. SIGHUP reads the configuration again.
#[derive(Parser)]
#[command(name = "wharfd", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the registry API
    ///
    /// Others are asked through the proxies that `HTTPS_PROXY` and `HTTP_PROXY` name, except for hosts of
    /// `NO_PROXY`.
    Serve(Serve),
    /// Look into a store, scrub it, evict from it, back it up; also while wharfd serves from it
    Store(StoreArgs),
    /// Look at pushed blobs that wait for their upstream, give up what it refused
    Push(PushArgs),
    /// Allow a change of a write-once tag, while wharfd serves
    Tags(TagsArgs),
    /// Make tokens, and lines with hashed passwords
    Access(AccessArgs),
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Configuration file (TOML); options given here win over it
    #[arg(long, value_name = "FILE", env = "WHARFD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address for clients, IP:PORT or NAME:PORT; all addresses of a name [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR", env = "WHARFD_LISTEN")]
    listen: Option<Listen>,
    /// Address for /healthz, /readyz and /metrics; none when not given
    #[arg(long, value_name = "ADDR", env = "WHARFD_ADMIN")]
    admin: Option<Listen>,
    /// Folder of the store; made when it does not exist
    #[arg(long, value_name = "DIR", env = "WHARFD_STORE")]
    store: Option<PathBuf>,
    /// Most that the store may take on disk, such as 50GiB; cached blobs are evicted to stay under
    /// it, least recently used first [default: no limit]
    #[arg(long, value_name = "SIZE", env = "WHARFD_STORE_LIMIT")]
    store_limit: Option<ByteSize>,
    /// Read stored blobs in the background at this many bytes a second, such as 10MiB, and put what
    /// is damaged into quarantine; 0 is off [default: 0]
    #[arg(long, value_name = "SIZE", env = "WHARFD_SCRUB_RATE")]
    scrub_rate: Option<ByteSize>,
    /// For how many seconds a request is held at most before it is refused, over `hold_seconds` of [limits];
    /// 0 refuses at once [default: 45]
    #[arg(long, value_name = "SECONDS", env = "WHARFD_HOLD")]
    hold: Option<u64>,
    /// Registry to proxy, for all names or for those under PREFIX/; may be repeated. Without one,
    /// this is a registry of its own. Credentials: `WHARFD_UPSTREAM_USERNAME` and
    /// `WHARFD_UPSTREAM_PASSWORD`, or the configuration file
    #[arg(long = "upstream", value_name = "[PREFIX=]URL")]
    upstreams: Vec<String>,
    /// Let everyone who can reach an address that is not loopback pull and push, also over plain HTTP
    #[arg(long)]
    insecure_open: bool,
    /// Allow plain HTTP on addresses that are not loopback: passwords cross the network readable
    #[arg(long)]
    insecure_http: bool,
    /// Certificate that clients are shown, and those that lead to its authority (PEM); read again when
    /// it changes
    #[arg(long, value_name = "FILE", env = "WHARFD_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "WHARFD_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Form of the log on stderr
    #[arg(long, value_enum, default_value = "text", env = "WHARFD_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Serve {
    pub(crate) const fn log_form(&self) -> LogForm {
        match self.log_format {
            LogFormat::Text => LogForm::Text,
            LogFormat::Json => LogForm::Json,
        }
    }

    pub(crate) fn into_overrides(self) -> Result<Overrides, ConfigError> {
        let upstreams = self.upstreams.iter().map(|text| text.parse::<UpstreamConfig>());
        Ok(Overrides {
            listen: self.listen,
            admin: self.admin,
            store: self.store,
            store_limit: self.store_limit,
            scrub_rate: self.scrub_rate,
            hold_seconds: self.hold,
            upstreams: upstreams.collect::<Result<_, _>>()?,
            insecure_open: self.insecure_open,
            insecure_http: self.insecure_http,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
        })
    }
}
