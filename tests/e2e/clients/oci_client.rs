//! The `oci-client` library through `wharfd`: it sends a PATCH for each piece, tries nothing again, and
//! wants 201 everywhere.

use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;

use super::assert_everywhere;
use crate::fixture::{Stage, noise};

#[tokio::test(flavor = "multi_thread")]
async fn oci_client_pushes_what_it_pulls_and_is_there_everywhere() {
    let Some(stage) = Stage::start().await else { return };
    // The library is built without a provider of cryptography and wants one before it has a client.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let protocol = ClientProtocol::Http;
    let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let (repo, anonymous) = ("clients/oci-client", RegistryAuth::Anonymous);
    let image: Reference = format!("{}/{repo}:1.0", stage.wharfd.host()).parse().unwrap();
    let layer = noise(31, 9_000_000);
    let layers = [ImageLayer::new(layer.clone(), IMAGE_LAYER_MEDIA_TYPE.to_owned(), None)];
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config = Config::new(config.to_vec(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    client.push(&image, &layers, config, &anonymous, None).await.unwrap();
    let digest = client.fetch_manifest_digest(&image, &anonymous).await.unwrap();
    assert_everywhere(&stage, repo, &digest).await;
    let types = vec![IMAGE_LAYER_MEDIA_TYPE];
    let pulled = client.pull(&image, &anonymous, types).await.unwrap();
    assert_eq!(pulled.digest.as_deref(), Some(&*digest));
    assert!(pulled.layers.iter().all(|pulled| pulled.data == layer) && pulled.layers.len() == 1);
}
