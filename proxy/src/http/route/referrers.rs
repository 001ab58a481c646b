//! The position in a list of referrers, as query parameters of a `Link`; clients return them
//! unchanged.
//!
//! Invariant: the upstream's own query identifies a page of that list. It is used as the query of
//! that list's path only, no matter who wrote it.

use wharf_oci::{Digest, PageQuery};

use super::{Query, escape};
use crate::Error;

/// Part of a list of referrers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReferrersCursor {
    /// From its beginning.
    #[default]
    Start,
    /// In the upstream's list: its page of this query, from this entry on.
    There {
        /// The query of the page, as the upstream wrote it.
        query: PageQuery,
        /// The index of the entry in that page.
        at: usize,
    },
    /// In the store's list, after this entry; with an upstream, only entries missing in the
    /// upstream's list.
    Here(Option<Digest>),
    /// In the store's list, after this entry; the list was begun while the upstream was out.
    Stale(Digest),
}

impl ReferrersCursor {
    pub(super) fn parse(query: &Query) -> Result<Self, Error> {
        let wrong = || Error::Parameter("this is no page of a list of referrers");
        match (query.one("there")?, query.one("here")?, query.one("stale")?) {
            (None, None, None) => Ok(Self::Start),
            (Some(text), None, None) => {
                let at = query.one("at")?.unwrap_or("0").parse().map_err(|_| wrong())?;
                Ok(Self::There { query: PageQuery::parse(text)?, at })
            }
            (None, Some(""), None) => Ok(Self::Here(None)),
            (None, Some(after), None) => Ok(Self::Here(Some(after.parse()?))),
            (None, None, Some(after)) => Ok(Self::Stale(after.parse()?)),
            _ => Err(wrong()),
        }
    }

    /// The parameters of this position; none for the beginning.
    pub(super) fn render(&self) -> Option<String> {
        match self {
            Self::Start => None,
            Self::There { query, at } => Some(format!("there={}&at={at}", escape(query.as_str()))),
            Self::Here(None) => Some("here=".to_owned()),
            Self::Here(Some(after)) => Some(format!("here={after}")),
            Self::Stale(after) => Some(format!("stale={after}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ReferrersCursor, Error> {
        ReferrersCursor::parse(&Query::parse(text).unwrap())
    }

    #[test]
    fn what_an_upstream_said_comes_back_as_it_was_and_is_one_parameter() {
        let query = PageQuery::parse("n=2&there=x&last=a%3Db#\">\r\n").unwrap();
        let cursor = ReferrersCursor::There { query, at: 7 };
        let rendered = cursor.render().unwrap();
        assert!(!rendered.contains(['>', '"', '\r', '\n', ' ', '#', '?']), "{rendered}");
        assert_eq!(parse(&rendered).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        let long = format!("there={}", "x".repeat(2049));
        for wrong in [
            "there=a&here=",
            "here=&stale=",
            "there=a&there=b",
            "there=a&at=x",
            "there=a&at=-1",
            "here=latest",
            "stale=",
            &long,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("ns=x&at=7").unwrap(), ReferrersCursor::Start);
    }
}
