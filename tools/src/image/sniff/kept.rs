//! The files with texts for rules, and the kept length of each.

/// Largest list of packages, or of users.
const TEXT_BYTES_MAX: u64 = 8 << 20;

/// Largest file of settings or of logins.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// Whole paths.
const PATHS: [&[u8]; 10] = [
    b"etc/passwd",
    b"etc/group",
    b"etc/shadow",
    b"etc/os-release",
    b"usr/lib/os-release",
    b"var/lib/dpkg/status",
    b"lib/apk/db/installed",
    b"usr/lib/apk/db/installed",
    b"etc/ld.so.conf",
    b"etc/environment",
];

/// Files with logins to services, by the end of their path.
const CREDENTIALS: [&[u8]; 26] = [
    b".aws/credentials",
    b".aws/config",
    b".azure/accessTokens.json",
    b".azure/azureProfile.json",
    b".azure/msal_token_cache.json",
    b".azure/service_principal_entries.json",
    b".boto",
    b".config/gcloud/application_default_credentials.json",
    b".docker/config.json",
    b".dockercfg",
    b".git-credentials",
    b".kube/config",
    b".m2/settings.xml",
    b".my.cnf",
    b".netrc",
    b".npmrc",
    b".pgpass",
    b".pypirc",
    b".s3cfg",
    b".terraform.d/credentials.tfrc.json",
    b"containers/0/auth.json",
    b"containers/auth.json",
    b".git/config",
    b"pip/pip.conf",
    b".pip/pip.conf",
    b"etc/pip.conf",
];

/// How many bytes of the file are kept at most; none of most files.
pub(super) fn bytes_max(path: &[u8]) -> u64 {
    if PATHS.contains(&path) {
        return TEXT_BYTES_MAX;
    }
    let slash = path.iter().rposition(|byte| *byte == b'/');
    let (folder, base) = match slash {
        Some(at) => (path.get(..at), path.get(at + 1..).unwrap_or_default()),
        None => (None, path),
    };
    match folder.unwrap_or_default() {
        b"var/lib/dpkg/status.d" if !base.ends_with(b".md5sums") => return TEXT_BYTES_MAX,
        b"etc/ld.so.conf.d" => return SMALL_BYTES_MAX,
        b"etc" if base.starts_with(b"ld-musl-") => return SMALL_BYTES_MAX,
        _ => {}
    }
    let is_env = base == b".env" || base.starts_with(b".env.") || base.ends_with(b".env");
    let is_login = |end: &[u8]| {
        path.strip_suffix(end).is_some_and(|above| above.is_empty() || above.ends_with(b"/"))
    };
    if is_env || CREDENTIALS.iter().any(|end| is_login(end)) { SMALL_BYTES_MAX } else { 0 }
}
