//! Stands between a provider and its server, and can be a network that is down or hangs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    Fair,
    /// Nobody listens, and connections break.
    Down,
    /// Nothing moves.
    Slow,
}

const TICK: Duration = Duration::from_millis(5);

struct Shared {
    weather: AtomicU8,
    /// Whether the listener does what the weather says.
    settled: AtomicBool,
    ended: AtomicBool,
}

impl Shared {
    fn is(&self, weather: Weather) -> bool {
        self.weather.load(Ordering::SeqCst) == weather as u8
    }
    fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            weather: AtomicU8::new(Weather::Fair as u8),
            settled: AtomicBool::new(true),
            ended: AtomicBool::new(false),
        });
        let seen = Arc::clone(&shared);
        std::thread::spawn(move || listen(listener, port, server, &seen));
        Self { port, shared }
    }

    pub fn set(&self, weather: Weather) {
        self.shared.settled.store(false, Ordering::SeqCst);
        self.shared.weather.store(weather as u8, Ordering::SeqCst);
        while !self.shared.settled.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
        }
        // Each pump has looked by then.
        std::thread::sleep(TICK * 3);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

fn listen(listener: TcpListener, port: u16, server: u16, shared: &Arc<Shared>) {
    listener.set_nonblocking(true).unwrap();
    let mut listener = Some(listener);
    while !shared.ended() {
        if shared.is(Weather::Down) {
            listener = None;
        } else if listener.is_none() {
            let again = TcpListener::bind(("127.0.0.1", port)).unwrap();
            again.set_nonblocking(true).unwrap();
            listener = Some(again);
        }
        shared.settled.store(true, Ordering::SeqCst);
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((client, _))) => {
                client.set_nonblocking(false).unwrap();
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    pump(&client, &server, shared);
                    pump(&server, &client, shared);
                }
            }
            _ => std::thread::sleep(TICK),
        }
    }
}

fn pump(from: &TcpStream, to: &TcpStream, shared: &Arc<Shared>) {
    let (mut from, mut to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(shared));
    from.set_read_timeout(Some(TICK)).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while !shared.ended() && !shared.is(Weather::Down) {
            let moved = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            while shared.is(Weather::Slow) && !shared.ended() {
                std::thread::sleep(TICK);
            }
            if to.write_all(&bytes[..moved]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    });
}
