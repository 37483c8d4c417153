//! `exporters.remote_write` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Bytes, Count, Entries, Scalar, Seconds};

/// Pushes to a receiver of Prometheus remote write.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemoteWrite")]
pub(crate) struct RawRemoteWrite {
    /// Push at all. Default: true.
    pub(crate) enabled: Option<bool>,
    /// Where requests are posted: a whole URL (http or https), such as
    /// `http://localhost:9090/api/v1/write`; it may have a query. Required.
    #[schemars(required)]
    pub(crate) url: Option<String>,
    /// Version of the protocol, 1 or 2. With 2, a receiver that does not know it
    /// is sent 1. Default: 1.
    #[schemars(range(min = 1, max = 2))]
    pub(crate) version: Option<u64>,
    /// How histograms are sent: `classic` as series of their own, `native`, `nhcb` (native
    /// with the configured bounds as custom buckets, version 2 alone), or `both` (classic and
    /// native). A metric's own `histograms` goes before. Default: classic.
    #[schemars(extend("enum" = ["classic", "native", "nhcb", "both", null]))]
    pub(crate) histograms: Option<String>,
    /// Put before every metric name in pushes; may be empty. Default: `rw_`.
    #[schemars(regex(pattern = "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$"))]
    pub(crate) prefix: Option<String>,
    /// Labels of every series that does not have them itself; at most 100.
    /// Default: `job: mockingbird`.
    pub(crate) labels: Option<Entries<Scalar>>,
    /// What tells several of these processes apart at one receiver: with `auto`
    /// the label `instance`, host name and port, is added where `labels` have
    /// none; with `none` it is not. Default: auto.
    #[schemars(extend("enum" = ["auto", "none", null]))]
    pub(crate) instance: Option<String>,
    /// Seconds (or `1m`) between pushes, 0.001 to 86400: the first tick at or after each
    /// multiple of it (counted from 1970) is pushed. Default: 10.
    #[schemars(range(min = 0.001, max = 86400))]
    pub(crate) interval_s: Option<Seconds>,
    /// Extra request headers. Default: none.
    pub(crate) headers: Option<Entries<Scalar>>,
    /// File with a token that is sent as `Authorization: Bearer …`; read
    /// again when it changes. Relative to this file. Default: none.
    pub(crate) bearer_token_file: Option<String>,
    /// Name and password that are sent as `Authorization: Basic …`, instead of a
    /// token. Default: none.
    pub(crate) basic_auth: Option<RawBasicAuth>,
    /// Sent as `X-Scope-OrgID`, as Mimir and Cortex want it. Default: none.
    pub(crate) tenant: Option<String>,
    /// Requests posted at the same time, 1 to 64; a series is never in two of
    /// them. Default: 2.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) concurrency: Option<u64>,
    /// Most samples of a request (also `2k`), 1 to 100000. Default: 2000.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) max_samples_per_send: Option<Count>,
    /// Most bytes (or `64MiB`) of requests that wait to be posted, as compressed; at least
    /// 65536. When there are more, the oldest push is dropped.
    /// Default: 67108864.
    #[schemars(range(min = 65_536))]
    pub(crate) queue_bytes: Option<Bytes>,
    /// Seconds (or `500ms`) that one attempt to post a request may take, 0.001 to 3600.
    /// Default: 10.
    #[schemars(range(min = 0.001, max = 3600))]
    pub(crate) timeout_s: Option<Seconds>,
    /// PEM file of the certificate authorities that sign the receiver's
    /// certificate. Relative to this file, and read again when it changes.
    /// Default: the public ones.
    pub(crate) ca_file: Option<String>,
    /// PEM file of the certificate (and its chain) shown to the receiver;
    /// needs `key_file`. Relative to this file, and read again when it changes.
    /// Default: none.
    pub(crate) cert_file: Option<String>,
    /// PEM file of that certificate's private key. Relative to this file.
    /// Default: none.
    pub(crate) key_file: Option<String>,
}

/// Name and password.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BasicAuth")]
pub(crate) struct RawBasicAuth {
    /// The name, without a colon. Required.
    #[schemars(required)]
    pub(crate) username: Option<String>,
    /// The password; this or `password_file`.
    pub(crate) password: Option<String>,
    /// File with the password; read again when it changes. Relative to this
    /// file.
    pub(crate) password_file: Option<String>,
}
