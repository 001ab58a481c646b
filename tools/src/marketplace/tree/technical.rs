//! The technical configuration of a plan as a tree has it: the tags of an image, or the bundles of a
//! Kubernetes application.

use serde_json::{Map, Value};

use super::{TreeResource, texts};

/// The content of a plan, for customers.
#[derive(Debug, Clone, Copy)]
pub struct SavedTechnical<'a> {
    resource: &'a TreeResource,
}

/// A bundle a plan names.
#[derive(Debug, Clone, Copy)]
pub struct PlanBundle<'a> {
    pub value: &'a Map<String, Value>,
}

impl<'a> SavedTechnical<'a> {
    pub(super) const fn of(resource: &'a TreeResource) -> Self {
        Self { resource }
    }

    /// The resource itself.
    #[must_use]
    pub const fn resource(self) -> &'a TreeResource {
        self.resource
    }

    /// `image` or `cnab`.
    #[must_use]
    pub fn payload_type(self) -> Option<&'a str> {
        self.resource.text("payloadType")
    }

    /// The tags of an image.
    #[must_use]
    pub fn image_tags(self) -> Vec<&'a str> {
        self.resource.texts("imageTags")
    }

    /// The repository an image is copied from.
    #[must_use]
    pub fn repository(self) -> Option<&'a str> {
        self.resource.value.get("imageRepositoryDetails")?.get("repositoryName")?.as_str()
    }

    /// The type of the cluster extension.
    #[must_use]
    pub fn extension_type(self) -> Option<&'a str> {
        self.resource.text("clusterExtensionType")
    }

    /// The bundles, in their order.
    #[must_use]
    pub fn cnab_references(self) -> Vec<PlanBundle<'a>> {
        let list = self.resource.value.get("cnabReferences").and_then(Value::as_array);
        let items = list.into_iter().flatten().filter_map(Value::as_object);
        items.map(|value| PlanBundle { value }).collect()
    }

    /// All texts of a list within the configuration.
    #[must_use]
    pub fn texts(self, key: &str) -> Vec<&'a str> {
        texts(self.resource.value.get(key))
    }
}

impl<'a> PlanBundle<'a> {
    fn text(self, key: &str) -> Option<&'a str> {
        self.value.get(key)?.as_str()
    }

    /// The repository of the bundle.
    #[must_use]
    pub fn repository(self) -> Option<&'a str> {
        self.text("repositoryName")
    }

    /// The tag: its version.
    #[must_use]
    pub fn tag(self) -> Option<&'a str> {
        self.text("tag")
    }

    #[must_use]
    pub fn digest(self) -> Option<&'a str> {
        self.text("digest")
    }

    /// The registry's name, without its domain.
    #[must_use]
    pub fn registry(self) -> Option<&'a str> {
        self.text("registryName")
    }
}
