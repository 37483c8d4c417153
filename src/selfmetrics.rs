//! Metrics of the process itself: ordinary families, filled per tick.
//!
//! Counts are taken where things happen, on any thread; once per tick they
//! are copied into the frame's columns, so that a body shows one moment.

mod families;
mod process;
mod totals;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::engine::Columns;
use crate::http::Stats;
use crate::model::Catalog;
use crate::model::population::Populations;
use crate::push::Delivery;
use crate::remote_write::Contents;
pub use families::{EPOCH, SHARD_LABEL, TICK_LAG, TICKS};
use families::{FAMILIES, HTTP_ERRORS, HttpCount, Own, SCRAPE_BOUNDS_S, SERVERS, TICK_BOUNDS_S};
use process::cpu_seconds;
pub use process::resident_memory_bytes;
use totals::Totals;

/// The process's counters.
#[derive(Debug, Default)]
pub struct SelfMetrics {
    export_errors: AtomicU64,
    scrapes_running: AtomicU64,
    scrapes: AtomicU64,
    target_scrapes: AtomicU64,
    targets: AtomicU64,
    scrape_bytes: [AtomicU64; 2],
    scrape_duration: Observed,
    tick_duration: Observed,
    tick_lag_ns: AtomicU64,
    clock_offset_ns: AtomicI64,
    epoch_ns: AtomicI64,
    /// What the HTTP servers count, in the order of [`SERVERS`].
    servers: OnceLock<Vec<Arc<Stats>>>,
    /// Of the exporters that push, in the order of [`crate::exporters::pushing`].
    deliveries: Mutex<Vec<Delivery>>,
    totals: Mutex<Totals>,
}

/// A histogram of measured durations: the count of each bucket, and the sum.
#[derive(Debug, Default)]
struct Observed(Mutex<(Vec<u64>, f64)>);

/// Counts a scrape as under way until it is dropped.
#[derive(Debug)]
pub struct ScrapeGuard<'a>(&'a SelfMetrics);

impl SelfMetrics {
    /// Records how long a tick took to compute.
    pub fn add_tick(&self, duration_s: f64) {
        self.tick_duration.observe(&TICK_BOUNDS_S, duration_s);
    }

    /// Sets when tick 0 is, Unix nanoseconds.
    pub fn set_epoch_ns(&self, epoch_ns: i64) {
        self.epoch_ns.store(epoch_ns, Relaxed);
    }

    /// Sets, once, who counts connections and requests: the metrics page, where it is
    /// served, and the control API.
    ///
    /// # Panics
    /// When it is set already.
    pub fn set_servers(&self, stats: Vec<Arc<Stats>>) {
        assert!(self.servers.set(stats).is_ok(), "servers start once");
    }

    /// Sets how late the tick that is about to run begins.
    pub fn set_tick_lag_ns(&self, lag_ns: u64) {
        self.tick_lag_ns.store(lag_ns, Relaxed);
    }

    /// Sets how far the system's clock is ahead of the schedule.
    pub fn set_clock_offset_ns(&self, offset_ns: i64) {
        self.clock_offset_ns.store(offset_ns, Relaxed);
    }

    /// How late the last tick began.
    pub fn tick_lag_ns(&self) -> u64 {
        self.tick_lag_ns.load(Relaxed)
    }

    /// Sets what the exporters that push have delivered so far, in the order of
    /// [`crate::exporters::pushing`].
    pub fn set_deliveries(&self, now: impl Iterator<Item = Delivery>) {
        let mut deliveries = self.deliveries();
        deliveries.clear();
        deliveries.extend(now);
    }

    /// What one of them had delivered at the latest tick.
    pub fn delivery(&self, index: usize) -> Delivery {
        self.deliveries().get(index).copied().unwrap_or_default()
    }

    fn deliveries(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a scrape as under way, unless `running_max` already are.
    pub fn begin_scrape(&self, running_max: u64) -> Option<ScrapeGuard<'_>> {
        if self.scrapes_running.fetch_add(1, Relaxed) >= running_max {
            self.scrapes_running.fetch_sub(1, Relaxed);
            return None;
        }
        Some(ScrapeGuard(self))
    }

    /// Records a scrape that was answered in full.
    pub fn add_scrape(&self, gzip: bool, body_bytes: u64, duration_s: f64) {
        self.scrapes.fetch_add(1, Relaxed);
        self.scrape_bytes[usize::from(gzip)].fetch_add(body_bytes, Relaxed);
        self.scrape_duration.observe(&SCRAPE_BOUNDS_S, duration_s);
    }

    /// Records that a scrape which was answered in full was of the page of a target.
    pub fn add_target_scrape(&self) {
        self.target_scrapes.fetch_add(1, Relaxed);
    }

    /// Sets how many targets there are.
    pub fn set_targets(&self, count: usize) {
        self.targets.store(count as u64, Relaxed);
    }

    /// Records a scrape that failed or was broken off.
    pub fn add_scrape_error(&self) {
        self.export_errors.fetch_add(1, Relaxed);
    }

    /// Scrapes answered in full.
    pub fn scrapes(&self) -> u64 {
        self.scrapes.load(Relaxed)
    }

    /// Scrapes that failed or were broken off.
    pub fn scrape_errors(&self) -> u64 {
        self.export_errors.load(Relaxed)
    }

    /// Fills the columns of the process's own families for a tick, as
    /// [`crate::engine::Engine::advance_with`] hands them out; once for each tick.
    pub fn fill(
        &self,
        catalog: &Catalog,
        populations: &Populations,
        tick: u64,
        columns: &mut [Columns],
    ) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let generated = &catalog.families()[..catalog.generated_count()];
        totals.count(generated, populations, tick);
        let first = catalog.generated_count();
        let blocks = catalog.blocks();
        let blocks = &blocks[blocks.len() - columns.len()..];
        for (block, columns) in blocks.iter().zip(columns) {
            let own = FAMILIES[block.family - first].0;
            match columns {
                Columns::Values(values) => {
                    for (index, value) in values.iter_mut().enumerate() {
                        let series = block.start + index;
                        *value = match own {
                            Own::Points => totals.each[series].samples as f64,
                            Own::SeriesBorn => totals.each[series].born as f64,
                            Own::SeriesEnded => totals.each[series].ended as f64,
                            Own::ActiveSeries => populations.family(series).series_count() as f64,
                            _ => self.value(own, series, tick),
                        };
                    }
                }
                Columns::Histogram {
                    cumulative, sums, ..
                } => {
                    let observed = match own {
                        Own::TickDuration => &self.tick_duration,
                        _ => &self.scrape_duration,
                    };
                    sums[0] = observed.copy_to(cumulative);
                }
                Columns::Summary { .. } => unreachable!("no own family is a summary"),
            }
        }
    }

    fn value(&self, own: Own, series: usize, tick: u64) -> f64 {
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        let ledger = |index: usize| self.delivery(index).ledger;
        match own {
            Own::ExportErrors => match series.checked_sub(1) {
                Some(index) => self.delivery(index).exports_failed as f64,
                None => count(&self.export_errors),
            },
            Own::QueueDepth => match series.checked_sub(1) {
                Some(index) => self.delivery(index).exports_open as f64,
                None => count(&self.scrapes_running),
            },
            Own::PointsOffered => ledger(series).offered as f64,
            Own::PointsAccepted => ledger(series).accepted as f64,
            Own::PointsRejected => ledger(series).rejected as f64,
            Own::PointsRetried => ledger(series).retried as f64,
            Own::PointsDropped => ledger(series).dropped as f64,
            Own::Written => {
                // The kind varies faster: labels are in the order of their names.
                let kinds = Contents::default().by_kind().len();
                let written = ledger(series / kinds).confirmed.written;
                written.by_kind()[series % kinds].1 as f64
            }
            Own::Mismatches => ledger(series).confirmed.mismatches as f64,
            Own::Ticks => tick as f64,
            Own::TickLag => count(&self.tick_lag_ns) / 1e9,
            Own::ClockOffset => self.clock_offset_ns.load(Relaxed) as f64 / 1e9,
            Own::Epoch => self.epoch_ns.load(Relaxed) as f64 / 1e9,
            Own::Scrapes => count(&self.scrapes),
            Own::TargetScrapes => count(&self.target_scrapes),
            Own::Targets => count(&self.targets),
            Own::ScrapeBytes => count(&self.scrape_bytes[usize::from(series == 1)]),
            Own::ResidentMemory => resident_memory_bytes().map_or(f64::NAN, |bytes| bytes as f64),
            Own::CpuSeconds => cpu_seconds().unwrap_or(0.0),
            Own::HttpConnections => self.http(series, |stats| &stats.connections_accepted),
            Own::HttpRequests => self.http(series, |stats| &stats.requests),
            Own::HttpErrors => {
                // Labels are in the order of their names: the server varies faster.
                let servers = self.servers.get().map_or(SERVERS.len(), Vec::len);
                let (_, counter) = HTTP_ERRORS[series / servers];
                self.http(series % servers, counter)
            }
            Own::BuildInfo => 1.0,
            Own::Points
            | Own::ActiveSeries
            | Own::SeriesBorn
            | Own::SeriesEnded
            | Own::TickDuration
            | Own::ScrapeDuration => {
                unreachable!("`fill` takes them from elsewhere")
            }
        }
    }
}

impl SelfMetrics {
    /// What a server has counted.
    fn http(&self, server: usize, counter: HttpCount) -> f64 {
        let servers = self.servers.get();
        let stats = servers.and_then(|servers| servers.get(server));
        stats.map_or(0.0, |stats| counter(stats).get() as f64)
    }
}

/// Fills the columns of [`SelfMetrics::tick_family`].
pub fn fill_tick(tick: u64, columns: &mut [Columns]) {
    for columns in columns {
        if let Columns::Values(values) = columns {
            values.fill(tick as f64);
        }
    }
}

impl Drop for ScrapeGuard<'_> {
    fn drop(&mut self) {
        self.0.scrapes_running.fetch_sub(1, Relaxed);
    }
}

impl Observed {
    fn observe(&self, bounds: &[f64], value: f64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, sum) = &mut *state;
        counts.resize(bounds.len() + 1, 0);
        counts[bounds.partition_point(|&bound| bound < value)] += 1;
        *sum += value;
    }

    /// Writes cumulative counts; returns the sum.
    fn copy_to(&self, cumulative: &mut [u64]) -> f64 {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut below = 0;
        cumulative.fill(0);
        for (cell, count) in cumulative.iter_mut().zip(&state.0) {
            below += count;
            *cell = below;
        }
        state.1
    }
}

#[cfg(test)]
mod tests {
    use crate::model::FurtherBuckets;
    use std::collections::HashMap;
    use std::path::Path;

    use super::totals::MetricTotals;
    use super::*;
    use crate::config;
    use crate::engine::{Engine, Prepared};

    #[test]
    fn durations_fall_into_their_buckets() {
        let observed = Observed::default();
        for value in [0.0005, 0.001, 0.002, 3.0] {
            observed.observe(&TICK_BOUNDS_S, value);
        }
        let mut cumulative = [7; TICK_BOUNDS_S.len() + 1];
        let sum = observed.copy_to(&mut cumulative);
        assert!((sum - 3.0035).abs() < 1e-12);
        assert_eq!(cumulative[..3], [2, 3, 3]);
        assert_eq!(cumulative[10], 4);
    }

    /// The pages of targets, which come before this module, tell tick and run by these names.
    #[test]
    fn pages_have_ticks_and_epoch() {
        assert_eq!(crate::exposition::OWN_ON_PAGES, [TICKS, EPOCH.0]);
    }

    /// The check of configurations, which comes before this module, knows every name.
    #[test]
    fn metrics_have_own_names_only_with_a_prefix_before_these() {
        let load = |global: &str, name: &str| {
            let text = format!(
                "metrics: [{{name: {name}, type: gauge, algorithm: constant, start: 1}}]\n\
                 global: {{{global}}}\n"
            );
            config::load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None)
        };
        for (_, name, ..) in FAMILIES {
            let refusal = load("", name).unwrap_err().to_string();
            assert!(refusal.contains("global.self_metrics_prefix"), "{refusal}");
            let config = load("self_metrics_prefix: own_", name).unwrap();
            let own = SelfMetrics::families(&config);
            assert!(
                own.iter()
                    .all(|own| own.name.starts_with("own_") && own.name != name)
            );
            assert!(load("self_metrics_prefix: own_", &format!("own_{name}")).is_err());
            assert_eq!(SelfMetrics::tick_family(&config).name, "own_gen_ticks");
        }
    }

    #[test]
    fn running_scrapes_are_bounded() {
        let metrics = SelfMetrics::default();
        let first = metrics.begin_scrape(1);
        assert!(first.is_some() && metrics.begin_scrape(1).is_none());
        drop(first);
        assert!(metrics.begin_scrape(1).is_some());
    }

    /// Reloads begin and end series as well, entities among them.
    #[test]
    fn reloads_are_counted() {
        let config = |users: u32, pods: u32, more: &str| {
            let text = format!(
                "global: {{tick_interval_s: 60}}\n\
                 profiles:\n\
                 \x20 plain: {{labels: {{user: {{range: [1, {users}]}}}}}}\n\
                 \x20 fleet:\n\
                 \x20   labels: {{pod: {{range: [1, {pods}], fmt: 'pod{{}}-{{id:5}}'}}, code: [a, b]}}\n\
                 \x20   churn: [{{mode: replace, label: pod, lifetime: 10m}}]\n\
                 metrics:\n\
                 {more}\
                 - {{name: users, profile: plain, type: counter, algorithm: poisson, base_rate: 1}}\n\
                 - {{name: pods, profile: fleet, type: counter, algorithm: poisson, base_rate: 1}}\n"
            );
            let config = config::load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
            config.unwrap_or_else(|error| panic!("{error}"))
        };
        let first = config(10, 8, "");
        let more = "- {name: new, type: gauge, algorithm: constant, start: 1}\n";
        let second = config(14, 6, more);
        let catalog = Arc::new(Catalog::build(&first, SelfMetrics::families(&first)).unwrap());
        let mut engine = Engine::new(&first, Arc::clone(&catalog), 0, 1).unwrap();
        let own = SelfMetrics::default();
        let tick = |engine: &mut Engine| {
            let catalog = Arc::clone(engine.catalog());
            engine.advance_with(|populations, tick, columns| {
                own.fill(&catalog, populations, tick, columns);
            });
            let totals = own.totals.lock().unwrap();
            let of = |metric: &MetricTotals| (metric.name.clone(), (metric.born, metric.ended));
            let counts: HashMap<String, (u64, u64)> = totals.each.iter().map(of).collect();
            counts
        };
        assert_eq!(tick(&mut engine)["pods"], (16, 0));
        let mut before = HashMap::new();
        for _ in 0..30 {
            before = tick(&mut engine);
        }
        let (born, ended) = before["pods"];
        assert!(born > 16 + 20 && born - ended == 16);
        assert_eq!(before["users"], (10, 0));
        let own_families = SelfMetrics::families(&second);
        let known = (&first.metrics[..], &catalog);
        let after =
            Catalog::build_after(known, &second, own_families, &|_| FurtherBuckets::default())
                .unwrap();
        let prepared = Prepared::new(known, &second, Arc::new(after));
        let reloaded = engine.reload(prepared).unwrap();
        let after = tick(&mut engine);
        assert_eq!(after["users"], (14, 0));
        assert_eq!(after["new"], (1, 0));
        let pods = &reloaded.series["pods"];
        assert_eq!(after["pods"], (born + pods.began, ended + pods.ended));
        assert_eq!(after["pods"].0 - after["pods"].1, 12);
    }
}
