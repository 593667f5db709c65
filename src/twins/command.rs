//! The twins of programs: for each a small script that hands its arguments to the relay, and the door where the relay asks
//! what the program wrote.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    fs::OpenOptions,
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use super::{
    Asked, Reply,
    post::{self, Desk},
    reach,
    relay::{ASK_BYTES_MAX, Answer, Ask},
};
use crate::domain::program::Program;

/// How long a question may take to arrive.
const ASK_MAX: Duration = Duration::from_secs(30);
/// The longest name of a script, besides its number.
const NAME_CHARS_MAX: usize = 64;

/// What the scripts of one twin prove themselves with.
pub(super) struct Token(String);

impl Token {
    pub(super) fn new() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }
}

/// Why a path cannot be used.
pub(super) fn unspeakable(path: &Path) -> io::Error {
    let why = format!("{} is not text; name a folder that is", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Where scripts are written and what they call.
pub(super) struct Scripts<'a> {
    pub(super) folder: &'a Path,
    pub(super) relay: &'a Path,
    pub(super) address: SocketAddr,
    pub(super) token: &'a Token,
}

impl Scripts<'_> {
    /// Writes a script for each program, and gives the programs that are these scripts.
    pub(super) async fn write(
        &self,
        programs: &[Program],
        written: &mut Vec<PathBuf>,
    ) -> io::Result<Vec<Program>> {
        let (relay, folder) = (text(self.relay)?, text(self.folder)?);
        // Twins of several targets may share the folder.
        let twin = Uuid::new_v4().simple();
        let path = |n: usize, program: &Program| {
            let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
            let name = program.path.rsplit('/').next().unwrap_or_default();
            let name: String = name.chars().filter(plain).take(NAME_CHARS_MAX).collect();
            format!("{folder}/{twin}-{n}-{name}")
        };
        for (n, program) in programs.iter().enumerate() {
            let script = format!(
                "#!/bin/sh\nexec {} drill answer -- {} {} {} \"$@\"\n",
                quoted(relay),
                self.address,
                self.token.0,
                quoted(&program.path),
            );
            let path = PathBuf::from(path(n, program));
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o700)
                .open(&path)
                .await?;
            written.push(path);
            file.write_all(script.as_bytes()).await?;
            // Closed for sure before it is started: a file that is being written cannot be.
            file.flush().await?;
            drop(file.into_std().await);
        }
        Ok(reach::stand_ins(programs, path))
    }
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| unspeakable(path))
}

/// One word for the shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) async fn serve(desk: &Desk, token: &Token, mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut reader = BufReader::new((&mut stream).take(ASK_BYTES_MAX));
    timeout(ASK_MAX, reader.read_until(b'\n', &mut bytes)).await??;
    let Ok(ask) = serde_json::from_slice::<Ask>(&bytes) else {
        return Ok(());
    };
    if ask.token != token.0 {
        return Ok(());
    }
    let asked = Asked::Program {
        program: ask.program,
        args: ask.args,
        stdin: ask.stdin,
    };
    let failed = |errors: String| Answer {
        output: String::new(),
        errors: format!("{errors}\n"),
        exit: 1,
    };
    let answer = match desk.ask(asked).await {
        Reply::Program { output, errors, exit } => Answer { output, errors, exit },
        Reply::Done => Answer::default(),
        Reply::Refused(why) => failed(why),
        Reply::Lost => return Ok(()),
        Reply::Silence => {
            post::until_gone(&mut stream).await;
            return Ok(());
        }
        _ => failed(desk.unfit()),
    };
    stream.write_all(&serde_json::to_vec(&answer)?).await?;
    stream.shutdown().await
}
