//! A service on every address of the machine that writes down which of them it was reached at.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::fleet::wait;

pub struct Ledger {
    pub port: u16,
    reached: Arc<Mutex<Vec<String>>>,
}

impl Ledger {
    /// On a free port, over both protocols.
    pub async fn anywhere() -> Self {
        loop {
            let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = four.local_addr().unwrap().port();
            let six = six(port);
            if let Some(six) = six {
                return Self::on(vec![four, six], port);
            }
        }
    }

    /// On this port.
    pub async fn at(port: u16) -> Self {
        let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
        Self::on([Some(four), six(port)].into_iter().flatten().collect(), port)
    }

    fn on(listeners: Vec<TcpListener>, port: u16) -> Self {
        let reached: Arc<Mutex<Vec<String>>> = Arc::default();
        for listener in listeners {
            let reached = Arc::clone(&reached);
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let at = stream.local_addr().unwrap().ip().to_string();
                    reached.lock().unwrap().push(at.clone());
                    tokio::spawn(async move {
                        // Something is asked, or the other side only wanted to know that somebody is here.
                        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 4096]))
                            .await;
                        let length = at.len();
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close";
                        let reply = format!("{head}\r\ncontent-length: {length}\r\n\r\n{at}");
                        let _ = stream.write_all(reply.as_bytes()).await;
                    });
                }
            });
        }
        Self { port, reached }
    }

    /// The addresses it was reached at, in order.
    pub fn reached(&self) -> Vec<String> {
        self.reached.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.reached.lock().unwrap().len()
    }

    /// Waits until it was reached so often.
    pub async fn until(&self, count: usize) {
        wait::until("somebody comes", Duration::from_secs(5), async || {
            anyhow::ensure!(self.count() >= count);
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// Only over IPv6, so that the other protocol can have a listener of its own.
fn six(port: u16) -> Option<TcpListener> {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let listener = std::net::TcpListener::bind(address).ok()?;
    listener.set_nonblocking(true).unwrap();
    Some(TcpListener::from_std(listener).unwrap())
}
