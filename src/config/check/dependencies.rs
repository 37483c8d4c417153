//! Labels that depend on one another: that what they name is there, that there is an order
//! in which they can be made, and that a metric's series can be told apart by them.

use std::collections::{HashMap, HashSet};

use super::labels::Profile;
use super::{Checker, suggest};
use crate::config::problem::{Path, excerpt, quoted};
use crate::config::raw::Item;
use crate::config::{Label, LabelValues, Piece};
use crate::readable::grouped;

/// Longest text that a label may have by naming others, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// The labels of a metric, as `without` leaves them.
#[derive(Default)]
pub(super) struct Arranged {
    /// In file order, those that it shows and hidden ones.
    pub(super) labels: Vec<Label>,
    /// Names of hidden ones that only an order by hand can need.
    idle: HashSet<String>,
}

impl Arranged {
    /// Where nothing is left out.
    pub(super) fn all(labels: Vec<Label>) -> Self {
        Self {
            labels,
            idle: HashSet::new(),
        }
    }

    /// Those that make a difference without orders.
    pub(super) fn active(&self) -> Vec<Label> {
        let active = |label: &&Label| !self.idle.contains(&label.name);
        self.labels.iter().filter(active).cloned().collect()
    }
}

/// Labels by their names.
pub(super) struct Graph<'l> {
    labels: &'l [Label],
    places: HashMap<&'l str, usize>,
}

/// The other labels that a label's text names.
fn named(label: &Label) -> impl Iterator<Item = &str> {
    let pieces = label.text.iter().flatten();
    pieces.filter_map(|piece| match piece {
        Piece::Label(name) => Some(&**name),
        _ => None,
    })
}

/// The label that has entities of its own, of which another one is or is a property.
pub(super) fn owner_of<'l>(labels: impl IntoIterator<Item = &'l Label>, name: &'l str) -> &'l str {
    let labels: Vec<&Label> = labels.into_iter().collect();
    let mut owner = name;
    // As often as there are labels at most, where they are in a circle.
    for _ in &labels {
        let label = labels.iter().find(|label| label.name == owner);
        match label.and_then(|label| of(label)) {
            Some(next) => owner = next,
            None => break,
        }
    }
    owner
}

/// The label that it is a property of.
fn of(label: &Label) -> Option<&str> {
    label.of.as_ref().map(|property| &*property.of)
}

impl<'l> Graph<'l> {
    pub(super) fn new(labels: &'l [Label]) -> Self {
        let places = labels.iter().enumerate();
        let places = places.map(|(place, label)| (&*label.name, place)).collect();
        Self { labels, places }
    }

    /// Whether there is a label of a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A label and all that it needs, directly or not.
    fn closure(&self, name: &str) -> HashSet<usize> {
        let mut open: Vec<usize> = self.places.get(name).copied().into_iter().collect();
        let mut closure: HashSet<usize> = open.iter().copied().collect();
        while let Some(place) = open.pop() {
            let needed = self.needed(&self.labels[place]);
            open.extend(needed.filter(|place| closure.insert(*place)));
        }
        closure
    }

    /// Whether `name` is a label that `of` is or needs.
    pub(super) fn is_in_closure(&self, name: &str, of: &str) -> bool {
        let place = self.places.get(name);
        place.is_some_and(|place| self.closure(of).contains(place))
    }

    /// How many entities a label can have: one for each combination of the labels that it is
    /// and needs.
    pub(super) fn entities(&self, name: &str) -> u64 {
        self.combinations(std::iter::once(name))
    }

    /// How many combinations there are of the labels that some are and need.
    pub(super) fn combinations(&self, names: impl Iterator<Item = impl AsRef<str>>) -> u64 {
        let closures = names.map(|name| self.closure(name.as_ref()));
        let closure: HashSet<usize> = closures.flatten().collect();
        let axes = closure
            .into_iter()
            .map(|place| &self.labels[place])
            .filter(|label| label.of.is_none());
        axes.fold(1, |product, label| {
            product.saturating_mul(label.values.count())
        })
    }

    /// Whether no law changes a label's text: it is written from values alone.
    pub(super) fn lasts(&self, name: &str) -> bool {
        let closure = self.closure(name);
        let mut labels = closure.iter().map(|&place| &self.labels[place]);
        labels.all(|label| {
            let mut pieces = label.text.iter().flatten();
            let changes = |piece: &Piece| matches!(piece, Piece::Id(_) | Piece::Generation);
            label.of.is_none() && !pieces.any(changes)
        })
    }

    /// The labels that one needs, each there is.
    fn needed(&self, label: &'l Label) -> impl Iterator<Item = usize> {
        let names = named(label).chain(of(label));
        names.filter_map(|name| self.places.get(name).copied())
    }

    /// All labels, each behind those that it needs; or those that need one another, in a
    /// circle.
    fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut search = Search {
            graph: self,
            seen: vec![false; self.labels.len()],
            way: Vec::new(),
            order: Vec::new(),
        };
        for place in 0..self.labels.len() {
            search.visit(place)?;
        }
        Ok(search.order)
    }

    /// Adds to `told` the labels whose own values the text of one shows.
    fn tell(&self, place: usize, told: &mut HashSet<usize>, seen: &mut HashSet<usize>) {
        if !seen.insert(place) {
            return;
        }
        let Some(text) = &self.labels[place].text else {
            told.insert(place);
            return;
        };
        for piece in text {
            match piece {
                Piece::Value | Piece::Id(_) => {
                    told.insert(place);
                }
                Piece::Label(name) => self.tell(self.places[&**name], told, seen),
                Piece::Text(_) | Piece::Generation => {}
            }
        }
    }
}

/// A search in depth; the way is at most as long as there are labels.
struct Search<'g, 'l> {
    graph: &'g Graph<'l>,
    seen: Vec<bool>,
    /// From where it began to where it is.
    way: Vec<usize>,
    order: Vec<usize>,
}

impl Search<'_, '_> {
    fn visit(&mut self, place: usize) -> Result<(), Vec<usize>> {
        if let Some(start) = self.way.iter().position(|on_way| *on_way == place) {
            return Err(self.way[start..].to_vec());
        }
        if std::mem::replace(&mut self.seen[place], true) {
            return Ok(());
        }
        self.way.push(place);
        for needed in self.graph.needed(&self.graph.labels[place]) {
            self.visit(needed)?;
        }
        self.way.pop();
        self.order.push(place);
        Ok(())
    }
}

/// What is wrong where the values of a label have nothing but identifiers to tell them apart,
/// and these are too short: generations of each take numbers as well.
fn short_identifier(label: &Label) -> Option<String> {
    const CHARACTERS: u128 = 27;
    const GENERATIONS_MIN: u128 = 16;
    let pieces = label.text.iter().flatten();
    let mut len = 0;
    for piece in pieces {
        match piece {
            Piece::Value => return None,
            Piece::Id(more) => len += u32::from(*more),
            Piece::Text(_) | Piece::Label(_) | Piece::Generation => {}
        }
    }
    let count = u128::from(label.values.count());
    if len == 0 || label.of.is_some() || count == 1 {
        return None;
    }
    let needed = count.next_power_of_two().saturating_mul(GENERATIONS_MIN);
    let enough = |len: &u32| CHARACTERS.saturating_pow(*len) >= needed;
    if enough(&len) {
        return None;
    }
    let more = (len..64).find(enough).unwrap_or(64);
    Some(format!(
        "{} values and those that come after them cannot be told apart by {len} characters, of \
         which there are {}; write {{id:{more}}}, or add {{}} for the value itself",
        grouped(count),
        grouped(CHARACTERS.saturating_pow(len)),
    ))
}

impl Checker<'_> {
    /// Whether the labels that `is_judged` labels name are there, and none needs itself.
    pub(super) fn references(
        &mut self,
        at: &Path,
        labels: &[Label],
        is_judged: impl Fn(&Label) -> bool,
    ) -> bool {
        let judged = || labels.iter().filter(|label| is_judged(label));
        if labels.iter().all(Label::is_plain) {
            return true;
        }
        let graph = Graph::new(labels);
        let mut is_right = true;
        for label in judged() {
            let path = at.key(&label.name);
            if let Some(message) = short_identifier(label) {
                self.problems.add(&path.key("fmt"), message);
                is_right = false;
            }
            let fmt = named(label).map(|name| ("fmt", name));
            let of = of(label).map(|name| ("of", name));
            for (field, name) in fmt.chain(of) {
                if graph.places.contains_key(name) {
                    continue;
                }
                is_right = false;
                let names = labels.iter().map(|label| &*label.name);
                let hint =
                    suggest::hint(name, "its neighbours", names.filter(|n| *n != label.name));
                let braces = match field {
                    "fmt" => format!("; for the text itself write {{{{{}}}}}", excerpt(name)),
                    _ => String::new(),
                };
                let message = format!("no label {} here; {hint}{braces}", quoted(name));
                self.problems.add(&path.key(field), message);
            }
        }
        is_right && self.has_order(at, &graph, is_judged)
    }

    /// The places of those of some labels that need one another in a circle, which is
    /// reported; none where there is no circle.
    pub(super) fn circle(
        &mut self,
        at: &Path,
        labels: &[Label],
        is_judged: impl Fn(&Label) -> bool,
    ) -> Vec<usize> {
        let graph = Graph::new(labels);
        self.ordered(at, &graph, is_judged)
            .err()
            .unwrap_or_default()
    }

    /// All labels, each behind those that it needs; or those of a circle, which is reported.
    fn ordered(
        &mut self,
        at: &Path,
        graph: &Graph,
        is_judged: impl Fn(&Label) -> bool,
    ) -> Result<Vec<usize>, Vec<usize>> {
        let labels = graph.labels;
        graph.order().map_err(|mut circle| {
            // It is told at one that can be blamed for it.
            let first = circle.iter().position(|place| is_judged(&labels[*place]));
            circle.rotate_left(first.unwrap_or_default());
            let first = &labels[circle[0]];
            let ways = circle.iter().enumerate().map(|(index, place)| {
                let next = &labels[circle[(index + 1) % circle.len()]].name;
                let is_of = of(&labels[*place]) == Some(next);
                let how = if is_of { "is of" } else { "names" };
                format!("{} {how} {}", excerpt(&labels[*place].name), excerpt(next))
            });
            let ways: Vec<_> = ways.collect();
            let message = format!(
                "goes in a circle: {}; a label can need only what does not need it",
                suggest::list(ways.iter().map(String::as_str))
            );
            let is_of = of(first) == Some(&labels[circle[1 % circle.len()]].name);
            let field = if is_of { "of" } else { "fmt" };
            self.problems.add(&at.key(&first.name).key(field), message);
            circle
        })
    }

    /// Whether no label needs itself, nor makes a text of which there is no end.
    fn has_order(&mut self, at: &Path, graph: &Graph, is_judged: impl Fn(&Label) -> bool) -> bool {
        let labels = graph.labels;
        let Ok(order) = self.ordered(at, graph, &is_judged) else {
            return false;
        };
        let mut lengths = vec![0_usize; labels.len()];
        for place in order {
            let label = &labels[place];
            let own = longest(&label.values);
            let pieces = label.text.iter().flatten().map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Value => own,
                Piece::Label(name) => lengths[graph.places[&**name]],
                Piece::Id(characters) => (*characters).into(),
                Piece::Generation => 20,
            });
            let length = match label.text {
                Some(_) => pieces.fold(0, usize::saturating_add),
                None => own,
            };
            if label.text.is_some() && length > TEXT_BYTES_MAX {
                let message = format!(
                    "{} can be {} bytes long, with the texts it names; at most {}",
                    excerpt(&label.name),
                    grouped(length as u128),
                    grouped(TEXT_BYTES_MAX as u128)
                );
                let fmt_at = at.key(&label.name).key("fmt");
                let at = if is_judged(label) { &fmt_at } else { at };
                self.problems.add(at, message);
                return false;
            }
            lengths[place] = length;
        }
        true
    }

    /// Whether a cap can keep some of the combinations of these labels.
    pub(super) fn can_be_capped(&mut self, at: &Path, labels: &[Label]) -> bool {
        let Some(label) = labels.iter().find(|label| !label.is_plain()) else {
            return true;
        };
        let what = match of(label) {
            Some(of) => format!("is a property of {}", excerpt(of)),
            None => "is composed of other texts".to_owned(),
        };
        let counts = labels.iter().filter(|label| label.of.is_none());
        let counts = counts.map(|label| u128::from(label.values.count()));
        let combinations = counts.fold(1, u128::saturating_mul);
        let message = format!(
            "cannot cut a space of labels that depend on one another ({} {what}): entities would \
             lose some of their series; remove it, and make ranges shorter until their product, \
             now {}, is what is wanted",
            excerpt(&label.name),
            grouped(combinations),
        );
        self.problems.add(at, message);
        false
    }

    /// The labels of a metric that is right so far, those that it leaves out removed or
    /// hidden; nothing where that was reported.
    pub(super) fn arranged(
        &mut self,
        at: &Path,
        labels: Vec<Label>,
        without: Option<Vec<Item<String>>>,
        profile: Option<(&str, &Profile)>,
    ) -> Option<Arranged> {
        let labels_at = at.key("labels");
        let without = self.left_out(&at.key("without"), &labels, without)?;
        if without.is_empty() && labels.iter().all(Label::is_plain) {
            return Some(Arranged::all(labels));
        }
        if !self.references(&labels_at, &labels, |label| label.from_metric) {
            return None;
        }
        let is_capped = profile.is_some_and(|(_, profile)| profile.series_cap.is_some());
        let mut own = labels.iter().filter(|label| label.from_metric);
        if let Some(label) = own.find(|label| is_capped && !label.is_plain()) {
            self.can_be_capped(&labels_at.key(&label.name), &labels);
            return None;
        }
        let arranged = self.kept(&at.key("without"), labels, &without, profile)?;
        self.tells_apart(at, &arranged.labels).then_some(arranged)
    }

    /// `without`: the names of labels that there are.
    fn left_out(
        &mut self,
        at: &Path,
        labels: &[Label],
        without: Option<Vec<Item<String>>>,
    ) -> Option<HashSet<String>> {
        let mut names = HashSet::new();
        let mut is_right = true;
        for (path, name) in self.items(at, without.unwrap_or_default()) {
            let Some(name) = name else {
                is_right = false;
                continue;
            };
            if labels.iter().all(|label| label.name != name) {
                let known = labels.iter().map(|label| &*label.name);
                let hint = suggest::hint(&name, "its labels", known);
                let message = format!("the metric has no label {}; {hint}", quoted(&name));
                self.problems.add(&path, message);
                is_right = false;
            } else if let Some(name) = names.replace(name) {
                let message = format!("{} is there already; remove one", quoted(&name));
                self.problems.add(&path, message);
                is_right = false;
            }
        }
        is_right.then_some(names)
    }

    /// The labels that are shown, and, hidden, those that these need, the properties of them
    /// that laws act on, and what orders by hand can name: with a node its pods vanish, whether
    /// or not they tell it.
    fn kept(
        &mut self,
        at: &Path,
        labels: Vec<Label>,
        without: &HashSet<String>,
        profile: Option<(&str, &Profile)>,
    ) -> Option<Arranged> {
        let graph = Graph::new(&labels);
        let is_shown = |label: &Label| !without.contains(&label.name);
        let mut open: Vec<&Label> = labels.iter().filter(|label| is_shown(label)).collect();
        let mut kept: HashSet<&str> = open.iter().map(|label| &*label.name).collect();
        let mut properties = Vec::new();
        while let Some(label) = open.pop() {
            for name in named(label).chain(of(label)) {
                let other = &labels[graph.places[name]];
                let is_lost = of(label) == Some(name) && other.of.is_none() && !is_shown(other);
                if is_lost && named(label).all(|named| named != name) {
                    properties.push((label, other));
                } else if kept.insert(name) {
                    open.push(other);
                }
            }
        }
        let lost = properties.iter();
        let mut lost = lost.filter(|(_, other)| !kept.contains(&*other.name));
        if let Some((label, other)) = lost.next() {
            let (label, other) = (excerpt(&label.name), excerpt(&other.name));
            let message = format!(
                "{label} is a property of {other}, which is left out: without it a series has no \
                 {label}; leave {label} out too, or keep {other}"
            );
            self.problems.add(at, message);
            return None;
        }
        let mut kept: HashSet<String> = kept.into_iter().map(str::to_owned).collect();
        let profile = profile.map(|(_, profile)| profile);
        for name in profile
            .into_iter()
            .flat_map(|profile| profile.life.labels())
        {
            let closure = graph.closure(name).into_iter().map(|place| &labels[place]);
            let (properties, axes): (Vec<_>, Vec<_>) = closure.partition(|one| one.of.is_some());
            if axes.iter().all(|axis| kept.contains(&axis.name)) {
                kept.extend(properties.into_iter().map(|one| one.name.clone()));
            }
        }
        // Ranks by zipf_alpha go by the own values of all labels, however few these are.
        let has_ranks = profile.is_some_and(|profile| profile.zipf_alpha != 0.0);
        let mut idle = HashSet::new();
        for place in graph.order().unwrap_or_default() {
            let label = &labels[place];
            let is_composed = !has_ranks && named(label).next().is_some();
            let makes_no_more = label.of.is_some() || (is_composed && label.values.count() == 1);
            let mut needed = graph.needed(label).map(|place| &labels[place].name);
            if makes_no_more
                && !kept.contains(&label.name)
                && needed.all(|name| kept.contains(name) || idle.contains(name))
            {
                idle.insert(label.name.clone());
            }
        }
        let mut labels = labels;
        labels.retain_mut(|label| {
            label.hidden = without.contains(&label.name);
            kept.contains(&label.name) || idle.contains(&label.name)
        });
        Some(Arranged { labels, idle })
    }

    /// Whether series differ in what they show.
    fn tells_apart(&mut self, at: &Path, labels: &[Label]) -> bool {
        let graph = Graph::new(labels);
        let (mut told, mut seen) = (HashSet::new(), HashSet::new());
        for (place, label) in labels.iter().enumerate() {
            if !label.hidden {
                graph.tell(place, &mut told, &mut seen);
            }
        }
        let axes = labels.iter().enumerate();
        let mut untold = axes.filter(|(place, label)| {
            label.of.is_none() && label.values.count() > 1 && !told.contains(place)
        });
        let Some((_, label)) = untold.next() else {
            return true;
        };
        let name = excerpt(&label.name);
        let message = format!(
            "leaves out {name}, of which there are {}, and no other label shows which: that many \
             series would be the same one; keep {name}, or leave out the labels that name it as well",
            grouped(label.values.count().into()),
        );
        self.problems.add(&at.key("without"), message);
        false
    }
}

/// How long a value can be, in bytes.
fn longest(values: &LabelValues) -> usize {
    match values {
        LabelValues::List(list) => list.iter().map(String::len).max().unwrap_or_default(),
        LabelValues::Range {
            first,
            last,
            format,
        } => format.text(*first).len().max(format.text(*last).len()),
    }
}
