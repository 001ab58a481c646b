//! The marketplace's side: the resources its Product Ingestion API takes, and how an offer
//! becomes them. No HTTP here.

pub mod diff;
pub mod form;
pub mod model;
pub mod payload;
pub mod render;
pub mod tree;
mod units;
