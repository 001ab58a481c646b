//! The store as the server uses it.

use wharf_store::{DeliveryStore, ManifestStore, PartStore, UploadStore};

/// All parts of a store.
pub(crate) trait Store: UploadStore + PartStore + ManifestStore + DeliveryStore {}
impl<S: UploadStore + PartStore + ManifestStore + DeliveryStore> Store for S {}
