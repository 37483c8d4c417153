//! What well-behaved clients rely on.

use std::thread;
use std::time::Duration;

use mockingbird::http::Limits;

use crate::client::{Client, get};
use crate::site::{Site, body};

#[test]
fn requests_are_answered_on_one_connection_one_after_another() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    for _ in 0..3 {
        let response = client.get("/hello");
        assert_eq!((response.status, response.text()), (200, "hello\n"));
        assert_eq!(response.header("content-length"), Some("6"));
        assert_eq!(response.header("connection"), None);
        assert_eq!(client.get("/nothing").status, 204);
    }
    assert_eq!(server.stats().requests.get(), 6);
    assert_eq!(server.stats().connections_accepted.get(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    let mut requests = String::new();
    for i in 0..200 {
        let text = format!("number {i}");
        let (frame, body) = if i % 2 == 0 {
            (format!("Content-Length: {}", text.len()), text)
        } else {
            let chunks = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
            ("Transfer-Encoding: chunked".to_owned(), chunks)
        };
        // An empty line after a body is an old mistake that is overlooked.
        let start = ["", "\r\n"][i % 2].to_owned() + "POST /echo HTTP/1.1\r\nHost: x\r\n";
        requests = requests + &start + &frame + "\r\n\r\n" + &body;
    }
    client.send(requests);
    for i in 0..200 {
        let response = client.response().unwrap();
        assert_eq!(response.text(), format!("number {i}"));
    }
}

#[test]
fn requests_may_arrive_byte_by_byte() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.stream.set_nodelay(true).unwrap();
    let request = "\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(client.response().unwrap().text(), "hello");
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn connections_end_when_either_side_says_so() {
    let server = Site::default().serve(Limits::default());
    for (request, kept) in [
        (
            "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            None,
        ),
        ("GET /hello HTTP/1.0\r\n\r\n", None),
        ("GET /close HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (
            "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            Some("keep-alive"),
        ),
    ] {
        let mut client = Client::connect(server.local_addr());
        // What follows a closing request is not looked at, and doesn't destroy its response.
        client.send(format!("{request}{request}"));
        let response = client.response().unwrap();
        assert_eq!(response.status, 200, "{request}");
        assert_eq!(response.header("connection"), Some(kept.unwrap_or("close")));
        match kept {
            Some(_) => assert_eq!(client.response().unwrap().status, 200),
            None => client.expect_end(),
        }
    }
}

#[test]
fn a_client_may_stop_sending_before_it_reads() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send(get("/stream?bytes=100000&piece=3000"));
    client.finish_sending();
    assert_eq!(client.response().unwrap().body, body(100_000));
    client.expect_end();
}

#[test]
fn head_gets_the_headers_of_get() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    for path in [
        "/hello",
        "/stream?bytes=100000&piece=10000",
        "/wants",
        "/unknown",
    ] {
        client.send(get(path));
        let of_get = client.response().unwrap();
        client.send(get(path).replacen("GET", "HEAD", 1));
        let of_head = client.response_head().unwrap();
        assert_eq!(of_get.head, of_head.head);
    }
    assert_eq!(client.get("/hello").text(), "hello\n");
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    let server = Site::default().serve(Limits::default());
    for (bytes, piece) in [
        (0, 1),
        (1, 1),
        (10_000, 1),
        (100_000, 4097),
        (3_000_000, 1_000_000),
    ] {
        let path = format!("/stream?bytes={bytes}&piece={piece}");
        let mut client = Client::connect(server.local_addr());
        let response = client.get(&path);
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.body, body(bytes), "{path}");
        assert_eq!(client.get("/hello").status, 200);

        let mut client = Client::connect(server.local_addr());
        client.send(format!(
            "GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let response = client.response().unwrap();
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.body, body(bytes), "{path}");
    }
}

#[test]
fn small_writes_are_gathered_into_one_chunk() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send("GET /stream?bytes=20&piece=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    client.response_head().unwrap();
    let mut expected = b"14\r\n".to_vec();
    expected.extend(body(20));
    expected.extend(b"\r\n0\r\n\r\n");
    assert_eq!(client.rest().unwrap(), expected);
}

#[test]
fn a_flush_reaches_the_client_before_the_end() {
    let site = Site::default();
    let server = site.serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send(get("/stream/wait?bytes=3&piece=3"));
    client.response_head().unwrap();
    assert_eq!(client.until(b"\r\n").unwrap(), b"3\r\n");
    assert_eq!(client.take(5).unwrap()[..3], body(3));
    site.open();
    assert_eq!(client.until(b"\r\n\r\n").unwrap(), b"0\r\n\r\n");
}

#[test]
fn large_bodies_arrive_whole_at_many_clients_at_once() {
    let server = Site::default().serve(Limits::default());
    let addr = server.local_addr();
    let expected = crc32fast::hash(&body(8 << 20));
    thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                let mut client = Client::connect(addr);
                let pieces = [5000, 65_536, 1 << 20, 8 << 20];
                let piece = pieces[i % 4];
                let streamed = client.get(&format!("/stream?bytes={}&piece={piece}", 8 << 20));
                assert_eq!(crc32fast::hash(&streamed.body), expected);
                assert_eq!(crc32fast::hash(&client.get("/big").body), expected);
            });
        }
    });
}

#[test]
fn expectations_are_met_before_the_body_is_sent() {
    let server = Site::default().serve(Limits::default());
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
    let mut client = Client::connect(server.local_addr());
    client.send(format!("{head}Content-Length: 5\r\n\r\n"));
    assert_eq!(
        client.response_head().unwrap().head,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("hello");
    assert_eq!(client.response().unwrap().text(), "hello");
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(client.response_head().unwrap().status, 100);
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().unwrap().text(), "hello");
    // Not waited for, no body, or one that isn't wanted: no 100.
    client.send(format!("{head}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(client.response().unwrap().text(), "hello");
    client.send(format!("{head}\r\n"));
    assert_eq!(client.response().unwrap().text(), "");
    client.send(format!("{head}Content-Length: 1000000\r\n\r\n"));
    assert_eq!(client.response().unwrap().status, 413);
    client.expect_end();
}

#[test]
fn helpers_say_what_went_wrong() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    let response = client.get("/unknown");
    assert_eq!((response.status, response.text()), (404, "not found\n"));
    client.send("POST /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = client.response().unwrap();
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn handlers_see_headers_and_addresses() {
    let server = Site::default().serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send("GET http://b:1/headers HTTP/1.1\r\nHost: a\r\nX-Test: 1\r\nx-test:  2 \r\n\r\n");
    let expected = format!("b:1 {} [\"1\", \"2\"]", server.local_addr());
    assert_eq!(client.response().unwrap().text(), expected);
}

#[test]
fn a_taken_port_is_an_error() {
    let server = Site::default().serve(Limits::default());
    let second =
        mockingbird::http::Server::bind(server.local_addr(), Limits::default(), Site::default());
    let error = second.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
