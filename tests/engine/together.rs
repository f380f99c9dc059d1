//! Many callers at once.

use crate::support::{Store, at, get};
use errand::value::Value;

#[test]
fn many_large_batches_at_once_are_all_stored() {
    let store = Store::new();
    let client = store.open();
    let jobs = "{} ".repeat(1500);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| get(&*client, "jobs.batches.create", &format!("{{:job-type \"t\" :jobs [{jobs}]}}")));
        }
    });
    assert_eq!(at(&get(&*client, "jobs.stats", "{}"), &["total"]), &Value::Int(24 * 1500));
}
