//! A real broker.

use super::{Dir, eventually};
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// A mosquitto of one's own.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) port: u16,
    config: std::path::PathBuf,
}

impl Mosquitto {
    pub(crate) fn start(dir: &Dir) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = dir.path().join("mosquitto");
        std::fs::create_dir_all(&data).unwrap();
        let config = dir.write(
            "mosquitto.conf",
            &format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nmax_queued_messages 0\nuser root\n",
                data.display()
            ),
        );
        let child = spawn(&config);
        let mosquitto = Self { child, port, config };
        mosquitto.wait();
        mosquitto
    }
    fn wait(&self) {
        eventually("mosquitto answers", 10, || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
    /// Gracefully: it saves what it holds.
    pub(crate) fn restart(&mut self) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
        self.child.wait().unwrap();
        self.restart_killed();
    }
    /// As power loss does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    pub(crate) fn restart_killed(&mut self) {
        self.child = spawn(&self.config);
        self.wait();
    }
    /// Publishes each line as a message, acknowledged by mosquitto.
    pub(crate) fn publish(&self, topic: &str, lines: impl Iterator<Item = String>) {
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1", "-t", topic, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        lines.for_each(|line| writeln!(stdin, "{line}").unwrap());
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &std::path::Path) -> Child {
    let program = if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    Command::new(program).arg("-c").arg(config).stderr(Stdio::null()).spawn().expect("mosquitto; tests/run installs it")
}
