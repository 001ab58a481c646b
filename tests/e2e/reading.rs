//! What other proxies get wrong when they read (facts/registries.md §3), each lesson with a test.
//!
//! | lesson | where |
//! | --- | --- |
//! | 4, 5, 33: one download, joiners from its first byte | `coalesce.rs`, `herd.rs` |
//! | 6, 32: content that is gone or empty is no 200 | `reading/blobs.rs` |
//! | 10: 429 is handed on with `Retry-After` | `malicious.rs`, `matrix.rs` |
//! | 11, 12: stale, TTL, refresh of hot tags, revalidation | `reading/tags.rs`, `pull.rs` |
//! | 13, 48: credentials for each upstream, tokens never shared | `credentials.rs` |
//! | 14, 44: many upstreams, namespaces, patterns of hosts | `reading/namespaces.rs` |
//! | 16: bodies that stand still | `matrix.rs` (`Stall`, `Slow`) |
//! | 21: referrers through the proxy | `reading/referrers.rs`, `clients/referrers.rs` |
//! | 22, 23: manifests come before layers, only what is asked for | `reading/blobs.rs` |
//! | 24: a hit touches no upstream | `pull.rs` |
//! | 30, 31: resume, and Range ignored | `matrix.rs` (`cut, then …`) |
//! | 34: short bodies never end cleanly | `malicious.rs`, `matrix.rs` |
//! | 35: a dead upstream is an error at once, and comes back; one dead path is no dead upstream | `reading/blobs.rs`, `reading/outages.rs` |
//! | 36: ranges of a cold blob | `reading/blobs.rs`, `coalesce.rs` |
//! | 37: HEAD of what is not here | `pull.rs` |
//! | 38: tags known by digest when they were served | `pull.rs` |
//! | 39: manifests byte for byte | `standalone/manifests.rs`, `pull.rs` |
//! | 41: counters of each upstream | `reading/blobs.rs` |
//! | 47: what is here needs no quota | `reading/tags.rs` |
//! | 48: an outage is never a 404 | `pull.rs`, `matrix.rs` |

mod blobs;
mod namespaces;
mod outages;
mod referrer_pages;
mod referrers;
mod tags;
