//! A file of `OpenMetrics` with all points of a run.
//!
//! The format wants a family's series one after the other and the points of each
//! together, in order; the engine computes tick by tick. So some neighbouring
//! series of one family are computed over all ticks, as many as fit into a fixed
//! amount of memory, then written; then the next ones. Where one series alone has
//! more points than fit, it is written in stretches of ticks.
//!
//! Bytes depend on nothing but the run: not on how many series are computed
//! together, nor by how many threads.
//!
//! `_created` lines are left out: whoever imports such files would store them as
//! series of their own, and they tell nothing that the first point does not.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::identities::Identities;
use super::out::Out;
use super::slice::Slice;
use super::state::{JobId, Progress};
use super::threads::{in_order, on_threads};
use super::{BackfillError, Interrupt, Job, OnProgress, Span, Stage, Written, samples_max};
use crate::config::Config;
use crate::engine::{Engine, Recipes};
use crate::exporters::Needs;
use crate::exposition::{History, Times};
use crate::journal::Replay;
use crate::model::{Catalog, Family};

/// Bounds of the work; tests have smaller ones. No byte depends on them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Values that are held at a time.
    pub(super) held_bytes: u64,
    /// Lines that a thread writes at a time.
    pub(super) piece_lines: usize,
    /// Progress is noted down so often; before, the file is brought to the disk.
    pub(super) noted_apart: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held_bytes: 128 << 20,
            piece_lines: 8192,
            noted_apart: Duration::from_secs(2),
        }
    }
}

/// Writes the file.
pub(super) fn run(
    job: &Job,
    path: &Path,
    interrupt: &Interrupt,
    progress: &mut OnProgress<'_>,
) -> Result<Written, BackfillError> {
    run_within(Limits::default(), job, path, interrupt, progress)
}

/// The same within other limits.
pub(super) fn run_within(
    limits: Limits,
    job: &Job,
    path: &Path,
    interrupt: &Interrupt,
    progress: &mut OnProgress<'_>,
) -> Result<Written, BackfillError> {
    let run = job.replay(Needs::default());
    if let Some(tick) = run.reloaded_until(job.span.last) {
        return Err(BackfillError::Config(format!(
            "the run was reloaded at tick {tick}: a file has the points of each series together, \
             those of one configuration; send it to a receiver (--remote-write, --otlp), or choose \
             an earlier --to"
        )));
    }
    let catalog = run.catalog()?;
    let samples_max = samples_max(job, &catalog)?;
    interrupt.check()?;
    let (mut out, done) = Out::open(path, &job_id(job), job.resume, limits.noted_apart)?;
    if let Err(error) = job.write_journal() {
        if !job.resume {
            out.discard(path);
        }
        return Err(error);
    }
    let text = Text {
        job,
        run: &run,
        catalog: &catalog,
        samples_max,
        interrupt,
        limits,
    };
    let written = text.write(&mut out, done, progress);
    let written = written.and_then(|samples| Ok(out.finish().map(|()| samples)?));
    let message = match written {
        Ok(samples) => {
            return Ok(Written {
                samples,
                before: done.samples,
                retried: 0,
            });
        }
        Err(End::Interrupted) => "interrupted".to_owned(),
        Err(End::Failed(error)) => format!("cannot write {}: {error}", path.display()),
    };
    let families = catalog.families().iter();
    let all = families.map(|family| family.series_count() as u64).sum();
    Err(BackfillError::Failed(out.how_to_go_on(&message, all)))
}

/// What must be equal for a file to be gone on with.
fn job_id(job: &Job) -> JobId {
    let mut job_id = super::job_id(job);
    job_id.insert("target".into(), "openmetrics".into());
    job_id.insert("prefix".into(), job.config.prometheus.prefix.clone().into());
    job_id
}

/// Why the text is not whole.
enum End {
    Interrupted,
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Writes the whole text.
struct Text<'a> {
    job: &'a Job,
    /// What was done to it.
    run: &'a Replay,
    catalog: &'a Catalog,
    samples_max: u64,
    interrupt: &'a Interrupt,
    limits: Limits,
}

impl Text<'_> {
    /// Writes what follows after `done`; returns all samples.
    fn write(
        &self,
        out: &mut Out,
        mut done: Progress,
        progress: &mut OnProgress<'_>,
    ) -> Result<u64, End> {
        let prefix = &self.job.config.prometheus.prefix;
        let all = self.samples_max;
        // All but the metrics is the same for each of them.
        let bare = Config {
            metrics: Vec::new(),
            ..self.job.config.clone()
        };
        let mut before = 0;
        for (index, family) in self.catalog.families().iter().enumerate() {
            let series = family.series_count() as u64;
            let first = done.done.saturating_sub(before).min(series);
            before += series;
            if first == series {
                continue;
            }
            let source = match self.job.config.metrics.get(index) {
                Some(metric) => {
                    let mut config = bare.clone();
                    let all = &self.job.config.metrics;
                    config.metrics = metric.and_ancestors(all).cloned().collect();
                    let alone = self.with_followed(index);
                    let alone = Catalog::of_rows(alone, &(0..family.series_count()));
                    let recipes = Recipes::of(&config, &alone);
                    Source::Metric(Box::new(config), recipes)
                }
                None => Source::TickNumber,
            };
            let writer = FamilyWriter {
                span: self.job.span,
                threads: self.job.threads,
                families: self.with_followed(index),
                family,
                run: self.run,
                source,
                history: History::new(family, prefix),
                interrupt: self.interrupt,
                limits: self.limits,
            };
            writer.write(first as usize, out, &mut done, &mut |stage| {
                progress(match stage {
                    Stage::Written(samples, _) => Stage::Written(samples, all),
                    before @ Stage::Before(..) => before,
                });
            })?;
        }
        out.write(b"# EOF\n")?;
        Ok(done.samples)
    }
}

impl Text<'_> {
    /// A family and the gauges that it follows, their series shared.
    fn with_followed(&self, family: usize) -> Vec<Family> {
        let all = self.catalog.families();
        let follows = |&family: &usize| all[family].follows;
        let followed = std::iter::successors(Some(family), follows);
        followed.map(|family| copy(&all[family])).collect()
    }
}

/// The same family, its series shared.
fn copy(family: &Family) -> Family {
    let Family {
        name,
        help,
        unit,
        shape,
        space,
        ..
    } = family;
    Family::new(name, help, unit, shape.clone(), Arc::clone(space))
}

/// Where a family's values come from.
enum Source {
    /// A configuration of one metric.
    Metric(Box<Config>, Recipes),
    /// The number of the tick.
    TickNumber,
}

/// Writes the series of one family.
struct FamilyWriter<'a> {
    span: Span,
    threads: usize,
    family: &'a Family,
    /// That one, and the gauges that it follows.
    families: Vec<Family>,
    /// What was done to the run.
    run: &'a Replay,
    source: Source,
    history: History,
    interrupt: &'a Interrupt,
    limits: Limits,
}

/// Populations of series that come and go that are held at a time, by all threads.
const POPULATIONS_BYTES_MAX: usize = 1 << 30;

impl FamilyWriter<'_> {
    /// Writes the series from `first` on. `progress` is told the samples so far, and of
    /// the ticks before the first one; not how many samples there are.
    fn write(
        &self,
        first: usize,
        out: &mut Out,
        done: &mut Progress,
        progress: &mut OnProgress<'_>,
    ) -> Result<(), End> {
        if first == 0 {
            let mut header = Vec::new();
            self.history.write_header(&mut header);
            out.write(&header)?;
        }
        let point_bytes = self.family.shape.column_bytes() as u64 + 1;
        let ticks = self.span.ticks();
        let held_bytes = self.limits.held_bytes;
        // Ticks that are held, and of how many series.
        let most = (held_bytes / (point_bytes + Times::BYTES as u64)).max(1);
        let stretch = ticks.min(most);
        let left = held_bytes.saturating_sub(stretch * Times::BYTES as u64);
        let together = if stretch < ticks {
            1
        } else {
            (left / (stretch * point_bytes)).max(1)
        };
        let all = self.family.series_count();
        let step = usize::try_from(together).unwrap_or(all);
        for start in (first..all).step_by(step.min(all)) {
            let series = start..(start + step).min(all);
            let count = series.len() as u64;
            let mut slices = self.slices(series, stretch as usize)?;
            let mut tick = self.span.first;
            let mut order = Order::default();
            while tick <= self.span.last {
                let ticks = tick..(tick + stretch).min(self.span.last + 1);
                tick = ticks.end;
                let mut samples = done.samples;
                self.compute(&mut slices, &ticks, progress)?;
                let count = (ticks.end - ticks.start) as usize;
                if stretch < self.span.ticks() {
                    order.check(self.family, &slices, count)?;
                }
                self.write_slices(&slices, &ticks, out, &mut samples, progress)?;
                done.samples = samples;
            }
            done.done += count;
            out.note(done)?;
        }
        Ok(())
    }

    /// One slice per thread.
    fn slices(&self, series: Range<usize>, ticks: usize) -> Result<Vec<Slice>, End> {
        let step = series.len().div_ceil(self.threads);
        let starts = series.clone().step_by(step);
        starts
            .map(|start| {
                let series = start..(start + step).min(series.end);
                let engine = match &self.source {
                    Source::TickNumber => None,
                    Source::Metric(config, recipes) => {
                        let families = self.families.iter().map(copy);
                        let catalog = Catalog::of_rows(families.collect(), &series);
                        let catalog = Arc::new(catalog);
                        let (recipes, epoch_ns) = (recipes.clone(), self.span.epoch_ns);
                        let engine = Engine::with_recipes(config, catalog, recipes, epoch_ns, 1);
                        let mut engine = engine?;
                        let mut run = self.run.anew();
                        let first = self.span.first;
                        run.skip_before(&mut engine, first, first)
                            .map_err(io::Error::other)?;
                        Some((engine, run))
                    }
                };
                Ok(Slice::new(self.family, series, ticks, engine))
            })
            .collect()
    }

    /// Fills the slices with the values at some ticks, each on a thread.
    fn compute(
        &self,
        slices: &mut [Slice],
        ticks: &Range<u64>,
        progress: &mut OnProgress<'_>,
    ) -> Result<(), End> {
        let all = slices.len();
        let left = Mutex::new(slices.iter_mut());
        let failed = Mutex::new(None);
        // All of them are about as far: one of them tells.
        let progress = Mutex::new(Some(progress));
        on_threads(all, &|| {
            let mut progress = lock(&progress).take();
            loop {
                let Some(slice) = lock(&left).next() else {
                    return;
                };
                let begin = slice.next_tick().unwrap_or(ticks.start);
                let filled = slice.fill(ticks, self.interrupt, &mut |tick| {
                    if let Some(progress) = &mut progress {
                        progress(Stage::Before(tick + 1 - begin, ticks.start - begin));
                    }
                });
                if let Err(error) = filled {
                    *lock(&failed) = Some(error);
                    return;
                }
            }
        });
        if let Some(error) = lock(&failed).take() {
            return Err(End::Failed(io::Error::other(error)));
        }
        let identities = slices.iter().filter_map(Slice::identities);
        let held = identities.map(Identities::bytes);
        if held.sum::<usize>() > POPULATIONS_BYTES_MAX {
            return Err(End::Failed(io::Error::other(format!(
                "the series of {} come and go too often to be held in memory: choose a shorter \
                 range, or send them to a receiver",
                self.family.name
            ))));
        }
        self.check_interrupt()
    }

    fn check_interrupt(&self) -> Result<(), End> {
        if self.interrupt.is_set() {
            return Err(End::Interrupted);
        }
        Ok(())
    }

    /// Writes what the slices hold, in order.
    fn write_slices(
        &self,
        slices: &[Slice],
        ticks: &Range<u64>,
        out: &mut Out,
        samples: &mut u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<(), End> {
        let times = Times::new(ticks.clone().map(|tick| self.span.time_ns(tick)));
        let count = (ticks.end - ticks.start) as usize;
        let lines = self.history.samples_per_point();
        let step = (self.limits.piece_lines / lines).max(1);
        let mut pieces = Vec::new();
        for slice in slices {
            let of_slice = slice.pieces(count, step).into_iter();
            pieces.extend(of_slice.map(|piece| (slice, piece)));
        }
        let render = |piece: usize, text: &mut Vec<u8>| {
            let (slice, piece) = &pieces[piece];
            slice.render(&self.history, &times, count, piece, text);
        };
        let mut write = |piece: usize, text: &[u8]| {
            out.write(text)?;
            let (slice, piece) = &pieces[piece];
            *samples += (slice.points(count, piece) * lines) as u64;
            progress(Stage::Written(*samples, 0));
            self.check_interrupt()
        };
        in_order(self.threads, pieces.len(), &render, &mut write)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In which order the series of one row came, where its points are written in stretches of
/// ticks: none may come back after another.
#[derive(Default)]
struct Order {
    latest: Option<u64>,
    over: HashSet<u64>,
}

impl Order {
    /// The next stretch of so many ticks, which has one row.
    fn check(&mut self, family: &Family, slices: &[Slice], count: usize) -> Result<(), End> {
        for identities in slices.iter().filter_map(Slice::identities) {
            for (identity, _) in identities.of_row(0, count) {
                if self.latest == Some(identity) {
                    continue;
                }
                self.over.extend(self.latest.replace(identity));
                if self.over.contains(&identity) {
                    return Err(End::Failed(io::Error::other(format!(
                        "a series of {} comes back after others, and there are too many ticks to \
                         write its points together: choose a shorter range, or send them to a \
                         receiver",
                        family.name
                    ))));
                }
            }
        }
        Ok(())
    }
}
