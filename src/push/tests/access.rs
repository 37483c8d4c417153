//! Tokens that change while it runs, and requests that are sent on.

use super::receiver::Seen;
use super::*;
use crate::config::RemoteWrite;

/// An entry of `exporters.remote_write` with some fields.
fn remote_write(url: &str, fields: &str, folder: &Path) -> RemoteWrite {
    let text = format!(
        "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1}}]\n\
         exporters: {{remote_write: [{{url: '{url}', concurrency: 1, {fields}}}]}}\n"
    );
    let file = folder.join("f.yaml");
    let config = load_str(&file, text.as_bytes(), &|_| None).unwrap();
    config.remote_writes[0].clone()
}

fn start_remote_write(section: &RemoteWrite) -> Pusher {
    let target = Target::of_remote_write(section);
    let client = Client::new(&target, Clock::start()).unwrap();
    let exporter = Exporter {
        target,
        client,
        encoder: Box::new(Stub { body_bytes: 100 }),
    };
    Pusher::start_with(exporter, TICK_NS, policy(), &Arc::default()).unwrap()
}

/// The values of a header, in the order in which requests came.
fn values(seen: &[Seen], name: &str) -> Vec<String> {
    let value = |seen: &Seen| {
        let mut headers = seen.headers.iter();
        let found = headers.find(|(header, _)| *header == name);
        found
            .and_then(|(_, value)| value.clone())
            .unwrap_or_default()
    };
    seen.iter().map(value).collect()
}

/// A token that is rotated: the file first, then the receiver; or the receiver first,
/// and the file before anything is sent.
#[test]
fn a_rotated_token_is_used_from_the_next_request_on() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "one").unwrap();
    let receiver = Fake::start([]);
    let url = format!("http://{}/w", receiver.addr());
    let section = remote_write(
        &url,
        "interval_s: 1, bearer_token_file: token",
        folder.path(),
    );
    let mut pusher = start_remote_write(&section);
    export(&mut pusher, 1);
    std::fs::write(&token, "second").unwrap();
    export(&mut pusher, 2);
    // Of no use: the one before goes on.
    std::fs::write(&token, "").unwrap();
    export(&mut pusher, 3);
    std::fs::remove_file(&token).unwrap();
    export(&mut pusher, 4);
    std::fs::write(&token, "third").unwrap();
    assert_eq!(totals(&export(&mut pusher, 5)), [150, 0, 0, 0]);
    pusher.finish(None);
    let sent = values(&receiver.seen(), "authorization");
    let expected = ["one", "second", "second", "second", "third"];
    let expected = expected.map(|token| vec![format!("Bearer {token}"); REQUESTS]);
    assert_eq!(sent, expected.concat());
}

/// What looks the same may be another one: a 401 has it read, and so does a reload.
#[test]
fn a_401_has_the_password_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "one").unwrap();
    let receiver = Fake::start([Act::Take, Act::Take, Act::Rotate(password, "two")]);
    let url = format!("http://{}/w", receiver.addr());
    let fields = "interval_s: 1, basic_auth: {username: me, password_file: password}";
    let mut pusher = start_remote_write(&remote_write(&url, fields, folder.path()));
    // The third request is refused, and the file changed while it was under way.
    assert_eq!(totals(&export(&mut pusher, 1)), [30, 0, 0, 0]);
    // A refusal with what is in the file is final.
    receiver.expect([Act::status(401)]);
    assert_eq!(totals(&export(&mut pusher, 2)), [50, 0, 10, 0]);
    pusher.finish(None);
    let sent = values(&receiver.seen(), "authorization");
    let basic = |password| crate::credentials::basic("me", password);
    assert_eq!(sent[..3], [basic("one"), basic("one"), basic("one")]);
    assert_eq!(
        sent[3..],
        [basic("two"), basic("two"), basic("two"), basic("two")]
    );
}

/// A redirect within the host gets the whole request; another host gets nothing.
#[test]
fn requests_are_sent_on_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "secret").unwrap();
    let receiver = Fake::start([Act::header(308, "Location", "/there?db=x")]);
    let other = Fake::start([]);
    let url = format!("http://{}/w?db=public&l=a=b", receiver.addr());
    let fields = "interval_s: 1, bearer_token_file: token, headers: {x-extra: y}";
    let mut pusher = start_remote_write(&remote_write(&url, fields, folder.path()));
    assert_eq!(totals(&export(&mut pusher, 1)), [30, 0, 0, 0]);
    let seen = receiver.seen();
    assert_eq!(seen.len(), REQUESTS + 1);
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(
        targets[..3],
        ["/w?db=public&l=a=b", "/there?db=x", "/w?db=public&l=a=b"]
    );
    assert_eq!(seen[0].headers, seen[1].headers);
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(values(&seen, "authorization")[1], "Bearer secret");
    let elsewhere = format!("http://{}/w", other.addr());
    receiver.expect([Act::header(307, "Location", &elsewhere)]);
    assert_eq!(totals(&export(&mut pusher, 2)), [50, 0, 10, 0]);
    pusher.finish(None);
    assert!(other.seen().is_empty());
}
