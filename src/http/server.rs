//! The listener: takes connections from the kernel, gives each a thread, and never waits for one.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, Service};
use super::linger::Linger;
use super::table::{Admission, Table};
use super::{Handler, Limits, Stats};
use crate::clock;

/// A running server. Dropping it is a shutdown without grace.
pub struct Server {
    local_addr: SocketAddr,
    table: Arc<Table>,
    stats: Arc<Stats>,
    /// Closing it wakes the accepting thread, which then ends.
    wake: Option<UnixStream>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `addr` and serves what comes, on threads of its own. Port 0 picks a free one.
    pub fn bind(
        addr: impl ToSocketAddrs,
        limits: Limits,
        handler: impl Handler,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        // std's backlog is 128; a burst beyond that would wait a second for its next attempt. Where
        // a second listen(2) isn't welcome, the first one stands.
        let _ = rustix::net::listen(&listener, BACKLOG_CONNECTIONS);
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let port = local_addr.port();
        let (wake, woken) = UnixStream::pair()?;
        let table = Arc::new(Table::new(limits.connections_max));
        let stats = Arc::new(Stats::default());
        let service = Service {
            limits,
            handler: Box::new(handler),
            stats: Arc::clone(&stats),
            linger: Linger::start(format!("linger:{port}"))?,
        };
        let acceptor = Acceptor {
            listener,
            woken,
            table: Arc::clone(&table),
            service: Arc::new(service),
            local_addr,
            failing: None,
            warned_failing: None,
            warned_full: None,
        };
        let accepting = thread::Builder::new()
            .name(format!("accept:{port}"))
            .stack_size(128 << 10)
            .spawn(move || acceptor.run())?;
        Ok(Self {
            local_addr,
            table,
            stats,
            wake: Some(wake),
            accepting: Some(accepting),
        })
    }

    /// The address that was bound, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The server's counters; they outlive it.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Connections at the moment.
    pub fn connections(&self) -> usize {
        self.table.connections()
    }

    /// Stops accepting, closes idle connections at once, gives running responses up to `grace`,
    /// then cuts what is left and returns how many that were. A handler that computes on can't be
    /// stopped; its thread is left behind, its writes fail.
    pub fn shutdown(mut self, grace: Duration) -> usize {
        self.stop(grace)
    }

    fn stop(&mut self, grace: Duration) -> usize {
        let Some(accepting) = self.accepting.take() else {
            return 0;
        };
        self.wake = None;
        // It can't panic; if it did, it has stopped accepting too.
        let _ = accepting.join();
        self.table.stop();
        let cut = self.table.wait_until_empty(grace);
        if cut > 0 {
            self.table.cut_all();
            self.table.wait_until_empty(CUT_TIME_MAX);
        }
        cut
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Connections that the kernel may hold for us; it caps this at its own limit.
const BACKLOG_CONNECTIONS: i32 = 4096;
/// What threads get to notice that their connection was cut.
const CUT_TIME_MAX: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// At most one warning of a kind in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 21\r\n\
    Retry-After: 1\r\n\
    Connection: close\r\n\
    Date: ";
const REFUSAL_BODY: &[u8] = b"\r\n\r\ntoo many connections\n";

struct Acceptor {
    listener: TcpListener,
    woken: UnixStream,
    table: Arc<Table>,
    service: Arc<Service>,
    local_addr: SocketAddr,
    failing: Option<Failing>,
    warned_failing: Option<Instant>,
    warned_full: Option<Instant>,
}

/// While accepting fails.
struct Failing {
    /// How long to wait before the next attempt.
    pause: Duration,
    is_logged: bool,
}

impl Acceptor {
    fn run(mut self) {
        while self.wait() {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.recover();
                    self.service.stats.connections_accepted.increment();
                    // A socket that can't be set up is already dead.
                    let _ = self.welcome(stream, peer);
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Waits for a connection, or for the time to try again. False when the server stops.
    fn wait(&self) -> bool {
        let wanted = if self.failing.is_some() { 1 } else { 2 };
        let timeout = self.failing.as_ref().map(|failing| Timespec {
            tv_sec: failing.pause.as_secs() as i64,
            tv_nsec: failing.pause.subsec_nanos().into(),
        });
        loop {
            let mut ready = [
                PollFd::new(&self.woken, PollFlags::IN),
                PollFd::new(&self.listener, PollFlags::IN),
            ];
            match poll(&mut ready[..wanted], timeout.as_ref()) {
                Ok(_) => return ready[0].revents().is_empty(),
                Err(Errno::INTR) => {}
                // Nothing sensible is left to wait with; don't spin.
                Err(_) => thread::sleep(PAUSE_MIN),
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        // Responses leave in as few writes as they can; waiting for more gains nothing.
        stream.set_nodelay(true)?;
        stream.set_nonblocking(false)?;
        let stream = Arc::new(stream);
        let slot = match self.table.admit(&stream) {
            Admission::Admitted { slot, has_evicted } => {
                if has_evicted {
                    self.service.stats.connections_evicted.increment();
                }
                slot
            }
            Admission::Full => {
                self.refuse(stream, "all connections are busy");
                return Ok(());
            }
        };
        let service = Arc::clone(&self.service);
        let connection = Connection::new(service, slot, Arc::clone(&stream), peer)?;
        let spawned = thread::Builder::new()
            .name(format!("http:{}", self.local_addr.port()))
            .stack_size(self.service.limits.stack_bytes)
            .spawn(move || connection.run());
        if let Err(error) = spawned {
            self.refuse(stream, &format!("no thread: {error}"));
        }
        Ok(())
    }

    /// 503, without ever waiting for the client.
    fn refuse(&mut self, stream: Arc<TcpStream>, why: &str) {
        self.service.stats.connections_refused.increment();
        if warning_is_due(&mut self.warned_full) {
            log::warn!("{}: refusing connections: {why}", self.local_addr);
        }
        // The send buffer of a new socket has room; if not, the client misses an explanation.
        let refusal = [REFUSAL, &clock::http_date(), REFUSAL_BODY].concat();
        if stream.set_nonblocking(true).is_ok() && (&*stream).write(&refusal).is_ok() {
            self.service.linger.close(stream);
        }
    }

    fn recover(&mut self) {
        if self.failing.take().is_some_and(|failing| failing.is_logged) {
            log::info!("{}: accepting connections again", self.local_addr);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        match error.kind() {
            // There was nobody to accept, but accepting would have worked.
            io::ErrorKind::WouldBlock => return self.recover(),
            // These concern one client, who is gone.
            io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset => return,
            _ => {}
        }
        self.service.stats.accept_errors.increment();
        let out_of_descriptors = matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE)
        );
        let has_evicted = out_of_descriptors && self.table.evict_longest_idle();
        if has_evicted {
            self.service.stats.connections_evicted.increment();
        }
        match &mut self.failing {
            None => {
                let is_logged = warning_is_due(&mut self.warned_failing);
                if is_logged {
                    log::warn!("{}: accepting connections fails: {error}", self.local_addr);
                }
                self.failing = Some(Failing {
                    pause: PAUSE_MIN,
                    is_logged,
                });
            }
            Some(failing) if has_evicted => failing.pause = PAUSE_MIN,
            Some(failing) => failing.pause = (failing.pause * 2).min(PAUSE_MAX),
        }
    }
}

/// Whether enough time has passed since the last warning of this kind; if so, notes this one.
fn warning_is_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
