//! A running server: its socket, and how it ends.
//! It does not know routes, nor what is spoken on its connections.

use super::connections::{Connections, accept};
use super::gate::{Doors, Gate};
use super::metrics::Metrics;
use super::options::ServeOptions;
use super::server::{App, LARGE_BODIES_MAX, Shared, routes};
use super::tls::TlsFiles;
use crate::api::{Code, Error, Host, spare_descriptors};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long requests that are under way have at the end of a server.
const FINISH_TIME: Duration = Duration::from_secs(10);
/// How often a draining server looks whether anybody is still connected.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// File descriptors without which a server does not start: its own, and some connections.
const FILES: usize = 16;

/// A server that runs until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    url: String,
    token: Option<String>,
    stop: watch::Sender<Stop>,
    runtime: Mutex<Option<Runtime>>,
    ended: watch::Receiver<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// After workers have been told.
    Drain,
    /// As soon as the requests under way are answered.
    Now,
}

impl Server {
    /// Starts to serve the engine behind `host`, which then is the server's own.
    pub fn start(host: Arc<Host>, options: ServeOptions) -> Result<Server, Error> {
        raise_open_files();
        let runtime = runtime()?;
        let listener = {
            let _inside = runtime.enter();
            listen(&options.listen)?
        };
        let address = listener.local_addr().map_err(|cause| cannot(&options.listen, &cause))?;
        let doors = doors(&host, &options, address)?;
        let tls = options.tls.as_ref().map(TlsFiles::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = options.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        let token = match &doors {
            Doors::Keys(token) => token.clone(),
            Doors::Open => None,
        };
        let (stop, stopped) = watch::channel(Stop::No);
        let (drain, draining) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let public_host = options.public_url.as_deref().and_then(host_of);
        let gate = Gate { doors, loopback: address.ip().is_loopback(), public_host };
        let metrics = Metrics::new().map_err(|cause| Error::new(Code::Internal, cause.to_string()))?;
        let app = Arc::new(App {
            host,
            gate,
            metrics,
            draining,
            body_time: options.body_time,
            large_bodies: Semaphore::new(LARGE_BODIES_MAX),
            public_url: options.public_url.as_ref().map(|url| url.trim_end_matches('/').to_string()),
            scheme,
        });
        let serving = Serving { app, tls, options, stopped, drain };
        runtime.spawn(async move {
            serving.run(listener).await;
            // Nobody may wait for it.
            let _ = end.send(true);
        });
        Ok(Server { address, url, token, stop, runtime: Mutex::new(Some(runtime)), ended })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How others reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token that was made for this run, where there are no keys.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Begins to end: workers are told to drain, nothing is claimed, long polls end.
    pub fn drain(&self) {
        self.stop.send_if_modified(|stop| raise(stop, Stop::Drain));
    }

    /// Ends without telling workers, but answers the requests that are under way.
    pub fn stop(&self) {
        self.stop.send_if_modified(|stop| raise(stop, Stop::Now));
    }

    /// Waits until the server has ended. SIGTERM or SIGINT drains it, a second one stops it.
    pub fn run_until_signalled(&self) -> Result<(), Error> {
        let Some(handle) = self.handle() else { return Ok(()) };
        let mut ended = self.ended.clone();
        handle.block_on(async {
            let mut signals = Signals::new()
                .map_err(|cause| Error::new(Code::Unavailable, format!("signals cannot be listened to: {cause}")))?;
            for act in [Server::drain, Server::stop] {
                tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => return Ok(()),
                    () = signals.next() => act(self),
                }
            }
            // An error means that it has ended.
            let _ = ended.wait_for(|ended| *ended).await;
            Ok(())
        })
    }

    fn handle(&self) -> Option<tokio::runtime::Handle> {
        self.lock().as_ref().map(|runtime| runtime.handle().clone())
    }

    /// Drains, waits until it has ended, and lets go of the port. Idempotent.
    pub fn close(&self) {
        self.drain();
        if let Some(handle) = self.handle() {
            let mut ended = self.ended.clone();
            // An error means that it has ended.
            let _ = handle.block_on(async { ended.wait_for(|ended| *ended).await.map(|ended| *ended) });
        }
        if let Some(runtime) = self.lock().take() {
            runtime.shutdown_timeout(FINISH_TIME);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        self.close();
    }
}

/// What asks a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn raise(stop: &mut Stop, to: Stop) -> bool {
    let higher = *stop < to;
    *stop = to.max(*stop);
    higher
}

/// Listens at the first address that the text names, with room for many that connect at once.
fn listen(listen: &str) -> Result<TcpListener, Error> {
    let address = listen.to_socket_addrs().map_err(|cause| cannot(listen, &cause))?.next();
    let address = address.ok_or_else(|| cannot(listen, &std::io::ErrorKind::AddrNotAvailable.into()))?;
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that is started again need not wait for the connections of the one before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|cause| cannot(listen, &cause))
}

fn cannot(listen: &str, cause: &std::io::Error) -> Error {
    let text = format!("address \"{listen}\" cannot be listened on: {cause}; allowed: such as 127.0.0.1:8383");
    Error::new(Code::InvalidArgument, text)
}

/// How callers prove who they are: without keys nobody from elsewhere can come in.
fn doors(host: &Host, options: &ServeOptions, address: SocketAddr) -> Result<Doors, Error> {
    let loopback = address.ip().is_loopback();
    let refused = |text: &str| Err(Error::new(Code::InvalidArgument, format!("address {address} {text}")));
    match (options.no_auth, host.has_keys()?) {
        (true, _) if !loopback => refused("is open to other machines; --no-auth is for loopback addresses only"),
        (true, _) => Ok(Doors::Open),
        (false, true) => Ok(Doors::Keys(None)),
        (false, false) if !loopback => {
            refused("is open to other machines, and there are no keys; 'errand keys bootstrap' makes the first")
        }
        (false, false) => Ok(Doors::Keys(Some(crate::api::new_secret()))),
    }
}

/// The host of a URL, without its port.
fn host_of(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    uri.host().map(|host| host.trim_matches(['[', ']']).to_string())
}

/// Lets this process have as many connections as it is allowed to.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is not allowed, fewer connections are served.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn runtime() -> Result<Runtime, Error> {
    let few = |cause| Error::new(Code::Unavailable, format!("server cannot start: {cause}"));
    spare_descriptors(FILES).map_err(few)?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("errand-http")
        .enable_all()
        .build();
    built.map_err(|cause| Error::new(Code::Unavailable, format!("threads of the server cannot be started: {cause}")))
}

/// The server's side.
struct Serving {
    app: Shared,
    tls: Option<TlsAcceptor>,
    options: ServeOptions,
    stopped: watch::Receiver<Stop>,
    drain: watch::Sender<bool>,
}

impl Serving {
    async fn run(self, listener: TcpListener) {
        let graceful = Arc::new(GracefulShutdown::new());
        let (finish, finishing) = watch::channel(false);
        let routes = routes(self.app.clone());
        let connections = Connections::new(self.app.clone(), routes, &self.options, self.tls.clone(), finishing);
        let connections = Arc::new(connections);
        let mut stopped = self.stopped.clone();
        tokio::select! {
            () = accept(&listener, &connections, &graceful) => {}
            _ = stopped.wait_for(|stop| *stop != Stop::No) => {}
        }
        self.begin_drain();
        tokio::select! {
            () = accept(&listener, &connections, &graceful) => {}
            _ = stopped.wait_for(|stop| *stop == Stop::Now) => {}
            () = sleep(self.options.drain_time) => {}
            () = self.nobody() => {}
        }
        drop(listener);
        // Whoever is connected and has not said anything is not waited for.
        let _ = finish.send(true);
        if let Some(graceful) = Arc::into_inner(graceful)
            && timeout(FINISH_TIME, graceful.shutdown()).await.is_err()
        {
            tracing::warn!("requests were still under way when the server ended");
        }
        self.app.host.close();
        tracing::info!("server has ended");
    }

    fn begin_drain(&self) {
        tracing::info!(connections = self.app.metrics.connections(), "server drains");
        self.app.host.drain();
        // The app holds a receiver.
        let _ = self.drain.send(true);
    }

    async fn nobody(&self) {
        while self.app.metrics.connections() > 0 {
            sleep(DRAIN_LOOK).await;
        }
    }
}
