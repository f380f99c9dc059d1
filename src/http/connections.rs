//! The connections of a server: how they are accepted, which protocol each one speaks, and that they end.
//! It does not know routes, nor when the server ends.

use super::options::ServeOptions;
use super::server::Shared;
use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2 requests under way on one connection.
const STREAMS_MAX: u32 = 4096;
/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// What a client of HTTP/2 begins with, and none of HTTP/1.
const HTTP2: &[u8; 4] = b"PRI ";
/// Pause before it is looked for again where only a part of it came.
const HTTP2_LOOK: Duration = Duration::from_millis(10);

/// What every connection needs.
pub struct Connections {
    service: TowerToHyperService<Router>,
    app: Shared,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    head_time: Duration,
    tls: Option<TlsAcceptor>,
    /// Becomes true when only what is under way is still answered.
    finishing: watch::Receiver<bool>,
}

/// Accepts connections for as long as it is polled.
pub async fn accept(listener: &TcpListener, connections: &Arc<Connections>, graceful: &Arc<GracefulShutdown>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let watcher = graceful.watcher();
                tokio::spawn(connections.clone().serve(stream, watcher));
            }
            Err(cause) => {
                // Most likely no file descriptor is free: others will be.
                tracing::warn!(%cause, "connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

// Many connections only wait: what is rare is boxed, so that they do not hold room for it.
impl Connections {
    /// With the routes of `service`, until `finishing` becomes true.
    pub fn new(
        app: Shared,
        service: Router,
        options: &ServeOptions,
        tls: Option<TlsAcceptor>,
        finishing: watch::Receiver<bool>,
    ) -> Connections {
        Connections {
            service: TowerToHyperService::new(service),
            app,
            http1: http1(options),
            http2: http2(options),
            head_time: options.head_time,
            tls,
            finishing,
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, watcher: Watcher) {
        let _counted = self.app.metrics.connected();
        // Small answers are not to wait for more; where it cannot be said they wait.
        let _ = stream.set_nodelay(true);
        if self.tls.is_some() {
            return Box::pin(self.talk_tls(stream, watcher)).await;
        }
        match self.unless_finishing(self.head_time, is_http2(&stream)).await {
            Some(Ok(false)) => self.talk(stream, watcher).await,
            Some(Ok(true)) => Box::pin(self.talk_http2(stream, watcher)).await,
            // It said nothing, or is gone.
            Some(Err(_)) | None => {}
        }
    }

    async fn talk_tls(&self, stream: TcpStream, watcher: Watcher) {
        let Some(tls) = &self.tls else { return };
        match self.unless_finishing(HANDSHAKE_TIME, tls.accept(stream)).await {
            // What was agreed on in the handshake.
            Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.talk_http2(stream, watcher).await;
            }
            Some(Ok(stream)) => self.talk(stream, watcher).await,
            Some(Err(cause)) => tracing::debug!(%cause, "handshake failed"),
            None => tracing::debug!("handshake took too long"),
        }
    }

    /// What comes in time, and before the server ends.
    async fn unless_finishing<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut finishing = self.finishing.clone();
        tokio::select! {
            done = timeout(time, work) => done.ok(),
            _ = finishing.wait_for(|finishing| *finishing) => None,
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, watcher: Watcher) {
        watch_to_its_end(watcher, self.http1.serve_connection(TokioIo::new(stream), self.service.clone())).await;
    }

    async fn talk_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, watcher: Watcher) {
        watch_to_its_end(watcher, self.http2.serve_connection(TokioIo::new(stream), self.service.clone())).await;
    }
}

fn http1(options: &ServeOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(options.head_time).max_buf_size(HEAD_BYTES_MAX);
    builder
}

fn http2(options: &ServeOptions) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(options.head_time / 2)
        .keep_alive_timeout(options.head_time / 2);
    builder
}

async fn watch_to_its_end<C: GracefulConnection<Error = hyper::Error>>(watcher: Watcher, connection: C) {
    if let Err(cause) = watcher.watch(connection).await {
        tracing::debug!(%cause, "connection ended");
    }
}

/// Whether what was sent first, which stays there to be read, is of HTTP/2.
async fn is_http2(stream: &TcpStream) -> std::io::Result<bool> {
    loop {
        let mut first = [0; HTTP2.len()];
        let read = stream.peek(&mut first).await?;
        match HTTP2.strip_prefix(&first[..read]) {
            Some([]) => return Ok(true),
            Some(_) if read > 0 => sleep(HTTP2_LOOK).await,
            Some(_) | None => return Ok(false),
        }
    }
}
