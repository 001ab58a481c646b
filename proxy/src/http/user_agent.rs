//! The kind of a client, by the begin of its `User-Agent`, and how long it waits for an answer to
//! begin.
//!
//! The times were measured with a silent registry (docs/explanation/clients.md): most clients wait
//! for 50 s and more, containerd 2 hangs up after 30 s, jib after 20 s and then asks once more.
//!
//! Invariant: an unknown client is taken for one of the hastiest.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::limits::HOLD_HASTY;

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserAgent {
    /// containerd and programs on top of it: ctr, nerdctl, the kubelet.
    Containerd,
    /// The Docker daemon.
    Docker,
    /// crane, cosign, ko.
    GoContainerRegistry,
    /// regctl, regsync.
    Regclient,
    /// oras and its library for Go.
    Oras,
    /// helm.
    Helm,
    /// skopeo, podman, buildah, CRI-O.
    ContainersImage,
    /// jib: Maven, Gradle.
    Jib,
    /// oras-py and python-dxf.
    Python,
    /// oci-client: the library for Rust, and Wasm runtimes on it.
    OciClient,
    /// Another client, or one without the header.
    Other,
}

/// Every kind with its word and its prefixes, in the order of the variants.
const KINDS: [(UserAgent, &str, &[&str]); 11] = [
    (UserAgent::Containerd, "containerd", &["containerd/"]),
    (UserAgent::Docker, "docker", &["docker/"]),
    (
        UserAgent::GoContainerRegistry,
        "go_containerregistry",
        &["crane/", "cosign/", "go-containerregistry", "ko/"],
    ),
    (UserAgent::Regclient, "regclient", &["regclient/"]),
    (UserAgent::Oras, "oras", &["oras/", "oras-go"]),
    (UserAgent::Helm, "helm", &["helm/"]),
    (
        UserAgent::ContainersImage,
        "containers_image",
        &["skopeo/", "libpod/", "buildah/", "containers/", "cri-o/"],
    ),
    (UserAgent::Jib, "jib", &["jib "]),
    (UserAgent::Python, "python", &["python-requests/", "oras-py", "python-dxf"]),
    (UserAgent::OciClient, "oci_client", &["oci-client/"]),
    (UserAgent::Other, "other", &[]),
];

impl UserAgent {
    /// The number of kinds.
    pub(crate) const COUNT: usize = KINDS.len();

    /// By the headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::USER_AGENT) else { return Self::Other };
        let begins = |begin: &&str| {
            let found = value.as_bytes().get(..begin.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(begin.as_bytes()))
        };
        let found = KINDS.iter().find(|(_, _, begins_with)| begins_with.iter().any(begins));
        found.map_or(Self::Other, |(agent, ..)| *agent)
    }

    /// The word in metrics and in the log.
    pub(crate) fn as_str(self) -> &'static str {
        KINDS.get(self as usize).map_or("other", |(_, word, _)| word)
    }

    /// Every word, in the order of the kinds.
    pub(crate) fn words() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(_, word, _)| *word)
    }

    /// For how long a request of this client may be held before its answer begins, within the
    /// operator's maximum. jib hangs up before that: its second request finds the work of the
    /// first, and a refusal would be its end.
    pub(crate) fn holds_for(self, longest: Duration) -> Duration {
        match self {
            Self::Containerd | Self::Other => HOLD_HASTY.min(longest),
            Self::Docker
            | Self::GoContainerRegistry
            | Self::Regclient
            | Self::Oras
            | Self::Helm
            | Self::ContainersImage
            | Self::Jib
            | Self::Python
            | Self::OciClient => longest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOLD_MAX;

    fn of(text: &'static str) -> UserAgent {
        let headers = HeaderMap::from_iter([(header::USER_AGENT, text.parse().unwrap())]);
        UserAgent::of(&headers)
    }

    #[test]
    fn clients_are_known_by_the_begin_of_what_they_call_themselves() {
        let rows = [
            ("containerd/2.4.2", UserAgent::Containerd),
            ("containerd/1.6.20~ds1", UserAgent::Containerd),
            (
                "docker/20.10.24+dfsg1 go/go1.19.8 os/linux arch/amd64 UpstreamClient(Docker-Client)",
                UserAgent::Docker,
            ),
            ("crane/v0.22.1 go-containerregistry/v0.22.1", UserAgent::GoContainerRegistry),
            (
                "cosign/v3.1.3 (linux; amd64) go-containerregistry/v0.22.1",
                UserAgent::GoContainerRegistry,
            ),
            ("regclient/regctl (v0.11.7)", UserAgent::Regclient),
            ("oras/1.3.6", UserAgent::Oras),
            ("Helm/3.19", UserAgent::Helm),
            ("skopeo/1.9.3", UserAgent::ContainersImage),
            ("Buildah/1.28.2", UserAgent::ContainersImage),
            ("containers/5.23.1 (github.com/containers/image)", UserAgent::ContainersImage),
            ("jib 0.28.1 jib-core Google-HTTP-Java-Client/1.42.2 (gzip)", UserAgent::Jib),
            ("python-requests/2.34.2", UserAgent::Python),
            ("oci-client/0.18.0", UserAgent::OciClient),
            ("curl/7.88.1", UserAgent::Other),
            ("x containerd/2", UserAgent::Other),
            ("", UserAgent::Other),
        ];
        for (text, expected) in rows {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(UserAgent::of(&HeaderMap::new()), UserAgent::Other);
    }

    #[test]
    fn each_kind_has_its_own_place_and_word() {
        for (index, (agent, word, _)) in KINDS.iter().enumerate() {
            assert_eq!((*agent as usize, agent.as_str()), (index, *word));
        }
        assert_eq!(UserAgent::words().count(), UserAgent::COUNT);
    }

    #[test]
    fn who_hangs_up_early_is_answered_before_and_others_as_an_operator_says() {
        for hasty in [UserAgent::Containerd, UserAgent::Other] {
            assert!(hasty.holds_for(HOLD_MAX) < Duration::from_secs(30));
            assert_eq!(hasty.holds_for(Duration::from_mins(10)), HOLD_HASTY);
            assert_eq!(hasty.holds_for(Duration::from_secs(3)), Duration::from_secs(3));
        }
        for longest in [Duration::ZERO, HOLD_MAX, Duration::from_mins(10)] {
            assert_eq!(UserAgent::Docker.holds_for(longest), longest);
        }
    }
}
