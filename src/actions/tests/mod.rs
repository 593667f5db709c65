//! The actions against real sockets, files, programs, a real HAProxy and a real Postgres.

mod haproxy;
mod local;
mod outside;
mod postgres;
mod web;

use std::{net::SocketAddr, path::PathBuf};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::domain::{
    program::{Accepts, Argument, Parameter, Program},
    target::{HttpConnection, SecretRef},
};

/// Long enough never to be reached by a test that does not mean to.
const PLENTY: Span = Span::from_secs(30);

fn target(connection: Connection) -> Target {
    Target {
        timeout_max: PLENTY,
        ..Target::new("thing", connection)
    }
}

fn web(url: &str) -> HttpConnection {
    HttpConnection::new(url.parse().unwrap())
}

fn http(address: SocketAddr) -> Target {
    target(Connection::Http(web(&format!("http://{address}/api/"))))
}

/// A program that takes any arguments at all.
fn any(path: &str) -> Program {
    let anything = Parameter {
        name: "any".to_owned(),
        accepts: Accepts::Pattern("(?s).*".to_owned().try_into().unwrap()),
        flag: None,
        optional: true,
        repeated: 16,
        leading_dash: true,
    };
    Program {
        args: vec![Argument::Parameter(anything)],
        ..Program::bare(path)
    }
}

fn envelope() -> Envelope {
    Envelope {
        key: "run-7/promote".to_owned(),
        fence: 42,
        timeout: PLENTY,
        not_after: None,
        read_only: false,
    }
}

fn reading() -> Envelope {
    Envelope {
        read_only: true,
        ..envelope()
    }
}

fn within(timeout: Span) -> Envelope {
    Envelope {
        timeout,
        ..envelope()
    }
}

fn outside() -> Outside {
    Outside::new(Bounds::default())
}

async fn go(target: &Target, with: Value, envelope: &Envelope) -> Result<Outcome, Failure> {
    go_by(&outside(), target, with, envelope).await
}

async fn go_by(
    outside: &Outside,
    target: &Target,
    with: Value,
    envelope: &Envelope,
) -> Result<Outcome, Failure> {
    outside.perform(target, &rendered(target, with), envelope).await
}

fn rendered(target: &Target, with: Value) -> Rendered {
    Rendered {
        action: target.kind(),
        target: target.name.clone(),
        with,
    }
}

/// How a canned server ends its one connection.
#[derive(Clone, Copy)]
enum End {
    /// In order.
    Close,
    /// With a reset.
    Reset,
    /// Not at all.
    Hold,
    /// It writes the same again until the other side has had enough.
    Repeat,
}

/// Accepts one connection, reads one HTTP request, writes `reply`, ends. Gives its address and the request's text.
async fn serve(reply: impl Into<Vec<u8>>, end: End) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reply = reply.into();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request(&mut stream).await;
        if !reply.is_empty() {
            stream.write_all(&reply).await.unwrap();
        }
        match end {
            End::Close => {}
            End::Reset => stream.set_zero_linger().unwrap(),
            End::Hold => {
                let _ = stream.read(&mut [0; 1]).await;
            }
            End::Repeat => while stream.write_all(&[b'y'; 8192]).await.is_ok() {},
        }
        request
    });
    (address, task)
}

async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut block).await.unwrap() {
            0 => return text,
            length => bytes.extend_from_slice(&block[..length]),
        }
    }
}

fn reply(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An address where nothing listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("muster-actions-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn secret(&self, name: &str, value: &str) -> SecretRef {
        std::fs::write(self.path(name), value).unwrap();
        SecretRef::File(self.path(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
