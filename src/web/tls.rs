//! TLS at the door: the server's certificate, read again when its files change, and the client's, when one is shown.
//!
//! Client certificates are asked for when an authority for them is named, and verified against it; showing none is no
//! fault here. Whether a request needs one, and which, is for the handler to say: [`Peer::is_named`]. A source can need one
//! for its deliveries.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. Renewed certificates overlap by weeks.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// Bytes of a plain request that are read and forgotten.
const UNREAD_MAX: u64 = 64 << 10;
/// What a client hears that does not speak TLS. No redirect: senders follow it as a GET without their body.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 38\r\n\
                       connection: close\r\n\r\nthis port speaks TLS; use https://...\n";

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM; `None` when none are asked for.
    pub client_authorities: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// It is not there, or holds nothing of the kind.
    #[error("no {what} in PEM form in {file}")]
    Unreadable {
        /// A certificate or a private key.
        what: &'static str,
        /// Which file.
        file: String,
        /// What the reader says.
        source: pem::Error,
    },
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("the certificate in {certificate} and the key in {key} cannot be used together")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// What TLS says.
        source: rustls::Error,
    },
    /// A certificate that vouches for nobody.
    #[error("an authority in {file} cannot be used")]
    Authority {
        /// Which file.
        file: String,
        /// What TLS says.
        source: rustls::Error,
    },
    /// No client could ever be verified.
    #[error("client certificates cannot be asked for")]
    Verifier(#[from] VerifierBuilderError),
}

/// The server's side of TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// The certificate a client has proved to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(CertificateDer<'static>);

impl Peer {
    /// Whether the certificate names this DNS name or address among its alternative names.
    pub fn is_named(&self, name: &str) -> bool {
        let parsed = ParsedCertificate::try_from(&self.0);
        match (parsed, ServerName::try_from(name)) {
            (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
            _ => false,
        }
    }
}

impl Tls {
    /// Reads the files; an error names the one that is at fault.
    pub fn read(files: TlsFiles) -> Result<Self, TlsFault> {
        let config = configure(&files)?;
        Ok(Self {
            files,
            config: Arc::new(RwLock::new(Arc::new(config))),
        })
    }

    /// Reads the files again whenever they have changed. Files that cannot be used leave things as they were.
    pub async fn watch(self, stop: CancellationToken) {
        let mut seen = self.files.changed_at();
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let now = self.files.changed_at();
            if now == seen {
                continue;
            }
            match self.refresh() {
                Ok(()) => {
                    seen = now;
                    tracing::info!("the server's certificate was read anew");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the changed certificate cannot be used; the old one stays");
                }
            }
        }
    }

    /// Reads the files again; connections from now on are greeted with what they hold.
    pub fn refresh(&self) -> Result<(), TlsFault> {
        let config = Arc::new(configure(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Shakes hands. A client that speaks plain HTTP is told so.
    pub async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            stream.write_all(PLAIN).await?;
            stream.shutdown().await?;
            // Closed with its request unread, it would lose the answer.
            let mut rest = stream.take(UNREAD_MAX);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a TLS handshake"));
        }
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The certificate shown in a handshake, verified there.
pub fn peer(stream: &TlsStream<TcpStream>) -> Option<Peer> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates()?.first()?;
    Some(Peer(shown.clone().into_owned()))
}

impl TlsFiles {
    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        let files = [&self.certificate, &self.key].into_iter();
        files
            .chain(&self.client_authorities)
            .map(|file| file.metadata().and_then(|data| data.modified()).ok())
            .collect()
    }
}

fn configure(files: &TlsFiles) -> Result<ServerConfig, TlsFault> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable("private key", &files.key))?;
    let builder = ServerConfig::builder();
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut authorities = RootCertStore::empty();
            for certificate in certificates(file)? {
                authorities
                    .add(certificate)
                    .map_err(|source| TlsFault::Authority {
                        file: file.display().to_string(),
                        source,
                    })?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(authorities))
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|source| TlsFault::Mismatch {
        certificate: files.certificate.display().to_string(),
        key: files.key.display().to_string(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(pem::Error::NoItemsFound),
        found => found,
    }
    .map_err(unreadable("certificate", file))
}

fn unreadable(what: &'static str, file: &Path) -> impl FnOnce(pem::Error) -> TlsFault {
    let file = file.display().to_string();
    move |source| TlsFault::Unreadable { what, file, source }
}
