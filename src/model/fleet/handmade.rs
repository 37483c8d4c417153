//! Entities that no law made, for the tests of whatever tells them apart.

use std::sync::Arc;

use super::chunk::{CHUNK_ENTITIES, ChunkBuilder};
use super::{Entities, Fleet, Store};
use crate::model::identity;

/// A snapshot of a fleet whose labels are axes or have texts of their own. Of each entity
/// that exists `each` tells birth and text; what did not change is shared with `before`.
pub(crate) fn entities(
    fleet: &Arc<Fleet>,
    tick: u64,
    before: Option<&Entities>,
    each: &dyn Fn(usize) -> Option<(u64, String)>,
) -> Arc<Entities> {
    let (mut builder, mut scratch) = (ChunkBuilder::default(), Vec::new());
    let (mut chunks, mut existing, mut latest_birth) = (Vec::new(), 0, 0);
    for entity in 0..fleet.len() {
        match each(entity) {
            None => builder.push_absent(fleet.coded, fleet.texted),
            Some((birth, text)) => {
                existing += 1;
                latest_birth = birth.max(latest_birth);
                let hashes = fleet.labels.iter().map(|label| {
                    let value = match (label.store, &label.values) {
                        (Store::Digit { stride, radix }, Some(values)) => {
                            values.values.get(entity / fleet.lanes / stride % radix)
                        }
                        (Store::Text(_), _) => text.as_bytes(),
                        _ => panic!("a label of another kind"),
                    };
                    identity::pair_hash(&label.name, value, &mut scratch)
                });
                builder.begin(birth, hashes.fold(0, u64::wrapping_add));
                (0..fleet.texted).for_each(|_| builder.push_text(text.as_bytes()));
            }
        }
        if builder.len() == CHUNK_ENTITIES || entity + 1 == fleet.len() {
            let chunk = Arc::new(builder.finish());
            let known = before.and_then(|before| before.chunks.get(chunks.len()));
            let known = known.filter(|known| **known == chunk);
            chunks.push(known.map_or(chunk, Arc::clone));
        }
    }
    Arc::new(Entities {
        fleet: Arc::clone(fleet),
        tick,
        chunks,
        existing,
        latest_birth: before
            .map_or(0, |before| before.latest_birth)
            .max(latest_birth),
        changes: Vec::new(),
    })
}
