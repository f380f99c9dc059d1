//! That a step of pruning is bounded, whatever it removes, and leaves what another step needs.

use super::*;
use crate::engine::{NewJob, RandomIds, Submit};
use crate::store::{Patience, Resource, Sqlite, SqliteOptions, Store};

fn store(folder: &tempfile::TempDir) -> Sqlite {
    let options = SqliteOptions { durable: false, create: true, busy_timeout: Duration::from_secs(30), vfs: None };
    Sqlite::open(&folder.path().join("jobs.db"), options).expect("it opens")
}

#[test]
fn a_type_of_which_there_is_still_a_batch_is_not_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder);
    let mut tx = store.writer().expect("a writer");
    tx.begin(Patience::Full).expect("a transaction");
    let (mut seen, now) = (Default::default(), Now { wall_ms: 1, store_ms: 1 });
    let mut work = Work { tx: &mut *tx, now, ids: &RandomIds, news: Default::default(), seen: &mut seen };
    let submit = Submit { workspace: "w".into(), job_type: "t".into(), ..Submit::default() };
    let jobs: Vec<NewJob> = (0..limits::PRUNE_JOBS).map(|_| NewJob::default()).collect();
    let batch = work.create_batch(&submit, None, &jobs).expect("a batch").batch;
    work.cancel_batch("w", &batch.batch_id, None).expect("it was queued");
    let types = |work: &mut Work| {
        work.news.flush(work.tx).expect("counts are written");
        work.tx.delete_empty_type(("w", "t")).expect("it is tried");
        (work.tx.job_types().expect("types").len(), work.tx.empty_types().expect("types").len())
    };
    assert_eq!(types(&mut work), (1, 0));
    let step = work.prune(("w", "t"), 1).expect("a step");
    assert_eq!((step.jobs, step.batches, types(&mut work)), (limits::PRUNE_JOBS, 0, (1, 0)), "its batch is left");
    assert_eq!(work.prune(("w", "t"), 1).expect("a step").batches, 1);
    assert_eq!(work.tx.empty_types().expect("types").len(), 1);
    assert_eq!(types(&mut work), (0, 0));
}

#[test]
fn one_step_lets_go_of_so_many_resources_whether_of_one_job_or_of_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder);
    let mut tx = store.writer().expect("a writer");
    tx.begin(Patience::Full).expect("a transaction");
    let (mut seen, now) = (Default::default(), Now { wall_ms: 1, store_ms: 1 });
    let mut work = Work { tx: &mut *tx, now, ids: &RandomIds, news: Default::default(), seen: &mut seen };
    let submit = Submit { workspace: "w".into(), job_type: "t".into(), ..Submit::default() };
    let (jobs, each) = (4, STEP_RESOURCES as i64 / 2);
    for _ in 0..jobs {
        let job = work.create(&submit, &NewJob::default()).expect("a job").job;
        for n in 0..each {
            let id = format!("{}-{n}", job.job_id);
            let resource =
                Resource { workspace_id: "w".into(), kind: "kv".into(), id, job_seq: Some(1), ..Resource::default() };
            let seq = work.tx.insert_resource(&resource).expect("a resource");
            let own = work.job("w", &job.job_id).expect("the job").seq;
            work.tx.insert_ref(own, seq).expect("a reference");
        }
        work.cancel("w", &job.job_id, None).expect("it was queued");
    }
    let (mut removed, mut steps) = (0, 0);
    loop {
        let step = work.prune(("w", "t"), 1).expect("a step");
        assert!(step.resources <= STEP_RESOURCES as i64, "{step:?}");
        (removed, steps) = (removed + step.resources, steps + 1);
        if !step.more {
            break;
        }
    }
    assert_eq!((removed, steps), (jobs * each, 2));
}
