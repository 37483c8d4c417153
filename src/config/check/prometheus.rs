//! `exporters.prometheus`.

use std::ops::RangeInclusive;

use super::Checker;
use crate::config::problem::Path;
use crate::config::raw::RawPrometheus;
use crate::config::{Global, HistogramForm, Prometheus};

/// How many connections a server may be allowed.
const CONNECTIONS: RangeInclusive<u64> = 16..=65_536;

impl Checker<'_> {
    pub(super) fn prometheus(&mut self, at: &Path, raw: RawPrometheus) -> Prometheus {
        Prometheus {
            enabled: raw.enabled.unwrap_or(true),
            port: self.port(at, "port", raw.port, 8000),
            bind_address: self.address(
                &at.key("bind_address"),
                raw.bind_address.as_deref(),
                [0, 0, 0, 0],
            ),
            prefix: self.prefix(&at.key("prefix"), raw.prefix, "prom_"),
            timestamps: raw.timestamps.unwrap_or(false),
            created: raw.created.unwrap_or(false),
            histograms: self.form(at, raw.histograms.as_deref(), &HistogramForm::OF_PROMETHEUS),
            max_connections: self.whole_or(
                at,
                "max_connections",
                raw.max_connections,
                2048,
                CONNECTIONS,
            ) as usize,
            // They are checked when metrics are known.
            targets: None,
        }
    }

    /// Reports a metrics page and a control API that claim the same port.
    pub(super) fn ports(&mut self, at: &Path, global: &Global, prometheus: &Prometheus) {
        let one = global.control_api_bind;
        let other = prometheus.bind_address;
        let overlap = one == other || one.is_unspecified() || other.is_unspecified();
        let same = global.control_api_port != 0 && global.control_api_port == prometheus.port;
        if prometheus.enabled && overlap && same {
            self.problems.add(
                at,
                format!(
                    "{} is also exporters.prometheus.port; they must differ",
                    prometheus.port
                ),
            );
        }
    }
}
