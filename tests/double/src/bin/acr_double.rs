//! `acr-double`: the ACR double as a program, for scripts and for clients in other processes.
//!
//! When both ports are bound it prints one line of JSON with their addresses; it ends on SIGTERM or
//! SIGINT. Counts and faults are at `/_double/` on the registry's port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use wharf_double::{
    Account, AcrDouble, DoubleConfig, Habits, Lag, Quota, Quotas, Redirects, Referrers,
};

/// Stands before an OCI registry and gives it the habits of Azure Container Registry.
#[derive(Parser)]
#[command(name = "acr-double")]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit to be switched on")]
struct Arguments {
    /// Where the registry listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the storage listens that blobs are redirected to.
    #[arg(long, default_value = "127.0.0.1:0")]
    storage_listen: SocketAddr,
    /// Where the other host listens that faults redirect to.
    #[arg(long, default_value = "127.0.0.2:0")]
    elsewhere_listen: SocketAddr,
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
    /// A user that may pull from some repositories only, USER:PASSWORD:REPOSITORY,REPOSITORY; from
    /// none when none is named. Repeatable.
    #[arg(long, value_parser = parse_limited)]
    limited_reader: Vec<Account>,
    /// The Entra token that /oauth2/exchange accepts.
    #[arg(long)]
    aad_token: Option<String>,
    /// Callers without credentials get tokens for pulling.
    #[arg(long)]
    anonymous_pull: bool,
    #[command(flatten)]
    uploads: UploadHabits,
    #[command(flatten)]
    reads: ReadHabits,
    #[command(flatten)]
    limits: LimitHabits,
    /// Basic credentials open the token endpoints only.
    #[arg(long)]
    no_basic_credentials: bool,
    /// Basic credentials are all that opens the registry.
    #[arg(long)]
    basic_only: bool,
    /// Access tokens cannot be read.
    #[arg(long)]
    opaque_tokens: bool,
    /// A user name that ends with a newline is an unknown one, not a 500.
    #[arg(long)]
    accept_newline_user: bool,
    /// How long an access token holds, in seconds.
    #[arg(long, default_value_t = 75 * 60)]
    access_token_life_s: u64,
    /// How long a refresh token holds, in seconds.
    #[arg(long, default_value_t = 3 * 60 * 60)]
    refresh_token_life_s: u64,
}

/// How uploads are taken.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct UploadHabits {
    /// Older Locations of an upload keep working.
    #[arg(long)]
    lenient_location: bool,
    /// Uploads with Transfer-Encoding: chunked are taken.
    #[arg(long)]
    accept_chunked: bool,
    /// Content-Range is taken in the form of RFC 9110 too.
    #[arg(long)]
    lenient_content_range: bool,
    /// The largest body of the PUT that ends an upload, in bytes; 0 for no limit.
    #[arg(long, default_value_t = 20 * 1024 * 1024)]
    put_bytes_max: u64,
    /// The largest chunk of an upload, in bytes; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    patch_bytes_max: u64,
    /// The connection of a larger PUT or PATCH closes after so many bytes; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    close_bytes_max: u64,
    /// Bytes of the shortest chunk before the last one; 0 for any.
    #[arg(long, default_value_t = 0)]
    chunk_bytes_min: u64,
    /// Ends an upload only by the algorithm that it was opened for.
    #[arg(long)]
    strict_algorithm: bool,
    /// Each n-th PUT that ends an upload is 416; 0 for none.
    #[arg(long, default_value_t = 0)]
    nth_put_fails: u64,
    /// The largest blob, in bytes.
    #[arg(long, default_value_t = 200 << 30)]
    blob_bytes_max: u64,
    /// The largest manifest, in bytes.
    #[arg(long, default_value_t = 4 << 20)]
    manifest_bytes_max: usize,
    /// No uploads are taken when clients have sent so many bytes; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    registry_bytes_max: u64,
    /// What is pushed is in quarantine until it is passed.
    #[arg(long)]
    quarantine: bool,
}

/// How content is read.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct ReadHabits {
    /// Names in one page of a list.
    #[arg(long, default_value_t = 100)]
    page_size: usize,
    /// How long a link to the storage holds, in seconds.
    #[arg(long, default_value_t = 20 * 60)]
    link_life_s: u64,
    /// Which requests for a blob are redirected to the storage.
    #[arg(long, value_enum, default_value_t = Redirected::GetAndHead)]
    redirects: Redirected,
    /// Redirects do not say the digest.
    #[arg(long)]
    no_digest_on_redirect: bool,
    /// The storage says the digest.
    #[arg(long)]
    digest_on_storage: bool,
    /// The storage ignores Range.
    #[arg(long)]
    no_storage_ranges: bool,
    /// The storage names no versions.
    #[arg(long)]
    no_storage_etags: bool,
    /// Who answers the referrers API; nobody does on a registry with keys of its customer.
    #[arg(long, value_enum, default_value_t = ReferrersApi::Backing)]
    referrers_api: ReferrersApi,
    /// A pushed manifest is unknown to so many requests for each reference.
    #[arg(long, default_value_t = 0)]
    lag_requests: u64,
    /// A pushed manifest is unknown for so many seconds.
    #[arg(long, default_value_t = 0, conflicts_with = "lag_requests")]
    lag_s: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Redirected {
    GetAndHead,
    GetOnly,
    Never,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReferrersApi {
    /// The backing registry.
    Backing,
    /// The double, from what was pushed through it.
    Kept,
    /// Nobody.
    Absent,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tier {
    /// No limit.
    None,
    Basic,
    Premium,
}

/// How many requests are taken in a period, as REGISTRY or REGISTRY:IDENTITY.
#[derive(Args)]
struct LimitHabits {
    /// The limits of one of ACR's tiers; the options below change one of them each.
    #[arg(long, value_enum, default_value_t = Tier::None)]
    tier: Tier,
    /// Requests that read.
    #[arg(long, value_parser = parse_quota)]
    reads: Option<Quota>,
    /// Requests that write; each chunk is one.
    #[arg(long, value_parser = parse_quota)]
    writes: Option<Quota>,
    /// Requests that delete.
    #[arg(long, value_parser = parse_quota)]
    deletes: Option<Quota>,
    /// Lists of referrers.
    #[arg(long, value_parser = parse_quota)]
    referrers: Option<Quota>,
    /// Requests to the token endpoints.
    #[arg(long, value_parser = parse_quota)]
    oauth: Option<Quota>,
    /// How often the buckets are filled, in seconds.
    #[arg(long, default_value_t = 60)]
    period_s: u64,
}

fn parse_limited(text: &str) -> Result<Account, String> {
    let form = "write it as USER:PASSWORD:REPOSITORY,REPOSITORY";
    let (account, repositories) = text.rsplit_once(':').ok_or(form)?;
    let (username, password) = account.split_once(':').ok_or(form)?;
    let repositories = repositories.split(',').filter(|name| !name.is_empty());
    Ok(Account::reader(username, password).only(repositories))
}

fn parse_quota(text: &str) -> Result<Quota, String> {
    let (registry, identity) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is no number")),
    };
    Ok(Quota { registry: number(registry)?, identity: number(identity)? })
}

impl LimitHabits {
    fn into_quotas(self) -> Quotas {
        let tier = match self.tier {
            Tier::None => Quotas::default(),
            Tier::Basic => Quotas::basic(),
            Tier::Premium => Quotas::premium(),
        };
        Quotas {
            reads: self.reads.unwrap_or(tier.reads),
            writes: self.writes.unwrap_or(tier.writes),
            deletes: self.deletes.unwrap_or(tier.deletes),
            referrers: self.referrers.unwrap_or(tier.referrers),
            oauth: self.oauth.unwrap_or(tier.oauth),
            period: Duration::from_secs(self.period_s),
        }
    }
}

impl ReadHabits {
    fn lag(&self) -> Lag {
        match (self.lag_requests, self.lag_s) {
            (0, 0) => Lag::None,
            (0, seconds) => Lag::Time(Duration::from_secs(seconds)),
            (requests, _) => Lag::Requests(requests),
        }
    }

    fn referrers(&self) -> Referrers {
        match self.referrers_api {
            ReferrersApi::Backing => Referrers::Backing,
            ReferrersApi::Kept => Referrers::Kept,
            ReferrersApi::Absent => Referrers::Absent,
        }
    }

    fn redirects(&self) -> Redirects {
        match self.redirects {
            Redirected::GetAndHead => Redirects::GetAndHead,
            Redirected::GetOnly => Redirects::GetOnly,
            Redirected::Never => Redirects::Never,
        }
    }
}

fn parse_reader(text: &str) -> Result<Account, String> {
    let (username, password) = text.split_once(':').ok_or("write it as USER:PASSWORD")?;
    Ok(Account::reader(username, password))
}

impl Arguments {
    fn into_config(self) -> DoubleConfig {
        let admin = self.username.zip(self.password);
        let admin = admin.map(|(username, password)| Account::admin(username, password));
        let (uploads, reads) = (self.uploads, self.reads);
        let limit = |number: u64| Some(number).filter(|number| *number > 0);
        let habits = Habits {
            strict_location: !uploads.lenient_location,
            refuse_chunked: !uploads.accept_chunked,
            strict_content_range: !uploads.lenient_content_range,
            put_bytes_max: limit(uploads.put_bytes_max),
            patch_bytes_max: limit(uploads.patch_bytes_max),
            close_bytes_max: limit(uploads.close_bytes_max),
            chunk_bytes_min: limit(uploads.chunk_bytes_min),
            strict_algorithm: uploads.strict_algorithm,
            nth_put_fails: limit(uploads.nth_put_fails),
            blob_bytes_max: uploads.blob_bytes_max,
            manifest_bytes_max: uploads.manifest_bytes_max,
            registry_bytes_max: limit(uploads.registry_bytes_max),
            quarantine: uploads.quarantine,
            page_size: reads.page_size.max(1),
            link_life: Duration::from_secs(reads.link_life_s),
            redirects: reads.redirects(),
            digest_on_redirect: !reads.no_digest_on_redirect,
            digest_on_storage: reads.digest_on_storage,
            storage_ranges: !reads.no_storage_ranges,
            storage_etags: !reads.no_storage_etags,
            referrers: reads.referrers(),
            replica_lag: reads.lag(),
            quotas: self.limits.into_quotas(),
            basic_credentials: !self.no_basic_credentials,
            basic_only: self.basic_only,
            opaque_tokens: self.opaque_tokens,
            newline_user_fails: !self.accept_newline_user,
            access_token_life: Duration::from_secs(self.access_token_life_s),
            refresh_token_life: Duration::from_secs(self.refresh_token_life_s),
        };
        let readers = self.reader.into_iter().chain(self.limited_reader);
        DoubleConfig {
            listen: self.listen,
            storage_listen: self.storage_listen,
            elsewhere_listen: self.elsewhere_listen,
            storage_public: self.storage_public,
            accounts: admin.into_iter().chain(readers).collect(),
            aad_token: self.aad_token,
            anonymous_pull: self.anonymous_pull,
            habits,
            backing: self.backing,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The program listens for signals before it prints its line, so no early stop is missed.
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
        "elsewhere_addr": double.elsewhere_addr().to_string(),
        "url": double.url(),
        "pid": std::process::id(),
    });
    println!("{line}");
}
