//! Services that repeat everything they are told, where it is most likely to be kept: in bodies, headers, log lines and
//! errors.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub struct Services {
    /// A web service.
    pub mirror: SocketAddr,
    /// A Postgres server that takes no password.
    pub postgres: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Services {
    pub async fn start() -> Self {
        let heard: Arc<Mutex<String>> = Arc::default();
        let (web, database) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let services = Self {
            mirror: web.local_addr().unwrap(),
            postgres: database.local_addr().unwrap(),
            heard: Arc::clone(&heard),
        };
        let ledger = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = web.accept().await {
                tokio::spawn(mirror(stream, Arc::clone(&ledger)));
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = database.accept().await {
                tokio::spawn(refuse_login(stream, Arc::clone(&heard)));
            }
        });
        services
    }

    /// Whether somebody told them this.
    pub fn saw(&self, text: &str) -> bool {
        self.heard.lock().unwrap().contains(text)
    }
}

async fn mirror(mut stream: TcpStream, heard: Arc<Mutex<String>>) {
    let mut block = vec![0; 64 * 1024];
    let mut asked = String::new();
    while !asked.contains("\r\n\r\n") {
        match stream.read(&mut block).await {
            Ok(length @ 1..) => asked.push_str(&String::from_utf8_lossy(&block[..length])),
            _ => return,
        }
    }
    heard.lock().unwrap().push_str(&asked);
    let path = asked.split(' ').nth(1).unwrap_or("/").to_owned();
    let secret = |name: &str| {
        let line = asked.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("nothing").trim().to_owned()
    };
    let (signed, key) = (secret("authorization:"), secret("x-secret:"));
    let said = match path.as_str() {
        path if path.starts_with("/loki") => {
            json!({"status": "success", "data": {"resultType": "streams", "result": [
            {"stream": {}, "values": [["1700000000000000001", format!("got {asked}")], ["1700000000000000002", json!({"auth": signed}).to_string()]]}]}})
        }
        path if path.contains("_search") => json!({"timed_out": false, "hits": {"hits": [
            {"_source": {"@timestamp": "2026-01-01T00:00:02Z", "message": asked}}]}}),
        path if path.contains("/api/v1/query") => {
            json!({"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"auth": signed, signed.clone(): "x"}, "value": [1_700_000_000.1, "1"]}]}})
        }
        _ => {
            json!({"said": asked, "deep": [{signed.clone(): [key.clone()]}], "again": json!({"x": key}).to_string()})
        }
    };
    let status = match path.as_str() {
        path if path.starts_with("/refuse") => "403 No",
        path if path.starts_with("/break") => "500 Oops",
        path if path.starts_with("/hop") => "302 Found",
        _ => "200 OK",
    };
    let (body, location) = (
        said.to_string(),
        format!("/echo?token={}", signed.replace(' ', "-")),
    );
    let reply = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\nlocation: {location}\r\n\
         x-request-id: {signed}\r\netag: \"{key}\"\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// Asks for the password in plain text and repeats it in its refusal.
async fn refuse_login(mut stream: TcpStream, heard: Arc<Mutex<String>>) {
    let mut block = vec![0; 4096];
    let Ok(1..) = stream.read(&mut block).await else {
        return;
    };
    let _ = stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await;
    let Ok(length @ 6..) = stream.read(&mut block).await else {
        return;
    };
    let password = String::from_utf8_lossy(&block[5..length - 1]).into_owned();
    heard.lock().unwrap().push_str(&password);
    let mut fields = Vec::new();
    for (kind, text) in [
        (b'S', "FATAL".to_owned()),
        (b'V', "FATAL".to_owned()),
        (b'C', "28P01".to_owned()),
        (b'M', format!("the password {password} is not the one of app")),
        (b'D', format!("postgres://app:{password}@db/x")),
    ] {
        fields.push(kind);
        fields.extend(text.into_bytes());
        fields.push(0);
    }
    fields.push(0);
    let mut error = vec![b'E'];
    error.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
    error.extend(fields);
    let _ = stream.write_all(&error).await;
}
