//! `scenarios` and `runtime`: what happens to the metrics while they are
//! generated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::selector::{Known, Scraping};
use super::{Checker, nanoseconds};
use crate::config::problem::Path;
use crate::config::raw::{Entries, RawRuntime, RawScenario, RawStep};
use crate::config::{FaultKind, Metric, Runtime, Scenario, Step, Targets};
use crate::quantity::SECONDS_MAX;

const SCENARIOS_MAX: usize = 1000;
const STEPS_MAX: usize = 10_000;
/// As many as can be in effect at once.
const ACTIONS_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 200;

impl Checker<'_> {
    /// Scenarios, then `runtime`, which starts them.
    pub(super) fn scenarios_and_runtime(
        &mut self,
        at: &Path,
        scenarios: Option<Entries<RawScenario>>,
        runtime: RawRuntime,
        metrics: &[Option<Metric>],
        (interval_ns, targets): (u64, Option<&Targets>),
    ) -> (BTreeMap<String, Arc<Scenario>>, Runtime) {
        let scenarios_at = at.key("scenarios");
        let scenarios = scenarios.map(|raw| raw.0).unwrap_or_default();
        let names: BTreeSet<String> = scenarios.iter().map(|(name, _)| name.clone()).collect();
        let names_known = !self.problems.is_pruned(&scenarios_at);
        let known = &Known::new(
            metrics,
            !self.problems.any_below(&["metrics", "profiles"]),
            names_known.then(|| names.iter().map(String::as_str).collect()),
            Scraping {
                targets,
                is_known: !self.problems.any_below(&["exporters"]),
                interval_ns: (!self.problems.any_below(&["global"])).then_some(interval_ns),
                is_of_run: false,
            },
        );
        let scenarios = self.scenarios(&scenarios_at, scenarios, known);
        let runtime = self.runtime(&at.key("runtime"), runtime, known);
        (scenarios, runtime)
    }

    fn scenarios(
        &mut self,
        at: &Path,
        raw: Vec<(String, Option<RawScenario>)>,
        known: &Known,
    ) -> BTreeMap<String, Arc<Scenario>> {
        if !self.at_most(at, raw.len(), SCENARIOS_MAX, "scenarios") {
            return BTreeMap::new();
        }
        let entries = self.entries(at, Entries(raw));
        entries
            .into_iter()
            .filter_map(|(path, name, raw)| {
                if name.is_empty() {
                    self.problems.add_key(&path, "a scenario needs a name");
                } else if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
                    let message = format!(
                        "a scenario's name has at most {NAME_BYTES_MAX} bytes and no control \
                         characters"
                    );
                    self.problems.add_key(&path, message);
                }
                Some((name, Arc::new(self.scenario(&path, raw?, known))))
            })
            .collect()
    }

    fn scenario(&mut self, at: &Path, raw: RawScenario, known: &Known) -> Scenario {
        let repeat_at = at.key("repeat_every_s");
        let repeat_every_ns = raw
            .repeat_every_s
            .map(|seconds| self.seconds(&repeat_at, seconds));
        let steps_at = at.key("steps");
        let raw = raw.steps.unwrap_or_default();
        if raw.is_empty() {
            let message = "missing; a scenario needs at least one step";
            self.problems.missing(&steps_at, message);
        }
        let mut steps = Vec::new();
        if self.at_most(&steps_at, raw.len(), STEPS_MAX, "steps") {
            for (path, raw) in self.items(&steps_at, raw) {
                steps.extend(raw.and_then(|raw| self.step(&path, raw, known)));
            }
        }
        // Stable: what happens at the same time happens in the order written.
        steps.sort_by_key(|step| step.at_ns);
        Scenario {
            repeat_every_ns,
            steps,
        }
    }

    fn step(&mut self, at: &Path, raw: RawStep, known: &Known) -> Option<Step> {
        let (seconds, action) = raw.split();
        let seconds = self.required_within(at, "at_s", seconds, 0.0..=SECONDS_MAX, "a step");
        if action.action.as_deref() == Some("scenario") {
            self.problems.add(
                &at.key("action"),
                "a scenario cannot start another; list what that one does",
            );
            return None;
        }
        Some(Step {
            at_ns: nanoseconds(seconds),
            action: self.action(at, action, known)?,
        })
    }

    fn runtime(&mut self, at: &Path, raw: RawRuntime, known: &Known) -> Runtime {
        let mut runtime = Runtime::default();
        let on_start_at = at.key("on_start");
        let on_start = raw.on_start.unwrap_or_default();
        if self.at_most(&on_start_at, on_start.len(), ACTIONS_MAX, "entries") {
            for (path, raw) in self.items(&on_start_at, on_start) {
                let action = raw.and_then(|raw| self.action(&path, raw, known));
                runtime.on_start.extend(action);
            }
        }
        let modes_at = at.key("failure_modes");
        let modes = raw.failure_modes.unwrap_or_default();
        if self.at_most(&modes_at, modes.len(), ACTIONS_MAX, "entries") {
            for (path, raw) in self.items(&modes_at, modes) {
                let fault = raw.and_then(|raw| self.fault(&path, raw.into_action(), known));
                let Some(fault) = fault else { continue };
                let for_ever = fault.duration_ns.is_none()
                    && !self.problems.is_pruned(&path.key("duration_s"));
                if matches!(fault.kind, FaultKind::Reset(_)) && fault.rate == 1.0 && for_ever {
                    self.problems.add(
                        &path,
                        "\"reset\" at every tick of the whole run would hold everything at zero; \
                         give rate or duration_s",
                    );
                }
                runtime.failure_modes.push(fault);
            }
        }
        runtime
    }
}
