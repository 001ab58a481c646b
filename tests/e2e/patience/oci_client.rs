//! The `oci-client` library in this process: it tries nothing again.

use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;

use super::cell::Cell;

fn client() -> Client {
    Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

fn words(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

pub(super) async fn push(cell: &Cell<'_>) -> Result<(), String> {
    let image: Reference = cell.reference().parse().map_err(words)?;
    let content = &cell.layout.images[0];
    let read = |blob: &wharf_testkit::images::Blob| cell.layout.read(blob).unwrap();
    let layer = |layer: &wharf_testkit::images::Layer| {
        ImageLayer::new(read(&layer.blob), IMAGE_LAYER_GZIP_MEDIA_TYPE.to_owned(), None)
    };
    let layers: Vec<_> = content.layers.iter().map(layer).collect();
    let config = Config::new(read(&content.config), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    let pushed = client().push(&image, &layers, config, &RegistryAuth::Anonymous, None).await;
    pushed.map(drop).map_err(words)
}

pub(super) async fn pull(cell: &Cell<'_>) -> Result<(), String> {
    let image: Reference = cell.reference().parse().map_err(words)?;
    let types = vec![IMAGE_LAYER_GZIP_MEDIA_TYPE];
    let pulled = client().pull(&image, &RegistryAuth::Anonymous, types).await.map_err(words)?;
    let layers = &cell.layout.images[0].layers;
    let wanted: Vec<_> =
        layers.iter().map(|layer| cell.layout.read(&layer.blob).unwrap()).collect();
    let same = pulled.layers.len() == wanted.len()
        && pulled.layers.iter().all(|layer| wanted.iter().any(|wanted| *wanted == layer.data));
    if same { Ok(()) } else { Err("the layers differ".to_owned()) }
}

pub(super) async fn referrers(cell: &Cell<'_>) -> Result<String, String> {
    let image = format!("{}/{}@{}", cell.host, cell.repo, cell.layout.top.digest);
    let image: Reference = image.parse().map_err(words)?;
    let client = client();
    let auth = RegistryAuth::Anonymous;
    client.auth(&image, &auth, oci_client::RegistryOperation::Pull).await.map_err(words)?;
    let index = client.pull_referrers(&image, None).await.map_err(words)?;
    serde_json::to_string(&index).map_err(words)
}
