//! A cage: the few addresses and files that may be reached by what must not leave, such as a drill. It stands behind
//! everything else that keeps a drill inside, and looks at nothing but where something really goes.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;

use super::{Secret, SecretStore, invalid};
use crate::domain::{
    action::Failure,
    target::{Connection, SecretRef},
};

/// What may be reached. Clones are one cage.
#[derive(Clone, Debug)]
pub struct Cage {
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
    folder: Arc<Path>,
}

impl Cage {
    /// One with nothing in it but the files of a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            addresses: Arc::default(),
            folder: folder.into(),
        }
    }

    /// An address of this machine may be reached from now on. Others are passed over: nothing lets a drill out.
    pub fn let_in(&self, address: SocketAddr) {
        if address.ip().is_loopback() {
            self.lock().insert(address);
        }
    }

    /// It may not any more.
    pub fn take_out(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admits(&self, address: SocketAddr) -> bool {
        self.lock().contains(&address)
    }

    /// What has no address must lie in the folder.
    pub(super) fn admits_connection(&self, connection: &Connection) -> Result<(), Failure> {
        let is_inside = |path: &str| {
            let path = Path::new(path);
            path.starts_with(&self.folder) && !path.components().any(|part| part.as_os_str() == "..")
        };
        let stranger = match connection {
            Connection::File { path } => (!is_inside(path)).then_some(path),
            Connection::Command(host) => {
                let mut paths = host.programs.iter().map(|program| &program.path);
                paths.find(|path| !is_inside(path))
            }
            Connection::Postgres(database) if database.host.starts_with('/') => Some(&database.host),
            Connection::Haproxy { address } if address.starts_with("unix:") => Some(address),
            _ => None,
        };
        match stranger {
            None => Ok(()),
            Some(path) => Err(invalid(format!(
                "{path} is outside of the drill, and nothing of a drill leaves it"
            ))),
        }
    }
}

/// There is none: what is caged has no business with any.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoSecrets;

impl SecretStore for NoSecrets {
    fn read<'a>(&'a self, _reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, String>> {
        Box::pin(async { Err("is not read in a drill".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{program::Program, target::CommandConnection};

    #[test]
    fn only_this_machine_is_ever_let_in() {
        let cage = Cage::new(PathBuf::from("/tmp/drill"));
        let [near, far]: [SocketAddr; 2] = ["127.0.0.1:80", "192.0.2.1:80"].map(|text| text.parse().unwrap());
        for address in [near, far] {
            cage.let_in(address);
        }
        assert!(cage.admits(near) && !cage.admits(far));
        assert!(!cage.admits("127.0.0.1:81".parse().unwrap()), "the port counts");
        cage.take_out(near);
        assert!(!cage.admits(near));
    }

    #[test]
    fn files_and_programs_lie_in_the_folder() {
        let cage = Cage::new(PathBuf::from("/tmp/drill"));
        let admits = |connection| cage.admits_connection(&connection).is_ok();
        let file = |path: &str| Connection::File {
            path: path.to_owned(),
        };
        assert!(admits(file("/tmp/drill/log")));
        for path in [
            "/var/log/syslog",
            "/tmp/drill/../../etc/passwd",
            "/tmp/drills/log",
        ] {
            assert!(!admits(file(path)), "{path}");
        }
        let program = |path: &str| Connection::Command(CommandConnection::new(vec![Program::bare(path)]));
        assert!(admits(program("/tmp/drill/du")));
        assert!(!admits(program("/usr/bin/du")));
        let address = "unix:/run/haproxy.sock".to_owned();
        assert!(!admits(Connection::Haproxy { address }));
    }
}
