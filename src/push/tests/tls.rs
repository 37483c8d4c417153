//! Certificates of both sides.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::receiver::tls_front;
use super::*;
use crate::config::TlsFiles;

/// A certificate authority, a server's and a client's certificate.
struct Certificates {
    folder: tempfile::TempDir,
    server: rustls::ServerConfig,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca_cert: &rcgen::Certificate = ca.as_ref();
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            (params.signed_by(&key, &ca).unwrap(), key)
        };
        let (server_cert, server_key) = signed("127.0.0.1");
        let (client_cert, client_key) = signed("client");

        let folder = tempfile::tempdir().unwrap();
        for (name, pem) in [
            ("ca.pem", ca_cert.pem()),
            ("client.pem", client_cert.pem()),
            ("client.key", client_key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(server_key.serialize_der());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![server_cert.der().clone()], key.into())
            .unwrap();
        Self { folder, server }
    }

    fn files(&self, ca: bool, client: bool) -> TlsFiles {
        let file = |name| self.folder.path().join(name);
        TlsFiles {
            ca: ca.then(|| file("ca.pem")),
            client: client.then(|| (file("client.pem"), file("client.key"))),
        }
    }
}

#[test]
fn certificates_of_both_sides_are_used() {
    let certificates = Certificates::new();
    let receiver = Fake::start([]);
    let addr = tls_front(certificates.server.clone(), receiver.addr());
    let mut settings = otel(&format!("https://{addr}"), "");
    settings.tls = certificates.files(true, true);
    let mut pusher = stub(&settings);
    assert_eq!(totals(&export(&mut pusher, 1)), [30, 0, 0, 0]);
    pusher.finish(None);
    assert_eq!(receiver.seen().len(), REQUESTS);

    // Without either, nothing gets through; and it is no error for good.
    for (ca, client) in [(false, true), (true, false)] {
        settings.tls = certificates.files(ca, client);
        let mut pusher = stub(&settings);
        pusher.offer(&frame(1));
        wait(&pusher, "it was sent again", |d| d.ledger.retried >= 10);
        let delivery = pusher.finish_within(None, Duration::ZERO);
        assert_eq!(totals(&delivery)[..3], [0, 0, 30]);
    }
    assert_eq!(receiver.seen().len(), REQUESTS);
}

/// Both sides get certificates of another authority while it runs; for a moment, the
/// client's certificate and key do not belong together.
#[test]
fn renewed_certificates_are_used() {
    let (renewed, outdated) = (Certificates::new(), Certificates::new());
    let receiver = Fake::start([]);
    let addr = tls_front(renewed.server.clone(), receiver.addr());
    let mut settings = otel(&format!("https://{addr}"), "");
    settings.tls = outdated.files(true, true);
    let mut pusher = stub(&settings);
    pusher.offer(&frame(1));
    wait(&pusher, "it was sent again", |d| d.ledger.retried >= 10);
    assert!(receiver.seen().is_empty());
    for name in ["ca.pem", "client.pem", "client.key"] {
        let new = std::fs::read(renewed.folder.path().join(name)).unwrap();
        std::fs::write(outdated.folder.path().join(name), new).unwrap();
    }
    let delivery = wait(&pusher, "it is settled", |d| d.exports_open == 0);
    assert_eq!(totals(&delivery)[..3], [30, 0, 0]);
    pusher.finish(None);
}

#[test]
fn a_missing_file_is_an_error_at_the_start() {
    let mut settings = otel("https://localhost", "");
    settings.tls.ca = Some("no/such.pem".into());
    let catalog = Arc::clone(frame(0).catalog());
    let started = Pusher::start(
        Push::Otlp(&settings),
        TICK_NS,
        catalog,
        &Arc::default(),
        Clock::start(),
    );
    let Err(StartError::Config(message)) = started else {
        panic!("it started");
    };
    assert_eq!(
        message,
        "exporters.otel.ca_file: no/such.pem: there is no such file"
    );
}
