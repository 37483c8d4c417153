//! What the comparisons of totals and of samples share: the backend, what it calls
//! names and labels, and what it may do differently without being wrong
//! (allowances).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::backend::{AskError, Backend, Kind, Labels};
use super::delta::{Deltas, is_delta};
use super::escaped;
use super::naming::{self, Added, Clash, Form, Names, Naming, matcher, one_of, selector};
use super::native::SCHEMA_MAX;
use super::pages::{self, Page};
use super::probe::Probe;
use super::report::Allowance;
use super::route::{Ends, Route};
use super::selection::{Matches, Rows};
use super::series::shown;
use super::sums::Totals;
use super::target::{Scrape, Target};
use super::{Options, VerifyError, Via};
use crate::journal::Replay;
use crate::layout::{Role, Wire};
use crate::model::population::Population;
use crate::model::{Family, Shape};
use crate::selfmetrics::TICKS;

/// Relative error of values in `VictoriaMetrics`, which keeps about twelve
/// decimal digits.
const VICTORIA_TOLERANCE: f64 = 1e-11;

/// A series that a scrape does not show may be marked as ended so much later, as a
/// share of the scrape interval: `VictoriaMetrics` and vmagent put samples on a grid of
/// times, unless the scrape is later by more than this, and the marks at the real time.
const MARK_LATENESS_DIVISOR: i64 = 10;

const DAY_MS: i64 = 86_400_000;

/// A backend and how it is compared.
#[derive(Debug)]
pub(super) struct Context<'a> {
    backend: &'a Backend,
    kind: Kind,
    route: Route,
    added: Added,
    /// Whether own labels have names of the target's.
    clashes: bool,
    /// By name of a histogram, the forms in which the backend keeps it that keeps it otherwise
    /// than it came.
    forms: BTreeMap<String, Vec<Form>>,
    tolerance: f64,
    /// Where what is counted was pushed as deltas, what each push counts.
    deltas: Option<Deltas>,
    /// After a scrape, the series that it does not show are marked within this.
    marked_within_ms: i64,
    matches: &'a Matches,
    /// The page that the target is, if it is one.
    page: Option<Page>,
    seen: RefCell<BTreeSet<Seen>>,
}

/// How to ask for what is stored exactly at the time of a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exactly {
    /// The time of the query.
    pub(super) query_ms: i64,
    /// The range before it that the samples are in; it does not contain its beginning.
    pub(super) window_ms: u32,
}

/// Allowances that can make a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Digits,
    Nan,
    Marks,
    Numbers,
    LeftOut,
    StartZero,
}

/// Whether the exponential buckets of a family are told apart by bounds of four digits.
fn has_ranges(shape: &Shape) -> bool {
    let Shape::Histogram { further, .. } = shape else {
        return false;
    };
    let is_told = further
        .exponential
        .is_none_or(|layout| layout.scale <= SCHEMA_MAX);
    is_told && shape.layout().has(Wire::Otlp, Role::Sum)
}

/// What a backend has added to the series of a target, as its tick numbers tell.
fn added(replay: &Replay, target: &Target) -> Added {
    let mut labels = target.labels.clone();
    let targets = pages::targets(replay);
    let found = target.page.as_ref().zip(targets);
    let of_page = found.map(|(id, targets)| pages::found_labels(targets, id, &labels));
    let of_page = of_page.unwrap_or_default();
    labels.retain(|name, _| !of_page.contains_key(name));
    Added {
        labels,
        of_page,
        page: target.page.clone(),
        ..Added::default()
    }
}

impl<'a> Context<'a> {
    /// Finds out what the backend calls names and labels.
    ///
    /// # Errors
    /// When it does not answer, or labels replace one another so that series
    /// cannot be told apart.
    pub(super) fn new(
        replay: &Replay,
        (backend, kind): (&'a Backend, Kind),
        options: &'a Options,
        mut route: Route,
        (target, page): (&Target, Option<Page>),
    ) -> Result<Self, VerifyError> {
        let Scrape {
            time_ms: at_ms,
            tick,
        } = target.scrapes[target.scrapes.len() - 1];
        let tolerance = options.tolerance.unwrap_or(match kind {
            Kind::Exact => 0.0,
            Kind::VictoriaMetrics => VICTORIA_TOLERANCE,
        });
        route.naming = target.naming;
        route.learn_forms(&replay.metrics());
        let mut added = added(replay, target);
        escaped::settle(replay, backend, (&mut route, &mut added), at_ms)?;
        let probe = Probe {
            replay,
            backend,
            kind,
            at_ms,
            tick,
        };
        let clashes = probe.find_clash(&route, &mut added)?;
        route.settle(replay, backend, &added, at_ms)?;
        if route.ends == Ends::Missing && target.run_info.is_none() {
            // A file that a backfill wrote: it tells nothing of its process, nor of ends.
            route.ends = Ends::Never;
        }
        added.style = route.label_style(replay, backend, &added, at_ms)?;
        let from_ms = target.scrapes[target.known.min(target.scrapes.len() - 1)].time_ms;
        let forms = probe.forms(&route, &added, from_ms)?;
        Ok(Self {
            added,
            forms,
            backend,
            kind,
            route,
            clashes,
            tolerance,
            deltas: target.deltas.clone(),
            marked_within_ms: match options.via {
                Via::Prometheus => target.interval_ms / MARK_LATENESS_DIVISOR,
                Via::Otlp | Via::RemoteWrite(_) => 0,
            },
            matches: &options.matches,
            page,
            seen: RefCell::default(),
        })
    }

    /// The same of another page, of which the same is true.
    pub(super) fn of_page(&self, replay: &Replay, target: &Target, page: Page) -> Self {
        Self {
            backend: self.backend,
            kind: self.kind,
            route: self.route.clone(),
            added: Added {
                clash: self.added.clash,
                style: self.added.style,
                ..added(replay, target)
            },
            clashes: self.clashes,
            forms: self.forms.clone(),
            tolerance: self.tolerance,
            deltas: None,
            marked_within_ms: target.interval_ms / MARK_LATENESS_DIVISOR,
            matches: self.matches,
            page: Some(page),
            seen: RefCell::default(),
        }
    }

    /// Whether series have labels of their own where others have those of the target.
    pub(super) fn are_replaced(&self) -> bool {
        self.clashes && self.added.clash == Clash::Replace
    }

    /// The page that the target is, if it is one.
    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// How the samples came.
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    pub(super) fn backend(&self) -> &Backend {
        self.backend
    }

    pub(super) fn added(&self) -> &Added {
        &self.added
    }

    pub(super) fn matches(&self) -> &Matches {
        self.matches
    }

    /// The series that the target has and that are looked at, of a family at the latest tick.
    pub(super) fn rows(&self, population: &Population) -> Rows {
        let rows = Rows::of(population.space(), self.matches);
        self.of_target(population, rows)
    }

    /// Those that the target has, whether or not they are looked at.
    pub(super) fn all_rows(&self, population: &Population) -> Rows {
        self.of_target(population, Rows::All)
    }

    fn of_target(&self, population: &Population, rows: Rows) -> Rows {
        match &self.page {
            Some(page) => page.rows(population, rows),
            None => rows,
        }
    }

    /// What a family's series are called in each form in which the backend has them.
    pub(super) fn names(&self, family: &Family) -> Vec<Names> {
        let sent = self.route.names(family);
        if sent.is_native() && self.kind == Kind::VictoriaMetrics {
            let numbers = self.route.names_of_numbers(family);
            let mut all = vec![numbers.clone().summed()];
            if has_ranges(&family.shape) {
                all.push(numbers.ranged());
            }
            return all;
        }
        if !matches!(family.shape, Shape::Histogram { .. }) {
            return vec![sent];
        }
        let sent_forms = self.route.sent_forms(&family.name);
        let forms = self.forms.get(&sent.family).unwrap_or(&sent_forms);
        let numbers = self.route.names_of_numbers(family);
        let in_form = |form: &Form| match form {
            Form::Classic | Form::Summed | Form::Ranged => numbers.clone(),
            form => numbers.clone().native(*form),
        };
        forms.iter().map(in_form).collect()
    }

    /// What was pushed as deltas, if anything was.
    pub(super) fn deltas(&self) -> Option<&Deltas> {
        self.deltas.as_ref()
    }

    /// Whether a backend has added up what a family was pushed as, so that only the differences
    /// of what is stored are known.
    pub(super) fn adds_up(&self, shape: &Shape) -> bool {
        let are_added_up = self.deltas.as_ref().is_some_and(Deltas::are_added_up);
        are_added_up && is_delta(shape)
    }

    /// Why the buckets of histograms are not compared, where they are not.
    pub(super) fn not_judged(shape: &Shape, names: &Names) -> Option<&'static str> {
        let is_left_out = names.form == Form::Summed && !has_ranges(shape);
        is_left_out.then_some("the bounds in vmrange have too few digits to tell them apart")
    }

    /// Notes that an allowance made a difference.
    fn note(&self, what: Seen) {
        self.seen.borrow_mut().insert(what);
    }

    /// Whether NaN is stored.
    pub(super) fn keeps_nan(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// Notes that a NaN is not there, and may be so.
    pub(super) fn allow_missing_nan(&self) {
        self.note(Seen::Nan);
    }

    /// Whether a sample only marks the end of a series: that is a NaN, where
    /// there is no other.
    pub(super) fn is_stale_mark(&self, found: f64) -> bool {
        let is_mark = found.is_nan() && !self.keeps_nan();
        if is_mark {
            self.note(Seen::Marks);
        }
        is_mark
    }

    /// The value of a query that gives one at most.
    pub(super) fn single(&self, query: &str, at_ms: i64) -> Result<Option<f64>, AskError> {
        let rows = self.backend.vector(query, at_ms)?;
        Ok(rows.first().map(|row| row.value))
    }

    /// How to ask for what is stored exactly at the time of a scrape.
    pub(super) fn exactly_at(&self, scrape: Scrape) -> Exactly {
        // VictoriaMetrics does not find a series whose first sample is at midnight by a
        // query of that very time: its index of the days looks at the day before.
        let later_ms = match self.kind {
            Kind::VictoriaMetrics => u32::from(scrape.time_ms % DAY_MS == 0),
            Kind::Exact => 0,
        };
        Exactly {
            query_ms: scrape.time_ms + i64::from(later_ms),
            window_ms: 1 + later_ms,
        }
    }

    /// When the series that a scrape or push does not show have to be over.
    pub(super) fn marked_ms(&self, scrape: Scrape) -> i64 {
        scrape.time_ms + self.marked_within_ms
    }

    /// How many samples of some are stored.
    pub(super) fn stored_count(&self, expected: &Totals) -> u64 {
        if self.keeps_nan() || expected.nan == 0 {
            return expected.count;
        }
        self.allow_missing_nan();
        expected.count - expected.nan
    }

    /// Whether a sum is the one that is expected of what is not NaN.
    pub(super) fn is_sum(&self, expected: &Totals, found: Option<f64>) -> bool {
        if expected.count == expected.nan {
            return found.is_none();
        }
        let Some(error_max) = expected.error_max(self.tolerance) else {
            return true;
        };
        found.is_some_and(|found| (found - expected.sum()).abs() <= error_max)
    }

    /// Whether a value is the expected one: in every bit, unless the backend
    /// does not keep every bit.
    pub(super) fn is_value(&self, expected: f64, found: f64) -> bool {
        if expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan() {
            return true;
        }
        let is_near = (expected - found).abs() <= self.tolerance * expected.abs();
        if is_near && self.tolerance > 0.0 {
            self.note(Seen::Digits);
            return true;
        }
        false
    }

    /// The same of a difference of totals, which may be off by their rounding.
    pub(super) fn is_grown(&self, expected: f64, found: f64, slack: f64) -> bool {
        self.is_value(expected, found) || slack > 0.0 && (expected - found).abs() <= slack
    }

    /// Whether a format leaves a name out that another one has: `OpenMetrics`
    /// knows no sum and count of histograms with negative buckets.
    pub(super) fn may_be_left_out(family: &Family, names: &Names, name: usize) -> bool {
        if names.is_native() {
            return false;
        }
        let role = names.slots[names.slots_of(name).start].role;
        !family
            .shape
            .layout()
            .has(Wire::OpenMetrics { created: true }, role)
    }

    /// Notes that a zero stands where a series begins.
    pub(super) fn allow_start_zero(&self) {
        self.note(Seen::StartZero);
    }

    /// Notes that such a name is left out.
    pub(super) fn allow_left_out(&self) {
        self.note(Seen::LeftOut);
    }

    /// What selects a series in the backend.
    pub(super) fn selector<'l>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        number: Option<(&str, f64)>,
    ) -> String {
        let own: Vec<&str> = labels.clone().map(|(label, _)| label).collect();
        let mut matchers = self.added.matchers(&own);
        let stored = self.added.stored_names(&own).into_iter();
        let pairs = stored.zip(labels.map(|(_, value)| value));
        matchers.extend(pairs.map(|(stored, value)| matcher(&stored, value)));
        // However the number is written.
        matchers.extend(number.map(|(label, n)| {
            let text = naming::number_text(n);
            let short = text.strip_suffix(".0").unwrap_or(&text);
            if short == text {
                one_of(label, &[short])
            } else {
                one_of(label, &[short, &text])
            }
        }));
        selector(&[name], &matchers)
    }

    /// The identity of a stored series, and how it is shown. `own` are the
    /// labels that it has of its own, `label` the one that holds a number.
    pub(super) fn identity_of(
        &self,
        stored: &Labels,
        own: &[&str],
        label: Option<&str>,
    ) -> (String, String) {
        let name = stored.get("__name__").map_or("", String::as_str);
        let mut labels = self.added.taken_off(stored, own);
        let text = label.and_then(|label| labels.remove(label));
        let number: Option<f64> = text.as_ref().and_then(|text| text.parse().ok());
        if let (Some(number), Some(text)) = (number, &text)
            && *text != naming::number_text(number)
        {
            self.note(Seen::Numbers);
        }
        let pairs = labels.iter().map(|(l, v)| (l.as_str(), v.as_str()));
        let numbered = label.zip(number);
        let text = shown(name, pairs.clone(), numbered);
        (naming::identity(name, pairs, number), text)
    }

    /// Everything that is allowed. `described` are the metrics of which the
    /// backend told type and help. `begins_late_ms` is there where nobody knows whether
    /// something is missing at the beginning of the range: how long that may be.
    pub(super) fn allowances(
        &self,
        all: &[Names],
        described: usize,
        begins_late_ms: Option<i64>,
    ) -> Vec<Allowance> {
        let seen = |what| self.seen.borrow().contains(&what);
        let numbered = all.iter().flat_map(|names| &names.slots);
        let has_numbers = numbered.clone().any(|slot| slot.number.is_some());
        let mut list = self.of_route();
        list.extend(begins_late_ms.map(|late_ms| {
            let what = "nothing is missed before the first one that there is of a run";
            match late_ms / 1000 {
                0 => (what.to_owned(), false),
                late_s => {
                    let when = format!("{late_s} s after the beginning");
                    (
                        format!("{what}, {when}: the backend may have begun then"),
                        true,
                    )
                }
            }
        }));
        if self.keeps_nan() {
            if self.route.ends != Ends::Never {
                let what = "the query API does not show the marks at the end of series";
                list.push((what.to_owned(), true));
            }
        } else {
            let what = "the query API shows the marks at the end of series as NaN";
            list.push((what.to_owned(), seen(Seen::Marks)));
        }
        if has_numbers {
            list.push((
                "le and quantile are written in another way (1 for 1.0)".to_owned(),
                seen(Seen::Numbers),
            ));
        }
        list.push((
            "histograms with negative buckets have no _sum and _count in OpenMetrics, and no _sum \
             in OTLP"
                .to_owned(),
            seen(Seen::LeftOut),
        ));
        list.push((
            "a zero stands at the time at which a series began".to_owned(),
            seen(Seen::StartZero),
        ));
        if self.tolerance > 0.0 {
            let tolerance = self.tolerance;
            list.push((
                format!("values are stored with a relative error up to {tolerance:e}"),
                seen(Seen::Digits),
            ));
        }
        if !self.keeps_nan() {
            list.push(("NaN is not stored".to_owned(), seen(Seen::Nan)));
        }
        list.push((self.not_compared(described), true));
        let allowance = |(what, used)| Allowance { what, used };
        list.into_iter().map(allowance).collect()
    }

    /// What follows from the way on which samples came.
    fn of_route(&self) -> Vec<(String, bool)> {
        let added: Vec<&str> = self.added.labels.keys().map(String::as_str).collect();
        let (added, adds) = (added.join(", "), !added.is_empty());
        let (is_scraped, whose) = match self.route.via {
            Via::Prometheus => (true, "labels of the target are added"),
            Via::Otlp => (false, "attributes of the resource become labels"),
            Via::RemoteWrite(_) => (false, "labels of the exporter are added"),
        };
        let when = if is_scraped {
            format!(
                "a scrape comes at any time between two ticks: each is matched to its tick by \
                 {}{TICKS}_total",
                self.route.self_prefix
            )
        } else {
            "ticks that were not due are not pushed, but for the last one of a run".to_owned()
        };
        let mut list = vec![(when, true)];
        list.push(if adds {
            (format!("{whose}: {added}"), true)
        } else {
            (whose.to_owned(), false)
        });
        let clash = if self.added.clash != Clash::Replace {
            "own labels of the same name as added ones become exported_…"
        } else if is_scraped {
            "own labels replace the target's of the same name (honor_labels)"
        } else {
            "own labels take the place of added ones of the same name"
        };
        list.push((clash.to_owned(), self.clashes));
        list.extend(self.route.translation().map(|what| (what.to_owned(), true)));
        list.extend(self.deltas.as_ref().map(|deltas| {
            let what = if deltas.are_added_up() {
                "what was pushed as deltas is stored as totals, which count from where the backend \
                 began to add up: what is compared is how much they grow from push to push"
            } else {
                "what was pushed as deltas is stored as it came"
            };
            (what.to_owned(), true)
        }));
        list.push(match self.route.ends {
            Ends::Missing => (
                "a series that a scrape does not show ends with it (staleness), or up to a tenth \
                 of the interval later"
                    .to_owned(),
                true,
            ),
            Ends::Removed => (
                "a series that is removed is marked as ended; where a point is left out, the \
                 sample before it goes on for as long as the backend looks back"
                    .to_owned(),
                true,
            ),
            Ends::Never => (
                "where a point is left out, the sample before it goes on for as long as the \
                 backend looks back"
                    .to_owned(),
                true,
            ),
        });
        list
    }

    /// What was not looked at, for people.
    fn not_compared(&self, described: usize) -> String {
        let own = format!("the process's own {}gen_… metrics", self.route.self_prefix);
        let mut not = vec![own.as_str()];
        if self.deltas.as_ref().is_some_and(Deltas::are_added_up) {
            not.push("sums over all series of what is added up");
            not.push("the first total in the range of each such series, unless the run began then");
        }
        if matches!(self.route.naming, Naming::Exposed { created: false, .. }) {
            not.push("_created series (there are none)");
        }
        if described == 0 {
            not.push("types and help (the backend tells none)");
        }

        format!("not compared: {}", not.join(", "))
    }
}
