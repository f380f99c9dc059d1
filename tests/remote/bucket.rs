//! Files in a real bucket, where `ERRAND_S3=s3://bucket/prefix` names one (and the `AWS_…` variables how to reach it);
//! else only what is said of buckets that are not there.

use super::plane::Plane;
use crate::program::{Place, eventually};
use crate::support::{ask, get, text};
use errand::api::{Client, Code, Error, NewFile};
use std::io::Cursor;

fn put(client: &dyn Client, bytes: Vec<u8>) -> Result<String, Error> {
    let new = NewFile { filename: "a.bin".into(), ..NewFile::default() };
    let stored = client.files()?.put(new, &mut Cursor::new(bytes))?;
    Ok(text(&stored, &["uri"]).to_owned())
}

fn read(client: &dyn Client, uri: &str) -> Vec<u8> {
    let mut reader = client.files().unwrap().get(uri).unwrap();
    let mut all = Vec::new();
    loop {
        match reader.chunk().unwrap() {
            part if part.is_empty() => return all,
            part => all.extend(part),
        }
    }
}

#[test]
fn files_live_in_a_bucket_and_go_with_their_resources() {
    let Ok(url) = std::env::var("ERRAND_S3") else { return };
    let run = uuid::Uuid::new_v4();
    let plane = |name: &str| Plane::with(Place::new(), &["--no-auth", "--resources", &format!("{url}/{run}/{name}")]);
    let (one, other) = (plane("one"), plane("other"));
    let client = one.client();
    let large: Vec<u8> = (0..30_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let uri = put(&*client, large.clone()).unwrap();
    assert!(read(&*client, &uri) == large, "it reads back as it was");
    // The same bytes under another prefix are another store's.
    let theirs = put(&*other.client(), large.clone()).unwrap();
    get(&*client, "resources.delete", &format!("{{:uri {uri:?}}}"));
    get(&*client, "jobs.prune", "{}");
    assert_eq!(ask(&*client, "resources.get", &format!("{{:uri {uri:?}}}")).unwrap_err().code, Code::NotFound);
    assert!(read(&*other.client(), &theirs) == large);
    eventually("what is uploaded after that is found", || put(&*client, b"again".to_vec()).is_ok());

    // A place belongs to the store that came first.
    let second = plane("one");
    let error = put(&*second.client(), b"x".to_vec()).unwrap_err();
    assert_eq!(error.code, Code::Refused);
    assert!(error.message.contains("belongs to another store"), "{error}");
    let bucket = url.strip_prefix("s3://").unwrap().split('/').next().unwrap();
    let missing = Plane::with(Place::new(), &["--no-auth", "--resources", &format!("s3://{bucket}-that-is-not-there")]);
    let error = missing.client().files().unwrap();
    let new = NewFile { filename: "a".into(), ..NewFile::default() };
    let error = error.put(new, &mut Cursor::new("x")).unwrap_err();
    assert!(error.message.contains("does not exist"), "{error}");
}

#[test]
fn a_bucket_that_cannot_be_reached_is_unavailable_and_does_not_stop_the_jobs() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Place::new();
    let mut command = place.errand(&["jobs", "worker", "run", "--type", "t", "--once", "--handler"]);
    let handler = place.script("h.sh", "echo x > a; errand jobs worker attach-file --file a > said || exit 0");
    place.create(&[]);
    let host = errand::api::open(
        &place.store(),
        errand::api::OpenOptions { resources: Some("s3://none/x".into()), ..Default::default() },
    );
    drop(host.unwrap());
    command.arg(handler).env("AWS_ENDPOINT_URL", format!("http://{nobody}")).env("AWS_ALLOW_HTTP", "true");
    for (name, value) in [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")] {
        command.env(name, value);
    }
    crate::program::succeeded(command);
    let said = std::fs::read_to_string(place.path("said")).unwrap();
    assert!(said.contains(r#"bucket \"s3://none/x\" cannot be reached"#), "{said}");
}
