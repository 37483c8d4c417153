//! Which labels depend on which: what belongs to a fleet, and in which order.

use super::FleetError;
use crate::config::{Label, Life, Piece};

/// The labels of a fleet, as indices into those of a metric.
#[derive(Debug)]
pub(super) struct Graph {
    /// All that belong to it, those that others need before these.
    pub(super) order: Vec<usize>,
    /// The axes among them: ancestors before dependents, else by name.
    pub(super) axes: Vec<usize>,
    /// The axes that each label of the metric depends on, itself included, in increasing
    /// order of their places in `axes`. Empty for what does not belong to the fleet.
    pub(super) closures: Vec<Vec<usize>>,
}

impl Graph {
    /// Of what depends on other labels or changes in time, and all that this needs.
    pub(super) fn of(labels: &[Label], life: &Life) -> Result<Self, FleetError> {
        let needs = labels
            .iter()
            .map(|label| needs(label, labels))
            .collect::<Result<Vec<_>, _>>()?;
        let changing = life.laws.iter().map(|law| &law.label);
        let changing: Vec<_> = changing
            .chain(life.sizes.iter().map(|size| &size.label))
            .collect();
        let mut by_name: Vec<usize> = (0..labels.len()).collect();
        by_name.sort_by(|&a, &b| labels[a].name.cmp(&labels[b].name));
        let mut walk = Walk {
            labels,
            needs: &needs,
            states: vec![Visit::No; labels.len()],
            order: Vec::new(),
        };
        for &index in &by_name {
            let label = &labels[index];
            if !label.is_plain() || changing.contains(&&label.name) {
                walk.visit(index)?;
            }
        }
        let order = walk.order;
        // Sets of axes, those of a label's needs before its own.
        let mut reached = vec![vec![false; labels.len()]; labels.len()];
        for &index in &order {
            let mut own = vec![false; labels.len()];
            own[index] = labels[index].of.is_none();
            for &need in &needs[index] {
                own.iter_mut()
                    .zip(&reached[need])
                    .for_each(|(own, of)| *own |= of);
            }
            reached[index] = own;
        }
        let mut axes: Vec<usize> = Vec::new();
        let is_axis = |index: &usize| order.contains(index) && labels[*index].of.is_none();
        let mut left: Vec<usize> = by_name.into_iter().filter(is_axis).collect();
        while !left.is_empty() {
            let is_next = |&index: &usize| {
                let mut above =
                    (0..labels.len()).filter(|&other| other != index && reached[index][other]);
                above.all(|other| axes.contains(&other))
            };
            let next = left.iter().position(is_next).expect("there is no cycle");
            axes.push(left.remove(next));
        }
        let closure = |reached: &Vec<bool>| -> Vec<usize> {
            (0..axes.len())
                .filter(|&axis| reached[axes[axis]])
                .collect()
        };
        let closures = reached.iter().map(closure).collect();
        Ok(Self {
            order,
            axes,
            closures,
        })
    }
}

/// The labels that one names, or is a property of.
fn needs(label: &Label, labels: &[Label]) -> Result<Vec<usize>, FleetError> {
    let named = label.text.iter().flatten().filter_map(|piece| match piece {
        Piece::Label(name) => Some(name),
        _ => None,
    });
    let of = label.of.iter().map(|property| &property.of);
    of.chain(named)
        .map(|name| find(labels, label, name))
        .collect()
}

/// The index of a label that another one needs.
pub(super) fn find(labels: &[Label], user: &Label, name: &str) -> Result<usize, FleetError> {
    let found = labels.iter().position(|label| label.name == name);
    found.ok_or_else(|| FleetError::Unknown {
        label: user.name.clone(),
        needed: name.to_owned(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    No,
    Begun,
    Done,
}

struct Walk<'a> {
    labels: &'a [Label],
    needs: &'a [Vec<usize>],
    states: Vec<Visit>,
    order: Vec<usize>,
}

impl Walk<'_> {
    fn visit(&mut self, index: usize) -> Result<(), FleetError> {
        match self.states[index] {
            Visit::Done => return Ok(()),
            Visit::Begun => return Err(FleetError::Cycle(self.labels[index].name.clone())),
            Visit::No => self.states[index] = Visit::Begun,
        }
        let needs = self.needs;
        for &need in &needs[index] {
            self.visit(need)?;
        }
        self.states[index] = Visit::Done;
        self.order.push(index);
        Ok(())
    }
}
