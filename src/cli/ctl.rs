//! `ctl`: talks to the control API of running instances. Arguments in (`args`, `urls`), a request
//! (`call`, `send`) to one instance or to all of a run (`many`, `run`), replies as text out
//! (`text`, `status`, `overview`).

mod args;
mod call;
mod help;
mod many;
mod overview;
mod run;
mod send;
mod status;
mod text;
mod urls;

use std::time::Duration;

use super::print;
use crate::app::RunError;
use args::Ctl;
pub(super) use args::CtlArgs;
use call::Call;

/// Longer than the instance takes for anything, a reload included.
const TIMEOUT: Duration = Duration::from_secs(90);
/// How far ahead instances agree on a tick. To read a file again takes longer than all else.
const AHEAD: Duration = Duration::from_secs(2);
const AHEAD_OF_RELOAD: Duration = Duration::from_secs(10);

/// Asks the instance, or all of them, and prints what is replied.
pub(super) fn ctl(args: CtlArgs) -> Result<(), RunError> {
    args.command.check_labels()?;
    let urls = urls::of(&args)?;
    match urls.as_slice() {
        [url] => of_one(url, args),
        urls => of_many(urls, args),
    }
}

fn of_one(url: &str, args: CtlArgs) -> Result<(), RunError> {
    let is_journal = matches!(args.command, Ctl::Journal);
    let call = Call::of(args.command);
    if !call.is_read() && !call.is_own {
        check_whole(url)?;
    }
    let reply = send::send(url, &call, TIMEOUT).map_err(|failure| failure.of_one(url))?;
    if args.json || is_journal {
        return print(reply.as_bytes());
    }
    let value = send::json(&reply).map_err(|failure| failure.of_one(url))?;
    print((call.text)(&value).as_bytes())
}

/// Refuses to change one of several shards alone.
fn check_whole(url: &str) -> Result<(), RunError> {
    match send::ask(url, &Call::status(), TIMEOUT) {
        Ok(status) => run::check_shards(&[url.to_owned()], &[status]),
        // The change itself tells what is wrong.
        Err(_) => Ok(()),
    }
}

fn of_many(urls: &[String], args: CtlArgs) -> Result<(), RunError> {
    let ahead = match args.command {
        Ctl::Status => return many::statuses(urls, args.json),
        Ctl::Journal => {
            return Err(RunError::Config(
                "journal: each instance has one of its own; name one with --url, and give verify, \
                 compare, dump and backfill all of them"
                    .into(),
            ));
        }
        Ctl::Reload => AHEAD_OF_RELOAD,
        _ => AHEAD,
    };
    let call = Call::of(args.command);
    if call.is_read() {
        return many::read(urls, &call, args.json);
    }
    many::change(urls, &call, args.ahead.unwrap_or(ahead), args.json)
}
