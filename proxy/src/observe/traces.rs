//! Traces: spans (`runtime/spans.rs`) on their way to a collector, by OTLP
//! (`observe/traces/collector.rs`).

mod collector;
mod queue;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::runtime::spans;
use crate::settings::error::ConfigError;
use crate::settings::telemetry::TelemetryConfig;

pub use collector::Collector;

/// Makes spans, for the log to take in.
pub struct Traces {
    tracer: SdkTracer,
}

impl Traces {
    /// With where the spans go; `None` when no collector is configured.
    pub fn prepare(config: &TelemetryConfig) -> Result<Option<(Self, Collector)>, ConfigError> {
        let Some(endpoint) = config.endpoint()? else { return Ok(None) };
        let (queue, spans) = queue::queue();
        let resource = Resource::builder();
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => resource,
            None => resource.with_service_name("wharfd"),
        };
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let collector = Collector::new(&endpoint, config.egress(), &resource, spans)?;
        let sampler = Sampler::TraceIdRatioBased(config.sample_ratio());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .build();
        spans::propagating(config.propagates());
        Ok(Some((Self { tracer: provider.tracer("wharfd") }, collector)))
    }

    pub(crate) fn into_tracer(self) -> SdkTracer {
        self.tracer
    }
}
