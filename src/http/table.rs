//! All connections of a server: how many, which are idle, and whom to close.
//!
//! A connection is idle while it waits for the first byte of a request. Only idle ones are ever
//! closed to make room; one that is being answered, or that has sent something its thread hasn't
//! seen yet, keeps its place. Closing means shutting the socket down, which wakes the thread that
//! blocks on it.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};

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

/// Whether a new connection got a place.
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
        for (order, id) in state.idle.clone() {
            state.evict(order, id);
        }
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
        // A new connection is idle already, and keeps its place in the order.
        if connection.idle_order.is_none() {
            connection.idle_order = Some(order);
            idle.insert(order, self.id);
        }
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
        let idle = self.idle.iter().find(|(_, id)| {
            let connection = self.connections.get(id);
            connection.is_some_and(|connection| !has_input(&connection.stream))
        });
        let Some((&order, &id)) = idle else {
            return false;
        };
        self.evict(order, id);
        true
    }

    fn evict(&mut self, order: u64, id: u64) {
        self.idle.remove(&order);
        if let Some(connection) = self.connections.remove(&id) {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Whether bytes have arrived that nobody has read yet.
fn has_input(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    recv(stream, &mut [0; 1], flags).is_ok_and(|(_, bytes)| bytes > 0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    struct Pair {
        client: TcpStream,
        slot: Option<Slot>,
    }

    /// A client whose connection was offered to the table.
    fn connect(table: &Arc<Table>, listener: &TcpListener) -> Pair {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = Arc::new(listener.accept().unwrap().0);
        let slot = match table.admit(&stream) {
            Admission::Admitted { slot, .. } => Some(slot),
            Admission::Full => None,
        };
        Pair { client, slot }
    }

    fn has_ended(pair: &mut Pair) -> bool {
        let patience = Some(Duration::from_millis(20));
        pair.client.set_read_timeout(patience).unwrap();
        matches!(pair.client.read(&mut [0; 1]), Ok(0))
    }

    #[test]
    fn only_those_who_keep_silent_make_room_the_longest_idle_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let table = Arc::new(Table::new(3));
        let mut speaking = connect(&table, &listener);
        let mut busy = connect(&table, &listener);
        let mut silent = connect(&table, &listener);
        assert!(busy.slot.as_ref().unwrap().set_busy());
        speaking.client.write_all(b"G").unwrap();
        let stream =
            Arc::clone(&table.lock().connections[&speaking.slot.as_ref().unwrap().id].stream);
        while !has_input(&stream) {}

        let newcomer = connect(&table, &listener);
        assert!(newcomer.slot.is_some());
        assert!(has_ended(&mut silent));
        assert!(!silent.slot.as_ref().unwrap().set_busy());

        newcomer.slot.as_ref().unwrap().set_busy();
        assert!(
            connect(&table, &listener).slot.is_none(),
            "nobody is to be closed for it"
        );
        assert!(!has_ended(&mut speaking) && !has_ended(&mut busy));
        assert!(speaking.slot.as_ref().unwrap().set_busy());

        drop(newcomer);
        assert!(connect(&table, &listener).slot.is_some());
        drop((speaking, busy));
        assert_eq!(
            table.wait_until_empty(Duration::ZERO),
            1,
            "the evicted one's slot is held"
        );
    }

    #[test]
    fn stopping_closes_idle_connections_and_lets_nobody_become_idle() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let table = Arc::new(Table::new(3));
        let mut idle = connect(&table, &listener);
        let mut busy = connect(&table, &listener);
        busy.slot.as_ref().unwrap().set_busy();
        table.stop();
        assert!(has_ended(&mut idle) && !has_ended(&mut busy));
        assert!(!busy.slot.as_ref().unwrap().set_idle());
        assert_eq!(table.connections(), 1);
        table.cut_all();
        assert!(busy.client.read(&mut [0; 1]).is_err());
        drop((idle, busy));
        assert_eq!(table.wait_until_empty(Duration::MAX), 0);
    }
}
