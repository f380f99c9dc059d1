//! The functions that `errand.impl.Native` declares: bytes out of Java, the call, bytes into Java. Nothing else in
//! the crate touches JNI or is unsafe.
//!
//! Each entry copies its array once in and once out. A panic in our own code becomes an `internal` reply; a failure
//! of JNI itself (no memory for an array) is thrown as a Java exception. `null` means that the ticket will be told.

use super::describe::describe;
use super::events::QUEUE;
use super::handles::{Opened, TABLE};
use super::request::{guarded, read, reply_bytes};
use super::servers;
use super::thrown::Thrown;
use crate::api::trip::{self, wire, wire_outside};
use crate::api::{
    self, COMMANDS, Call, Client, Code, Error, EventSink, Names, OpenOptions, Place, RemoteOptions, Reply,
};
use crate::http;
use crate::value::{MapBuilder, Value};
use jni::objects::{JByteArray, JClass};
use jni::sys::{JNI_VERSION_1_8, jboolean, jint, jlong};
use jni::{Env, EnvUnowned};
use std::cell::RefCell;
use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// What the last probe of this thread held.
    static PROBED: RefCell<Reply> = const { RefCell::new(Ok(Value::Nil)) };
}

/// How long a call may stay here for its commit: many times what one takes, and little enough for an interrupt, which
/// is heeded afterwards. Awaits never stay.
const PATIENCE: Duration = Duration::from_millis(10);

/// The ticket of events that belong to no engine.
const NO_TICKET: i64 = 0;

/// Called once by the JVM: from here on a panic is an event and not a text on the host's standard error.
#[unsafe(no_mangle)]
pub extern "system" fn JNI_OnLoad(_vm: *mut jni::sys::JavaVM, _reserved: *mut c_void) -> jint {
    trip::arm();
    std::panic::set_hook(Box::new(|panic| {
        let (message, place) = api::panicked(panic);
        let event = MapBuilder::new().put("event", "panic").put("message", message).put("at", place).build();
        QUEUE.push(NO_TICKET, Ok(event));
    }));
    JNI_VERSION_1_8
}

/// `byte[] describe0()`
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_describe0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
) -> JByteArray<'l> {
    answer(&mut env, "describe0", |_| Ok(Some(inside("describe0", || Ok(describe())))))
}

/// `byte[] probe0(byte[] message)`: keeps the value of a message; `null` gives the kept value back. An empty array does
/// nothing. It measures the boundary by itself.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_probe0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    message: JByteArray<'l>,
) -> JByteArray<'l> {
    let outcome = env.with_env(|env| -> jni::errors::Result<JByteArray<'l>> {
        wire_outside("probe0");
        if message.is_null() {
            return env.byte_array_from_slice(&PROBED.with_borrow(reply_bytes));
        }
        if message.len(env)? > 0 {
            let message = env.convert_byte_array(&message)?;
            PROBED.set(inside("probe0", || read(&message)));
        }
        Ok(JByteArray::null())
    });
    outcome.resolve::<Thrown>()
}

/// `byte[] open0(byte[] options, long ticket)`: `options` holds `:path` besides those of `OpenOptions`, or the address
/// of a control plane there and those of `RemoteOptions`; the reply is `{:handle :place :workspace}`. Background events
/// bear the negated ticket.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_open0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    options: JByteArray<'l>,
    ticket: jlong,
) -> JByteArray<'l> {
    answer(&mut env, "open0", |env| {
        let options = env.convert_byte_array(&options)?;
        Ok(inside("open0", || start_open(&options, ticket)).err().map(Err))
    })
}

/// `byte[] call0(long handle, int command, byte[] args, int length, long ticket, boolean wait)`: the first `length` bytes
/// are the arguments; `wait` allows to wait here for a commit, for as long as `PATIENCE`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_call0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    handle: jlong,
    command: jint,
    args: JByteArray<'l>,
    length: jint,
    ticket: jlong,
    wait: jboolean,
) -> JByteArray<'l> {
    answer(&mut env, "call0", |env| {
        let args = first(env, &args, length)?;
        Ok(late(inside("call0", || call(&*TABLE.get(handle)?, command, args, ticket, patience(wait)))))
    })
}

/// `byte[] step0(long handle, byte[] id, byte[] config, int length, long ticket, boolean wait)`: as in `call0`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_step0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    handle: jlong,
    id: JByteArray<'l>,
    config: JByteArray<'l>,
    length: jint,
    ticket: jlong,
    wait: jboolean,
) -> JByteArray<'l> {
    answer(&mut env, "step0", |env| {
        let id = env.convert_byte_array(&id)?;
        let config = first(env, &config, length)?;
        Ok(late(inside("step0", || step(&*TABLE.get(handle)?, &id, config, ticket, patience(wait)))))
    })
}

/// `void forget0(long handle, long ticket)`
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_forget0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    handle: jlong,
    ticket: jlong,
) {
    let outcome = env.with_env(|_| -> jni::errors::Result<()> {
        wire_outside("forget0");
        // A closed engine has no calls under way, and a panic is in the log: there is nothing to tell the caller.
        let _ = inside("forget0", || TABLE.get(handle).map(|opened| opened.calls.forget(ticket)));
        Ok(())
    });
    outcome.resolve::<Thrown>()
}

/// `byte[] close0(long handle)`: idempotent.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_close0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    handle: jlong,
) -> JByteArray<'l> {
    answer(&mut env, "close0", |_| {
        let closed = inside("close0", || {
            if let Some(opened) = TABLE.remove(handle) {
                opened.client.close();
            }
            Ok(Value::Nil)
        });
        Ok(Some(closed))
    })
}

/// `byte[] serve0(long handle, byte[] options, long ticket)`: the reply is `{:server :url :port :token}`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_serve0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    handle: jlong,
    options: JByteArray<'l>,
    ticket: jlong,
) -> JByteArray<'l> {
    answer(&mut env, "serve0", |env| {
        let options = env.convert_byte_array(&options)?;
        Ok(inside("serve0", || servers::start(&*TABLE.get(handle)?.client, &options, ticket)).err().map(Err))
    })
}

/// `byte[] stop0(long server, long ticket)`: idempotent; the reply comes when the server has ended.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_stop0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    server: jlong,
    ticket: jlong,
) -> JByteArray<'l> {
    answer(&mut env, "stop0", |_| Ok(inside("stop0", || servers::stop(server, ticket)).err().map(Err)))
}

/// `void endEvents0()`: from now on `events0` does not wait, and may give an empty batch.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_endEvents0(_env: EnvUnowned, _class: JClass) {
    QUEUE.end();
}

/// `byte[] events0()`: waits for the next batch; its form is told at `Queue::next_batch`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_errand_impl_Native_events0<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
) -> JByteArray<'l> {
    let outcome = env.with_env(|env| -> jni::errors::Result<JByteArray<'l>> {
        wire_outside("events0");
        let batch = QUEUE.next_batch();
        let given = env.byte_array_from_slice(&batch);
        if given.is_err() {
            QUEUE.refuse(&batch);
        }
        given
    });
    outcome.resolve::<Thrown>()
}

/// The first bytes of an array.
fn first(env: &Env, array: &JByteArray, length: jint) -> jni::errors::Result<Vec<u8>> {
    if array.is_null() {
        return Err(jni::errors::Error::NullPtr("bytes of a message"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    // SAFETY: a byte is a byte, whether it has a sign or not, and the slice is gone before the vector is used again.
    let signed = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<i8>(), bytes.len()) };
    array.get_region(env, 0, signed)?;
    Ok(bytes)
}

/// Gives the reply of `work` back as an array, or `null` where there is none yet.
fn answer<'l>(
    env: &mut EnvUnowned<'l>,
    entry: &'static str,
    work: impl FnOnce(&mut Env<'l>) -> jni::errors::Result<Option<Reply>>,
) -> JByteArray<'l> {
    let outcome = env.with_env(|env| -> jni::errors::Result<JByteArray<'l>> {
        wire_outside(entry);
        match work(env)? {
            Some(reply) => env.byte_array_from_slice(&reply_bytes(&reply)),
            None => Ok(JByteArray::null()),
        }
    });
    outcome.resolve::<Thrown>()
}

/// The work of an entry in our own code: a panic of it is an `internal` error.
fn inside<T>(entry: &'static str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    guarded(|| {
        wire(entry);
        work()
    })
}

/// What could not even be asked is answered at once.
fn late(asked: Result<Option<Reply>, Error>) -> Option<Reply> {
    asked.unwrap_or_else(|error| Some(Err(error)))
}

fn patience(wait: jboolean) -> Duration {
    if wait { PATIENCE } else { Duration::ZERO }
}

/// The bytes are let go of once they are read: they may be a large batch's.
fn call(opened: &Opened, index: i32, bytes: Vec<u8>, ticket: i64, patience: Duration) -> Result<Option<Reply>, Error> {
    let command = usize::try_from(index).ok().and_then(|index| COMMANDS.get(index));
    let command = command.ok_or_else(|| Error::new(Code::InvalidArgument, format!("command {index} is unknown")))?;
    let args = read(&bytes)?;
    drop(bytes);
    let call = Call { command, args, names: Names::Clojure };
    Ok(opened.calls.start(ticket, |done| opened.client.call_within(call, patience, done)))
}

fn step(opened: &Opened, id: &[u8], bytes: Vec<u8>, ticket: i64, patience: Duration) -> Result<Option<Reply>, Error> {
    let id = read(id)?;
    let Some(id) = id.as_str() else {
        return Err(Error::new(Code::InvalidArgument, "step id is not a text"));
    };
    let config = read(&bytes)?;
    drop(bytes);
    Ok(opened.calls.start(ticket, |done| api::step_within(&*opened.client, id, config, patience, done)))
}

/// Checks the options and opens on a thread of its own, since opening may wait for other processes.
fn start_open(options: &[u8], ticket: i64) -> Result<(), Error> {
    let mut options = read(options)?;
    let path = take_path(&mut options)?;
    let open: Box<dyn FnOnce() -> Result<Arc<dyn Client>, Error> + Send> = if http::is_url(&path) {
        let options = RemoteOptions::from_value(&options)?;
        Box::new(move || http::connect(&path, options))
    } else {
        let mut options = OpenOptions::from_value(&options)?;
        let sink: EventSink = Arc::new(move |event| QUEUE.push(-ticket, Ok(event)));
        options.on_event = Some(sink);
        Box::new(move || api::open(&PathBuf::from(path), options))
    };
    let open = move || QUEUE.push(ticket, guarded(|| open().map(opened)));
    std::thread::Builder::new()
        .name("errand-open".into())
        .spawn(open)
        .map(drop)
        .map_err(|error| Error::new(Code::Unavailable, format!("engine cannot start a thread: {error}")))
}

fn opened(client: Arc<dyn Client>) -> Value {
    let place = match client.place() {
        Place::Store(path) => path.to_string_lossy().into_owned(),
        Place::Url(url) => url.clone(),
    };
    let workspace = client.workspace().to_owned();
    let handle = TABLE.insert(client);
    MapBuilder::new().put("handle", handle).put("place", place).put("workspace", workspace).build()
}

fn take_path(options: &mut Value) -> Result<String, Error> {
    let wrong = || Error::new(Code::InvalidArgument, "database is not a path").at(vec![Value::key("path")]);
    let Value::Map(entries) = options else { return Err(wrong()) };
    let at = entries.iter().position(|(key, _)| *key == Value::key("path")).ok_or_else(wrong)?;
    match entries.swap_remove(at).1 {
        Value::Str(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(wrong()),
    }
}
