//! Closing so that the last response arrives.
//!
//! Closing a socket with unread input makes the kernel reset the connection, and the reset may
//! overtake the response that explains why. So a socket whose last response is out is given to
//! one thread that throws away what the client still sends, for a bounded time and amount, until
//! the client has seen the end. It answers nothing and never delays whoever hands it a socket.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Sends sockets to the thread; it ends when all senders are gone.
#[derive(Clone)]
pub(super) struct Linger {
    sockets: SyncSender<Arc<TcpStream>>,
}

/// Beyond this many at a time, sockets are closed at once: no more than a lost explanation.
const SOCKETS_MAX: usize = 64;
const SOCKET_TIME_MAX: Duration = Duration::from_secs(2);
const SOCKET_BYTES_MAX: usize = 4 << 20;
const PASS_BYTES_MAX: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(10);

impl Linger {
    pub(super) fn start(name: String) -> io::Result<Self> {
        let (sockets, received) = sync_channel(SOCKETS_MAX);
        thread::Builder::new()
            .name(name)
            .stack_size(128 << 10)
            .spawn(move || run(&received))?;
        Ok(Self { sockets })
    }

    /// Ends the sending side now and closes the socket a little later.
    pub(super) fn close(&self, stream: Arc<TcpStream>) {
        if stream.shutdown(Shutdown::Write).is_ok() && stream.set_nonblocking(true).is_ok() {
            // Full means that it is closed here and now.
            let _ = self.sockets.try_send(stream);
        }
    }
}

struct Lingering {
    stream: Arc<TcpStream>,
    deadline: Instant,
    bytes_left: usize,
}

fn run(received: &Receiver<Arc<TcpStream>>) {
    let mut lingering: Vec<Lingering> = Vec::new();
    loop {
        let next = if lingering.is_empty() {
            received.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            received.recv_timeout(PAUSE)
        };
        match next {
            Ok(stream) if lingering.len() < SOCKETS_MAX => lingering.push(Lingering {
                stream,
                deadline: Instant::now() + SOCKET_TIME_MAX,
                bytes_left: SOCKET_BYTES_MAX,
            }),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        lingering.retain_mut(|socket| now < socket.deadline && socket.drain());
    }
}

impl Lingering {
    /// Throws away what has arrived; false once there is nothing more to wait for.
    fn drain(&mut self) -> bool {
        let mut scratch = [0; 16 << 10];
        let mut pass_bytes_left = PASS_BYTES_MAX;
        while pass_bytes_left > 0 {
            match (&*self.stream).read(&mut scratch) {
                Ok(0) => return false,
                Ok(read) if read >= self.bytes_left => return false,
                Ok(read) => {
                    self.bytes_left -= read;
                    pass_bytes_left = pass_bytes_left.saturating_sub(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}
