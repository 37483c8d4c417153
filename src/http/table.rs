//! All connections of a server: how many, which are idle, and whom to close.
//!
//! A connection is idle while it waits for the first byte of a request. Only idle ones are ever
//! closed to make room; whoever is being answered keeps their place. Closing means shutting the
//! socket down, which wakes the thread that blocks on it.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The connections of one server.
pub(super) struct Table {
    connections_max: usize,
    stopping: AtomicBool,
    state: Mutex<State>,
    slot_freed: Condvar,
}

/// A connection's place in the table, freed on drop.
pub(super) struct Slot {
    table: Arc<Table>,
    id: u64,
}

/// What became of a new connection.
pub(super) enum Admission {
    Admitted { slot: Slot, has_evicted: bool },
    Full,
}

/// Evicted connections whose threads haven't ended yet; with this many, newcomers wait.
const EVICTED_MAX: usize = 64;
/// How long newcomers wait for evicted threads to end. These were woken and have nothing left to
/// do, so only the scheduler is waited for, never a client.
const EVICTED_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    connections: HashMap<u64, Connection>,
    /// From the order in which they became idle to the connection's id.
    idle: BTreeMap<u64, u64>,
    next: u64,
    /// Slots that exist, those of evicted connections included.
    slots: usize,
}

struct Connection {
    stream: Arc<TcpStream>,
    idle_order: Option<u64>,
}

impl Table {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            connections_max: connections_max.max(1),
            stopping: AtomicBool::new(false),
            state: Mutex::default(),
            slot_freed: Condvar::new(),
        }
    }

    /// Gives a new connection a place, as idle, closing the longest-idle one if all are taken.
    pub(super) fn admit(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Admission {
        let slots_max = self.connections_max + EVICTED_MAX;
        let mut state = self.wait_while(EVICTED_TIME_MAX, |state| state.slots >= slots_max);
        let is_full = state.connections.len() >= self.connections_max;
        if state.slots >= slots_max || (is_full && !state.evict_longest_idle()) {
            return Admission::Full;
        }
        let id = state.number();
        let order = state.number();
        state.slots += 1;
        state.idle.insert(order, id);
        let connection = Connection {
            stream: Arc::clone(stream),
            idle_order: Some(order),
        };
        state.connections.insert(id, connection);
        Admission::Admitted {
            slot: Slot {
                table: Arc::clone(self),
                id,
            },
            has_evicted: is_full,
        }
    }

    /// Closes the longest-idle connection, if there is one, for the sake of its descriptor.
    pub(super) fn evict_longest_idle(&self) -> bool {
        self.lock().evict_longest_idle()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Closes the idle connections now and the others after their response.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        self.stopping.store(true, Ordering::Relaxed);
        while state.evict_longest_idle() {}
    }

    /// Waits until all threads have let go of their slots; returns how many hadn't after `grace`.
    pub(super) fn wait_until_empty(&self, grace: Duration) -> usize {
        self.wait_while(grace, |state| state.slots > 0).slots
    }

    /// Resets every connection, whatever it is doing.
    pub(super) fn cut_all(&self) {
        for connection in self.lock().connections.values() {
            reset(&connection.stream);
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// Waits for slots to be freed while `condition` holds, but not longer than `time`.
    fn wait_while(
        &self,
        time: Duration,
        mut condition: impl FnMut(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let waited = self
            .slot_freed
            .wait_timeout_while(self.lock(), time, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// No code that can panic runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// From now on the connection may be closed to make room. False if it must end itself,
    /// because the server is stopping.
    pub(super) fn set_idle(&self) -> bool {
        let mut state = self.table.lock();
        if self.table.is_stopping() {
            return false;
        }
        let order = state.number();
        let State {
            connections, idle, ..
        } = &mut *state;
        let Some(connection) = connections.get_mut(&self.id) else {
            return false;
        };
        if let Some(earlier) = connection.idle_order.replace(order) {
            idle.remove(&earlier);
        }
        idle.insert(order, self.id);
        true
    }

    /// From now on the connection is being answered. False if it was closed in the meantime.
    pub(super) fn set_busy(&self) -> bool {
        let mut state = self.table.lock();
        let State {
            connections, idle, ..
        } = &mut *state;
        let Some(connection) = connections.get_mut(&self.id) else {
            return false;
        };
        if let Some(order) = connection.idle_order.take() {
            idle.remove(&order);
        }
        true
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        if let Some(order) = state
            .connections
            .remove(&self.id)
            .and_then(|connection| connection.idle_order)
        {
            state.idle.remove(&order);
        }
        state.slots -= 1;
        drop(state);
        self.table.slot_freed.notify_all();
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn evict_longest_idle(&mut self) -> bool {
        let Some((_, id)) = self.idle.pop_first() else {
            return false;
        };
        if let Some(connection) = self.connections.remove(&id) {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        true
    }
}

/// Makes closing the socket a reset: the client notices, and the kernel drops what is unsent
/// instead of feeding it to a slow reader for as long as that likes.
pub(super) fn reset_on_close(stream: &TcpStream) {
    // Fails only on a socket that is already dead.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Resets a socket that its thread may be blocked on, and wakes that thread.
fn reset(stream: &TcpStream) {
    reset_on_close(stream);
    // Dissolving the connection sends the reset at once. Some kernels refuse while a thread is
    // blocked on the socket; if that thread is writing, data is queued, and the close that follows
    // its wake-up resets before the end could be reached.
    if rustix::net::connect_unspec(stream).is_err() {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
