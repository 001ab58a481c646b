//! The transport to the collector: OTLP, protobuf over HTTP, through a hyper client as upstreams
//! have one.
//!
//! Invariant: a collector that is down costs a try in `COLLECTOR_PAUSE`, and one line in the log at
//! the beginning and at the end of the outage; requests never wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use url::Url;
use wharf_client::outbound;
use wharf_client::outbound::OutboundPath;
use wharf_client::outbound::proxies::OutboundProxies;
use wharf_client::outbound::tls::client_config;

use crate::limits::{
    COLLECTOR_ANSWER_BYTES_MAX, COLLECTOR_PAUSE, COLLECTOR_TIMEOUT, SPANS_PER_BATCH, SPANS_PERIOD,
};
use crate::settings::USER_AGENT;
use crate::settings::error::ConfigError;

/// Sends spans until it is told to stop.
pub struct Collector {
    exporter: SpanExporter,
    address: String,
    spans: mpsc::Receiver<SpanData>,
    /// Until when nothing is sent, after a failure.
    paused_until: Option<Instant>,
}

impl Collector {
    pub(super) fn new(
        endpoint: &Url,
        egress: &Arc<OutboundProxies>,
        resource: &Resource,
        spans: mpsc::Receiver<SpanData>,
    ) -> Result<Self, ConfigError> {
        let refused = |reason: String| ConfigError::Telemetry { reason };
        let client = Http::new(Arc::clone(egress)).map_err(refused)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint.as_str())
            .with_timeout(COLLECTOR_TIMEOUT)
            // The exporter's own pause would block a thread of ours.
            .with_retry_policy(RetryPolicy::disabled())
            .build();
        let mut exporter = exporter.map_err(|error| refused(error.to_string()))?;
        exporter.set_resource(resource);
        let address = endpoint[..url::Position::AfterPort].to_owned();
        Ok(Self { exporter, address, spans, paused_until: None })
    }

    /// Sends spans until `stop` becomes true, and then the remaining ones, once.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tracing::info!(collector = self.address, "traces are sent");
        let mut batch = Vec::new();
        loop {
            let stopped = tokio::select! {
                came = self.spans.recv_many(&mut batch, SPANS_PER_BATCH) => came == 0,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if stopped {
                break;
            }
            // More of the same request comes in a moment.
            let more = self.gather(&mut batch);
            let _ = timeout(SPANS_PERIOD, more).await;
            self.send(std::mem::take(&mut batch)).await;
        }
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            self.send(batch).await;
        }
    }

    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < SPANS_PER_BATCH {
            let room = SPANS_PER_BATCH - batch.len();
            if self.spans.recv_many(batch, room).await == 0 {
                return;
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            crate::runtime::spans::lost(count);
            return;
        }
        let was_down = self.paused_until.is_some();
        match self.exporter.export(batch).await {
            Ok(()) => {
                crate::runtime::spans::sent(count);
                self.paused_until = None;
                if was_down {
                    tracing::info!(collector = self.address, "traces are sent again");
                }
            }
            Err(error) => {
                crate::runtime::spans::lost(count);
                self.paused_until = Some(Instant::now() + COLLECTOR_PAUSE);
                if !was_down {
                    let collector = &self.address;
                    tracing::warn!(collector, %error, "traces are lost until the collector answers");
                }
            }
        }
    }
}

/// HTTP for the exporter: bounded in time and in bytes read.
#[derive(Debug)]
struct Http(outbound::Client<HttpConnector, Full<Bytes>>);

impl Http {
    fn new(egress: Arc<OutboundProxies>) -> Result<Self, String> {
        let tls = client_config(None)?;
        let connect_timeout = COLLECTOR_TIMEOUT;
        let dial = outbound::dial(connect_timeout);
        let user_agent = USER_AGENT;
        let way = OutboundPath { egress, dial, tls, connect_timeout, http2: false, user_agent };
        Ok(Self(way.client(&Client::builder(TokioExecutor::new()))))
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let answer = self.0.request(request.map(Full::new)).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, COLLECTOR_ANSWER_BYTES_MAX).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(parts, body.to_bytes()))
        };
        timeout(COLLECTOR_TIMEOUT, exchange).await?
    }
}
