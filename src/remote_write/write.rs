//! The request that is being written: samples in, requests out as they get full.

use std::ops::ControlFlow;

use crate::engine::{Columns, Created, Exemplars, Gaps, Upcoming};
use crate::model::Block;
use crate::model::population::Population;
use crate::remote_write::exemplars;
use crate::remote_write::family::FamilyForm;
use crate::remote_write::line::{Line, Row, Tail};
use crate::remote_write::native::{Message, NativeForm, Times};
use crate::remote_write::stale::Part;
use crate::remote_write::symbols::Symbols;
use crate::remote_write::{Contents, EncoderOptions, Sink, Version};

/// The value of a staleness marker: a NaN with these bits.
pub(super) const STALE_BITS: u64 = 0x7FF0_0000_0000_0002;

/// Puts samples into requests.
#[derive(Debug)]
pub(super) struct Writer {
    limits: Limits,
    /// In version 2.
    symbols: Option<Symbols>,
    /// Version 1's metadata.
    metadata: Vec<u8>,
    /// Whether families' metadata is asked for, in version 1.
    describe: bool,
    /// The family whose metadata was written last.
    described: Option<usize>,
    series: Vec<u8>,
    contents: Contents,
    /// A whole request of version 2.
    body: Vec<u8>,
    /// One for each sample of a series.
    lines: Vec<Line>,
    tail: Tail,
    message: Message,
    time_ms: i64,
    /// Counts blocks and requests; lines and tail with another stamp are built anew.
    stamp: u64,
}

/// When a request is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) samples_max: usize,
    pub(super) bytes_max: usize,
}

impl Limits {
    pub(super) fn of(options: &EncoderOptions) -> Self {
        Self {
            samples_max: options.request_samples_max,
            bytes_max: options.request_bytes_max,
        }
    }
}

/// The values of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Points<'a> {
    pub(super) population: &'a Population,
    pub(super) columns: &'a Columns,
    pub(super) gaps: &'a Gaps,
    pub(super) created: &'a Created,
    /// Where the family has any.
    pub(super) exemplars: Option<&'a Exemplars<'a>>,
}

impl Writer {
    pub(super) fn new(version: Version, limits: Limits) -> Self {
        Self {
            limits,
            symbols: (version == Version::V2).then(Symbols::default),
            metadata: Vec::new(),
            describe: false,
            described: None,
            series: Vec::new(),
            contents: Contents::default(),
            body: Vec::new(),
            lines: Vec::new(),
            tail: Tail::default(),
            message: Message::default(),
            time_ms: 0,
            stamp: 0,
        }
    }

    /// Begins the first request of samples at a time. In version 1 `describe`
    /// asks for each family's metadata in the request with its first sample; in
    /// version 2 every series has it.
    pub(super) fn begin(&mut self, time_ms: i64, describe: bool) {
        self.time_ms = time_ms;
        self.describe = describe && self.symbols.is_none();
        self.described = None;
        self.clear();
    }

    /// Adds the points of a block.
    pub(super) fn write_points<B>(
        &mut self,
        form: &FamilyForm,
        block: Block,
        points: Points<'_>,
        sink: &mut Sink<'_, B>,
    ) -> ControlFlow<B> {
        let cells = form.cells;
        match points.columns {
            Columns::Values(values) => self.write_rows(
                form,
                block,
                points,
                sink,
                |row, _| values[row],
                no_histogram,
            ),
            Columns::Histogram {
                cumulative,
                sums,
                native,
                ..
            } => {
                let counts = |row| &cumulative[row * cells..][..cells];
                let value = |row, sample| match sample {
                    _ if sample < cells => counts(row)[sample] as f64,
                    _ if sample == cells => sums[row],
                    _ => counts(row)[cells - 1] as f64,
                };
                let histogram = |row, times: Times, message: &mut Message| match &form.native {
                    Some(NativeForm::Exponential(layout)) => {
                        let buckets = native.row(row, layout);
                        message.write_exponential(layout, &buckets, sums[row], times);
                    }
                    Some(NativeForm::Custom(bounds)) => {
                        message.write_custom(bounds, counts(row), sums[row], times);
                    }
                    None => unreachable!("it is not native"),
                };
                self.write_rows(form, block, points, sink, value, histogram)
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let value = |row, sample| match sample {
                    _ if sample < cells => quantiles[row * cells + sample],
                    _ if sample == cells => sums[row],
                    _ => counts[row] as f64,
                };
                self.write_rows(form, block, points, sink, value, no_histogram)
            }
        }
    }

    /// Adds the staleness markers of those series of a block that end.
    pub(super) fn write_stale<B>(
        &mut self,
        (form, population): (&FamilyForm, &Population),
        block: Block,
        part: &Part,
        sink: &mut Sink<'_, B>,
    ) -> ControlFlow<B> {
        // No start: nothing goes on from here.
        self.begin_block();
        self.tail.start_ms = 0;
        let mut row = Row::new(form, population.cursor(block.start));
        for index in part.rows.iter().cloned().flatten() {
            row.seek(block.start + index);
            let mut is_known = false;
            for sample in 0..form.samples.len() {
                if part.goes_on(sample, index) {
                    continue;
                }
                if self.flush_full(sink)? || !is_known {
                    // A line may not have followed for any number of rows.
                    row.changed = 0;
                    self.refer(&mut row);
                    is_known = true;
                }
                self.write_sample(block.family, &row, sample, f64::from_bits(STALE_BITS));
            }
        }
        ControlFlow::Continue(())
    }

    /// Gives what there is to the sink.
    pub(super) fn flush<B>(&mut self, sink: &mut Sink<'_, B>) -> ControlFlow<B> {
        if self.contents.points() == 0 {
            return ControlFlow::Continue(());
        }
        let contents = self.contents;
        let flow = match &self.symbols {
            None => {
                self.series.extend_from_slice(&self.metadata);
                sink(&self.series, contents)
            }
            Some(symbols) => {
                self.body.clear();
                self.body.extend_from_slice(symbols.bytes());
                self.body.extend_from_slice(&self.series);
                sink(&self.body, contents)
            }
        };
        self.clear();
        flow
    }

    fn clear(&mut self) {
        self.series.clear();
        self.metadata.clear();
        self.contents = Contents::default();
        if let Some(symbols) = &mut self.symbols {
            symbols.clear();
            self.stamp += 1;
        }
    }

    fn begin_block(&mut self) {
        self.stamp += 1;
    }

    /// `value` gives the value of a row's sample, `histogram` writes its native histogram.
    fn write_rows<B>(
        &mut self,
        form: &FamilyForm,
        block: Block,
        points: Points<'_>,
        sink: &mut Sink<'_, B>,
        value: impl Fn(usize, usize) -> f64,
        histogram: impl Fn(usize, Times, &mut Message),
    ) -> ControlFlow<B> {
        self.begin_block();
        let with_starts = self.symbols.is_some() && form.is_cumulative;
        self.tail.start_ms = 0;
        let mut row = Row::new(form, points.population.cursor(block.start));
        let mut upcoming = Upcoming::new(points.exemplars, 0..block.len);
        for index in 0..block.len {
            if points.gaps.contains(index) {
                row.advance();
                continue;
            }
            let exemplar = upcoming.take(index);
            if with_starts {
                self.set_start(points.created.at(index));
            }
            for sample in 0..form.samples.len() {
                if self.flush_full(sink)? {
                    row.changed = 0;
                    self.refer(&mut row);
                } else if sample == 0 {
                    self.refer(&mut row);
                }
                let start = self.series.len();
                let is_number = sample < form.numbers;
                if is_number {
                    self.write_sample(block.family, &row, sample, value(index, sample));
                } else {
                    self.write_histogram(block.family, &row, sample, |times, message| {
                        histogram(index, times, message);
                    });
                }
                let its_own = exemplar.filter(|exemplar| !is_number || exemplar.cell == sample);
                if let Some(exemplar) = its_own {
                    let symbols = self.symbols.as_mut();
                    exemplars::add(&mut self.series, start, &exemplar, symbols);
                    self.contents.exemplars += 1;
                }
            }
            row.changed = usize::MAX;
            row.advance();
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn refer(&mut self, row: &mut Row<'_>) {
        if let Some(symbols) = &mut self.symbols {
            row.refer(symbols);
        }
    }

    /// The samples that come are of series that began then.
    #[inline]
    fn set_start(&mut self, created_ns: i64) {
        let created_ms = to_ms(created_ns);
        // A receiver adds a sample of 0 at the start. A start that is not before
        // the sample is left out.
        let start_ms = if created_ms < self.time_ms {
            created_ms
        } else {
            0
        };
        if start_ms != self.tail.start_ms {
            self.tail.start_ms = start_ms;
            // It is to be written anew.
            self.tail.stamp = 0;
        }
    }

    /// Gives a full request to the sink.
    #[inline]
    fn flush_full<B>(&mut self, sink: &mut Sink<'_, B>) -> ControlFlow<B, bool> {
        let symbols = self.symbols.as_ref().map_or(0, |s| s.bytes().len());
        let bytes = self.series.len() + self.metadata.len() + symbols;
        let points = self.contents.points();
        let is_full = points >= self.limits.samples_max as u64 || bytes >= self.limits.bytes_max;
        if is_full && points > 0 {
            self.flush(sink)?;
            return ControlFlow::Continue(true);
        }
        ControlFlow::Continue(false)
    }

    #[inline]
    fn write_sample(&mut self, family: usize, row: &Row<'_>, sample: usize, value: f64) {
        self.follow(family, row, sample);
        self.lines[sample].write(&mut self.series, value);
        self.contents.samples += 1;
    }

    fn write_histogram(
        &mut self,
        family: usize,
        row: &Row<'_>,
        sample: usize,
        histogram: impl FnOnce(Times, &mut Message),
    ) {
        self.follow(family, row, sample);
        let times = Times {
            sampled_ms: self.time_ms,
            start_ms: self.tail.start_ms,
        };
        histogram(times, &mut self.message);
        self.lines[sample].write_histogram(&mut self.series, self.message.bytes(), &self.tail);
        self.contents.histograms += 1;
    }

    /// Lets the line of a sample follow to the series that `row` stands on.
    #[inline]
    fn follow(&mut self, family: usize, row: &Row<'_>, sample: usize) {
        if self.tail.stamp != self.stamp {
            self.renew_tail(family, row.form);
        }
        if self.lines.len() <= sample {
            self.lines.resize_with(sample + 1, Line::default);
        }
        let line = &mut self.lines[sample];
        if line.stamp == self.stamp {
            line.follow(row, sample, &self.tail, self.symbols.as_mut());
        } else {
            line.build(row, sample, &self.tail, self.symbols.as_mut());
            line.stamp = self.stamp;
        }
    }

    /// At the first sample of a block or request, or of another start.
    #[cold]
    fn renew_tail(&mut self, family: usize, form: &FamilyForm) {
        self.tail.stamp = self.stamp;
        match &mut self.symbols {
            None => self.tail.write_plain(self.time_ms),
            Some(symbols) => self.tail.write_described(self.time_ms, form, symbols),
        }
        if self.describe && self.described != Some(family) {
            self.described = Some(family);
            self.metadata.extend_from_slice(&form.metadata);
        }
    }
}

/// Of families that are no histograms.
fn no_histogram(_: usize, _: Times, _: &mut Message) {
    unreachable!("only histograms are native")
}

/// Unix milliseconds.
pub(super) fn to_ms(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000_000)
}
