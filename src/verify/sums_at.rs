//! Counts and sums that a backend should find over all series of a name at a tick, or by one
//! of their labels: a place in, [`Totals`] out.

use std::collections::HashMap;

use super::place::Place;
use super::selection::{Rows, for_each_series};
use super::sums::Totals;

/// Totals of one name of a family at a tick.
pub(super) fn totals(place: Place<'_>, family: usize, rows: &Rows) -> Totals {
    let mut totals = Totals::default();
    let frame = place.frame;
    let slots = &place.names.slots[place.names.slots_of(place.name)];
    let catalog = frame.catalog();
    if matches!(rows, Rows::All) {
        for at in catalog.family_blocks(family) {
            let (_, block, _) = frame.block(at);
            let gaps = frame.gaps(at);
            for slot in slots {
                for row in (0..block.len).filter(|&row| !gaps.contains(row)) {
                    totals.add_grown(place.value(family, slot, (at, row)));
                }
            }
        }
        return totals;
    }
    for_each_series(frame, family, rows, |_, at, row| {
        if !frame.gaps(at).contains(row) {
            for slot in slots {
                totals.add_grown(place.value(family, slot, (at, row)));
            }
        }
    });
    totals
}

/// Totals by the values of one label, or by slot.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    pub(super) totals: Vec<Totals>,
    /// The texts of the label, where there is no list of them: by number of the group, ...
    pub(super) texts: Vec<&'a str>,
    /// ... and the other way round.
    pub(super) of_text: HashMap<&'a str, usize>,
}

impl<'a> Groups<'a> {
    /// The group of a text.
    fn of(&mut self, text: &'a [u8]) -> usize {
        let text = std::str::from_utf8(text).expect("label values are text");
        *self.of_text.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.totals.push(Totals::default());
            self.texts.len() - 1
        })
    }
}

/// Totals by value of one label (a dimension), or by slot.
pub(super) fn totals_by<'a>(
    place: Place<'a>,
    family: usize,
    rows: &Rows,
    only_slot: Option<usize>,
    dimension: Option<usize>,
) -> Groups<'a> {
    let (frame, names) = (place.frame, place.names);
    let space = frame.population(family).space();
    let slots = names.slots_of(place.name);
    let groups = dimension.map_or(slots.len(), |d| space.dimensions()[d].len());
    let mut groups = Groups {
        totals: vec![Totals::default(); groups],
        ..Groups::default()
    };
    let is_listed = !groups.totals.is_empty();
    for_each_series(frame, family, rows, |cursor, at, row| {
        if frame.gaps(at).contains(row) {
            return;
        }
        let of_label = dimension.map(|dimension| {
            if is_listed {
                cursor.digits()[dimension] as usize
            } else {
                groups.of(cursor.value(dimension))
            }
        });
        for slot in slots.clone() {
            if only_slot.is_none_or(|only| only == slot) {
                let group = of_label.unwrap_or(slot - slots.start);
                let value = place.value(family, &names.slots[slot], (at, row));
                groups.totals[group].add_grown(value);
            }
        }
    });
    groups
}
