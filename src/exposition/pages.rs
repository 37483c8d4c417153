//! Who writes pages of targets: a few workers that threads borrow.
//!
//! A page is small, and handing it to another thread would take as long as writing it. So
//! whoever wants one writes it itself, with memory that is borrowed: there is as much of it
//! as pages may be written at once, and whoever comes late waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::Frame;
use crate::exposition::gzip::{self, Compressor, Trailer};
use crate::exposition::page::{Page, PageScratch};
use crate::exposition::{Lines, Renderer};

/// Memory that a very long page made larger than this is not kept.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A fixed number of workers.
#[derive(Debug)]
pub(super) struct PageWorkers {
    idle: Mutex<Idle>,
    returned: Condvar,
}

/// Those that nobody has, and who waits for one.
#[derive(Debug, Default)]
struct Idle {
    workers: Vec<PageWorker>,
    waiting: usize,
}

/// What is kept from page to page.
#[derive(Debug, Default)]
pub(super) struct PageWorker {
    compressor: Compressor,
    plain: Vec<u8>,
    lines: Lines,
    scratch: PageScratch,
}

/// A worker until it is given back; where writing panicked, a new one is.
pub(super) struct Borrowed<'a> {
    workers: &'a PageWorkers,
    worker: PageWorker,
}

impl PageWorkers {
    pub(super) fn new(count: usize) -> Self {
        let workers = (0..count).map(|_| PageWorker::default());
        Self {
            idle: Mutex::new(Idle {
                workers: workers.collect(),
                waiting: 0,
            }),
            returned: Condvar::new(),
        }
    }

    /// Waits for one.
    pub(super) fn borrow(&self) -> Borrowed<'_> {
        let mut idle = self.idle();
        loop {
            if let Some(worker) = idle.workers.pop() {
                let workers = self;
                return Borrowed { workers, worker };
            }
            idle.waiting += 1;
            let woken = self.returned.wait(idle);
            idle = woken.unwrap_or_else(PoisonError::into_inner);
            idle.waiting -= 1;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let worker = if std::thread::panicking() {
            PageWorker::default()
        } else {
            std::mem::take(&mut self.worker)
        };
        let mut idle = self.workers.idle();
        idle.workers.push(worker);
        // Waking nobody would cost a system call too.
        let is_awaited = idle.waiting > 0;
        drop(idle);
        if is_awaited {
            self.workers.returned.notify_one();
        }
    }
}

impl Borrowed<'_> {
    /// Appends a page, compressed or not; returns its samples and its bytes before
    /// compression.
    pub(super) fn write(
        &mut self,
        renderer: &Renderer,
        frame: &Frame,
        page: &Page<'_>,
        gzip: bool,
        out: &mut Vec<u8>,
    ) -> (usize, usize) {
        let PageWorker {
            compressor,
            plain,
            lines,
            scratch,
        } = &mut self.worker;
        let before = out.len();
        let written = if gzip {
            plain.clear();
            lines.clear();
            let samples = renderer.page(frame, page, scratch, plain, Some(lines));
            out.extend_from_slice(&gzip::HEADER);
            let mut trailer = Trailer::default();
            trailer.add(&compressor.compress_lines(plain, lines, out));
            out.extend_from_slice(&trailer.bytes());
            (samples, plain.len())
        } else {
            let samples = renderer.page(frame, page, scratch, out, None);
            (samples, out.len() - before)
        };
        if plain.capacity() > KEPT_BYTES_MAX {
            *plain = Vec::new();
            *lines = Lines::default();
        }
        if scratch.kept_bytes() > KEPT_BYTES_MAX {
            *scratch = PageScratch::default();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::config::{LabelValues, TargetLaw};
    use crate::engine::random_frames;
    use crate::exposition::{Format, RenderPool};
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::targets::TargetMap;
    use crate::model::{Catalog, Family, Shape};

    fn example() -> (Frame, Renderer, TargetMap) {
        let list = |name: &str, count: usize| {
            let values = (0..count).map(|n| format!("{name}{n}")).collect();
            Dimension::new(name, &LabelValues::List(values), count)
        };
        let space = Space::from_dimensions(vec![list("a", 7), list("pod", 5), list("z", 9)]);
        let space = Arc::new(space);
        let family = |name, shape| Family::new(name, "", "", shape, Arc::clone(&space));
        let families = vec![
            family("a", Shape::Counter),
            family("b", Shape::Gauge),
            family("c", Shape::histogram([0.1, 1.0])),
            family("d", Shape::Gauge),
        ];
        let catalog = Arc::new(Catalog::from_families(families, 4));
        let frame = random_frames::frame(&catalog, 0, 0, 3);
        let law = TargetLaw::By(vec!["pod".to_owned()]);
        let map = TargetMap::of(&catalog, frame.populations(), &law, None);
        (frame, Renderer::new(catalog, "", false), map)
    }

    fn page(map: &TargetMap, number: usize) -> Page<'_> {
        Page {
            target: map.find(&format!("pod{number}")).unwrap(),
            format: Format::OpenMetrics,
            hidden: &[],
            names: None,
        }
    }

    #[test]
    fn pages_of_the_pool_are_those_of_the_renderer() {
        let (frame, renderer, map) = example();
        let pool = RenderPool::new(2).unwrap();
        std::thread::scope(|scope| {
            for number in 0..5 {
                let (frame, renderer, map, pool) = (&frame, &renderer, &map, &pool);
                scope.spawn(move || {
                    let page = page(map, number);
                    let mut expected = Vec::new();
                    let scratch = &mut PageScratch::default();
                    let samples = renderer.page(frame, &page, scratch, &mut expected, None);
                    for _ in 0..20 {
                        let plain = pool.page(frame, renderer, &page, false);
                        assert!(*plain == *expected);
                        assert_eq!(plain.stats().bytes_out, expected.len() as u64);
                        let gzip = pool.page(frame, renderer, &page, true);
                        let mut read = Vec::new();
                        let mut decoder = flate2::bufread::GzDecoder::new(&*gzip);
                        decoder.read_to_end(&mut read).unwrap();
                        assert!(decoder.into_inner().is_empty(), "one member");
                        assert!(read == expected);
                        let stats = gzip.stats();
                        assert_eq!(stats.bytes_plain, expected.len() as u64);
                        assert_eq!(stats.samples, samples as u64);
                        assert!(stats.bytes_out < stats.bytes_plain);
                    }
                });
            }
        });
    }

    #[test]
    fn no_more_are_lent_than_there_are() {
        let workers = PageWorkers::new(2);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _borrowed = workers.borrow();
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
        let idle = workers.idle();
        assert_eq!((idle.workers.len(), idle.waiting), (2, 0));
    }

    #[test]
    fn a_panic_keeps_no_worker() {
        let (frame, renderer, map) = example();
        let (other, ..) = example();
        let pool = RenderPool::new(1).unwrap();
        let wrong = AssertUnwindSafe(|| pool.page(&other, &renderer, &page(&map, 0), true).len());
        assert!(catch_unwind(wrong).is_err());
        assert!(pool.page(&frame, &renderer, &page(&map, 0), true).len() > 20);
    }
}
