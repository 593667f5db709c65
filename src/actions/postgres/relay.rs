//! A way for the driver to speak over a connection that is there already: a socket file of its own, in a folder nobody
//! else may enter, that leads to it. The driver opens connections itself and by name only; the name must be proven by the
//! server's certificate, but the address must be the one that was checked.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpStream, UnixListener},
    task::JoinHandle,
};
use uuid::Uuid;

/// Carries bytes both ways until it is dropped.
pub(super) struct Relay {
    folder: PathBuf,
    carrying: JoinHandle<()>,
}

impl Relay {
    /// Listens where the driver looks for a server on that port, and takes one connection.
    pub(super) fn open(mut server: TcpStream, port: u16) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("muster-{}", Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{port}")));
        let carrying = match listener {
            Ok(listener) => tokio::spawn(async move {
                if let Ok((mut driver, _)) = listener.accept().await {
                    drop(listener);
                    // How a connection ends is seen on both of its ends.
                    let _ = copy_bidirectional(&mut driver, &mut server).await;
                }
            }),
            Err(error) => {
                let _ = std::fs::remove_dir(&folder);
                return Err(error);
            }
        };
        Ok(Self { folder, carrying })
    }

    /// Where the driver finds the socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.carrying.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
