//! What goes out: whole or not at all, bounded while nobody reads it, and with the headers that every answer has.

use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, token};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const OF: &str = "/api/v1/datastreams/prova-level/observations";
const ROWS: i64 = 60_000;

/// A gauge with more rows than a page may have.
fn filled(dir: &Dir) -> World {
    let world = World::run(dir, &one_gauge());
    let push = token(dir, "demo", &["ingest"]);
    let start = now_s() - ROWS * 10;
    for batch in (0..ROWS).step_by(5000) {
        let one = |n: i64| format!(r#"{{"device": "prova", "time": {}, "values": {{"level": {}}}}}"#, start + n * 10, n as f64 / 7.0);
        let readings: Vec<String> = (batch..batch + 5000).map(one).collect();
        assert_eq!(world.post("/api/v1/observations", &push, "application/json", &format!("[{}]", readings.join(","))).0, 200);
    }
    world
}

/// Status, header and body.
fn ask(stream: &mut TcpStream, request: &str) -> (u16, String, Vec<u8>) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    (head[9..12].parse().unwrap(), head, bytes[end + 4..].to_vec())
}

fn get(world: &World, path: &str, more: &str) -> (u16, String, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n{more}\r\n");
    ask(&mut TcpStream::connect(&world.http).unwrap(), &request)
}

#[test]
fn a_file_is_whole_however_long_and_a_page_says_where_it_goes_on() {
    let dir = Dir::new("whole");
    let world = filled(&dir);
    for (form, count) in [("f=csv", ROWS + 1), ("f=csv&csv=it", ROWS + 1), ("agg=PT15M&f=csv", 0), ("agg=PT1H&f=geojson", 0)] {
        let (status, body) = world.get_as(&format!("{OF}?period=P8D&{form}"), None);
        assert_eq!(status, 200);
        assert!(count == 0 || body.lines().count() as i64 == count, "{form}: {}", body.lines().count());
        assert!(!get(&world, &format!("{OF}?period=P8D&{form}"), "").1.contains("\nx-next-cursor: "), "{form} is no page");
    }
    let geo: Value = world.get(&format!("{OF}?period=P8D&f=geojson"));
    assert_eq!(geo["features"].as_array().unwrap().len() as i64, ROWS);
    // Pages of every size, one after the other, are the same rows.
    let whole = world.get_as(&format!("{OF}?period=P8D&f=csv"), None).1;
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    for limit in [50_000, 7001] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, head, body) = get(&world, &format!("{OF}?period=P8D&f=csv&limit={limit}{cursor}"), "");
            let body = String::from_utf8(dechunked(&body, &head)).unwrap();
            found.extend(rows(&body));
            match head.lines().find_map(|line| line.strip_prefix("x-next-cursor: ")) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(found == rows(&whole), "pages of {limit}: {} rows", found.len());
    }
    assert_eq!(world.observations("prova-level", "period=P8D").len() as i64, ROWS);
}

/// The body of an answer that may be sent in chunks.
fn dechunked(body: &[u8], head: &str) -> Vec<u8> {
    if !head.contains("transfer-encoding: chunked") {
        return body.to_vec();
    }
    let (mut out, mut rest) = (Vec::new(), body);
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

/// Asks, and reads nothing.
fn unread(world: &World, path: &str, more: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&world.http.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream: TcpStream = socket.into();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n").unwrap();
    stream
}

/// From another address of this machine.
fn from_another_address(world: &World, path: &str) -> u16 {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&world.http.parse::<SocketAddr>().unwrap().into()).unwrap();
    ask(&mut socket.into(), &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).0
}

#[test]
fn answers_that_nobody_reads_stay_small_are_cut_and_leave_room_for_others() {
    let dir = Dir::new("unread");
    let world = filled(&dir);
    let geo = format!("{OF}?period=P8D&f=geojson");
    assert_eq!(world.get_as(&geo, None).0, 200);
    let before = world.own_memory();
    let asked = ["", "accept-encoding: gzip\r\n", "accept-encoding: br\r\n"].into_iter().cycle();
    let mut held: Vec<TcpStream> = asked.take(300).map(|more| unread(&world, &geo, more)).collect();
    for path in [format!("{OF}?period=P8D&f=csv"), format!("{OF}?period=P8D&limit=50000"), "/api/v1/live".into(), "/stazioni/prova".into()]
    {
        held.extend((0..25).map(|_| unread(&world, &path, "")));
    }
    // All places of this address are taken: it is told so, and what is light goes on; another address has room.
    eventually("this address is full", 30, || get(&world, &geo, "").0 == 503);
    let (_, head, body) = get(&world, &geo, "");
    assert!(head.contains("retry-after: 5") && String::from_utf8_lossy(&body).contains("Retry-After"), "{head}");
    assert_eq!((get(&world, "/readyz", "").0, get(&world, "/api/v1/latest", "").0), (200, 200));
    assert_eq!(from_another_address(&world, &geo), 200);
    let after = world.own_memory();
    eprintln!("400 unread answers: {} MB before, {} MB with them", before >> 20, after >> 20);
    assert!(after < before + (64 << 20), "{} MB more", (after - before) >> 20);
    eventually("those that read nothing are cut, and their places are free", 60, || get(&world, &geo, "").0 == 200);
    let is_reset = |stream: &mut TcpStream| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        stream.read_to_end(&mut Vec::new()).is_err_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset)
    };
    let cut = held.iter_mut().take(10).map(is_reset).filter(|is_reset| *is_reset).count();
    assert!(cut > 0, "what was cut does not look whole");
}

#[test]
fn every_answer_says_what_browsers_may_do_and_who_may_keep_it() {
    let dir = Dir::new("headers");
    let world = World::run(&dir, &one_gauge());
    let read = token(&dir, "demo", &["read"]);
    let style = get(&world, "/", "").2;
    let style =
        String::from_utf8_lossy(&style).split('"').find(|part| part.starts_with("/static/") && part.ends_with(".css")).unwrap().to_owned();
    let always = [
        "x-content-type-options: nosniff",
        "referrer-policy: ",
        "frame-ancestors 'none'",
        "cross-origin-resource-policy: ",
        "cache-control: ",
    ];
    let paths = [
        "/",
        "/livelli",
        "/stazioni/prova",
        "/stazioni/nowhere",
        "/dati",
        "/nowhere",
        "/static/nowhere",
        &style,
        "/openapi.json",
        "/api/v1/latest",
        "/api/v1/datastreams/nowhere",
        "/api/v1/latest?x=1",
        "/api/v1/quarantine",
        "/api/v1/proposals",
        "/healthz",
        "/readyz",
        "/status",
        "/metrics",
        OF,
        "/ping",
        "/livelli?as_of=x",
    ];
    for path in paths {
        for (more, is_personal) in [
            (String::new(), false),
            (format!("authorization: Bearer {read}\r\n"), true),
            ("cookie: a=b; pescaia_session=c\r\n".into(), true),
            ("authorization: Bearer no\r\n".into(), true),
        ] {
            let (status, head, body) = get(&world, path, &more);
            for wanted in always {
                assert!(head.contains(wanted), "{path} with {more:?} lacks {wanted}:\n{head}");
            }
            assert!(!head.contains("strict-transport-security") && !head.contains("evil.example"), "{path}: {head}");
            assert!(!String::from_utf8_lossy(&body).contains("evil.example"), "{path} repeats a host that a client made up");
            assert!(
                !is_personal || head.contains("cache-control: private, no-store") && !head.contains("etag: "),
                "{path} with {more:?}: {head}"
            );
            let vary = head.lines().find(|line| line.starts_with("vary: ")).unwrap_or_default();
            let is_kept = head.contains("cache-control: public") && !path.starts_with("/static/");
            assert!(!is_kept || vary.contains("cookie") && vary.contains("authorization"), "{path}: {head}");
            assert!(!head.contains("content-type: text/html") || head.contains("default-src 'self'"), "{path} {status}: {head}");
        }
    }
    let push = ask(
        &mut TcpStream::connect(&world.http).unwrap(),
        "POST /api/v1/observations HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(push.0 == 401 && always.iter().all(|wanted| push.1.contains(wanted)), "{}", push.1);
    // What a browser asks before it asks.
    let preflight = "OPTIONS /api/v1/latest HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: https://app.example\r\naccess-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n\r\n";
    let (status, head, _) = ask(&mut TcpStream::connect(&world.http).unwrap(), preflight);
    assert!(status == 200 && head.contains("access-control-allow-origin: *") && head.contains("authorization"), "{status} {head}");
    let (_, head, _) = get(&world, &format!("{OF}?f=csv&limit=1"), "origin: https://app.example\r\n");
    assert!(head.contains("access-control-expose-headers: ") && head.contains("x-next-cursor") && head.contains("etag"), "{head}");
}

#[test]
fn absolute_addresses_are_the_public_ones_and_https_stays_https() {
    let dir = Dir::new("public-url");
    let config = configure(&dir, &one_gauge());
    let text = std::fs::read_to_string(&config).unwrap().replace("[http]\n", "[http]\npublic_url = \"https://pescaia.example.it/\"\n");
    std::fs::write(&config, text).unwrap();
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let contract: Value = world.get("/openapi.json");
    assert_eq!(contract["servers"], serde_json::json!([{"url": "https://pescaia.example.it"}]));
    for path in ["/", "/nowhere", "/api/v1/latest", "/healthz"] {
        assert!(get(&world, path, "").1.contains("strict-transport-security: max-age="), "{path}");
    }
}
