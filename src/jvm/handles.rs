//! Open engines by number. A handle is a place in a table and the generation of that place, never a pointer, so a
//! handle that was closed, or never given, is an error. It does not know what is asked of an engine.

use super::pending::PendingCalls;
use crate::api::{Client, Code, Error};
use std::sync::{Arc, PoisonError, RwLock};

/// One open engine.
pub struct Opened {
    pub client: Arc<dyn Client>,
    pub calls: Arc<PendingCalls>,
}

struct Slot {
    generation: u32,
    opened: Option<Arc<Opened>>,
}

/// Handles to what they stand for.
pub struct Table(RwLock<Vec<Slot>>);

/// The table of this copy of the library.
pub static TABLE: Table = Table::new();

impl Table {
    const fn new() -> Table {
        Table(RwLock::new(Vec::new()))
    }

    /// Gives an engine a handle; handles are positive.
    pub fn insert(&self, client: Arc<dyn Client>) -> i64 {
        let opened = Some(Arc::new(Opened { client, calls: Arc::default() }));
        let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let free = slots.iter().position(|slot| slot.opened.is_none());
        let index = free.unwrap_or_else(|| {
            slots.push(Slot { generation: 0, opened: None });
            slots.len() - 1
        });
        let slot = &mut slots[index];
        // Kept below 2³¹, so that handles stay positive; never 0, which stands for no engine.
        slot.generation = (slot.generation % (i32::MAX as u32 - 1)) + 1;
        slot.opened = opened;
        (i64::from(slot.generation) << 32) | index as i64
    }

    /// The engine of a handle, or `closed`.
    pub fn get(&self, handle: i64) -> Result<Arc<Opened>, Error> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(index_of(handle)).filter(|slot| slot.generation == generation_of(handle));
        slot.and_then(|slot| slot.opened.clone()).ok_or_else(|| Error::new(Code::Closed, "engine is closed"))
    }

    /// Takes the engine out of the table; nothing where that was done before.
    pub fn remove(&self, handle: i64) -> Option<Arc<Opened>> {
        let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get_mut(index_of(handle)).filter(|slot| slot.generation == generation_of(handle))?;
        slot.opened.take()
    }
}

fn index_of(handle: i64) -> usize {
    (handle & i64::from(u32::MAX)) as usize
}

fn generation_of(handle: i64) -> u32 {
    (handle >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Answer, Call, Done, Place};
    use crate::value::Value;

    struct Silent(Place);

    impl Client for Silent {
        fn call(&self, _call: Call, _done: Done) -> Answer {
            Answer::Now(Ok(Value::Nil))
        }

        fn place(&self) -> &Place {
            &self.0
        }

        fn workspace(&self) -> &str {
            "default"
        }

        fn close(&self) {}
    }

    fn client() -> Arc<dyn Client> {
        Arc::new(Silent(Place::Url("http://localhost".into())))
    }

    #[test]
    fn a_stale_handle_is_closed_even_when_its_place_is_taken_again() {
        let table = Table::new();
        let first = table.insert(client());
        assert!(table.get(first).is_ok());
        assert!(table.remove(first).is_some());
        assert!(table.remove(first).is_none());
        let second = table.insert(client());
        assert_ne!(first, second);
        assert!(table.get(second).is_ok());
        assert_eq!(table.get(first).err().map(|error| error.code), Some(Code::Closed));
    }

    #[test]
    fn numbers_that_were_never_given_are_closed() {
        let table = Table::new();
        table.insert(client());
        for handle in [0, 1, -1, i64::MAX, i64::MIN, 1 << 33] {
            assert_eq!(table.get(handle).err().map(|error| error.code), Some(Code::Closed), "{handle}");
        }
    }
}
