//! What Java is thrown where an entry cannot answer at all: an `OutOfMemoryError` where the heap has no room for the
//! array, as the JVM would throw it, and else what `jni` throws. It does not know the entries.

use jni::Env;
use jni::errors::{Error, ErrorPolicy, JniError, Result, ThrowRuntimeExAndDefault};
use jni::jni_str;
use std::any::Any;

/// The policy of every entry.
pub struct Thrown;

impl<T: Default> ErrorPolicy<T, Error> for Thrown {
    type Captures<'e: 'n, 'n> = ();

    fn on_error<'e: 'n, 'n>(env: &mut Env<'e>, captures: &mut (), error: Error) -> Result<T> {
        if matches!(error, Error::JniCall(JniError::NoMemory)) && !env.exception_check() {
            // It gives an error once it has thrown.
            let _ = env.throw_new(
                jni_str!("java/lang/OutOfMemoryError"),
                jni_str!("Java heap space: no room for what crosses the boundary"),
            );
            return Ok(T::default());
        }
        ThrowRuntimeExAndDefault::on_error(env, captures, error)
    }

    fn on_panic<'e: 'n, 'n>(env: &mut Env<'e>, captures: &mut (), panic: Box<dyn Any + Send + 'static>) -> Result<T> {
        <ThrowRuntimeExAndDefault as ErrorPolicy<T, Error>>::on_panic(env, captures, panic)
    }
}
