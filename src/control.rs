//! Commands beside a running instance: a Unix socket in the data directory, for its owner only; one line of JSON each way.

use anyhow::Context;
use model::Scope;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Complaint, Settings, Store, load_network};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What a command asks of the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    TokenNew { owner: String, scopes: Vec<String> },
    NetworkApply { files: Vec<PathBuf>, dry_run: bool },
}

/// Lines for the terminal, or what is wrong.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Lines(Vec<String>),
    Wrong(Vec<String>),
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// Does what is asked on an open store.
pub(crate) fn carry_out(store: &Store, request: &Request) -> Answer {
    let wrong = |complaints: Vec<Complaint>| Answer::Wrong(complaints.iter().map(ToString::to_string).collect());
    match request {
        Request::TokenNew { owner, scopes } => {
            let known = store.registry();
            if known.owner(owner).is_none() {
                let names: Vec<&str> = known.owners().map(|owner| owner.id.as_str()).collect();
                let cure = store::nearest(owner, names.iter().copied())
                    .map_or_else(|| format!("there are: {}", names.join(", ")), |near| format!("did you mean \"{near}\"?"));
                return Answer::Wrong(vec![format!("there is no owner \"{owner}\"; {cure}")]);
            }
            let words: Vec<&str> = Scope::ALL.iter().map(|scope| scope.word()).collect();
            if let Some(unknown) = scopes.iter().find(|word| Scope::from_word(word).is_none()) {
                return Answer::Wrong(vec![format!("there is no scope \"{unknown}\"; it may be one of {}", words.join(", "))]);
            }
            let scopes: Vec<Scope> = scopes.iter().filter_map(|word| Scope::from_word(word)).collect();
            match store.new_token(&owner.as_str().into(), &scopes) {
                Ok(token) => Answer::Lines(vec![token.text]),
                Err(cause) => Answer::Wrong(vec![cause.to_string()]),
            }
        }
        Request::NetworkApply { files, dry_run } => {
            let network = match load_network(files) {
                Ok(network) => network,
                Err(complaints) => return wrong(complaints),
            };
            match if *dry_run { store.preview(&network) } else { store.apply(&network) } {
                Ok(changes) if changes.is_empty() => Answer::Lines(vec!["no change".into()]),
                Ok(changes) => Answer::Lines(changes.iter().map(ToString::to_string).collect()),
                Err(complaints) => wrong(complaints),
            }
        }
    }
}

/// Asks the instance that runs on `dir`, or opens the store itself when none does.
pub(crate) fn ask(dir: &Path, request: &Request) -> anyhow::Result<Answer> {
    if let Ok(mut stream) = Blocking::connect(socket(dir)) {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        return serde_json::from_str(&answer).context("the running pescaia answered something else; is it another version?");
    }
    let store = Store::open(dir, Settings::default(), Arc::new(crate::clock::SystemClock))
        .with_context(|| format!("the store in {} can't be opened", dir.display()))?;
    let answer = carry_out(&store, request);
    store.close_blocking();
    Ok(answer)
}

/// The socket of a running instance.
pub(crate) struct Control {
    listener: UnixListener,
    store: Store,
    path: PathBuf,
}

/// # Errors
/// The operating system's.
pub(crate) fn listen(store: Store, dir: &Path) -> anyhow::Result<Control> {
    let path = socket(dir);
    // The lock is ours, so a socket that is there is of an instance that died.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("{} can't be made", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Control { listener, store, path })
}

impl Control {
    pub(crate) async fn serve(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(one(self.store.clone(), stream));
                    }
                }
            }
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn one(store: Store, stream: UnixStream) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(1 << 20)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => tokio::task::spawn_blocking(move || carry_out(&store, &request)).await?,
        Err(cause) => Answer::Wrong(vec![format!("this pescaia does not know that command: {cause}")]),
    };
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await?;
    Ok(())
}
