//! A network between Muster and its database that can be made slow, narrow, silent or cut at the moment that hurts.
//!
//! It knows just enough of the database's protocol to see a `COMMIT` go by, and the name by which a connection was opened.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

/// The connections whose commits are looked for.
const INTAKE: &[u8] = b"muster intake";
const COMMIT: &[u8] = b"COMMIT\0";
const BEGIN: &[u8] = b"BEGIN\0";
/// So many words after the first one the mark of the spool is locked and nothing is committed.
const MIDDLE: usize = 4;

/// What happens to every byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line {
    Good,
    /// Each way takes so long.
    Slow(Duration),
    /// Bytes a second, each way of each connection.
    Narrow(f64),
    /// Nothing passes, nobody is told. Connections that live through it stay silent for ever.
    Silent,
    /// New connections are closed at once, and the old ones are.
    Closed,
}

/// What happens to the next write of the intake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trap {
    None,
    /// Its commit is done and the connection closed before the answer.
    CutCommit,
    /// Its commit is done and the answer never comes.
    HushCommit,
    /// Something in the middle of its transaction never arrives, nor does anything after it.
    HushQuery,
}

#[derive(Default)]
pub struct Fired {
    /// Commits that were done and not answered.
    pub commits: AtomicUsize,
    /// Transactions that fell silent in the middle.
    pub queries: AtomicUsize,
    /// Bytes that were held up, slowed or thrown away.
    pub bytes: AtomicUsize,
    /// Connections refused or closed.
    pub closed: AtomicUsize,
}

struct State {
    upstream: Mutex<SocketAddr>,
    line: watch::Sender<Line>,
    trap: Mutex<(Trap, usize)>,
    fired: Fired,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    listening: AbortHandle,
}

impl Proxy {
    pub async fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream: Mutex::new(SocketAddr::from(([127, 0, 0, 1], upstream))),
            line: watch::Sender::new(Line::Good),
            trap: Mutex::new((Trap::None, 0)),
            fired: Fired::default(),
        });
        let shared = state.clone();
        let listening = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                tokio::spawn(connection(client, shared.clone()));
            }
        });
        Proxy {
            port,
            state,
            listening: listening.abort_handle(),
        }
    }

    pub fn line(&self, line: Line) {
        self.state.line.send_replace(line);
    }

    /// Where new connections lead.
    pub fn leads_to(&self, port: u16) {
        *self.state.upstream.lock().unwrap() = SocketAddr::from(([127, 0, 0, 1], port));
    }

    /// Sets a trap for the next `times` writes.
    pub fn trap(&self, trap: Trap, times: usize) {
        *self.state.trap.lock().unwrap() = (trap, times);
    }

    pub fn fired(&self) -> &Fired {
        &self.state.fired
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.line(Line::Closed);
    }
}

/// What both ways of a connection know of it.
#[derive(Default)]
struct Talk {
    is_intake: AtomicBool,
    /// What the client has said since its transaction began.
    said: AtomicUsize,
    /// The answer to its commit is to be lost, with or without the connection.
    commit: Mutex<Option<Trap>>,
    is_hushed: AtomicBool,
}

async fn connection(client: TcpStream, state: Arc<State>) {
    let mut line = state.line.subscribe();
    if *line.borrow() == Line::Closed {
        state.fired.closed.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let upstream = *state.upstream.lock().unwrap();
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let talk = Arc::new(Talk::default());
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = tokio::spawn(pass(
        from_client,
        to_server,
        Way::There,
        state.clone(),
        talk.clone(),
    ));
    let back = tokio::spawn(pass(from_server, to_client, Way::Back, state.clone(), talk));
    let (stop_there, stop_back) = (there.abort_handle(), back.abort_handle());
    tokio::select! {
        _ = there => {}
        _ = back => {}
        _ = line.wait_for(|line| *line == Line::Closed) => {
            state.fired.closed.fetch_add(1, Ordering::SeqCst);
        }
    }
    stop_there.abort();
    stop_back.abort();
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    There,
    Back,
}

/// Carries bytes one way. When it returns the connection is closed.
async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, way: Way, state: Arc<State>, talk: Arc<Talk>) {
    let (queue, inbox) = mpsc::unbounded_channel();
    let writer = tokio::spawn(deliver(inbox, to));
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => &buffer[..read],
        };
        let line = *state.line.borrow();
        if line == Line::Silent {
            talk.is_hushed.store(true, Ordering::SeqCst);
        }
        if line != Line::Good {
            state.fired.bytes.fetch_add(read.len(), Ordering::SeqCst);
        }
        match way {
            Way::There => talk.hears(read, &state),
            Way::Back => match talk.loses_answer(read, &state) {
                Some(Trap::CutCommit) => break,
                Some(_) => talk.is_hushed.store(true, Ordering::SeqCst),
                None => {}
            },
        }
        if talk.is_hushed.load(Ordering::SeqCst) {
            continue;
        }
        let at = match line {
            Line::Slow(delay) => Some(Instant::now() + delay),
            _ => None,
        };
        if let Line::Narrow(rate) = line {
            sleep(Duration::from_secs_f64(read.len() as f64 / rate)).await;
        }
        if queue.send((at, read.to_vec())).is_err() {
            break;
        }
    }
    drop(queue);
    if talk.is_hushed.load(Ordering::SeqCst) {
        // A peer that went away is not heard of either.
        std::future::pending::<()>().await;
    }
    let _ = writer.await;
}

async fn deliver(mut inbox: mpsc::UnboundedReceiver<(Option<Instant>, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((at, bytes)) = inbox.recv().await {
        if let Some(at) = at {
            sleep_until(at).await;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Talk {
    /// What the client says, and what is to come of it.
    fn hears(&self, said: &[u8], state: &State) {
        if contains(said, INTAKE) {
            self.is_intake.store(true, Ordering::SeqCst);
        }
        if !self.is_intake.load(Ordering::SeqCst) {
            return;
        }
        let mut trap = state.trap.lock().unwrap();
        let (kind, times) = *trap;
        if times == 0 {
            return;
        }
        let is_sprung = match kind {
            Trap::None => false,
            Trap::CutCommit | Trap::HushCommit => contains(said, COMMIT),
            Trap::HushQuery => {
                if contains(said, BEGIN) {
                    self.said.store(0, Ordering::SeqCst);
                }
                self.said.fetch_add(1, Ordering::SeqCst) == MIDDLE
            }
        };
        if !is_sprung {
            return;
        }
        *trap = (kind, times - 1);
        match kind {
            Trap::HushQuery => {
                state.fired.queries.fetch_add(1, Ordering::SeqCst);
                self.is_hushed.store(true, Ordering::SeqCst);
            }
            _ => *self.commit.lock().unwrap() = Some(kind),
        }
    }

    /// Whether this answer is the one that is lost: the server has committed.
    fn loses_answer(&self, said: &[u8], state: &State) -> Option<Trap> {
        let mut commit = self.commit.lock().unwrap();
        if commit.is_some() && contains(said, COMMIT) {
            state.fired.commits.fetch_add(1, Ordering::SeqCst);
            return commit.take();
        }
        None
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
