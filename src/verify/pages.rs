//! Pages of a run's targets: which rows each has at a tick, and from when to when its target
//! lives. Frames in the order of their ticks in.
//!
//! A page is scraped like any other target of a backend, but has the series of its own target
//! alone, which may come and go: it is there from the first tick of the target to its last one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::backend::Labels;
use super::selection::Rows;
use crate::config::{TargetLaw, Targets};
use crate::engine::Frame;
use crate::exposition::ID_LABEL;
use crate::journal::Replay;
use crate::model::population::Population;
use crate::model::targets::{TargetMap, key_of_id, labels_of_id};

/// What the label with the ID of a page is called where the backend has added one of its name.
const EXPORTED: &str = "exported_target";

/// A target that is born is found by whoever scrapes it within this: as often as Prometheus asks
/// for targets where nothing else is said, and a while in which it takes them over.
pub(super) const FOUND_WITHIN_MS: i64 = 70_000;

/// The targets of a run that have pages of their own.
pub(super) fn targets(replay: &Replay) -> Option<&Targets> {
    replay.config().prometheus.targets.as_ref()
}

/// Takes the ID of a page off the labels of its tick numbers; `None` where they are of no page.
pub(super) fn take_id(targets: Option<&Targets>, labels: &mut Labels) -> Option<String> {
    targets?;
    labels.remove(EXPORTED).or_else(|| labels.remove(ID_LABEL))
}

/// The labels of a page's series that whoever found it added, as these labels of its tick
/// numbers tell.
pub(super) fn found_labels(targets: &Targets, id: &str, labels: &Labels) -> Labels {
    if targets.in_body {
        return Labels::new();
    }
    let own = labels_of_id(&targets.law, id).unwrap_or_default();
    let own = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    own.filter(|(name, value)| labels.get(name) == Some(value))
        .collect()
}

/// Whether tick numbers with some labels are of a page.
pub(super) fn is_of_page(targets: Option<&Targets>, labels: &Labels) -> bool {
    targets.is_some() && (labels.contains_key(ID_LABEL) || labels.contains_key(EXPORTED))
}

/// One page, whose rows the latest frame tells.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) id: String,
    pub(super) followed: Rc<Followed>,
}

/// All targets of a run, followed tick by tick.
#[derive(Debug)]
pub(super) struct Followed {
    law: TargetLaw,
    /// The first tick that is followed.
    from_tick: u64,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Arc<TargetMap>>,
    /// The keys of those that there are.
    keys: Vec<u64>,
    lives: BTreeMap<u64, Lives>,
}

/// A target and all its lives.
#[derive(Debug)]
struct Lives {
    id: String,
    spans: Vec<Span>,
}

/// Ticks at which a target is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first tick; `None` where it was there before anything was followed.
    pub(super) born: Option<u64>,
    /// The first tick without it.
    pub(super) ended: Option<u64>,
}

impl Followed {
    /// Follows from a tick on.
    pub(super) fn new(law: TargetLaw, from_tick: u64) -> Self {
        Self {
            law,
            from_tick,
            state: RefCell::default(),
        }
    }

    /// The first tick that is followed.
    pub(super) fn first_tick(&self) -> u64 {
        self.from_tick
    }

    /// Goes on to the next frame.
    pub(super) fn follow(&self, frame: &Frame) {
        if frame.tick() < self.from_tick {
            return;
        }
        let mut state = self.state.borrow_mut();
        let before = state.latest.take();
        if before
            .as_ref()
            .is_some_and(|map| map.is_of(frame.populations()))
        {
            state.latest = before;
            return;
        }
        let map = TargetMap::of(
            frame.catalog(),
            frame.populations(),
            &self.law,
            before.as_deref(),
        );
        state.go_on(&map, before.is_some().then(|| frame.tick()));
        state.latest = Some(Arc::new(map));
    }

    /// When a target is there, as far as was followed: by its ID, in the order of ticks.
    pub(super) fn spans(&self, id: &str) -> Vec<Span> {
        let state = self.state.borrow();
        let lives = state.lives.get(&key_of_id(id));
        let lives = lives.filter(|lives| lives.id == id);
        lives.map_or(Vec::new(), |lives| lives.spans.clone())
    }

    /// Whether a target is known to be over.
    pub(super) fn is_over(&self, id: &str) -> bool {
        let spans = self.spans(id);
        spans.last().is_some_and(|span| span.ended.is_some())
    }

    /// Forgets those that were over before a tick, whatever they were.
    pub(super) fn forget_before(&self, tick: u64) {
        let mut state = self.state.borrow_mut();
        state.lives.retain(|_, lives| {
            let is_over = |span: &Span| span.ended.is_some_and(|ended| ended < tick);
            lives.spans.retain(|span| !is_over(span));
            !lives.spans.is_empty()
        });
    }

    /// The IDs of all targets that there were.
    pub(super) fn ids(&self) -> Vec<String> {
        let state = self.state.borrow();
        let mut ids: Vec<String> = state.lives.values().map(|lives| lives.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    fn latest(&self) -> Option<Arc<TargetMap>> {
        self.state.borrow().latest.clone()
    }
}

impl State {
    /// Goes on to the targets of a tick, `None` where it is the first one.
    fn go_on(&mut self, map: &TargetMap, tick: Option<u64>) {
        let before = std::mem::take(&mut self.keys);
        for key in &before {
            if map.with_key(*key).is_none()
                && let Some(span) = self.lives.get_mut(key).and_then(|of| of.spans.last_mut())
            {
                span.ended = tick;
            }
        }
        for target in map.iter() {
            let key = target.key();
            self.keys.push(key);
            if before.binary_search(&key).is_err() {
                let lives = self.lives.entry(key).or_insert_with(|| Lives {
                    id: target.id(),
                    spans: Vec::new(),
                });
                lives.spans.push(Span {
                    born: tick,
                    ended: None,
                });
            }
        }
    }
}

impl Page {
    /// Those of some rows of a family that the page has at the frame that was followed last.
    pub(super) fn rows(&self, population: &Population, of: Rows) -> Rows {
        let map = self.followed.latest();
        let target = map.as_ref().and_then(|map| map.find(&self.id));
        let rows = target
            .into_iter()
            .flat_map(|target| target.rows_of(population));
        let rows: Vec<Range<usize>> = rows.collect();
        // Only entities can come.
        if rows.is_empty() && population.entities().is_none() {
            return Rows::None;
        }
        of.of_page(rows)
    }
}
