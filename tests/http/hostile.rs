//! What clients do by mistake or on purpose, and what it must not lead to.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use mockingbird::http::{Limits, Server};
use proptest::prelude::*;

use crate::client::{Client, eventually, get};
use crate::site::Site;

const SHORT: Duration = Duration::from_millis(300);

/// The server still does its work, and holds on to nobody.
fn assert_healthy(server: &Server) {
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/hello").text(), "hello\n");
    drop(client);
    eventually("all connections end", || server.connections() == 0);
}

#[test]
fn bad_requests_are_refused_and_the_connection_closed() {
    let server = Site::default().serve(Limits::default());
    let mut count = 0;
    for (bytes, expected) in [
        ("\r\n\r\n", 400),
        ("GET /hello\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\nHost: x\n\n", 400),
        ("GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\u{2}\0", 400),
        ("GET /hello HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET /\u{1} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000000000000\r\n\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000000000\r\n\r\n",
            413,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5,5\r\n\r\nhello",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n",
            413,
        ),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
    ] {
        let mut client = Client::connect(server.local_addr());
        // More input than the server reads; it must not turn the answer into a reset.
        client.send(bytes.to_owned() + &"x".repeat(200_000));
        let response = client.response().unwrap();
        assert_eq!(response.status, expected, "{bytes:?}");
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        client.expect_end();
        count += 1;
    }
    assert_eq!(server.stats().requests_bad.get(), count);
    assert_eq!(server.stats().requests.get(), 0);
    assert_healthy(&server);
}

#[test]
fn heads_and_bodies_up_to_the_limit_are_taken() {
    let limits = Limits {
        head_bytes_max: 1000,
        body_bytes_max: 100,
        ..Limits::default()
    };
    let server = Site::default().serve(limits);
    let frame = "POST /echo HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n".len();
    for (head, status) in [(1000, 200), (1001, 431), (100_000, 431)] {
        let mut client = Client::connect(server.local_addr());
        let filling = "x".repeat(head - frame);
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nX: {filling}\r\n\r\n"
        ));
        assert_eq!(client.response().unwrap().status, status, "{head}");
    }
    for (bytes, status) in [(100, 200), (101, 413)] {
        let filling = "x".repeat(bytes);
        for request in [
            format!("Content-Length: {bytes}\r\n\r\n{filling}"),
            format!("Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{filling}\r\n0\r\n\r\n"),
            format!(
                "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
                bytes - 1,
                &filling[1..]
            ),
        ] {
            let mut client = Client::connect(server.local_addr());
            client.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{request}"));
            assert_eq!(client.response().unwrap().status, status, "{request}");
        }
    }
    assert_healthy(&server);
}

#[test]
fn slow_writers_are_cut_off_at_an_absolute_deadline() {
    let limits = Limits {
        read_timeout: SHORT,
        ..Limits::default()
    };
    let server = Site::default().serve(limits);
    for start in [
        "",
        "GET /hello HTTP/1.1\r\nA: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(start);
        // Every byte comes well before any time-out that begins anew with each byte.
        let mut stream = client.stream.try_clone().unwrap();
        let dripping = thread::spawn(move || {
            while stream.write_all(b"x").is_ok() {
                thread::sleep(SHORT / 10);
            }
        });
        assert_eq!(client.response().unwrap().status, 408, "{start:?}");
        client.stream.shutdown(Shutdown::Both).unwrap();
        dripping.join().unwrap();
    }
    assert_eq!(server.stats().requests_bad.get(), 4);
    assert_healthy(&server);
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let limits = Limits {
        idle_timeout: SHORT,
        ..Limits::default()
    };
    let server = Site::default().serve(limits);
    let mut silent = Client::connect(server.local_addr());
    let mut used = Client::connect(server.local_addr());
    let mut blank = Client::connect(server.local_addr());
    used.get("/hello");
    blank.send("\r\n");
    silent.expect_end();
    used.expect_end();
    blank.expect_gone(); // its empty line was never used
    assert_eq!(server.stats().requests_bad.get(), 0);
    assert_healthy(&server);
}

#[test]
fn slow_readers_lose_their_connection_at_the_write_deadline() {
    let limits = Limits {
        write_deadline: SHORT,
        ..Limits::default()
    };
    let site = Site::default();
    let server = site.serve(limits);
    for request in [
        get("/stream?bytes=40000000&piece=40000000"),
        get("/stream?bytes=40000000&piece=10000"),
        "GET /stream?bytes=40000000&piece=65536 HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let timeouts_before = server.stats().write_timeouts.get();
        let mut client = Client::connect(server.local_addr());
        client.send(request);
        eventually("the deadline passes", || {
            // A sip now and then would keep up any time-out that begins anew with each write.
            thread::sleep(SHORT / 10);
            let _ = client.stream.read(&mut [0; 1]);
            server.stats().write_timeouts.get() > timeouts_before
        });
        eventually("the connection is gone", || server.connections() == 0);
        // What the kernel still had to send is dropped too: the rest ends with a reset.
        assert!(client.rest().is_err());
    }
    assert_eq!(site.failures(), [std::io::ErrorKind::TimedOut; 3]);
    assert_healthy(&server);
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let site = Site::default();
    let server = site.serve(Limits::default());
    for path in ["/stream?bytes=40000000&piece=100000", "/big", "/hello"] {
        let mut client = Client::connect(server.local_addr());
        client.send(get(path).repeat(3));
        // Closing with unread input resets the connection.
        client.take(1).unwrap();
        drop(client);
        let mut half = Client::connect(server.local_addr());
        half.send(&get(path)[..20]);
        drop(half);
    }
    eventually("all connections end", || server.connections() == 0);
    assert_eq!(site.failures().len(), 1);
    assert_ne!(site.failures()[0], std::io::ErrorKind::TimedOut);
    assert_healthy(&server);
}

#[test]
fn broken_bodies_never_look_complete() {
    let server = Site::default().serve(Limits::default());
    for path in ["/stream/drop", "/stream/panic", "/stream/cut"] {
        for bytes in [5000, 300_000] {
            for request in [
                get(&format!("{path}?bytes={bytes}&piece=5000")),
                format!("GET {path}?bytes={bytes}&piece=5000 HTTP/1.0\r\n\r\n"),
            ] {
                let mut client = Client::connect(server.local_addr());
                client.send(&request);
                assert!(client.response().is_err(), "{request}");
            }
        }
    }
    assert_eq!(server.stats().handler_panics.get(), 4);
    assert_healthy(&server);
}

#[test]
fn what_fails_before_anything_is_sent_is_a_500() {
    let server = Site::default().serve(Limits::default());
    for path in [
        "/panic",
        "/error",
        "/inject",
        "/stream/panic?bytes=10&piece=1",
        "/stream/drop?bytes=10&piece=1",
    ] {
        let mut client = Client::connect(server.local_addr());
        let response = client.get(path);
        assert_eq!(
            (response.status, response.text()),
            (500, "internal error\n"),
            "{path}"
        );
        client.expect_end();
    }
    let mut client = Client::connect(server.local_addr());
    client.send(get("/panic").replacen("GET", "HEAD", 1));
    assert_eq!(client.response_head().unwrap().status, 500);
    client.expect_end();
    assert_eq!(server.stats().handler_panics.get(), 4);
    assert_healthy(&server);
}

#[test]
fn what_was_written_before_a_cut_arrives() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send(get("/stream/cut?bytes=10&piece=1"));
    assert_eq!(client.response_head().unwrap().status, 200);
    assert_eq!(client.until(b"\r\n").unwrap(), b"a\r\n");
    assert_eq!(client.take(12).unwrap()[..10], crate::site::body(10));
    client.expect_end(); // without the last chunk
}

fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        Just(b"POST /echo HTTP/1.1\r\nHost: x\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"Content-Length: 5\r\n\r\n".to_vec()),
        Just(b"Expect: 100-continue\r\n".to_vec()),
        Just(b"5\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,20}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_bytes_disturb_the_server() {
    let server = Site::default().serve(Limits::default());
    proptest!(ProptestConfig::with_cases(300), |(bytes in hostile_bytes())| {
        let mut client = Client::connect(server.local_addr());
        client.send(&bytes);
        client.finish_sending();
        let answer = client.rest().unwrap();
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "));
    });
    assert_eq!(server.stats().handler_panics.get(), 0);
    assert_healthy(&server);
}
