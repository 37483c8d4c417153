//! What a backend makes of a target's series, found out by asking: a target in, what
//! became of its labels and histograms out.

use std::collections::BTreeMap;

use super::VerifyError;
use super::Via;
use super::at_tick::AtTick;
use super::backend::{AskError, Backend, Kind};
use super::naming::{
    Added, Clash, Form, Names, is_there, label_in_query, matcher, quoted, selector,
};
use super::route::{Route, any_matching, in_queries, own_labels};
use super::selection::labels;
use crate::config::{Label, LabelValues, Metric};
use crate::journal::Replay;
use crate::model::{FurtherBuckets, Shape, shape_of};

/// Metrics of which the labels are asked for when they clash.
const CLASHES_ASKED_MAX: usize = 50;
/// And series of each, where only they tell what their labels became.
const SERIES_ASKED_MAX: usize = 10;

/// What is asked about the target that was chosen, and about no other, to find out what
/// the backend makes of its series.
pub(super) struct Probe<'a> {
    pub(super) replay: &'a Replay,
    pub(super) backend: &'a Backend,
    pub(super) kind: Kind,
    /// The last scrape.
    pub(super) at_ms: i64,
    pub(super) tick: u64,
}

impl Probe<'_> {
    /// Finds out what becomes of labels of the same name as those that were added.
    /// Returns whether there are any.
    pub(super) fn find_clash(&self, route: &Route, added: &mut Added) -> Result<bool, VerifyError> {
        let metrics = self.replay.metrics();
        let mut found: Vec<&Metric> = metrics.clone();
        found.retain(|metric| added.clashes(&own_labels(metric)));
        let is_scraped = route.via == Via::Prometheus;
        // Where nothing is there at all, the usual form is what is missed.
        let usual = match (is_scraped, self.kind) {
            (false, _) => Clash::Replace,
            (true, Kind::Exact) => Clash::UntilFree,
            (true, Kind::VictoriaMetrics) => Clash::PushOn,
        };
        added.clash = usual;
        let candidates = in_order(usual);
        let mut at_tick = AtTick::new(self.replay, self.tick)?;
        for metric in found.iter().take(CLASHES_ASKED_MAX) {
            let own = own_labels(metric);
            let is_ambiguous = candidates.iter().any(|&clash| {
                added.clash = clash;
                is_exported_twice(&added.stored_names(&own))
            });
            // Who scraped then only differs in which of two labels is which: series tell, of
            // which some may be lost.
            let series = if is_ambiguous { SERIES_ASKED_MAX } else { 1 };
            let population = at_tick.population(metric)?;
            let rows = (0..population.row_count()).filter(|&row| population.exists(row));
            for row in rows.take(series) {
                let cursor = population.cursor(row);
                let values = is_ambiguous.then(|| labels(&cursor).collect());
                for clash in candidates {
                    added.clash = clash;
                    if self.is_there(route, added, metric, values.as_ref())? {
                        if clash == Clash::Replace && !is_scraped {
                            self.check_replaced(route, added, &found)?;
                        }
                        return Ok(true);
                    }
                }
            }
        }
        added.clash = usual;
        Ok(!found.is_empty())
    }

    /// Whether series of a metric are there with labels that clash, as they would be
    /// called; with these values, if there are any.
    fn is_there(
        &self,
        route: &Route,
        added: &Added,
        metric: &Metric,
        values: Option<&BTreeMap<&str, &str>>,
    ) -> Result<bool, VerifyError> {
        let own = own_labels(metric);
        let mut matchers = added.matchers(&own);
        for (own, stored) in own.iter().zip(added.stored_names(&own)) {
            match values.and_then(|values| values.get(own)) {
                Some(value) => matchers.push(matcher(&stored, value)),
                None if added.clashes(&[own]) => matchers.push(is_there(&stored)),
                None => {}
            }
        }
        let names = route.possible_names_of(metric);
        let range = ("[5m]", self.at_ms);
        Ok(any_matching(self.backend, &matchers, &names, range)?)
    }

    /// Whether own labels have taken the place of added ones, rather than these theirs.
    fn check_replaced(
        &self,
        route: &Route,
        added: &Added,
        metrics: &[&Metric],
    ) -> Result<(), VerifyError> {
        let is_added = |label: &&Label| !label.hidden && added.labels.contains_key(&label.name);
        let Some((metric, label)) = metrics
            .iter()
            .find_map(|metric| Some((metric, metric.labels.iter().find(is_added)?)))
        else {
            return Ok(());
        };
        let value = &added.labels[&label.name];
        let is_only =
            |values: &[String]| label.text.is_none() && values == std::slice::from_ref(value);
        if matches!(&label.values, LabelValues::List(values) if is_only(values)) {
            return Ok(());
        }
        for metric in metrics.iter().take(CLASHES_ASKED_MAX) {
            if !own_labels(metric).contains(&label.name.as_str()) {
                continue;
            }
            let mut matchers = added.matchers(&own_labels(metric));
            matchers.push(is_there(&label.name));
            matchers.push(format!(
                "{}!={}",
                label_in_query(&label.name),
                quoted(value)
            ));
            let names = route.possible_names_of(metric);
            if any_matching(self.backend, &matchers, &names, ("[5m]", self.at_ms))? {
                return Ok(());
            }
        }
        Err(VerifyError::Config(format!(
            "metric {}: its label {} has the name of one that the backend adds, and is gone: \
             series that only differ in it cannot be told apart",
            metric.name, label.name
        )))
    }

    /// By name of each histogram that came with its buckets, and of which the backend has native
    /// ones in the range, the forms that it has of it.
    pub(super) fn forms(
        &self,
        route: &Route,
        added: &Added,
        from_ms: i64,
    ) -> Result<BTreeMap<String, Vec<Form>>, AskError> {
        let range = format!("[{}ms]", self.at_ms - from_ms + 1);
        let mut forms = BTreeMap::new();
        if self.kind == Kind::VictoriaMetrics {
            return Ok(forms);
        }
        // By the matchers of their series: names of families, and of their samples.
        let mut native: BTreeMap<String, Form> = BTreeMap::new();
        let mut histograms: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for metric in self.replay.metrics() {
            let shape = shape_of(metric, &|_| FurtherBuckets::default());
            let names = route.names_of(metric);
            if matches!(shape, Shape::Histogram { .. }) && !names.is_native() {
                let Names { family, texts, .. } = names;
                native.insert(family.clone(), route.native_form(&metric.name));
                let matchers = added.matchers(&own_labels(metric));
                let of_target = histograms.entry(matchers).or_default();
                of_target.insert(family, texts[..3].to_vec());
            }
        }
        for (matchers, families) in &histograms {
            let names: Vec<String> = families.keys().cloned().collect();
            for names in in_queries(&names) {
                let whole = selector(&names, matchers);
                let query = format!("count by (__name__) (last_over_time({whole}{range}))");
                for row in self.backend.vector(&query, self.at_ms)? {
                    let name = row.labels.get("__name__").map_or("", String::as_str);
                    let Some(texts) = families.get(name) else {
                        continue;
                    };
                    let classic = (range.as_str(), self.at_ms);
                    if self.has_native(name, matchers, &range) {
                        let mut of_name = vec![native[name]];
                        if any_matching(self.backend, matchers, texts, classic)? {
                            of_name.insert(0, Form::Classic);
                        }
                        forms.insert(name.to_owned(), of_name);
                    }
                }
            }
        }
        Ok(forms)
    }

    /// Whether there are native histograms of a name, and not only numbers, which would be
    /// nobody's. Who does not know the function has none.
    fn has_native(&self, name: &str, matchers: &[String], range: &str) -> bool {
        let whole = selector(&[name], matchers);
        let query = format!("count(histogram_count(last_over_time({whole}{range})))");
        let rows = self.backend.vector(&query, self.at_ms);
        rows.is_ok_and(|rows| !rows.is_empty())
    }
}

/// In which order is asked what becomes of labels that clash.
fn in_order(usual: Clash) -> [Clash; 3] {
    match usual {
        Clash::PushOn => [Clash::PushOn, Clash::UntilFree, Clash::Replace],
        Clash::UntilFree | Clash::Replace => [Clash::UntilFree, Clash::PushOn, Clash::Replace],
    }
}

/// Whether any of some names had `exported_` put in front more than once.
fn is_exported_twice(names: &[String]) -> bool {
    names
        .iter()
        .any(|name| name.starts_with("exported_exported_"))
}
