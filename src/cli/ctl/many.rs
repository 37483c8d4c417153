//! Several instances of one run: what all say, and what is done at all of them or at none.
//!
//! A change goes in two steps. Each instance holds it for the same tick, having checked it, and
//! only if all do is it confirmed. Whatever fails, the others are told to cancel it; what they
//! are not told, they find out by themselves, since what nobody confirms expires.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::TIMEOUT;
use super::call::Call;
use super::overview::overview;
use super::run::{self, Agreed};
use super::send::{Failure, ask};
use crate::app::RunError;
use crate::cli::print;

/// Parts of the time until the change is made in which it is held, and of the rest, confirmed.
const HOLD_SHARE: f64 = 0.4;
const CONFIRM_SHARE: f64 = 0.5;
/// How often it is asked whether the change was made.
const POLLED_APART: Duration = Duration::from_millis(100);
/// How long after its time a change may be made before nobody waits for it.
const LATE_MAX: Duration = Duration::from_secs(60);

/// Tells what each instance says of itself.
pub(super) fn statuses(urls: &[String], is_json: bool) -> Result<(), RunError> {
    let replies = each(urls, |url| ask(url, &Call::status(), TIMEOUT));
    if is_json {
        print_json(urls, &replies, "status")?;
    } else {
        print(overview(urls, &replies).as_bytes())?;
    }
    failed(urls, &replies).map_or(Ok(()), Err)
}

/// Tells what each instance answers to a call that changes nothing.
pub(super) fn read(urls: &[String], call: &Call, is_json: bool) -> Result<(), RunError> {
    let replies = each(urls, |url| ask(url, call, TIMEOUT));
    if is_json {
        print_json(urls, &replies, "reply")?;
    } else {
        for (url, reply) in urls.iter().zip(&replies) {
            if let Ok(reply) = reply {
                print(format!("{url}\n{}", (call.text)(reply)).as_bytes())?;
            }
        }
    }
    failed(urls, &replies).map_or(Ok(()), Err)
}

/// Has a change made by all instances before the same tick, or by none.
pub(super) fn change(
    urls: &[String],
    call: &Call,
    ahead: Duration,
    is_json: bool,
) -> Result<(), RunError> {
    // Before the first of them tells its tick, so that none is nearer than is thought.
    let began = Instant::now();
    let statuses = each(urls, |url| ask(url, &Call::status(), TIMEOUT));
    let statuses = all(urls, statuses).map_err(|error| nothing_done(urls, error))?;
    let is_one = run::check_one(urls, &statuses).and_then(|()| {
        if call.is_own {
            return Ok(());
        }
        run::check_shards(urls, &statuses)
    });
    is_one.map_err(|error| nothing_done(urls, error))?;
    let agreed = run::agree(&statuses, ahead);
    let ids = agreed_by_all(urls, call, agreed, began)?;
    let outcomes = awaited(urls, &ids, began + agreed.within);
    if is_json {
        print_json(urls, &outcomes, "scheduled")?;
    } else {
        print(made_text(urls, &outcomes, call).as_bytes())?;
    }
    let unmade = outcomes.iter().map(|outcome| match outcome {
        Ok(made) if made["state"] == "done" => Ok(()),
        Ok(made) => Err(Failure::Unreached(match made["error"].as_str() {
            Some(error) => error.to_owned(),
            None => format!("it is {}", super::text::word(&made["state"])),
        })),
        Err(failure) => Err(failure.clone()),
    });
    let unmade: Vec<Result<(), Failure>> = unmade.collect();
    match failed(urls, &unmade) {
        None => Ok(()),
        Some(error) => {
            let count = unmade.iter().filter(|outcome| outcome.is_err()).count();
            Err(RunError::Run(format!(
                "{count} of {} instances did not do it at tick {}, and the run is not one any \
                 more:\n{error}",
                urls.len(),
                agreed.at_tick
            )))
        }
    }
}

/// Has a change held and confirmed by all instances, whose ids for it are returned; otherwise
/// it is cancelled.
fn agreed_by_all(
    urls: &[String],
    call: &Call,
    agreed: Agreed,
    began: Instant,
) -> Result<Vec<u64>, RunError> {
    let due = began + agreed.within;
    let left = || due.saturating_duration_since(Instant::now());
    let hold = call.held_for(agreed.at_tick);
    let held = each(urls, |url| {
        let held = ask(url, &hold, left().mul_f64(HOLD_SHARE))?;
        let id = held["id"].as_u64();
        id.ok_or_else(|| Failure::Unreached("the reply has no id; is this Mockingbird?".into()))
    });
    if let Some(error) = failed(urls, &held) {
        // Where this fails, it expires.
        cancel(urls, &held, left());
        return Err(nothing_done(urls, error));
    }
    let confirmed = each_with(urls, &held, |url, id| {
        let id = id.clone()?;
        ask(url, &Call::confirm(id), left().mul_f64(CONFIRM_SHARE))
    });
    let Some(error) = failed(urls, &confirmed) else {
        return all(urls, held);
    };
    let unknown = cancel(urls, &held, left());
    if unknown.is_empty() {
        return Err(nothing_done(urls, error));
    }
    Err(RunError::Run(format!(
        "{error}\nit was cancelled, but whether it is done is not known of: {}",
        unknown.join(", ")
    )))
}

/// Has what is held cancelled; returns who did not say that it is.
fn cancel<'u>(
    urls: &'u [String],
    held: &[Result<u64, Failure>],
    timeout: Duration,
) -> Vec<&'u str> {
    let cancelled = each_with(urls, held, |url, id| match id {
        Ok(id) => ask(url, &Call::cancel(*id), timeout).map(drop),
        Err(_) => Ok(()),
    });
    let unknown = urls.iter().zip(cancelled);
    let unknown = unknown.filter(|(_, cancelled)| cancelled.is_err());
    unknown.map(|(url, _)| url.as_str()).collect()
}

/// What became of a change that all have confirmed.
fn awaited(urls: &[String], ids: &[u64], due: Instant) -> Vec<Result<Value, Failure>> {
    let until = due + LATE_MAX;
    each_with(urls, ids, |url, id| {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        loop {
            let reply = ask(url, &Call::scheduled(*id), LATE_MAX);
            let is_open = |scheduled: &Value| scheduled["state"] == "confirmed";
            match reply {
                Ok(scheduled) if is_open(&scheduled) && Instant::now() < until => {
                    thread::sleep(POLLED_APART);
                }
                Err(Failure::Unreached(message)) => {
                    let message = format!("whether it is done is not known: {message}");
                    return Err(Failure::Unreached(message));
                }
                settled => return settled,
            }
        }
    })
}

/// What the instances that made a change answer, once where they say the same.
fn made_text(urls: &[String], outcomes: &[Result<Value, Failure>], call: &Call) -> String {
    let made = urls.iter().zip(outcomes);
    let made = made.filter_map(|(url, outcome)| {
        let outcome = outcome.as_ref().ok()?;
        (outcome["state"] == "done").then(|| (url, (call.text)(&outcome["answer"])))
    });
    let made: Vec<(&String, String)> = made.collect();
    let Some((_, first)) = made.first() else {
        return String::new();
    };
    let said = |who: &str, text: &str| {
        let is_long = text.trim_end().contains('\n');
        format!("{who}:{}{text}", if is_long { '\n' } else { ' ' })
    };
    if made.iter().all(|(_, text)| text == first) {
        return said(&format!("{} instances", made.len()), first);
    }
    made.iter().map(|(url, text)| said(url, text)).collect()
}

/// Asks all at the same time.
fn each<R: Send>(urls: &[String], of: impl Fn(&str) -> R + Sync) -> Vec<R> {
    each_with(urls, &vec![(); urls.len()], |url, ()| of(url))
}

/// The same with something of each.
fn each_with<W: Sync, R: Send>(
    urls: &[String],
    with: &[W],
    of: impl Fn(&str, &W) -> R + Sync,
) -> Vec<R> {
    let of = &of;
    thread::scope(|scope| {
        let asked: Vec<_> = urls
            .iter()
            .zip(with)
            .map(|(url, with)| scope.spawn(move || of(url, with)))
            .collect();
        let answers = asked.into_iter().map(thread::ScopedJoinHandle::join);
        answers
            .map(|answer| answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// All replies, if there are.
fn all<T>(urls: &[String], replies: Vec<Result<T, Failure>>) -> Result<Vec<T>, RunError> {
    match failed(urls, &replies) {
        Some(error) => Err(error),
        None => Ok(replies.into_iter().flatten().collect()),
    }
}

/// Who did not reply, and why, if anybody did not.
fn failed<T>(urls: &[String], replies: &[Result<T, Failure>]) -> Option<RunError> {
    let failures = urls.iter().zip(replies);
    let failures = failures.filter_map(|(url, reply)| Some((url, reply.as_ref().err()?)));
    let failures: Vec<(&String, &Failure)> = failures.collect();
    let lines = failures
        .iter()
        .map(|(url, failure)| format!("{url}: {}", failure.message()));
    let text = lines.collect::<Vec<_>>().join("\n");
    match failures.as_slice() {
        [] => None,
        all if all.iter().all(|(_, failure)| failure.is_refusal()) => Some(RunError::Config(text)),
        _ => Some(RunError::Run(text)),
    }
}

fn nothing_done(urls: &[String], error: RunError) -> RunError {
    let count = urls.len();
    let add =
        |message: String| format!("{message}\nnothing is done at any of the {count} instances");
    match error {
        RunError::Config(message) => RunError::Config(add(message)),
        RunError::Run(message) => RunError::Run(add(message)),
    }
}

/// A list with an object for each instance: its URL, and what it replied or why it did not.
fn print_json(
    urls: &[String],
    replies: &[Result<Value, Failure>],
    name: &str,
) -> Result<(), RunError> {
    let items = urls.iter().zip(replies).map(|(url, reply)| match reply {
        Ok(reply) => json!({"url": url, name: reply}),
        Err(failure) => json!({"url": url, "error": failure.message()}),
    });
    print(format!("{}\n", items.collect::<Value>()).as_bytes())
}
