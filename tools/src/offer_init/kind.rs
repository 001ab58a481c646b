//! What an offer is of.

/// The kind of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferKind {
    /// A Helm chart with its images.
    Kubernetes,
    /// One image.
    Image,
}
