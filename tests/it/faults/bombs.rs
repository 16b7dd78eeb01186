//! F13: what is much larger than it may be, or says so, is refused before it takes memory.

use crate::support::{Dir, World, one_gauge, token};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Status of a request by curl, whose body comes from a shell command.
fn send(world: &World, token: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut source = Command::new("sh").args(["-c", body]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", "content-type: application/json", "-H", "expect:"]);
    curl.args(["-H", &format!("authorization: Bearer {token}"), "-T", "-"]);
    headers.iter().for_each(|header| {
        curl.args(["-H", header]);
    });
    let done = curl.arg(world.url(path)).stdin(source.stdout.take().unwrap()).output().unwrap();
    let _ = source.kill();
    let _ = source.wait();
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn bombs_are_refused_before_they_take_memory() {
    let dir = Dir::new("bombs");
    let world = World::run(&dir, &one_gauge());
    let token = token(&dir, "demo", &["ingest"]);
    // Once each, so that what is made ready at first does not count.
    send(&world, &token, "/api/v1/observations", &[], "echo {}");
    let (before, _) = world.weight();
    let zeros = "head -c 300000000 /dev/zero";
    let lines = "yes 'level,station=x value=1 1700000000' | head -n 1000000";
    for (path, headers, body) in [
        ("/api/v1/observations", &[][..], zeros),
        ("/api/v1/observations", &["transfer-encoding: chunked"][..], "cat /dev/zero"),
        ("/api/v2/write?precision=s", &["content-encoding: gzip"][..], &format!("{zeros} | gzip -1")[..]),
        ("/api/v2/write?precision=s", &[][..], lines),
        ("/api/v1/edges/bomb", &[][..], zeros),
    ] {
        let status = send(&world, &token, path, headers, body);
        // Who goes on sending hundreds of megabytes is cut off, and may not hear why.
        let is_endless = body.contains("zero") && !body.contains("gzip");
        assert!(status == "413" || is_endless && ["000", "100"].contains(&status.as_str()), "{status}: {path} {headers:?}");
    }
    // An MQTT packet that announces 256 MB.
    let mut stream = TcpStream::connect(&world.mqtt).unwrap();
    stream.write_all(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0, "closed without a word");
    let (after, _) = world.weight();
    eprintln!("F13: resident {} MB before, {} MB after", before >> 20, after >> 20);
    assert!(after < before + (32 << 20), "resident {before} before, {after} after");
    assert_eq!(world.get_as("/readyz", None).0, 200);
}
