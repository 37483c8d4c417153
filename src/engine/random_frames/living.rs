//! Frames one after the other, whose entities come and go.

use std::sync::Arc;

use proptest::prelude::*;

use super::{frame, shapes};
use crate::config::{Label, LabelValues, Life, Piece};
use crate::engine::{Created, Frame, Gaps};
use crate::model::fleet::{Entities, Fleet, handmade};
use crate::model::population::{Population, Populations};
use crate::model::space::Space;
use crate::model::{Catalog, Family, Shape};
use crate::random;

/// What stands in a slot: since when, and its number.
type Slot = Option<(u64, u64)>;

/// Up to six frames of one catalog: some families have pods, alone or each with zones,
/// that end, begin, take one another's places and names, and return; others have series
/// that stay. Who exists has a point, but for some gaps.
pub(crate) fn living_frames() -> impl Strategy<Value = Vec<Frame>> {
    let families = prop::collection::vec((0..3usize, shapes()), 1..5);
    let pods = prop_oneof![1..8i64, 60..140i64];
    (families, pods, 1..6usize, any::<u64>()).prop_map(|(families, pods, frames, seed)| {
        let catalog = catalog(families, pods);
        let mut draw = draws(seed);
        let fleet = catalog.families().iter().find_map(|f| f.space.fleet());
        let mut slots: Vec<Slot> = Vec::new();
        if let Some(fleet) = fleet {
            slots.extend((0..fleet.len() as u64).map(|number| Some((0, number))));
        }
        let (mut before, mut last): (Option<Arc<Entities>>, Option<Populations>) = (None, None);
        let each = (0..frames as u64).map(|index| {
            let tick = 10 + 3 * index;
            // Often nothing happens.
            if index == 0 || !draw().is_multiple_of(4) {
                change(&mut slots, tick, &mut draw);
            }
            let entities = fleet.map(|fleet| {
                let entity = |entity: usize| slots[entity].map(|(b, n)| (b, format!("pod-{n}")));
                handmade::entities(fleet, tick, before.as_deref(), &entity)
            });
            let is_same = |last: &Populations| entities.is_none() && last.iter().count() > 0;
            let populations = match last.clone().filter(is_same) {
                Some(last) => last,
                None => Populations::of(catalog.families().iter().map(|family| {
                    let has_fleet = family.space.fleet().is_some();
                    let entities = entities.as_ref().filter(|_| has_fleet);
                    Population::founded_with(&family.space, 0, entities)
                })),
            };
            before = entities;
            last = Some(populations.clone());
            of_populations(&catalog, populations, tick, draw())
        });
        each.collect()
    })
}

/// A number, another one each time.
fn draws(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(1);
        random::mix(state)
    }
}

fn catalog(families: Vec<(usize, Shape)>, pods: i64) -> Arc<Catalog> {
    let list = |values: &[&str]| LabelValues::List(values.iter().map(|&v| v.into()).collect());
    let namespaces = Label::new("namespace", list(&["n", "other"]), false);
    let names = (0..pods).map(|pod| pod.to_string()).collect();
    let pods = Label {
        text: Some(vec![
            Piece::Label("namespace".into()),
            Piece::Text("-pod-".into()),
            Piece::Id(8),
        ]),
        ..Label::new("pod", LabelValues::List(names), false)
    };
    let zones = Label::new("a", list(&["", "b", "ccc"]), false);
    let few = vec![namespaces, pods.clone()];
    let many = [few.clone(), vec![zones.clone()]].concat();
    let fleet = Fleet::of(&few, &Life::default(), 1_000_000_000).unwrap();
    let fleet = Arc::new(fleet.expect("pods depend on namespaces"));
    let space = |labels: &[Label]| Arc::new(Space::living(labels, Arc::clone(&fleet)).unwrap());
    let plain = Space::from_dimensions(Vec::new());
    let spaces = [space(&few), space(&many), Arc::new(plain)];
    let families = families.into_iter().enumerate();
    let families: Vec<Family> = families
        .map(|(index, (kind, shape))| {
            let name = format!("f{index}_seconds");
            Family::new(&name, "help", "seconds", shape, Arc::clone(&spaces[kind]))
        })
        .collect();
    let generated = families.len();
    Arc::new(Catalog::from_families(families, generated))
}

fn change(slots: &mut [Slot], tick: u64, draw: &mut impl FnMut() -> u64) {
    let count = slots.len() as u64;
    for _ in 0..if count == 0 { 0 } else { draw() % 6 } {
        let (at, other) = ((draw() % count) as usize, (draw() % count) as usize);
        let is_taken = |slots: &[Slot], number| slots.iter().flatten().any(|s| s.1 == number);
        match draw() % 5 {
            0 => slots[at] = None,
            // Another one, or one that was there before.
            kind @ (1 | 2) => {
                let number = if kind == 1 {
                    1000 + draw() % 1000
                } else {
                    draw() % count
                };
                if !is_taken(slots, number) {
                    slots[at] = Some((tick, number));
                }
            }
            3 => {
                if let Some(slot) = &mut slots[at] {
                    slot.0 = tick;
                }
            }
            _ => slots.swap(at, other),
        }
    }
}

fn of_populations(catalog: &Arc<Catalog>, populations: Populations, tick: u64, seed: u64) -> Frame {
    const INTERVAL_NS: i64 = 1_000_000_000;
    let time_ns = tick as i64 * INTERVAL_NS;
    let plain = frame(catalog, time_ns, 0, seed);
    let blocks = catalog.blocks().iter().enumerate().map(|(index, block)| {
        let population = populations.family(block.family);
        let rows = || 0..block.len;
        let is_gap = |&row: &usize| {
            let is_hit = random::mix(seed ^ row as u64).is_multiple_of(9);
            is_hit || !population.exists(block.start + row)
        };
        let born = |row| {
            let exists = population.exists(block.start + row);
            let born_tick = || population.born_tick(block.start + row);
            if exists {
                born_tick() as i64 * INTERVAL_NS
            } else {
                0
            }
        };
        (
            plain.block(index).2.clone(),
            Gaps::at(block.len, rows().filter(is_gap)),
            Created::of(&rows().map(born).collect::<Vec<i64>>()),
        )
    });
    let mut frame = Frame::from_blocks(catalog, tick, time_ns, blocks.collect());
    frame.populations = populations;
    frame
}
