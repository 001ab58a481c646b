//! Tables of audiences: the CSV files with the columns `Id`, `Description` and `Type` for Partner
//! Center, for more people than its form has room for (AC-preview-audience).
//!
//! Invariant: a table holds at most [`ROWS_MAX`] rows. Faults in its text are kept beside the rows,
//! with their lines, for a rule to report.

use std::io::Read as _;
use std::path::Path;

use super::texts::TextError;
use crate::input;

/// Most rows of a table; a private plan takes no more tenants (INFERENCE from the form of virtual
/// machines).
pub const ROWS_MAX: usize = 20_000;

/// Largest file, in bytes: [`ROWS_MAX`] rows of a GUID, a type and a note.
const TABLE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many faults are told of one table.
const FAULTS_MAX: usize = 20;

/// The first line.
const HEADER: [&str; 3] = ["Id", "Description", "Type"];

/// The members of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudienceMember {
    /// Azure subscriptions, for a preview.
    Subscription,
    /// Tenants, for a private plan.
    Tenant,
}

impl AudienceMember {
    /// The word in the column `Type`. The word for tenants is INFERENCE from the other one.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Subscription => "SubscriptionId",
            Self::Tenant => "TenantId",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceRow {
    /// Where it stands, from 1.
    pub line: usize,
    /// The GUID, as it is written.
    pub id: String,
    /// A note about it.
    pub description: String,
}

/// A fault in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The line's number, from 1.
    pub line: usize,
    pub message: String,
}

/// A parsed table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AudienceTable {
    /// The rows with an ID.
    pub rows: Vec<AudienceRow>,
    /// The faults in the others, at most [`FAULTS_MAX`].
    pub faults: Vec<RowFault>,
}

impl AudienceTable {
    /// Reads the table of a file.
    pub fn read(path: &Path, member: AudienceMember) -> Result<Self, TextError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => TextError::Missing(path.to_owned()),
            _ => TextError::Read { path: path.to_owned(), source },
        };
        let mut bytes = Vec::new();
        let file = input::open(path).map_err(failed)?;
        file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > TABLE_BYTES_MAX {
            return Err(failed(std::io::Error::other("it has more than 4 MiB")));
        }
        let text = String::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
            path: path.to_owned(),
            offset: error.utf8_error().valid_up_to(),
        })?;
        Ok(Self::parse(&text, member))
    }

    /// Reads the text of a table. A byte order mark and CRLF come from Excel, and mean nothing.
    #[must_use]
    pub fn parse(text: &str, member: AudienceMember) -> Self {
        let mut table = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut records = Records { rest: text, line: 1 };
        match records.next() {
            None => table.fault(1, "the table is empty".to_owned()),
            Some((line, cells)) => {
                if cells != HEADER {
                    let header = HEADER.join(",");
                    table.fault(line, format!("the first line is not `{header}`"));
                }
            }
        }
        for (line, cells) in records {
            match cells.as_slice() {
                [empty] if empty.trim().is_empty() => {}
                [id, description, kind] => {
                    if kind != member.word() {
                        let word = member.word();
                        table.fault(line, format!("the type is `{kind}`, not `{word}`"));
                    } else if table.rows.len() == ROWS_MAX {
                        table.fault(line, format!("there are more than {ROWS_MAX} rows"));
                        break;
                    } else {
                        let (id, description) = (id.trim().to_owned(), description.clone());
                        table.rows.push(AudienceRow { line, id, description });
                    }
                }
                cells => table.fault(line, format!("there are {} cells, not 3", cells.len())),
            }
        }
        if table.rows.is_empty() && table.faults.is_empty() {
            table.fault(1, "there is nobody below the first line".to_owned());
        }
        table
    }

    fn fault(&mut self, line: usize, message: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(RowFault { line, message });
        }
    }
}

/// The records of a CSV text (RFC 4180), each with the line it starts on.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let start = self.line;
        let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
        let mut characters = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' if is_quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                    characters.next();
                    cell.push('"');
                }
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => cells.push(std::mem::take(&mut cell)),
                '\n' => {
                    self.line += 1;
                    if !is_quoted {
                        end = at + 1;
                        break;
                    }
                    cell.push(c);
                }
                '\r' if characters.peek().is_none_or(|(_, next)| *next == '\n') => {}
                c => cell.push(c),
            }
        }
        self.rest = self.rest.get(end..).unwrap_or_default();
        cells.push(cell);
        Some((start, cells))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const ID: &str = "3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386";

    fn parse(text: &str) -> AudienceTable {
        AudienceTable::parse(text, AudienceMember::Subscription)
    }

    #[test]
    fn what_excel_writes_is_read() {
        let text = format!(
            "\u{feff}Id,Description,Type\r\n{ID},\"one, \"\"two\"\"\nthree\",SubscriptionId\r\n\r\n{ID},,SubscriptionId"
        );
        let table = parse(&text);
        assert_eq!(table.faults, []);
        let rows: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.line, row.id.as_str(), row.description.as_str()))
            .collect();
        assert_eq!(rows, [(2, ID, "one, \"two\"\nthree"), (5, ID, "")]);
    }

    #[test]
    fn each_fault_has_its_line() {
        for (text, line, words) in [
            ("", 1, "empty"),
            ("Id,Description,Type\n", 1, "nobody"),
            ("id,description,type\nx,,SubscriptionId\n", 1, "first line"),
            ("Id,Description,Type\nx,,subscriptionid\n", 2, "subscriptionid"),
            ("Id,Description,Type\nx,,TenantId\n", 2, "TenantId"),
            ("Id,Description,Type\n\nx,SubscriptionId\n", 3, "2 cells"),
        ] {
            let faults = parse(text).faults;
            assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
            assert_eq!(faults[0].line, line, "{text:?}");
            assert!(faults[0].message.contains(words), "{text:?}: {faults:?}");
        }
        let table = format!("Id,Description,Type\n{ID},a tenant,TenantId\n");
        assert_eq!(AudienceTable::parse(&table, AudienceMember::Tenant).faults, []);
    }

    #[test]
    fn a_long_table_is_cut_and_said_to_be() {
        let row = format!("{ID},,SubscriptionId\n");
        let table = parse(&format!("Id,Description,Type\n{}", row.repeat(ROWS_MAX + 5)));
        assert_eq!((table.rows.len(), table.faults.len()), (ROWS_MAX, 1));
        let wrong = parse(&format!("Id,Description,Type\n{}", "x\n".repeat(1000)));
        assert_eq!(wrong.faults.len(), FAULTS_MAX);
    }
}
