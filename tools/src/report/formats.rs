//! The formats of reports, and the input of each.

use std::io;

use super::{Report, Root, annotations, html, junit, markdown, sarif};
use crate::cli::ReportFormat;
use crate::output::{self, Paint};

/// A report on its way into a format.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub report: &'a Report,
    /// The report's command: `offer lint`.
    pub command: &'a str,
    /// The base of relative paths, for formats with them.
    pub root: &'a Root,
    /// The most bytes of a text for a reader with a limit.
    pub bytes_max: usize,
}

/// The report in a format, complete with its last newline.
pub fn write(frame: &Frame<'_>, format: ReportFormat) -> io::Result<String> {
    match format {
        ReportFormat::Text => Ok(frame.report.text(Paint::PLAIN)),
        ReportFormat::Json => output::json(frame.command, frame.report),
        ReportFormat::Junit => junit::write(frame),
        ReportFormat::Sarif => sarif::write(frame),
        ReportFormat::Github => Ok(annotations::github(frame)),
        ReportFormat::Azure => Ok(annotations::azure(frame)),
        ReportFormat::Html => Ok(html::write(frame)),
        ReportFormat::Markdown => Ok(markdown::write(frame)),
    }
}

#[cfg(test)]
mod tests;
