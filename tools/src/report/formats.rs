//! The formats of reports.

use std::io;

use super::frame::Frame;
use super::{annotations, html, junit, markdown, sarif};
use crate::cli::ReportFormat;
use crate::output::{self, Paint};

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
