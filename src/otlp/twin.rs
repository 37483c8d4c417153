//! The obvious encoder that the fast one is compared with: an object per
//! point, encoded by the generated types. Tests only.

use std::collections::BTreeMap;

use crate::engine::{Columns, ExponentialRow, Frame, NativeRow};
use crate::model::FurtherBuckets;
use crate::model::native::NativeLayout;
use crate::model::population::Population;
use crate::model::{Family, Shape};
use crate::otlp::{EncoderOptions, HistogramForm, Temporality, unit};
use crate::proto::otlp::any_value::Value as Any;
use crate::proto::otlp::exponential_histogram_data_point::Buckets;
use crate::proto::otlp::metric::Data;
use crate::proto::otlp::number_data_point::Value as Number;
use crate::proto::otlp::summary_data_point::ValueAtQuantile;
use crate::proto::otlp::{
    AggregationTemporality, AnyValue, ExponentialHistogram, ExponentialHistogramDataPoint,
    ExportMetricsServiceRequest, Gauge, Histogram, HistogramDataPoint, InstrumentationScope,
    KeyValue, Metric, NumberDataPoint, Resource, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint,
};

/// A frame as one request.
pub(super) fn request(
    now: &Frame,
    before: Option<&Frame>,
    options: &EncoderOptions,
) -> ExportMetricsServiceRequest {
    let delta = options.temporality == Temporality::Delta;
    let twin = Twin {
        now,
        before: before.filter(|_| delta),
        options,
    };
    let families = 0..now.catalog().families().len();
    let metrics = families.filter_map(|index| twin.metric(index));
    request_of(metrics.collect(), options)
}

/// The series that a frame has and a later one has not, as one request at the time of
/// that; `before` is the frame that its deltas are counted from.
pub(super) fn ended(
    exported: &Frame,
    now: &Frame,
    before: Option<&Frame>,
    options: &EncoderOptions,
) -> ExportMetricsServiceRequest {
    let twin = Twin {
        now: exported,
        before: before.filter(|_| options.temporality == Temporality::Delta),
        options,
    };
    let all = |frame: &Frame, family: usize| -> Vec<(usize, usize)> {
        let blocks = frame.catalog().family_blocks(family);
        let rows = blocks.flat_map(|place| {
            let block = frame.catalog().blocks()[place];
            (0..block.len).map(move |row| (place, row, block.start + row))
        });
        let population = frame.population(family);
        let rows = rows.filter(|&(.., series)| population.exists(series));
        rows.map(|(place, row, _)| (place, row)).collect()
    };
    let mut metrics = Vec::new();
    for (index, family) in exported.catalog().families().iter().enumerate() {
        let mut later = now.catalog().families().iter();
        let later = later.position(|later| later.name == family.name);
        let known = later.map_or(Vec::new(), |later| {
            let twin = Twin { now, ..twin };
            let rows = all(now, later).into_iter();
            rows.map(|at| twin.attributes(at)).collect()
        });
        let rows = all(exported, index).into_iter();
        let gone: Vec<_> = rows
            .filter(|&at| !known.contains(&twin.attributes(at)))
            .collect();
        let time_ns = now.time_ns() as u64;
        if let Some(metric) = twin.metric_of(index, &gone) {
            let native = twin.native(family).is_some();
            metrics.push(without_values(metric, (&family.shape, native), time_ns));
        }
    }
    request_of(metrics, options)
}

/// The same points without their values.
fn without_values(mut metric: Metric, (shape, is_native): (&Shape, bool), time_ns: u64) -> Metric {
    const FLAGS: u32 = 1;
    match metric.data.as_mut().unwrap() {
        Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. }) => {
            for point in data_points {
                (point.time_unix_nano, point.value, point.flags) = (time_ns, None, FLAGS);
            }
        }
        Data::Histogram(data) => {
            for point in &mut data.data_points {
                (point.time_unix_nano, point.count, point.flags) = (time_ns, 0, FLAGS);
                point.sum = point.sum.map(|_| 0.0);
                point.bucket_counts.fill(0);
                (point.min, point.max) = (None, None);
            }
        }
        Data::ExponentialHistogram(data) => {
            for point in &mut data.data_points {
                (point.time_unix_nano, point.count, point.flags) = (time_ns, 0, FLAGS);
                point.sum = point.sum.map(|_| 0.0);
                (point.zero_count, point.positive) = (0, None);
                (point.min, point.max) = (None, None);
                point.zero_threshold = 0.0;
                let Shape::Histogram { further, .. } = shape else {
                    unreachable!()
                };
                point.scale = if is_native {
                    further.native.unwrap().schema.into()
                } else {
                    further.exponential.unwrap().scale
                };
            }
        }
        Data::Summary(data) => {
            for point in &mut data.data_points {
                (point.time_unix_nano, point.count, point.flags) = (time_ns, 0, FLAGS);
                point.sum = 0.0;
                point
                    .quantile_values
                    .iter_mut()
                    .for_each(|at| at.value = 0.0);
            }
        }
    }
    metric
}

fn request_of(metrics: Vec<Metric>, options: &EncoderOptions) -> ExportMetricsServiceRequest {
    if metrics.is_empty() {
        return ExportMetricsServiceRequest::default();
    }
    let attributes = options.resource.iter();
    let attributes = attributes.map(|(key, value)| attribute(key, value));
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: options.scope_name.clone(),
                    version: options.scope_version.clone(),
                    ..InstrumentationScope::default()
                }),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

/// Requests that were cut, as the one that they were cut from.
pub(super) fn merge(requests: Vec<ExportMetricsServiceRequest>) -> ExportMetricsServiceRequest {
    let mut whole = ExportMetricsServiceRequest::default();
    for request in requests {
        for resource in request.resource_metrics {
            let Some(known) = whole.resource_metrics.last_mut() else {
                whole.resource_metrics.push(resource);
                continue;
            };
            assert_eq!(known.resource, resource.resource);
            for scope in resource.scope_metrics {
                let known = known.scope_metrics.last_mut().unwrap();
                assert_eq!(known.scope, scope.scope);
                for metric in scope.metrics {
                    match known.metrics.last_mut() {
                        Some(last) if last.name == metric.name => append(last, metric),
                        _ => known.metrics.push(metric),
                    }
                }
            }
        }
    }
    whole
}

fn append(to: &mut Metric, from: Metric) {
    assert_eq!((&to.unit, &to.description), (&from.unit, &from.description));
    match (to.data.as_mut().unwrap(), from.data.unwrap()) {
        (Data::Gauge(to), Data::Gauge(from)) => to.data_points.extend(from.data_points),
        (Data::Sum(to), Data::Sum(from)) => {
            assert_eq!(to.is_monotonic, from.is_monotonic);
            assert_eq!(to.aggregation_temporality, from.aggregation_temporality);
            to.data_points.extend(from.data_points);
        }
        (Data::Histogram(to), Data::Histogram(from)) => {
            assert_eq!(to.aggregation_temporality, from.aggregation_temporality);
            to.data_points.extend(from.data_points);
        }
        (Data::ExponentialHistogram(to), Data::ExponentialHistogram(from)) => {
            assert_eq!(to.aggregation_temporality, from.aggregation_temporality);
            to.data_points.extend(from.data_points);
        }
        (Data::Summary(to), Data::Summary(from)) => to.data_points.extend(from.data_points),
        _ => panic!("a metric keeps its type"),
    }
}

/// Data points of a request.
pub(super) fn points(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|r| &r.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    metrics
        .map(|metric| match metric.data.as_ref().unwrap() {
            Data::Gauge(data) => data.data_points.len(),
            Data::Sum(data) => data.data_points.len(),
            Data::Histogram(data) => data.data_points.len(),
            Data::ExponentialHistogram(data) => data.data_points.len(),
            Data::Summary(data) => data.data_points.len(),
        })
        .sum()
}

#[derive(Clone, Copy)]
struct Twin<'a> {
    now: &'a Frame,
    before: Option<&'a Frame>,
    options: &'a EncoderOptions,
}

impl Twin<'_> {
    fn metric(&self, index: usize) -> Option<Metric> {
        let catalog = self.now.catalog();
        let blocks = catalog.family_blocks(index);
        let rows = blocks
            .flat_map(|block| (0..catalog.blocks()[block].len).map(move |row| (block, row)))
            .filter(|&(block, row)| !self.now.gaps(block).contains(row));
        self.metric_of(index, &rows.collect::<Vec<_>>())
    }

    /// A family with the points of some (block, row).
    fn metric_of(&self, index: usize, rows: &[(usize, usize)]) -> Option<Metric> {
        let family = &self.now.catalog().families()[index];
        if rows.is_empty() {
            return None;
        }
        let aggregation_temporality = match self.options.temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative.into(),
            Temporality::Delta => AggregationTemporality::Delta.into(),
        };
        let exponential = self.form(family) == HistogramForm::Exponential;
        let data = match &family.shape {
            Shape::Counter => Data::Sum(Sum {
                data_points: self.points(rows, &|twin, at| twin.number(at, true)),
                aggregation_temporality,
                is_monotonic: true,
            }),
            Shape::Gauge => Data::Gauge(Gauge {
                data_points: self.points(rows, &|twin, at| twin.number(at, false)),
            }),
            Shape::Histogram {
                further:
                    FurtherBuckets {
                        exponential: Some(_),
                        ..
                    },
                ..
            } if exponential => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.points(rows, &Self::exponential),
                aggregation_temporality,
            }),
            Shape::Histogram { .. } if self.native(family).is_some() => {
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: self.points(rows, &Self::exponential),
                    aggregation_temporality,
                })
            }
            Shape::Histogram { .. } => Data::Histogram(Histogram {
                data_points: self.points(rows, &Self::histogram),
                aggregation_temporality,
            }),
            Shape::Summary { .. } => Data::Summary(Summary {
                data_points: self.points(rows, &Self::summary),
            }),
        };
        Some(Metric {
            name: format!("{}{}", self.options.prefix, family.name),
            description: family.help.clone(),
            unit: unit::ucum(&family.unit).to_owned(),
            data: Some(data),
            ..Metric::default()
        })
    }

    /// One point for each (block, row).
    fn points<P>(
        &self,
        rows: &[(usize, usize)],
        point: &dyn Fn(&Self, (usize, usize)) -> P,
    ) -> Vec<P> {
        rows.iter().map(|&at| point(self, at)).collect()
    }

    fn created(&self, (block, row): (usize, usize)) -> i64 {
        self.now.created(block).at(row)
    }

    fn start(&self, at: (usize, usize)) -> u64 {
        let created = self.created(at);
        self.before
            .map_or(created, |before| created.max(before.time_ns())) as u64
    }

    /// What is subtracted from a series that had begun by then.
    fn before(&self, at: (usize, usize)) -> Option<&Frame> {
        self.before
            .filter(|before| self.created(at) <= before.time_ns())
    }

    /// How much its total grew since then, where the frame tells.
    fn growth(&self, at: (usize, usize)) -> Option<f64> {
        let growth = self.now.growth(at.0, self.before?.tick())?;
        Some(growth[at.1])
    }

    fn time(&self) -> u64 {
        self.now.time_ns() as u64
    }

    fn attributes(&self, (block, row): (usize, usize)) -> Vec<KeyValue> {
        let (_, block, _) = self.now.block(block);
        attributes(self.now.population(block.family), block.start + row)
    }

    fn number(&self, at: (usize, usize), sum: bool) -> NumberDataPoint {
        let value = |frame: &Frame| match frame.block(at.0).2 {
            Columns::Values(values) => values[at.1],
            _ => unreachable!(),
        };
        let now = value(self.now);
        let value = match self.before(at).map(value) {
            Some(before) if sum && now >= before => self.growth(at).unwrap_or(now - before),
            _ => now,
        };
        NumberDataPoint {
            start_time_unix_nano: if sum { self.start(at) } else { 0 },
            time_unix_nano: self.time(),
            value: Some(Number::AsDouble(value)),
            attributes: self.attributes(at),
            ..NumberDataPoint::default()
        }
    }

    /// The form of a metric where it says one, else that of the options.
    fn form(&self, family: &Family) -> HistogramForm {
        match family.histograms {
            None => self.options.histograms,
            Some(HistogramForm::Exponential) => HistogramForm::Exponential,
            Some(HistogramForm::Native | HistogramForm::Both) => HistogramForm::Native,
            Some(HistogramForm::Classic | HistogramForm::Nhcb) => HistogramForm::Classic,
        }
    }

    /// How histograms of a shape are native, where they are sent so.
    fn native(&self, family: &Family) -> Option<NativeLayout> {
        match &family.shape {
            Shape::Histogram { further, .. } => further
                .native
                .filter(|_| self.form(family) == HistogramForm::Native),
            _ => None,
        }
    }

    /// Counts per bucket, sum, exponential buckets and native ones, all of them what was
    /// added since the frame before unless one shrank.
    fn counts(&self, at: (usize, usize)) -> (Vec<u64>, f64, [Merged; 2]) {
        let family = self.now.block(at.0).0;
        let layout = match &family.shape {
            Shape::Histogram { further, .. } => further.exponential,
            _ => None,
        };
        let native_layout = self.native(family);
        let counts = |frame: &Frame| match frame.block(at.0).2 {
            Columns::Histogram {
                cumulative,
                sums,
                exponential,
                native,
            } => {
                let width = cumulative.len() / sums.len();
                let mut counts = cumulative[at.1 * width..(at.1 + 1) * width].to_vec();
                for index in (1..width).rev() {
                    counts[index] -= counts[index - 1];
                }
                let row = layout.map(|layout| exponential.row(at.1, sums.len(), &layout));
                let dense = row.map(Merged::of).unwrap_or_default();
                let row = native_layout.map(|layout| native.row(at.1, &layout));
                let native = row.map(Merged::of_native).unwrap_or_default();
                (counts, sums[at.1], [dense, native])
            }
            _ => unreachable!(),
        };
        let now = counts(self.now);
        let Some(before) = self.before(at).map(counts) else {
            return now;
        };
        let minus = |a: &[u64], b: &[u64]| -> Option<Vec<u64>> {
            a.iter().zip(b).map(|(a, b)| a.checked_sub(*b)).collect()
        };
        let [dense, native] = [0, 1].map(|which| now.2[which].minus(&before.2[which]));
        match (minus(&now.0, &before.0), dense, native) {
            (Some(counts), Some(dense), Some(native)) => {
                let sum = self.growth(at).unwrap_or(now.1 - before.1);
                (counts, sum, [dense, native])
            }
            _ => now,
        }
    }

    /// The smallest and the largest observation that its point tells.
    fn extremes(&self, at: (usize, usize)) -> (Option<f64>, Option<f64>) {
        let since = self.before.map(Frame::tick);
        let told = self
            .now
            .extremes(at.0, since)
            .filter(|_| self.options.min_max);
        told.and_then(|extremes| extremes[at.1].ends()).unzip()
    }

    fn histogram(&self, at: (usize, usize)) -> HistogramDataPoint {
        let (bucket_counts, sum, _) = self.counts(at);
        let (min, max) = self.extremes(at);
        let Shape::Histogram { bounds, .. } = &self.now.block(at.0).0.shape else {
            unreachable!()
        };
        HistogramDataPoint {
            start_time_unix_nano: self.start(at),
            time_unix_nano: self.time(),
            count: bucket_counts.iter().sum(),
            sum: (bounds[0] >= 0.0).then_some(sum),
            bucket_counts,
            explicit_bounds: bounds.to_vec(),
            min,
            max,
            attributes: self.attributes(at),
            ..HistogramDataPoint::default()
        }
    }

    fn exponential(&self, at: (usize, usize)) -> ExponentialHistogramDataPoint {
        let (counts, sum, [dense, native]) = self.counts(at);
        let (min, max) = self.extremes(at);
        let family = self.now.block(at.0).0;
        let Shape::Histogram { bounds, .. } = &family.shape else {
            unreachable!()
        };
        let layout = self.native(family);
        let merged = if layout.is_some() { native } else { dense };
        let ends = merged.counts.keys().next().zip(merged.counts.keys().last());
        let indices = ends.map(|(&first, &last)| first..=last);
        let count = |index: i32| merged.counts.get(&index).copied().unwrap_or(0);
        ExponentialHistogramDataPoint {
            start_time_unix_nano: self.start(at),
            time_unix_nano: self.time(),
            count: counts.iter().sum(),
            sum: (bounds[0] >= 0.0).then_some(sum),
            scale: merged.scale,
            zero_count: merged.zeros,
            positive: Some(Buckets {
                offset: ends.map_or(0, |(&first, _)| first),
                bucket_counts: indices.into_iter().flatten().map(count).collect(),
            }),
            min,
            max,
            zero_threshold: layout.map_or(0.0, |layout| layout.zero_threshold),
            attributes: self.attributes(at),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    fn summary(&self, at: (usize, usize)) -> SummaryDataPoint {
        let (family, _, columns) = self.now.block(at.0);
        let (
            Shape::Summary { quantiles: asked },
            Columns::Summary {
                quantiles,
                counts,
                sums,
            },
        ) = (&family.shape, columns)
        else {
            unreachable!()
        };
        let values = asked.iter().zip(&quantiles[at.1 * asked.len()..]);
        SummaryDataPoint {
            start_time_unix_nano: self.created(at) as u64,
            time_unix_nano: self.time(),
            count: counts[at.1],
            sum: sums[at.1],
            quantile_values: values
                .map(|(&quantile, &value)| ValueAtQuantile { quantile, value })
                .collect(),
            attributes: self.attributes(at),
            ..SummaryDataPoint::default()
        }
    }
}

/// Exponential buckets that are not empty, by index.
#[derive(Debug, Default)]
struct Merged {
    scale: i32,
    zeros: u64,
    counts: BTreeMap<i32, u64>,
}

impl Merged {
    fn of(row: ExponentialRow<'_>) -> Self {
        let counts = (row.place.offset..).zip(row.counts.iter().copied());
        Self {
            scale: row.place.scale,
            zeros: row.place.zeros,
            counts: counts.filter(|&(_, count)| count > 0).collect(),
        }
    }

    /// OTLP knows a bucket by its lower bound, a native histogram by its upper one.
    fn of_native(row: NativeRow<'_>) -> Self {
        let indices = row.indices.iter().map(|index| index - 1);
        Self {
            scale: row.schema.into(),
            zeros: row.zeros,
            counts: indices.zip(row.counts.iter().copied()).collect(),
        }
    }

    /// What was added; `None` where something shrank.
    fn minus(&self, before: &Self) -> Option<Self> {
        let coarser = u32::try_from(before.scale - self.scale).ok()?;
        let mut counts = self.counts.clone();
        for (index, count) in &before.counts {
            let cell = counts.get_mut(&(index >> coarser))?;
            *cell = cell.checked_sub(*count)?;
        }
        counts.retain(|_, count| *count > 0);
        Some(Self {
            scale: self.scale,
            zeros: self.zeros.checked_sub(before.zeros)?,
            counts,
        })
    }
}

fn attributes(population: &Population, series: usize) -> Vec<KeyValue> {
    let cursor = population.cursor(series);
    let attributes = cursor.labels();
    attributes
        .map(|(name, value)| attribute(name, value))
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue(value.to_owned())),
        }),
    }
}
