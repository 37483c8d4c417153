//! Are series that ended over for the backend?

use std::collections::{BTreeMap, HashMap};

use super::Check;
use crate::verify::backend::AskError;
use crate::verify::batch::Walk;
use crate::verify::chunk::Turn;
use crate::verify::naming::{self, selector};
use crate::verify::report::What;
use crate::verify::route::Ends;
use crate::verify::selection::labels;
use crate::verify::series::exactly;

/// Scrapes of a chunk at which it is asked whether series of a family have ended.
const ENDS_ASKED_MAX: usize = 50;

impl Check<'_, '_> {
    /// Whether series that ended are over for the backend: a query that looks back must not
    /// find them.
    pub(super) fn ends(&mut self) -> Result<(), AskError> {
        if self.ctx.route().ends == Ends::Never {
            return Ok(());
        }
        let mut by_scrape: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, scrape) in self.chunk.ends(self.sampled) {
            by_scrape.entry(scrape).or_default().push(index);
        }
        let names: Vec<&str> = self
            .sampled
            .names
            .texts
            .iter()
            .map(String::as_str)
            .collect();
        for (scrape, ended) in by_scrape.into_iter().take(ENDS_ASKED_MAX) {
            let mut rest = ended.as_slice();
            while !rest.is_empty() {
                let batch = self.batch_of(rest.iter().copied());
                let (these, others) = rest.split_at(batch.series);
                rest = others;
                let at_ms = self.ctx.marked_ms(self.chunk.scrapes[scrape]);
                let query = selector(&names, &batch.matchers);
                self.not_over(these, (scrape, at_ms), &query)?;
            }
        }
        Ok(())
    }

    /// Looks whether series that a scrape shows no more are still shown at a time.
    fn not_over(
        &mut self,
        ended: &[usize],
        (scrape, at_ms): (usize, i64),
        query: &str,
    ) -> Result<(), AskError> {
        let mut over: HashMap<String, (usize, usize)> = HashMap::new();
        let mut walk = Walk::new(self.chunk, self.sampled);
        for &index in ended {
            let cursor = walk.to(index);
            for (slot, of) in self.sampled.names.slots.iter().enumerate() {
                let name = &self.sampled.names.texts[of.name];
                let number = of.number.map(|(_, number)| number);
                over.insert(
                    naming::identity(name, labels(cursor), number),
                    (index, slot),
                );
            }
        }
        let own = self.population.space().label_names();
        for row in self.ctx.backend().vector(query, at_ms)? {
            let label = self.number_label(&row.labels);
            let (identity, _) = self.ctx.identity_of(&row.labels, &own, label);
            let Some(&(index, slot)) = over.get(&identity) else {
                continue;
            };
            if self.ctx.is_stale_mark(row.value) {
                continue;
            }
            self.tally.stale_late += 1;
            let turn = self.chunk.turn(self.sampled, index, scrape);
            let time_ms = self.chunk.scrapes[scrape].time_ms;
            self.example(What::StaleLate, index, slot, time_ms, |example| {
                example.found = Some(format!("{:?}", row.value));
                if let Some(Turn::Ended(tick)) = turn {
                    let note = "and nothing marks its end, or what does came late";
                    example.note = Some(format!("it ended at tick {tick}, {note}"));
                }
                example.query = exactly(&row.labels);
                example.query_ms = at_ms;
            });
        }
        Ok(())
    }
}
