//! `/status`: what runs and what is in effect, from what the clock's thread
//! left behind.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::error::ErrorReply;
use super::hub::{InEffect, Scheduled, State};
use crate::churn::Change;
use crate::clock::{Clock, rfc3339};
use crate::config::{self, Action, Fault, Selector, Target};
use crate::engine::{Frame, tick_time_ns};
use crate::exporters::{self, Push, Section};
use crate::push::Delivery;
use crate::selfmetrics::SelfMetrics;
use crate::timeline::{Effect, Modifier, Source};

/// What `/status` is made from.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) in_effect: &'a InEffect,
    pub(super) frame: Option<&'a Frame>,
    pub(super) own: &'a SelfMetrics,
    pub(super) clock: Clock,
    /// Where `/metrics` listens, if it does.
    pub(super) metrics_addr: Option<SocketAddr>,
    /// How exporters name the process.
    pub(super) instance: Option<&'a str>,
}

/// The status, an object.
pub(super) fn status(sources: &Sources<'_>) -> Value {
    let Sources {
        in_effect, clock, ..
    } = sources;
    let global = &in_effect.config.global;
    let catalog = &in_effect.catalog;
    let now_ns = clock.now_ns();
    let next_tick = sources.frame.map_or(0, |frame| frame.tick() + 1);
    let due_ns = tick_time_ns(in_effect.epoch_ns, global.tick_interval_ns, next_tick);
    let lag_ns = now_ns.saturating_sub(due_ns.unwrap_or(i64::MAX)).max(0);
    let journal = in_effect.journal.status();
    let generated = &catalog.families()[..catalog.generated_count()];
    let names: Vec<&str> = generated.iter().map(|family| &*family.name).collect();
    let open = in_effect.scheduled.iter();
    let open = open.filter(|one| one.state.is_open());
    let active = Active {
        modifiers: &in_effect.modifiers,
        next_tick,
        interval_ns: global.tick_interval_ns,
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": sources.instance,
        "started": rfc3339(clock.started_ns()),
        "uptime_seconds": seconds(now_ns - clock.started_ns()),
        "epoch": rfc3339(in_effect.epoch_ns),
        "shard": in_effect.config.shard.map(|shard| shard.to_string()),
        "tick_count": next_tick,
        "tick_lag_seconds": seconds(lag_ns),
        "clock_offset_seconds": seconds(clock.offset_ns()),
        "active_metrics": names.len(),
        "available_metrics": names,
        "total_series": catalog.generated_series(),
        "active_series": sources.frame.map_or(0, Frame::series_count),
        "active_spikes": active.spikes(),
        "active_error_rates": active.error_rates(),
        "active_faults": active.faults(),
        "active_churn": orders(in_effect, next_tick),
        "active_scenarios": scenarios(in_effect, next_tick),
        "scenario_steps_dropped": in_effect.dropped,
        "scheduled": open.map(scheduled).collect::<Value>(),
        "exporters": exporters(sources),
        "journal": {
            "entries": journal.entries,
            "bytes": journal.bytes,
            "file": journal.path.map(|path| path.display().to_string()),
            "error": journal.error,
        },
        "log_level": log::max_level().as_str().to_lowercase(),
        "config": {
            "tick_interval_s": seconds(global.tick_interval_ns as i64),
            "seed": global.seed,
            "path": in_effect.config.path.display().to_string(),
            "fingerprint": in_effect.fingerprint,
        },
    })
}

/// A scheduled change, and what became of it.
pub(super) fn scheduled(scheduled: &Scheduled) -> Value {
    let (answer, error) = match &scheduled.state {
        State::Done(answer) => (Value::clone(answer), None),
        State::Failed(not_done) => (Value::Null, Some(ErrorReply::from(not_done.clone()).error)),
        State::Held | State::Confirmed | State::Cancelled | State::Expired => (Value::Null, None),
    };
    json!({
        "id": scheduled.id,
        "at_tick": scheduled.at_tick,
        "request": &*scheduled.request,
        "body": &*scheduled.body,
        "state": scheduled.state.word(),
        "answer": answer,
        "error": error,
    })
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn exporters(sources: &Sources<'_>) -> Value {
    let own = sources.own;
    let address = sources.metrics_addr;
    let (mut page, mut otel, mut remote_write) = (Value::Null, Value::Null, Vec::new());
    // Deliveries are counted in the order of those that push.
    let mut index = 0;
    for exporter in exporters::all(&sources.in_effect.config) {
        let mut delivered = |push: Push<'_>| {
            if !exporter.enabled {
                return delivered(None, &Delivery::default());
            }
            index += 1;
            delivered(Some(push), &own.delivery(index - 1))
        };
        match exporter.section {
            Section::Prometheus(_) => {
                page = json!({
                    "enabled": address.is_some(),
                    "address": address.map(|address| address.to_string()),
                    "scrapes": own.scrapes(),
                    "scrape_errors": own.scrape_errors(),
                });
            }
            Section::Push(push @ Push::Otlp(_)) => otel = delivered(push),
            Section::Push(push @ Push::RemoteWrite(_)) if exporter.enabled => {
                remote_write.push(delivered(push));
            }
            Section::Push(Push::RemoteWrite(_)) => {}
        }
    }
    json!({"prometheus": page, "otel": otel, "remote_write": remote_write})
}

/// What an exporter that pushes, if it is on, has delivered.
fn delivered(push: Option<Push<'_>>, delivery: &Delivery) -> Value {
    let ledger = delivery.ledger;
    let mut fields = json!({
        "enabled": push.is_some(),
        "url": push.map(|push| config::shown_url(push.url())),
        "offered": ledger.offered,
        "accepted": ledger.accepted,
        "rejected": ledger.rejected,
        "dropped": ledger.dropped,
        "in_flight": ledger.in_flight,
        "retried": ledger.retried,
        "exports_open": delivery.exports_open,
        "exports_failed": delivery.exports_failed,
    });
    if let Some(Push::RemoteWrite(_)) = push {
        let confirmed = ledger.confirmed;
        let written = confirmed.written.by_kind().into_iter();
        let written = written.map(|(kind, count)| (kind.to_owned(), count.into()));
        fields["written"] = Value::Object(written.collect());
        fields["mismatches"] = confirmed.mismatches.into();
    }
    fields
}

/// What was ordered by hand and is not over.
fn orders(in_effect: &InEffect, next_tick: u64) -> Value {
    let interval_ns = in_effect.config.global.tick_interval_ns;
    let orders = in_effect.orders.iter().filter_map(|order| {
        let action = match &order.change {
            Change::Churn(churn) => Action::Churn(churn.clone()),
            Change::Size(resize) => Action::Size(resize.clone()),
        };
        let lasts = order.lasts_ns().div_ceil(interval_ns).max(1);
        let until_tick = order.tick.saturating_add(lasts);
        let left = until_tick.saturating_sub(next_tick.max(order.tick));
        let mut fields = config::action_to_json(&action);
        fields["from_tick"] = order.tick.into();
        fields["until_tick"] = until_tick.into();
        fields["remaining_seconds"] =
            ((u128::from(left) * u128::from(interval_ns)) as f64 / 1e9).into();
        (until_tick > next_tick).then_some(fields)
    });
    Value::Array(orders.collect())
}

fn scenarios(in_effect: &InEffect, next_tick: u64) -> Value {
    let interval_ns = in_effect.config.global.tick_interval_ns;
    let running = in_effect.running.iter().map(|(name, running)| {
        let elapsed = next_tick.saturating_sub(running.from_tick);
        let repeat_every_ns = running.scenario.repeat_every_ns;
        let state = json!({
            "from_tick": running.from_tick,
            "elapsed_seconds": (u128::from(elapsed) * u128::from(interval_ns)) as f64 / 1e9,
            "repeat_every_s": repeat_every_ns.map(|every_ns| every_ns as f64 / 1e9),
            "steps": running.scenario.steps.len(),
        });
        (name.to_string(), state)
    });
    Value::Object(running.collect())
}

/// The modifiers that act at the next tick or later.
struct Active<'a> {
    modifiers: &'a [Modifier],
    next_tick: u64,
    interval_ns: u64,
}

impl Active<'_> {
    fn all(&self) -> impl Iterator<Item = &Modifier> {
        let alive = |modifier: &&Modifier| {
            modifier.until_tick > self.next_tick && modifier.from_tick < modifier.until_tick
        };
        self.modifiers.iter().filter(alive)
    }

    fn spikes(&self) -> Value {
        self.by_metric(|modifier| match &modifier.effect {
            Effect::Spike {
                on,
                multiplier,
                target,
            } => {
                let target = match target {
                    Target::Rate => "rate",
                    Target::Value => "value",
                };
                Some((on, json!({"multiplier": multiplier, "target": target})))
            }
            _ => None,
        })
    }

    fn error_rates(&self) -> Value {
        self.by_metric(|modifier| match &modifier.effect {
            Effect::ErrorRate { on, rate } => Some((on, json!({"rate": rate}))),
            _ => None,
        })
    }

    fn faults(&self) -> Value {
        let faults = self.all().filter_map(|modifier| {
            let Effect::Fault { kind, rate } = &modifier.effect else {
                return None;
            };
            // Written as in a configuration; how long is told in ticks.
            let fault = Fault {
                kind: kind.clone(),
                rate: *rate,
                duration_ns: None,
            };
            let mut fields = config::action_to_json(&Action::Fault(fault));
            if let Some(fields) = fields.as_object_mut() {
                fields.remove("action");
                fields.remove("duration_s");
                fields.append(&mut self.times(modifier));
            }
            Some(fields)
        });
        Value::Array(faults.collect())
    }

    /// The newest of each metric, and all of them below `all`.
    fn by_metric<'m>(
        &'m self,
        of: impl Fn(&'m Modifier) -> Option<(&'m Selector, Value)>,
    ) -> Value {
        let mut metrics: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for modifier in self.all() {
            let Some((on, Value::Object(mut fields))) = of(modifier) else {
                continue;
            };
            fields.append(&mut self.times(modifier));
            fields.insert("labels".into(), json!(on.labels));
            let metric = on.metric.as_deref().unwrap_or_default();
            metrics.entry(metric).or_default().push(fields.into());
        }
        let newest = metrics.into_iter().map(|(metric, all)| {
            let mut entry = all.last().cloned().unwrap_or_default();
            entry["all"] = all.into();
            (metric.to_owned(), entry)
        });
        Value::Object(newest.collect())
    }

    fn times(&self, modifier: &Modifier) -> Map<String, Value> {
        let ticks_s = |ticks: u64| (u128::from(ticks) * u128::from(self.interval_ns)) as f64 / 1e9;
        let ends = modifier.until_tick < u64::MAX;
        let span_s = |from: u64| ends.then(|| ticks_s(modifier.until_tick - from));
        let scenario = match &modifier.source {
            Source::Scenario(name) => Some(name.to_string()),
            Source::Config | Source::Command => None,
        };
        let source = match &modifier.source {
            Source::Config => "config",
            Source::Command => "command",
            Source::Scenario(_) => "scenario",
        };
        let fields = json!({
            "id": modifier.id,
            "source": source,
            "scenario": scenario,
            "from_tick": modifier.from_tick,
            "until_tick": ends.then_some(modifier.until_tick),
            "duration_s": span_s(modifier.from_tick),
            "remaining_seconds": span_s(modifier.from_tick.max(self.next_tick)),
        });
        match fields {
            Value::Object(fields) => fields,
            _ => unreachable!("an object"),
        }
    }
}
