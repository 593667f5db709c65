//! A bad network between a browser and the pages: connections that break in the middle of a message, a proxy that
//! answers 502, ends that fall silent, a server that is not there.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How a new connection is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Fair,
    /// Answered by a proxy that reaches nobody.
    BadGateway,
    /// Closed at once.
    Closed,
}

struct Line {
    upstream: Mutex<SocketAddr>,
    mood: Mutex<Mood>,
    /// Rises when everything that is open is to break.
    cuts: watch::Sender<u64>,
    /// Connections up to this number carry nothing any more, and stay open.
    silent: AtomicU64,
    /// Bytes that may still come down before everything breaks; negative when nobody counts.
    left: AtomicI64,
    connections: AtomicU64,
    /// Live streams whose first words have come through.
    streams: AtomicU64,
    /// Connections that met a bad mood.
    refused: AtomicU64,
}

/// The network.
pub struct Cutter {
    pub address: SocketAddr,
    line: Arc<Line>,
}

impl Cutter {
    pub async fn before(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let line = Arc::new(Line {
            upstream: Mutex::new(upstream),
            mood: Mutex::new(Mood::Fair),
            cuts: watch::Sender::new(0),
            silent: AtomicU64::new(0),
            left: AtomicI64::new(-1),
            connections: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let cutter = Self {
            address: listener.local_addr()?,
            line: line.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = line.connections.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(carry(line.clone(), client, number));
            }
        });
        Ok(cutter)
    }

    /// Breaks everything that is open.
    pub fn cut(&self) {
        self.line.left.store(-1, Ordering::SeqCst);
        self.line.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks everything when so many bytes more have come down.
    pub fn cut_after(&self, bytes: i64) {
        self.line.left.store(bytes, Ordering::SeqCst);
    }

    /// Lets everything that is open fall silent.
    pub fn silence(&self) {
        let all = self.line.connections.load(Ordering::SeqCst);
        self.line.silent.store(all, Ordering::SeqCst);
    }

    pub fn treat_with(&self, mood: Mood) {
        *self.line.mood.lock().unwrap() = mood;
    }

    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.line.upstream.lock().unwrap() = upstream;
    }

    pub fn streams(&self) -> u64 {
        self.line.streams.load(Ordering::SeqCst)
    }

    pub fn refused(&self) -> u64 {
        self.line.refused.load(Ordering::SeqCst)
    }
}

/// Waits until `is_so`, which somebody else brings about.
pub async fn wait(what: &str, within: Duration, is_so: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        ensure!(begun.elapsed() < within, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn carry(line: Arc<Line>, mut client: TcpStream, number: u64) {
    let mood = *line.mood.lock().unwrap();
    let mut cuts = line.cuts.subscribe();
    if mood != Mood::Fair {
        if mood == Mood::BadGateway {
            let mut request = [0; 4096];
            // A connection that a browser opens in advance asks nothing yet.
            if client.read(&mut request).await.unwrap_or(0) > 0 {
                let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                _ = client.write_all(answer).await;
            }
        }
        line.refused.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let upstream = *line.upstream.lock().unwrap();
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return;
    };
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    // Whether a stream has begun here that has told nothing yet.
    let mut begun = false;
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            read = client.read(&mut up) => match read {
                Ok(length) if length > 0 => {
                    if line.silent.load(Ordering::SeqCst) < number && server.write_all(&up[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(length) if length > 0 => {
                    if line.silent.load(Ordering::SeqCst) >= number {
                        continue;
                    }
                    let mut told = &down[..length];
                    let left = line.left.load(Ordering::SeqCst);
                    if left >= 0 {
                        let after = line.left.fetch_sub(length as i64, Ordering::SeqCst);
                        if after < length as i64 {
                            told = &told[..after.max(0) as usize];
                            _ = client.write_all(told).await;
                            line.left.store(-1, Ordering::SeqCst);
                            line.cuts.send_modify(|cuts| *cuts += 1);
                            return;
                        }
                    }
                    if client.write_all(told).await.is_err() {
                        return;
                    }
                    begun |= has(told, b"text/event-stream");
                    if begun && has(told, b"event: tick") {
                        line.streams.fetch_add(1, Ordering::SeqCst);
                        begun = false;
                    }
                }
                _ => return,
            },
        }
    }
}

fn has(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|part| part == words)
}
