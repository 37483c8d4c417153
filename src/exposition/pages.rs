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
    idle: Mutex<Vec<PageWorker>>,
    returned: Condvar,
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
        let idle = (0..count).map(|_| PageWorker::default());
        Self {
            idle: Mutex::new(idle.collect()),
            returned: Condvar::new(),
        }
    }

    /// Waits for one.
    pub(super) fn borrow(&self) -> Borrowed<'_> {
        let mut idle = self.idle();
        loop {
            if let Some(worker) = idle.pop() {
                let workers = self;
                return Borrowed { workers, worker };
            }
            let woken = self.returned.wait(idle);
            idle = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<PageWorker>> {
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
        self.workers.idle().push(worker);
        self.workers.returned.notify_one();
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
