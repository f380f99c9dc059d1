//! What a client says when there is no control plane at its address.

use crate::program::{Place, json};
use crate::support::ask;
use errand::api::{Client, Code, Error, RemoteOptions};
use errand::http;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

fn client(url: &str) -> Arc<dyn Client> {
    http::connect(url, RemoteOptions { retry_for_ms: Some(200), ..RemoteOptions::default() }).unwrap()
}

fn refusal(url: &str) -> Error {
    ask(&*client(url), "jobs.list", "{}").expect_err("there is no control plane")
}

/// A server that gives every request this answer, head and body.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// What a client says first that wants TLS.
const TLS_HELLO: u8 = 22;

/// The head of a request; nothing where it is none.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
        if byte == [TLS_HELLO] && head.len() == 1 {
            return String::new();
        }
    }
    String::from_utf8(head).unwrap()
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn an_address_where_nobody_listens_is_unavailable_and_named() {
    let url = nobody();
    let error = refusal(&url);
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.starts_with(&format!("control plane \"{url}\" cannot be reached: ")), "{error}");
    assert!(error.message.contains("refused"), "{error}");
}

#[test]
fn another_server_is_said_to_be_no_control_plane() {
    let page = answering("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>");
    let error = refusal(&page);
    let message = format!("\"{page}\" is not a control plane of Errand: HTTP 404 with text/html");
    assert_eq!((error.code, error.message), (Code::Unavailable, message));
    let elsewhere = answering("HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n");
    assert!(refusal(&elsewhere).message.contains("sends us on to \"https://x/\""));
    let noise = answering("SSH-2.0-OpenSSH_9.6\r\n");
    assert_eq!(refusal(&noise).code, Code::Unavailable);
}

#[test]
fn a_server_without_tls_is_told_apart_from_one_that_is_not_there() {
    let plain = answering("HTTP/1.1 400 Bad Request\r\n\r\n").replace("http://", "https://");
    let error = refusal(&plain);
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("cannot be reached"), "{error}");
}

#[test]
fn a_mistake_in_the_arguments_is_told_without_asking_anybody() {
    let client = client(&nobody());
    let error = ask(&*client, "jobs.create", "{:job-type \"\"}").expect_err("it is empty");
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.starts_with(":job-type is"), "{error}");
}

#[test]
fn a_call_that_is_forgotten_ends_its_request_and_tells_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let (tell, told) = std::sync::mpsc::channel();
    let command = errand::api::command("jobs.list").unwrap();
    let args = errand::value::Value::Map(Vec::new());
    let call = errand::api::Call { command, args, names: errand::api::Names::Clojure };
    let errand::api::Answer::Later(pending) = client.call(call, Box::new(move |reply| drop(tell.send(reply)))) else {
        panic!("a remote call is answered later")
    };
    let (mut stream, _) = listener.accept().unwrap();
    let head = read_head(&mut stream).to_lowercase();
    assert!(head.starts_with("post /api/commands http/1.1"), "{head}");
    assert!(head.contains("x-breyta-operation-attempt: 1"), "{head}");
    pending.forget();
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(stream.read_to_end(&mut rest).is_ok(), "the connection is closed");
    assert!(told.recv().is_err(), "nobody is told");
}

#[test]
fn closing_ends_the_calls_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let waiting = {
        let client = Arc::clone(&client);
        thread::spawn(move || ask(&*client, "jobs.await", "{:job-id \"x\" :timeout-ms 60000}"))
    };
    let (stream, _) = listener.accept().unwrap();
    client.close();
    assert_eq!(waiting.join().unwrap().expect_err("it is closed").code, Code::Closed);
    assert_eq!(ask(&*client, "jobs.list", "{}").expect_err("it is closed").code, Code::Closed);
    drop(stream);
}

#[test]
fn a_lost_answer_is_asked_for_again_as_the_same_operation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let asking = thread::spawn(move || ask(&*client, "jobs.create", "{:job-type \"t\"}"));
    let operation = |head: &str, name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name)).expect("the header is there");
        line.split_once(": ").expect("a header has a value").1.to_owned()
    };
    let (mut first, _) = listener.accept().unwrap();
    let lost = read_head(&mut first);
    drop(first);
    let (mut second, _) = listener.accept().unwrap();
    let again = read_head(&mut second);
    let id = "x-breyta-operation-id";
    assert_eq!(operation(&lost, id), operation(&again, id));
    assert_eq!(operation(&again, "x-breyta-operation-attempt"), "2");
    let body = "{:ok true :workspace-id \"default\" :data {:job {:job-id \"j\"}}}";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/edn\r\nContent-Length: {}\r\n\r\n", body.len());
    second.write_all(head.as_bytes()).unwrap();
    second.write_all(body.as_bytes()).unwrap();
    assert!(asking.join().unwrap().is_ok());
}

#[test]
fn the_command_line_says_so_soon_and_with_its_status() {
    let place = Place::new();
    let begun = Instant::now();
    let output = place.bare().args(["jobs", "list", "--api", &nobody()]).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(json(&output.stdout)["error"]["code"], "unavailable");
    assert!(begun.elapsed() < Duration::from_secs(30));
}
