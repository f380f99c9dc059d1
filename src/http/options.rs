//! How a server is run: its options, their defaults, and their names in a program.
//! It does not know the flags of the command line.

use super::tls::TlsFiles;
use crate::api::{Args, Code, Error, Field, Kind, Names};
use crate::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How a server is run.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    pub tls: Option<TlsFiles>,
    /// Any token, and none, opens every workspace: on loopback only.
    pub no_auth: bool,
    /// How others reach the server, where it stands behind a proxy.
    pub public_url: Option<String>,
    /// How long a request's head may take to come, and a connection may idle.
    pub head_time: Duration,
    /// How long a request's body may pause.
    pub body_time: Duration,
    /// How long workers are told to drain before the server ends, while any are connected.
    pub drain_time: Duration,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            listen: "127.0.0.1:8383".into(),
            tls: None,
            no_auth: false,
            public_url: None,
            head_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(6),
        }
    }
}

const fn option(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: false, doc }
}

const PATH: Kind = Kind::Text(4096);

/// The options of a server in a program, by name.
static OPTIONS: [Field; 6] = [
    option("listen", Kind::Text(256), "address and port; port 0 takes a free one"),
    option("tls-cert", PATH, "file with the certificate chain, in PEM"),
    option("tls-key", PATH, "file with its private key, in PEM"),
    option("no-auth?", Kind::Bool, "let in any token and none, on loopback addresses only"),
    option("public-url", PATH, "how others reach the server, where it stands behind a proxy"),
    option("drain-time", Kind::Millis(0, 3_600_000), "how long connected workers are told to drain"),
];

impl ServeOptions {
    /// Reads `{:listen :tls-cert :tls-key :no-auth? :public-url :drain-time}`; what is absent is as in `default`.
    pub fn from_value(options: &Value) -> Result<ServeOptions, Error> {
        let args = Args::of("options", &OPTIONS, options, Names::Clojure)?;
        let default = ServeOptions::default();
        let path = |name| args.maybe_text(name).map(PathBuf::from);
        let tls = match (path("tls-cert"), path("tls-key")) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => {
                let text = "one of :tls-cert and :tls-key is missing; both are needed";
                return Err(Error::new(Code::InvalidArgument, text));
            }
        };
        Ok(ServeOptions {
            listen: args.maybe_string("listen").unwrap_or(default.listen),
            tls,
            no_auth: args.flag("no-auth?").unwrap_or(false),
            public_url: args.maybe_string("public-url"),
            drain_time: args.int("drain-time").map_or(default.drain_time, |ms| Duration::from_millis(ms as u64)),
            ..default
        })
    }
}
