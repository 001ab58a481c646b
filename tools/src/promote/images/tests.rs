#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::MediaType;

use super::*;
use crate::registry::fake::{Fake, start};
use crate::registry::{Options, Registry as Client};

const HEAD: &str = "version: 1\nregistries: { a: { loginServer: a.example }, b: { loginServer: b.example, prefix: sold } }\n";

fn file(images: &str) -> Result<ImagesFile, ImagesError> {
    ImagesFile::parse(Path::new("images.yaml"), format!("{HEAD}images:\n{images}").into_bytes())
}

fn target(file: &ImagesFile, name: &str) -> RegistryTarget {
    let name: RegistryName = name.parse().unwrap();
    let entry = &file.registries[&name];
    RegistryTarget {
        login_server: entry.login_server.clone(),
        prefix: entry.prefix.clone(),
        plain_http: entry.plain_http,
        credentials: None,
        name,
    }
}

/// The selection, as `PLAN SOURCE DESTINATION TAGS`.
async fn selected(images: &str) -> Vec<String> {
    let mut fake = Fake::default();
    for tag in ["1.4.0", "1.4.1", "1.5.0", "latest"] {
        let value = (MediaType::OCI_INDEX.to_string(), Bytes::from_static(b"{}"));
        fake.manifests.insert(("x/api".to_owned(), tag.to_owned()), value);
    }
    let (_, address) = start(fake).await;
    let client = Client::new(address.parse().unwrap(), true, None, Options::default()).unwrap();
    let file = file(images).unwrap();
    let lists = TagLists::new(Arc::new(client));
    let selection = file.select(&target(&file, "a"), &target(&file, "b"), &lists).await.unwrap();
    let line = |request: &PlanRequest| {
        let tags: Vec<String> = request.tags.iter().map(|at| at.tag.to_string()).collect();
        let PlanRequest { plan, source, destination, .. } = request;
        format!("{plan} {source} {destination} {}", tags.join(","))
    };
    selection.requests.iter().map(line).chain(selection.unmatched).collect()
}

#[tokio::test]
async fn patterns_destinations_and_digests_become_images() {
    let digest = format!("sha256:{}", "7".repeat(64));
    let images = format!(
        "  - {{ repository: x/api, tags: [latest, '1.4.*'] }}\n  \
         - {{ repository: x/api, tags: ['9*'] }}\n  \
         - {{ repository: y, tags: ['2.0'], to: [p, q] }}\n  \
         - {{ repository: y, tags: ['3.0'], to: [p] }}\n  \
         - {{ repository: z, digest: '{digest}', as: ['3.1', three] }}\n  \
         - {{ repository: none }}\n"
    );
    assert_eq!(
        selected(&images).await,
        [
            "sold/x/api x/api sold/x/api 1.4.0,1.4.1,latest",
            "sold/p y sold/p 2.0,3.0",
            "sold/q y sold/q 2.0",
            "sold/z z sold/z 3.1,three",
            "a.example/x/api: no tag fits `9*`",
        ]
    );
}

#[tokio::test]
async fn an_empty_file_selects_nothing() {
    assert_eq!(selected("  []\n").await, [""; 0]);
}

#[test]
fn what_is_not_one_image_is_refused() {
    let digest = format!("sha256:{}", "7".repeat(64));
    for images in [
        format!("  - {{ repository: x, digest: '{digest}' }}\n"),
        format!("  - {{ repository: x, tags: [a], digest: '{digest}', as: [b] }}\n"),
        "  - { repository: x, tags: [a], as: [b] }\n".to_owned(),
        "  - { repository: X }\n".to_owned(),
        "  - { repository: x, tag: a }\n".to_owned(),
    ] {
        assert!(matches!(file(&images), Err(ImagesError::Invalid(_))), "{images}");
    }
}
