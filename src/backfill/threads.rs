//! Work on several threads, its results in order.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

/// Runs `work` on so many threads at once, this one included; on fewer where the
/// system gives no more.
pub(super) fn on_threads(threads: usize, work: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            if std::thread::Builder::new()
                .spawn_scoped(scope, work)
                .is_err()
            {
                break;
            }
        }
        work();
    });
}

/// Takes a piece by its number.
pub(super) type Sink<'a, E> = dyn FnMut(usize, &[u8]) -> Result<(), E> + Send + 'a;

/// Lets threads render pieces, and passes them on one after the other.
///
/// # Errors
/// The first one of `write`; then the rest is abandoned.
pub(super) fn in_order<E: Send>(
    threads: usize,
    pieces: usize,
    render: &(dyn Fn(usize, &mut Vec<u8>) + Sync),
    write: &mut Sink<'_, E>,
) -> Result<(), E> {
    struct Turn<'a, 's, E> {
        /// The piece that is written next; none where something failed.
        piece: Option<usize>,
        write: &'a mut Sink<'s, E>,
        error: Option<E>,
    }
    let taken = AtomicUsize::new(0);
    let turn = Mutex::new(Turn {
        piece: Some(0),
        write,
        error: None,
    });
    let changed = Condvar::new();
    let work = || {
        let mut text = Vec::new();
        loop {
            let piece = taken.fetch_add(1, Relaxed);
            if piece >= pieces {
                return;
            }
            text.clear();
            render(piece, &mut text);
            let locked = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let not_yet = |turn: &mut Turn<'_, '_, E>| turn.piece.is_some_and(|next| next < piece);
            let locked = changed.wait_while(locked, not_yet);
            let mut locked = locked.unwrap_or_else(PoisonError::into_inner);
            if locked.piece.is_none() {
                return;
            }
            let written = (locked.write)(piece, &text);
            locked.piece = written.is_ok().then_some(piece + 1);
            locked.error = written.err();
            drop(locked);
            changed.notify_all();
        }
    };
    on_threads(threads.min(pieces), &work);
    let turn = turn.into_inner().unwrap_or_else(PoisonError::into_inner);
    turn.error.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_until_one_fails() {
        for threads in [1, 2, 7] {
            for (pieces, failing, expected) in
                [(0, 9, 0), (1, 9, 1), (100, 1000, 100), (100, 40, 40)]
            {
                let mut written = Vec::new();
                let render = |piece: usize, text: &mut Vec<u8>| {
                    std::thread::sleep(std::time::Duration::from_micros(piece as u64 * 37 % 200));
                    text.extend_from_slice(piece.to_string().as_bytes());
                };
                let done = in_order(threads, pieces, &render, &mut |piece, text| {
                    if piece == failing {
                        return Err(piece);
                    }
                    written.push(String::from_utf8(text.to_vec()).unwrap());
                    Ok(())
                });
                assert_eq!(
                    done,
                    if failing < pieces {
                        Err(failing)
                    } else {
                        Ok(())
                    }
                );
                let numbers: Vec<String> = (0..expected).map(|piece| piece.to_string()).collect();
                assert_eq!(written, numbers);
            }
        }
    }
}
