//! The twin of HAProxy's runtime interface: one command a connection, and the answer ends with the connection.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{
    Asked, Reply,
    post::{self, Desk},
};

/// The longest command.
const COMMAND_BYTES_MAX: u64 = 4096;
/// How long a command may take to arrive.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// The first lines of a list of servers: its format, and the columns of HAProxy's that say something here.
const COLUMNS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state";

pub(super) async fn serve(desk: &Desk, mut stream: TcpStream) -> io::Result<()> {
    let mut command = Vec::new();
    let mut reader = BufReader::new((&mut stream).take(COMMAND_BYTES_MAX));
    timeout(COMMAND_MAX, reader.read_until(b'\n', &mut command)).await??;
    let command = String::from_utf8_lossy(&command).into_owned();
    let words: Vec<&str> = command.split_whitespace().collect();
    let (reply, backend) = match words.as_slice() {
        ["show", "servers", "state", backend] => {
            let backend = (*backend).to_owned();
            let asked = Asked::Servers {
                backend: backend.clone(),
            };
            (desk.ask(asked).await, Some(backend))
        }
        [
            "set",
            "server",
            place,
            "state",
            state @ ("ready" | "drain" | "maint"),
        ] => {
            let (backend, server) = place.split_once('/').unwrap_or((place, ""));
            let asked = Asked::SetServer {
                backend: backend.to_owned(),
                server: server.to_owned(),
                state: (*state).to_owned(),
            };
            (desk.ask(asked).await, None)
        }
        _ => (
            Reply::Refused(format!("Unknown command: '{}'.", command.trim())),
            None,
        ),
    };
    let text = match (reply, backend) {
        (Reply::Servers(servers), Some(backend)) => list(&backend, &servers),
        (Reply::Done | Reply::Servers(_), None) => String::new(),
        (Reply::Done, Some(backend)) => list(&backend, &[]),
        // An empty line would say that it was done.
        (Reply::Refused(why), _) if why.trim().is_empty() => "Refused.".to_owned(),
        (Reply::Refused(why), _) => why,
        (Reply::Lost, _) => return Ok(()),
        (Reply::Silence, _) => {
            post::until_gone(&mut stream).await;
            return Ok(());
        }
        _ => desk.unfit(),
    };
    stream.write_all(format!("{text}\n").as_bytes()).await?;
    stream.shutdown().await
}

fn list(backend: &str, servers: &[(String, bool, String)]) -> String {
    let mut text = format!("{COLUMNS}\n");
    for (n, (server, is_up, admin)) in servers.iter().enumerate() {
        let bits = match admin.as_str() {
            "maint" => 1,
            "drain" => 8,
            _ => 0,
        };
        // What is under maintenance is not looked after, and counts as stopped.
        let state = if *is_up && bits != 1 { 2 } else { 0 };
        text.push_str(&format!("1 {backend} {} {server} - {state} {bits}\n", n + 1));
    }
    text
}
