//! The HTTP server: connections, admission, routes, handlers, answers, and the record of each request.

pub(crate) mod access_log;
pub(crate) mod admission;
pub(crate) mod audit;
pub(crate) mod forwarded;
pub(crate) mod handlers;
pub(crate) mod metrics_page;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod user_agent;
