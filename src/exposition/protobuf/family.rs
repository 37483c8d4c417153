//! A family as a `MetricFamily` message: what is constant about it, how long it is, and
//! its series.

use std::sync::{Arc, OnceLock};

use prost::Message;

use crate::config::HistogramForm;
use crate::engine::{Columns, Frame};
use crate::escaping::Escaping;
use crate::exposition::lines::{Mark, Repeats};
use crate::exposition::points::Points;
use crate::exposition::protobuf::exemplars;
use crate::exposition::protobuf::head::{Head, Heads};
use crate::exposition::protobuf::histogram::{Bounds, Histograms};
use crate::exposition::protobuf::lengths::{CursorLengths, LenCounts, PairLengths};
use crate::exposition::protobuf::native::{Buckets, Natives};
use crate::exposition::protobuf::pairs::Pairs;
use crate::exposition::protobuf::scalar::{self, Counters, Gauges};
use crate::exposition::protobuf::series::{self, AROUND_BYTES_MAX, Values};
use crate::exposition::protobuf::summary::{Quantiles, Summaries};
use crate::exposition::protobuf::tail::{SampleTime, Tail};
use crate::exposition::room::Room;
use crate::layout::{MetricType, Wire};
use crate::model::{Family, Shape};
use crate::proto::prometheus_client as proto;
use crate::proto::wire::write_varint;

/// What is constant about a family's message.
#[derive(Debug)]
pub(in crate::exposition) struct FamilyProto {
    pairs: Arc<Pairs>,
    /// Name, help, type and unit.
    header: Vec<u8>,
    kind: Kind,
    /// Of each block, once somebody has asked, where labels never change.
    block_lens: OnceLock<Vec<LenCounts>>,
    alike_lines: usize,
    /// What an exemplar adds to a series, at most.
    exemplar_bytes: usize,
}

/// What is constant about a family's values.
#[derive(Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram(Bounds),
    Native(Bounds, Buckets),
    Summary(Quantiles),
}

impl FamilyProto {
    /// The message of `family`, its name escaped by a scheme as those of its labels are.
    /// Neighbouring series resemble each other as the lines of text do: every so many end
    /// alike. Histograms that do not say their form themselves are of this one.
    pub(in crate::exposition) fn new(
        family: &Family,
        (prefix, histograms): (&str, HistogramForm),
        (pairs, escaping): (Arc<Pairs>, Escaping),
        alike_lines: usize,
    ) -> Self {
        Self {
            pairs,
            header: header(family, prefix, escaping).encode_to_vec(),
            kind: match &family.shape {
                Shape::Counter => Kind::Counter,
                Shape::Gauge => Kind::Gauge,
                Shape::Histogram { bounds, further } => {
                    let bounds = Bounds::new(bounds);
                    let form = family.histograms.unwrap_or(histograms).on_page();
                    match further.native.filter(|_| form.has_native()) {
                        Some(layout) => {
                            let with_classic = form == HistogramForm::Both;
                            Kind::Native(bounds, Buckets::new(layout, with_classic))
                        }
                        None => Kind::Histogram(bounds),
                    }
                }
                Shape::Summary { quantiles } => Kind::Summary(Quantiles::new(quantiles)),
            },
            block_lens: OnceLock::new(),
            alike_lines,
            exemplar_bytes: family.exemplars.as_ref().map_or(0, exemplars::bytes_max),
        }
    }

    /// The labels of its series.
    pub(in crate::exposition) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Lines that tell the compressor of a series.
    pub(in crate::exposition) fn series_lines(&self) -> usize {
        match &self.kind {
            Kind::Counter | Kind::Gauge => scalar::LINES,
            Kind::Histogram(bounds) => bounds.lines(),
            Kind::Native(bounds, buckets) if buckets.with_classic => {
                bounds.lines() - 1 + Buckets::LINES
            }
            Kind::Native(..) => 1 + Buckets::LINES,
            Kind::Summary(quantiles) => quantiles.lines(),
        }
    }

    /// How many samples readers take from a series whose classic form has so many.
    pub(in crate::exposition) fn samples_per_series(&self, classic: usize) -> usize {
        match &self.kind {
            Kind::Native(_, buckets) if buckets.with_classic => classic + 1,
            Kind::Native(..) => 1,
            _ => classic,
        }
    }

    /// Which of them resemble each other. Those of one series hardly do, so each is told as
    /// one of a series of its own.
    pub(in crate::exposition) fn repeats(&self) -> Repeats {
        let series_lines = self.series_lines();
        Repeats {
            series_lines: 1,
            alike_lines: match series_lines {
                1 => self.alike_lines,
                several => several,
            },
        }
    }

    /// Bytes of all its series at a tick; `index` is its place in the catalog.
    pub(in crate::exposition) fn measure(
        &self,
        frame: &Frame,
        index: usize,
        time: &SampleTime,
    ) -> u64 {
        let blocks = frame.catalog().family_blocks(index).enumerate();
        let bytes = blocks.map(|(place, block_index)| {
            let rows = 0..frame.catalog().blocks()[block_index].len;
            let points = Points::of_block(frame, block_index, rows);
            self.measure_block(frame, index, place, time, &points)
        });
        bytes.sum()
    }

    /// The same of one of its blocks, of which there are `points`.
    fn measure_block(
        &self,
        frame: &Frame,
        index: usize,
        place: usize,
        time: &SampleTime,
        points: &Points<'_>,
    ) -> u64 {
        if matches!(self.kind, Kind::Counter | Kind::Gauge)
            && points.gaps.is_empty()
            && points.exemplars.is_none()
            && self.pairs.space().fleet().is_none()
        {
            let tail = self.tail(time, points);
            if tail.is_fixed() {
                let lens = &self.block_lens(frame, index)[place];
                return lens.sum(|pairs_len| series::bytes(pairs_len, scalar::BYTES, &tail));
            }
        }
        let cursor = points.population.cursor(points.first_series);
        self.measure_rows(time, points, &mut CursorLengths::new(&self.pairs, cursor))
    }

    /// Bytes of some rows, whose labels are as long as `lengths` tells.
    pub(in crate::exposition) fn measure_rows(
        &self,
        time: &SampleTime,
        points: &Points<'_>,
        lens: &mut impl PairLengths,
    ) -> u64 {
        let tail = &mut self.tail(time, points);
        match self.values(points.columns) {
            OfType::Counters(values) => series::measure(&values, points, tail, lens),
            OfType::Gauges(values) => series::measure(&values, points, tail, lens),
            OfType::Histograms(values) => series::measure(&values, points, tail, lens),
            OfType::Natives(values) => series::measure(&values, points, tail, lens),
            OfType::Summaries(values) => series::measure(&values, points, tail, lens),
        }
    }

    /// Appends the beginning of the message whose series have so many bytes in all. The
    /// series are to follow.
    pub(in crate::exposition) fn write_open(&self, out: &mut Vec<u8>, series_bytes: u64) {
        write_varint(out, self.header.len() as u64 + series_bytes);
        out.extend_from_slice(&self.header);
    }

    /// Appends some rows, and tells `marks` where they and their values are.
    pub(in crate::exposition) fn write_rows(
        &self,
        out: &mut Vec<u8>,
        time: &SampleTime,
        points: &Points<'_>,
        marks: &mut impl Mark,
    ) {
        let row_count = points.rows.len();
        marks.begin(self.repeats(), row_count * self.series_lines());
        let cursor = points.population.cursor(points.first_series);
        let mut heads = Head::new(&self.pairs, cursor);
        let bytes_max = self.bytes_max(points, self.pairs.longest_bytes());
        let room = &mut Room::new(out, bytes_max);
        self.put_rows(room, time, points, (&mut heads, marks));
    }

    /// The same in a section that began already, the messages' beginnings being `heads`.
    /// `room` must have [`Self::bytes_max`].
    pub(in crate::exposition) fn put_rows(
        &self,
        room: &mut Room,
        time: &SampleTime,
        points: &Points<'_>,
        to: (&mut impl Heads, &mut impl Mark),
    ) {
        let tail = &mut self.tail(time, points);
        match self.values(points.columns) {
            OfType::Counters(values) => series::put(room, &values, points, tail, to),
            OfType::Gauges(values) => series::put(room, &values, points, tail, to),
            OfType::Histograms(values) => series::put(room, &values, points, tail, to),
            OfType::Natives(values) => series::put(room, &values, points, tail, to),
            OfType::Summaries(values) => series::put(room, &values, points, tail, to),
        }
    }

    /// No more bytes than this take the series of some rows whose label pairs have so many
    /// each.
    pub(in crate::exposition) fn bytes_max(
        &self,
        points: &Points<'_>,
        pairs_bytes: usize,
    ) -> usize {
        let mut occupied = 0;
        let values = match &self.kind {
            Kind::Counter | Kind::Gauge => scalar::BYTES,
            Kind::Histogram(bounds) => bounds.bytes_max(),
            Kind::Native(bounds, buckets) => {
                let column = points.columns.native();
                occupied = buckets.occupied_bytes_max(column, points.rows.clone());
                bounds.bytes_max() + Buckets::BYTES_MAX
            }
            Kind::Summary(quantiles) => quantiles.bytes_max(),
        };
        let series_bytes = AROUND_BYTES_MAX + pairs_bytes + values + self.exemplar_bytes;
        points.rows.len() * series_bytes + occupied
    }

    /// How long the labels of its series are, block by block.
    fn block_lens(&self, frame: &Frame, index: usize) -> &[LenCounts] {
        self.block_lens.get_or_init(|| {
            let cursor = frame.population(index).cursor(0);
            let mut lens = CursorLengths::new(&self.pairs, cursor);
            let blocks = frame.catalog().family_blocks(index);
            let blocks = blocks.map(|block| frame.catalog().blocks()[block].len);
            blocks.map(|len| LenCounts::of(&mut lens, len)).collect()
        })
    }

    fn tail<'a>(&self, time: &'a SampleTime, points: &Points<'a>) -> Tail<'a> {
        let field = match self.kind {
            Kind::Counter => Counters::CREATED_FIELD,
            Kind::Gauge => Gauges::CREATED_FIELD,
            Kind::Histogram(_) => Histograms::CREATED_FIELD,
            Kind::Native(..) => Natives::CREATED_FIELD,
            Kind::Summary(_) => Summaries::CREATED_FIELD,
        };
        Tail::new(time, points.created, field, points.rows.start)
    }

    fn values<'a>(&'a self, columns: &'a Columns) -> OfType<'a> {
        match (&self.kind, columns) {
            (Kind::Counter, Columns::Values(values)) => OfType::Counters(Counters(values)),
            (Kind::Gauge, Columns::Values(values)) => OfType::Gauges(Gauges(values)),
            (
                Kind::Histogram(bounds),
                Columns::Histogram {
                    cumulative, sums, ..
                },
            ) => OfType::Histograms(Histograms {
                bounds,
                cumulative,
                sums,
            }),
            (
                Kind::Native(bounds, buckets),
                Columns::Histogram {
                    cumulative,
                    sums,
                    native,
                    ..
                },
            ) => OfType::Natives(Natives {
                buckets,
                classic: Histograms {
                    bounds,
                    cumulative,
                    sums,
                },
                native,
            }),
            (
                Kind::Summary(quantiles),
                Columns::Summary {
                    quantiles: values,
                    counts,
                    sums,
                },
            ) => OfType::Summaries(Summaries {
                quantiles,
                values,
                counts,
                sums,
            }),
            _ => unreachable!("a block has its family's shape"),
        }
    }
}

/// The values of some series.
enum OfType<'a> {
    Counters(Counters<'a>),
    Gauges(Gauges<'a>),
    Histograms(Histograms<'a>),
    Natives(Natives<'a>),
    Summaries(Summaries<'a>),
}

/// A family without its series.
fn header(family: &Family, prefix: &str, escaping: Escaping) -> proto::MetricFamily {
    let base = format!("{prefix}{}", family.name);
    let metric_type = family.shape.metric_type();
    let stem = escaping.stem(&base, metric_type);
    let sent_type = match metric_type {
        MetricType::Counter => proto::MetricType::Counter,
        MetricType::Gauge => proto::MetricType::Gauge,
        MetricType::Histogram => proto::MetricType::Histogram,
        MetricType::Summary => proto::MetricType::Summary,
    };
    proto::MetricFamily {
        name: Some(format!("{stem}{}", metric_type.family_suffix(Wire::Text))),
        help: (!family.help.is_empty()).then(|| family.help.clone()),
        r#type: Some(sent_type.into()),
        metric: Vec::new(),
        unit: family.unit_of(&stem).map(str::to_owned),
    }
}
