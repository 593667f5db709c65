//! An authority that signs certificates for a test, made by openssl.

use std::{path::PathBuf, process::Command};

use muster::web::tls::TlsFiles;
use reqwest::{Certificate, Identity};

use crate::scratch::Scratch;

/// A folder with an authority, and what it has signed.
pub struct Authority {
    folder: Scratch,
}

impl Authority {
    pub fn new() -> Self {
        let folder = Scratch::new();
        let made = Self { folder };
        made.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        made
    }

    /// Signs a certificate for an alternative name such as `DNS:name` or `IP:address`.
    pub fn sign(&self, file: &str, name: &str) {
        let (key, request, certificate) = (
            format!("{file}.key"),
            format!("{file}.csr"),
            format!("{file}.pem"),
        );
        let extension = format!("{file}.ext");
        std::fs::write(self.path(&extension), format!("subjectAltName={name}\n")).unwrap();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=whoever",
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extension,
            "-out",
            &certificate,
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let made = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn root(&self) -> Certificate {
        Certificate::from_pem(&std::fs::read(self.path("ca.pem")).unwrap()).unwrap()
    }

    pub fn identity(&self, file: &str) -> Identity {
        let mut pem = std::fs::read(self.path(&format!("{file}.pem"))).unwrap();
        pem.extend(std::fs::read(self.path(&format!("{file}.key"))).unwrap());
        Identity::from_pem(&pem).unwrap()
    }

    pub fn files(&self, server: &str) -> TlsFiles {
        TlsFiles {
            certificate: self.path(&format!("{server}.pem")),
            key: self.path(&format!("{server}.key")),
            client_authorities: Some(self.path("ca.pem")),
        }
    }
}
