//! Which registry is behind a name. No IO: a registry that a pattern stands for is added when it is
//! first named.
//!
//! Invariants: the longest matching prefix wins, and with upstreams configured a name that none
//! serves is refused, never kept here by accident. Two registries never share a name here: what a
//! client calls `team/app` at two hosts are two repositories. A target keeps the set that resolved it: what
//! a request asks later (names beside it, rules of its tags) is answered by the same configuration.

mod caller_clients;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_client::Accept;
use wharf_client::caller_login::CallerLogin;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, RepoName};

use crate::Error;
use crate::bound::Bound;
use crate::limits::{CANCEL_TIMEOUT, TEMPLATE_HOSTS_MAX};
use crate::settings::error::ConfigError;
use crate::settings::patterns::{HostPattern, TagRule};
use crate::settings::upstream::{PushMode, UpstreamConfig};
use crate::upstream::Upstream;

use caller_clients::CallerClients;

/// The registries of one configuration.
#[cfg_attr(test, derive(Default))]
pub(crate) struct UpstreamSet {
    /// Longest prefix first.
    entries: Vec<Entry>,
    templates: Vec<Arc<Template>>,
    /// Clients of the same registries for callers with their own logins. A new configuration starts
    /// without any, so clients of removed registries go with the old one.
    caller_clients: CallerClients,
    /// Tags that are put once, of a registry of its own; those of an upstream are in its part.
    write_once_tags: Vec<TagRule>,
}

struct Entry {
    /// The prefix of its repositories' names here.
    prefix: Option<RepoName>,
    namespaces: Vec<HostPattern>,
    /// Whether it also serves names that no other upstream serves.
    default: bool,
    /// `HOST` or `HOST:PORT`, as clients name registries.
    authority: String,
    upstream: Arc<Upstream>,
    /// The configuration that its client was built from.
    made_of: MadeOf,
}

/// A pattern that admits any registry with a fitting host.
struct Template {
    made_of: MadeOf,
    config: UpstreamConfig,
    hosts: Mutex<HashMap<String, Arc<Upstream>>>,
}

/// The target of a repository name.
#[derive(Clone)]
pub(crate) enum Target {
    /// Stored in this registry alone.
    Local(Arc<UpstreamSet>),
    /// At an upstream.
    Upstream(UpstreamRepo),
}

/// A repository of an upstream.
#[derive(Clone)]
pub(crate) struct UpstreamRepo {
    /// The registry.
    pub upstream: Arc<Upstream>,
    /// The repository's name at the upstream.
    pub repo: RepoName,
    /// What resolved it.
    set: Arc<UpstreamSet>,
}

impl Target {
    /// The same target for one party.
    #[must_use]
    pub(crate) fn for_party(self, party: Party) -> Self {
        match self {
            Self::Local(set) => Self::Local(set),
            Self::Upstream(upstream_repo) => Self::Upstream(upstream_repo.for_party(party)),
        }
    }
}

impl Target {
    /// The tags that are put once, as the configuration of this target says.
    pub(crate) fn write_once_tags(&self) -> &[TagRule] {
        match self {
            Self::Local(set) => &set.write_once_tags,
            Self::Upstream(upstream_repo) => upstream_repo.upstream.config().write_once_tags(),
        }
    }

    /// A registry of its own, without rules.
    #[cfg(test)]
    pub(crate) fn local() -> Self {
        Self::Local(Arc::default())
    }
}

impl UpstreamRepo {
    /// The same repository for one party.
    #[must_use]
    pub(crate) fn for_party(self, party: Party) -> Self {
        Self { upstream: self.upstream.for_party(party), ..self }
    }

    /// The same repository for a client that accepts these manifest types.
    #[must_use]
    pub(crate) fn accepting(&self, accept: Accept) -> Self {
        Self { upstream: self.upstream.accepting(accept), ..self.clone() }
    }

    /// The name at the same registry of a repository here; `None` when that lives elsewhere.
    #[must_use]
    pub(crate) fn beside(&self, repo: &RepoName) -> Option<RepoName> {
        match self.set.target(repo) {
            Ok(Target::Upstream(other))
                if other.upstream.identity() == self.upstream.identity() =>
            {
                Some(other.repo)
            }
            _ => None,
        }
    }

    /// Every name of this repository here, as far as the configuration says.
    pub(crate) fn names(&self) -> Vec<RepoName> {
        self.set.names_of(self)
    }

    /// Whether a blob is answered when it is durable here, and delivered upstream later.
    #[must_use]
    pub(crate) fn is_staged(&self) -> bool {
        self.upstream.config().push == PushMode::Staged
    }
}

/// An upstream's section of the configuration, and the contents of the files that it names.
#[derive(Clone, PartialEq)]
struct MadeOf {
    config: UpstreamConfig,
    files: Digest,
}

impl MadeOf {
    fn now(config: &UpstreamConfig) -> Self {
        Self { config: config.clone(), files: config.fingerprint() }
    }
}

impl UpstreamSet {
    /// Clients of all configured upstreams. An upstream with exactly the same configuration in
    /// `before` keeps its client, with connections, tokens and recorded state. Blocks.
    pub(crate) fn new(
        configs: &[UpstreamConfig],
        write_once_tags: &[TagRule],
        before: Option<&Self>,
    ) -> Result<Arc<Self>, ConfigError> {
        let (mut entries, mut templates) = (Vec::new(), Vec::new());
        for config in configs {
            let made_of = MadeOf::now(config);
            if config.is_template() {
                let known = before.and_then(|before| before.template_of(&made_of));
                templates.push(match known {
                    Some(known) => known,
                    None => Template::new(made_of)?,
                });
                continue;
            }
            let upstream = match before.and_then(|before| before.upstream_of(&made_of)) {
                Some(known) => known,
                None => Arc::new(Upstream::new(config)?),
            };
            let named = config.namespaces.first().and_then(|host| as_component(host.as_str()));
            entries.push(Entry {
                prefix: config.prefix.clone().or(named),
                namespaces: config.namespaces.clone(),
                default: config.default,
                authority: config.authority(),
                upstream,
                made_of,
            });
        }
        let length = |entry: &Entry| entry.prefix.as_ref().map_or(0, |p| p.as_str().len());
        entries.sort_by_key(|entry| std::cmp::Reverse(length(entry)));
        let (caller_clients, write_once_tags) =
            (CallerClients::default(), write_once_tags.to_vec());
        Ok(Arc::new(Self { entries, templates, caller_clients, write_once_tags }))
    }

    fn upstream_of(&self, made_of: &MadeOf) -> Option<Arc<Upstream>> {
        let found = self.entries.iter().find(|entry| entry.made_of == *made_of);
        found.map(|entry| Arc::clone(&entry.upstream))
    }

    fn template_of(&self, made_of: &MadeOf) -> Option<Arc<Template>> {
        self.templates.iter().find(|template| template.made_of == *made_of).cloned()
    }

    /// The name here of the client's `repo` in the namespace `host` (distribution-spec, "Registry
    /// Proxying"). When no upstream lists hosts, an unknown host has no effect.
    pub(crate) fn in_namespace(&self, host: &str, repo: &RepoName) -> Result<RepoName, Error> {
        if self.entries.is_empty() && self.templates.is_empty() {
            return Ok(repo.clone());
        }
        if let Some(entry) = self.named(host) {
            return entry
                .prefix
                .as_ref()
                .map_or(Ok(repo.clone()), |prefix| Ok(repo.under(prefix)?));
        }
        if self.templates.iter().any(|template| template.fits(host)) {
            let refused = || Error::NamespaceUnserved(host.to_owned());
            return Ok(repo.under(&as_component(host).ok_or_else(refused)?)?);
        }
        let any = !self.templates.is_empty()
            || self.entries.iter().any(|entry| !entry.namespaces.is_empty());
        if any { Err(Error::NamespaceUnserved(host.to_owned())) } else { Ok(repo.clone()) }
    }

    /// The upstream that lists a host, or has its address.
    fn named(&self, host: &str) -> Option<&Entry> {
        let lists = |entry: &&Entry| entry.namespaces.iter().any(|pattern| pattern.fits(host));
        let listed = self.entries.iter().find(lists);
        listed.or_else(|| self.entries.iter().find(|entry| entry.authority == host))
    }

    /// The name here of the client's `repo` without a namespace. `HOST/NAME` is the same as `NAME`
    /// in the namespace `HOST`.
    pub(crate) fn without_namespace(&self, repo: &RepoName) -> Result<RepoName, Error> {
        if let Some((first, rest)) = repo.as_str().split_once('/')
            && self.named(&as_host(first)).is_some()
        {
            return self.in_namespace(&as_host(first), &rest.parse()?);
        }
        let default = self.entries.iter().find(|entry| entry.default);
        let Some(prefix) = default.and_then(|entry| entry.prefix.as_ref()) else {
            return Ok(repo.clone());
        };
        let served = |entry: &Entry| entry.prefix.as_ref().is_some_and(|p| repo.strip(p).is_some());
        if self.entries.iter().any(served) || self.is_templated(repo) {
            return Ok(repo.clone());
        }
        Ok(repo.under(prefix)?)
    }

    /// The target of a repository's name.
    pub(crate) fn target(self: &Arc<Self>, repo: &RepoName) -> Result<Target, Error> {
        if self.entries.is_empty() && self.templates.is_empty() {
            return Ok(Target::Local(Arc::clone(self)));
        }
        let under_prefix = self.entries.iter().find_map(|entry| {
            let there = repo.strip(entry.prefix.as_ref()?)?;
            let upstream = Arc::clone(&entry.upstream);
            Some(UpstreamRepo { upstream, repo: there, set: Arc::clone(self) })
        });
        if let Some(upstream_repo) = under_prefix {
            return Ok(Target::Upstream(upstream_repo));
        }
        if let Some(upstream_repo) = self.by_template(repo)? {
            return Ok(Target::Upstream(upstream_repo));
        }
        let rest = self.entries.iter().find(|entry| entry.prefix.is_none());
        let rest = rest.ok_or_else(|| Error::NameUnserved(repo.clone()))?;
        let (upstream, repo) = (Arc::clone(&rest.upstream), repo.clone());
        Ok(Target::Upstream(UpstreamRepo { upstream, repo, set: Arc::clone(self) }))
    }

    /// Every name here of an upstream's repository, as far as the configuration determines it.
    fn names_of(self: &Arc<Self>, upstream_repo: &UpstreamRepo) -> Vec<RepoName> {
        let address = upstream_repo.upstream.address();
        let entries = self.entries.iter().filter(|entry| entry.upstream.address() == address);
        let names = entries.filter_map(|entry| match &entry.prefix {
            Some(prefix) => upstream_repo.repo.under(prefix).ok(),
            None => Some(upstream_repo.repo.clone()),
        });
        let leads_there = |name: &RepoName| match self.target(name) {
            Ok(Target::Upstream(there)) => {
                there.upstream.address() == address && there.repo == upstream_repo.repo
            }
            Ok(Target::Local(_)) | Err(_) => false,
        };
        names.filter(leads_there).collect()
    }

    /// The same for a caller: a caller with its own login gets a client that sends this login.
    pub(crate) fn target_for(
        self: &Arc<Self>,
        repo: &RepoName,
        login: Option<&CallerLogin>,
    ) -> Result<Target, Error> {
        let target = self.target(repo)?;
        Ok(match (target, login) {
            (Target::Upstream(mut there), Some(login)) => {
                there.upstream = self.caller_client(&there.upstream, login);
                Target::Upstream(there)
            }
            (target, _) => target,
        })
    }

    /// A registry's client with a caller's login.
    pub(crate) fn caller_client(
        &self,
        upstream: &Arc<Upstream>,
        login: &CallerLogin,
    ) -> Arc<Upstream> {
        self.caller_clients.client(upstream, login)
    }

    /// Whether a pattern serves the repository's registry. Does not add the registry, because the
    /// caller's access is not checked yet.
    fn is_templated(&self, repo: &RepoName) -> bool {
        let first = repo.as_str().split_once('/').map(|(first, _)| as_host(first));
        first.is_some_and(|host| self.templates.iter().any(|template| template.fits(&host)))
    }

    fn by_template(self: &Arc<Self>, repo: &RepoName) -> Result<Option<UpstreamRepo>, Error> {
        let Some((first, _)) = repo.as_str().split_once('/') else { return Ok(None) };
        let host = as_host(first);
        let Some(template) = self.templates.iter().find(|template| template.fits(&host)) else {
            return Ok(None);
        };
        let prefix: RepoName = first.parse()?;
        let Some(there) = repo.strip(&prefix) else { return Ok(None) };
        let upstream = template.upstream(&host)?;
        Ok(Some(UpstreamRepo { upstream, repo: there, set: Arc::clone(self) }))
    }

    /// Waits for a short time until upstreams have the cancellations of abandoned uploads.
    pub(crate) async fn cancellations_sent(&self) {
        let upstreams = self.all();
        let all = async {
            for upstream in &upstreams {
                upstream.client.cancellations_sent().await;
            }
        };
        if tokio::time::timeout(CANCEL_TIMEOUT, all).await.is_err() {
            tracing::debug!("uploads were left to expire at their upstreams");
        }
    }

    /// All current upstreams.
    pub(crate) fn all(&self) -> Vec<Arc<Upstream>> {
        let fixed = self.entries.iter().map(|entry| Arc::clone(&entry.upstream));
        let named = self.templates.iter().flat_map(|template| {
            let hosts = template.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.values().cloned().collect::<Vec<_>>()
        });
        fixed.chain(named).collect()
    }
}

impl Template {
    /// Builds one client as a check, so that an unusable configuration is refused at the start.
    fn new(made_of: MadeOf) -> Result<Arc<Self>, ConfigError> {
        let config = made_of.config.clone();
        Upstream::new(&config)?;
        Ok(Arc::new(Self { made_of, config, hosts: Mutex::default() }))
    }

    fn fits(&self, host: &str) -> bool {
        self.config.namespaces.iter().any(|pattern| pattern.fits(host))
    }

    fn upstream(&self, host: &str) -> Result<Arc<Upstream>, Error> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = hosts.get(host) {
            return Ok(Arc::clone(upstream));
        }
        if hosts.len() >= TEMPLATE_HOSTS_MAX {
            // A client that names many hosts does not exclude others: an idle upstream is evicted.
            let unused = hosts.iter().find(|(_, upstream)| Arc::strong_count(upstream) == 1);
            let unused = unused.map(|(host, _)| host.clone());
            hosts.remove(&unused.ok_or(Error::TooMany(Bound::Registries))?);
        }
        let refused = || Error::NamespaceUnserved(host.to_owned());
        let config = self.config.for_host(host).ok_or_else(refused)?;
        let upstream = Upstream::new(&config).map_err(|_| refused())?;
        // However many hosts fit, metrics have one name for them.
        let upstream = Arc::new(upstream.labelled(&self.config.label()));
        hosts.insert(host.to_owned(), Arc::clone(&upstream));
        Ok(upstream)
    }
}

/// A host as the first component of a repository's name; its port follows `__`, since a colon cannot
/// stand there, and no host has two underscores.
fn as_component(host: &str) -> Option<RepoName> {
    host.replace(':', "__").parse().ok()
}

fn as_host(component: &str) -> String {
    component.replace("__", ":")
}

#[cfg(test)]
mod tests;
