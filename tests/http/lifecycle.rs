//! Many clients, full tables, and the end.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use mockingbird::http::Limits;

use crate::client::{Client, PATIENCE, eventually, get};
use crate::descriptors::with_descriptors;
use crate::site::Site;

fn limits(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        ..Limits::default()
    }
}

#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    with_descriptors(
        2500,
        "lifecycle::a_thousand_idle_connections_keep_nobody_out",
        || {
            let server = Site::default().serve(Limits::default());
            let addr = server.local_addr();
            let mut idle: Vec<Client> = (0..1000).map(|_| Client::connect(addr)).collect();
            for _ in 0..20 {
                assert_eq!(Client::connect(addr).get("/hello").status, 200);
            }
            assert_eq!(server.stats().connections_refused.get(), 0);
            assert!(server.stats().connections_evicted.get() >= 1000 - 512);
            assert!(server.connections() <= 512);
            idle[0].expect_gone();
            assert_eq!(idle[999].get("/hello").status, 200);
        },
    );
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let server = Site::default().serve(limits(2));
    let mut first = Client::connect(server.local_addr());
    let mut second = Client::connect(server.local_addr());
    eventually("both are known", || server.connections() == 2);
    first.get("/hello");
    let mut third = Client::connect(server.local_addr());
    assert_eq!(third.get("/hello").status, 200);
    second.expect_gone();
    assert_eq!(first.get("/hello").status, 200);
    assert_eq!(third.get("/hello").status, 200);
    assert_eq!(server.stats().connections_evicted.get(), 1);
}

#[test]
fn when_all_are_busy_newcomers_are_told_at_once() {
    let site = Site::default();
    let server = site.serve(limits(2));
    let addr = server.local_addr();
    let mut busy: Vec<Client> = (0..2).map(|_| Client::connect(addr)).collect();
    for client in &mut busy {
        client.send(get("/wait"));
    }
    eventually("both are busy", || site.waiting() == 2);
    // One that never reads must not be in the way of the others.
    let deaf = Client::connect(addr);
    for _ in 0..10 {
        let mut client = Client::connect(addr);
        client.send(get("/hello"));
        let response = client.response().unwrap();
        assert_eq!(
            (response.status, response.text()),
            (503, "too many connections\n")
        );
        assert_eq!(response.header("connection"), Some("close"));
        client.expect_end();
    }
    assert_eq!(server.stats().connections_refused.get(), 11);
    site.open();
    for client in &mut busy {
        assert_eq!(client.response().unwrap().text(), "waited\n");
    }
    assert_eq!(Client::connect(addr).get("/hello").status, 200);
    drop(deaf);
}

#[test]
fn connections_come_and_go_without_end() {
    let server = Site::default().serve(limits(8));
    let addr = server.local_addr();
    for _ in 0..50 {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(move || assert_eq!(Client::connect(addr).get("/hello").status, 200));
            }
        });
        eventually("all connections end", || server.connections() == 0);
    }
    assert_eq!(server.stats().connections_accepted.get(), 400);
    assert_eq!(server.stats().connections_evicted.get(), 0);
}

#[test]
fn more_clients_than_places_take_turns() {
    let server = Site::default().serve(limits(2));
    let addr = server.local_addr();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                let mut client = Client::connect(addr);
                let mut answers = 0;
                while answers < 20 {
                    // Sending fails, or the answer is missing or a 503, if others were first.
                    let sent = client.stream.write_all(get("/hello").as_bytes());
                    match sent.and_then(|()| client.response()) {
                        Ok(response) if response.status == 200 => answers += 1,
                        _ => client = Client::connect(addr),
                    }
                }
            });
        }
    });
    eventually("all connections end", || server.connections() == 0);
    assert!(server.stats().requests.get() >= 8 * 20);
}

#[test]
fn shutdown_lets_running_responses_finish() {
    let site = Site::default();
    let server = site.serve(Limits::default());
    let addr = server.local_addr();
    let mut idle = Client::connect(addr);
    idle.get("/hello");
    let mut running = Client::connect(addr);
    running.send(get("/wait"));
    let mut streaming = Client::connect(addr);
    streaming.send(get("/stream/wait?bytes=100000&piece=10000"));
    let mut watching = Client::connect(addr);
    watching.send(get("/slow"));
    eventually("all are running", || {
        site.waiting() == 2 && server.stats().requests.get() == 4
    });
    let shutdown = thread::spawn(move || server.shutdown(PATIENCE));
    idle.expect_end();
    eventually("nobody listens", || Client::try_connect(addr).is_err());
    assert_eq!(watching.response().unwrap().status, 503);
    assert!(!shutdown.is_finished());
    site.open();
    let response = running.response().unwrap();
    assert_eq!(response.text(), "waited\n");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(streaming.response().unwrap().body.len(), 100_000);
    running.expect_end();
    assert_eq!(shutdown.join().unwrap(), 0);
}

#[test]
fn shutdown_cuts_what_outlasts_the_grace() {
    let site = Site::default();
    let server = site.serve(Limits::default());
    let mut client = Client::connect(server.local_addr());
    client.send(get("/stream?bytes=40000000&piece=100000"));
    client.response_head().unwrap();
    let mut waiting = Client::connect(server.local_addr());
    waiting.send(get("/wait"));
    // It has got everything so far, and would take the connection's end for the body's.
    let mut trusting = Client::connect(server.local_addr());
    trusting.send("GET /stream/wait?bytes=10&piece=10 HTTP/1.0\r\n\r\n");
    trusting.response_head().unwrap();
    trusting.take(10).unwrap();
    eventually("both wait", || site.waiting() == 2);
    let start = Instant::now();
    assert_eq!(server.shutdown(Duration::from_millis(50)), 3);
    assert!(start.elapsed() < PATIENCE);
    assert!(client.rest().is_err(), "it must not look complete");
    assert!(trusting.rest().is_err(), "it must not look complete");
    waiting.expect_gone();
    site.open();
    eventually("its write fails", || site.failures().len() == 1);
}

#[test]
fn dropping_a_server_frees_its_port() {
    let site = Site::default();
    let server = site.serve(Limits::default());
    let addr = server.local_addr();
    let mut client = Client::connect(addr);
    client.get("/hello");
    drop(server);
    client.expect_gone();
    let again = mockingbird::http::Server::bind(addr, Limits::default(), site).unwrap();
    assert_eq!(
        Client::connect(again.local_addr()).get("/hello").status,
        200
    );
}
