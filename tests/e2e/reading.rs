//! Lessons from the bugs of other registry proxies in reads, as reported by their users
//! (distribution, zot, Harbor and others). Each lesson has a test.
//!
//! | lesson | where |
//! | --- | --- |
//! | one download, joiners from its first byte | `coalesce.rs`, `herd.rs` |
//! | missing or empty content is no 200 | `reading/blobs.rs` |
//! | 429 is handed on with `Retry-After` | `malicious.rs`, `matrix.rs` |
//! | stale, TTL, refresh of hot tags, revalidation | `reading/tags.rs`, `pull.rs` |
//! | credentials for each upstream, tokens never shared | `credentials.rs` |
//! | many upstreams, namespaces, patterns of hosts | `reading/namespaces.rs` |
//! | stalled bodies | `matrix.rs` (`Stall`, `Slow`) |
//! | referrers through the proxy | `reading/referrers.rs`, `clients/referrers.rs` |
//! | manifests come before layers, only the requested content | `reading/blobs.rs` |
//! | a hit touches no upstream | `pull.rs` |
//! | resume, and Range ignored | `matrix.rs` (`cut, then …`) |
//! | short bodies never end cleanly | `malicious.rs`, `matrix.rs` |
//! | a dead upstream is an error at once, and comes back; one dead path is no dead upstream | `reading/blobs.rs`, `reading/outages.rs` |
//! | ranges of a cold blob | `reading/blobs.rs`, `coalesce.rs` |
//! | HEAD of uncached content | `pull.rs` |
//! | tags known by digest when they were served | `pull.rs` |
//! | manifests byte for byte | `standalone/manifests.rs`, `pull.rs` |
//! | counters of each upstream | `reading/blobs.rs` |
//! | cached content needs no quota | `reading/tags.rs` |
//! | an outage is never a 404 | `pull.rs`, `matrix.rs` |

mod blobs;
mod namespaces;
mod outages;
mod referrer_pages;
mod referrers;
mod tags;
