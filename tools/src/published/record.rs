//! One record, and the line it stands in: `{"wharfPublished":1,"hash":"sha256:…","record":{…}}`.
//! The hash is over the record with its keys in order and no white space, so an edit shows, and a
//! reformatted record is the same.
//!
//! Invariant: a record holds all by itself a submission of one plan, or a withdrawal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_oci::{Algorithm, Digest, Digester, Tag, Timestamp};

/// The format of written records, and the newest readable one.
pub(super) const FORMAT: u64 = 1;

/// Most tags, or bundles, of one record; a plan has 16 tags (PLAN).
const LISTED_MAX: usize = 1000;

/// An event of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Record {
    /// It was submitted.
    Submitted(Box<Submission>),
    /// It is no longer sold, or some of its tags and bundles are not.
    Withdrawn(Withdrawal),
}

/// A submission of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Submission {
    pub time: Timestamp,
    pub target: SubmissionTarget,
    /// The publisher ID.
    pub publisher: String,
    /// The offer ID.
    pub offer: String,
    /// Whether Microsoft sells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sell_through_microsoft: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<RecordedTerms>,
    /// The plan ID.
    pub plan: String,
    pub kind: RecordedKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<RecordedLicence>,
    /// Whether it can be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<RecordedVisibility>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<RecordedAudience>,
    /// Its clouds, as the API writes them: `azureGlobal`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
    /// The repository of an image, with its prefix, without the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tags of an image, each with its target where known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// The type of the cluster extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_type: Option<String>,
    /// How often an application is installed in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<RecordedScope>,
    /// The bundles of an application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<RecordedBundle>,
}

/// A withdrawal of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    /// Its time. A later submission restores the withdrawn ones.
    pub time: Timestamp,
    /// The publisher ID.
    pub publisher: String,
    /// The offer ID.
    pub offer: String,
    /// The plan ID.
    pub plan: String,
    /// The tags or the versions of bundles; none means the whole plan.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub versions: BTreeSet<String>,
}

/// A bundle of a Kubernetes application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordedBundle {
    pub repository: String,
    pub version: String,
    /// Its digest, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A word of a record.
macro_rules! record_words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// The word as it stands in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value of a word.
            #[must_use]
            pub fn of(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

record_words! {
    /// The target of a submission; the second is final.
    SubmissionTarget {
        /// Only the preview audience sees it.
        Preview = "preview",
        /// Customers see it.
        Live = "live",
    }

    /// The kind of a plan's product.
    RecordedKind {
        Image = "image",
        /// A Helm chart with its images.
        Kubernetes = "kubernetes",
    }

    /// The kind of the terms.
    RecordedTerms {
        /// Microsoft's standard contract.
        Standard = "standard",
        /// The publisher's.
        Custom = "custom",
    }

    /// The price of a plan.
    RecordedLicence {
        Free = "free",
        /// The customer brings a licence.
        Byol = "byol",
        PayAsYouGo = "payAsYouGo",
    }

    /// Whether a plan can be found.
    RecordedVisibility {
        /// By all customers.
        Visible = "visible",
        /// By its name only.
        Hidden = "hidden",
    }

    /// The audience of a plan.
    RecordedAudience {
        Public = "public",
        Private = "private",
    }

    /// How often an application is installed in a cluster.
    RecordedScope {
        /// Once per cluster.
        Cluster = "cluster",
        /// Once in each namespace.
        Namespace = "namespace",
    }
}

impl Record {
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        match self {
            Self::Submitted(submission) => submission.time,
            Self::Withdrawn(withdrawal) => withdrawal.time,
        }
    }

    /// The line it stands in, with its end.
    pub(super) fn line(&self) -> String {
        let record = serde_json::to_value(self).unwrap_or(Value::Null);
        let text = canonical(&record);
        let hash = Digester::digest(Algorithm::Sha256, text.as_bytes());
        format!("{{\"wharfPublished\":{FORMAT},\"hash\":\"{hash}\",\"record\":{text}}}\n")
    }

    /// Reads a line; the error says why it is none.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| format!("it is no JSON (column {})", error.column()))?;
        let Value::Object(mut keys) = value else { return Err("it is no object".to_owned()) };
        let format = keys.remove("wharfPublished").and_then(|format| format.as_u64());
        match format {
            None => return Err("it has no number `wharfPublished`".to_owned()),
            Some(FORMAT) => {}
            Some(newer) => {
                let advice = "update wharf to read it";
                return Err(format!(
                    "it has the format {newer}, this wharf reads {FORMAT}; {advice}"
                ));
            }
        }
        let hash: Digest = match keys.remove("hash") {
            Some(Value::String(text)) => text.parse().map_err(|_| "its `hash` is no digest")?,
            _ => return Err("it has no `hash`".to_owned()),
        };
        let record = keys.remove("record").ok_or("it has no `record`")?;
        if let Some(key) = keys.keys().next() {
            let key: String =
                key.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            return Err(format!("the key `{key}` is not known"));
        }
        if Digester::digest(Algorithm::Sha256, canonical(&record).as_bytes()) != hash {
            return Err(
                "it was edited: its `hash` is not that of its `record`; put it back as Git \
                        has it, or remove the line"
                    .to_owned(),
            );
        }
        let record: Self = serde_json::from_value(record).map_err(|error| error.to_string())?;
        record.is_bounded()?;
        Ok(record)
    }

    fn is_bounded(&self) -> Result<(), String> {
        let listed = match self {
            Self::Submitted(at) => at.tags.len().max(at.bundles.len()).max(at.regions.len()),
            Self::Withdrawn(at) => at.versions.len(),
        };
        if listed > LISTED_MAX {
            return Err(format!("it lists {listed} of one kind; {LISTED_MAX} is the most"));
        }
        Ok(())
    }
}

/// JSON without white space, the keys of every object in the order of their bytes. Only texts,
/// numbers without fractions, lists, objects and the three words are in records, so this is exact.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let sorted: BTreeMap<&String, &Value> = keys.iter().collect();
            let keys = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical(value)));
            format!("{{{}}}", keys.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
