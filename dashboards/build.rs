//! Gathers what pages load: our style sheet, and from npm the fonts and the compiled islands. Without npm the pages are
//! whole, in the system's font and without refreshing themselves; one warning says so.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What runs in the browser, one script each.
const ISLANDS: [&str; 2] = ["vivo", "grafico"];

fn main() -> io::Result<()> {
    for input in ["web/src", "web/style.css", "web/fonts.css", "web/package.json", "web/package-lock.json", "web/tsconfig.json"] {
        println!("cargo:rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let (work, assets) = (out.join("web"), out.join("static"));
    fs::create_dir_all(&assets)?;
    let mut style = fs::read_to_string("web/style.css")?;
    match from_npm(&work, &assets) {
        Ok(()) => style = fs::read_to_string("web/fonts.css")? + &style,
        Err(cause) => {
            println!("cargo:warning=pages are built without fonts and live refresh: {cause}; install Node.js with npm and build again");
            put(&assets.join("vivo.js"), b"")?;
            for absent in ["grafico.js", "grafico.css", "titillium-400.woff2", "titillium-600.woff2"] {
                let _ = fs::remove_file(assets.join(absent));
            }
        }
    }
    put(&assets.join("style.css"), style.as_bytes())?;
    put(&assets.join("favicon.svg"), include_bytes!("web/favicon.svg"))?;
    memory_serve::load_directory_with_embed(&assets, true);
    Ok(())
}

/// Leaves a file alone that is so already: what is newer than this script's run would make cargo run it again each time.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) { Ok(()) } else { fs::write(path, bytes) }
}

/// Installs from the lock file into `work`, beside the source tree, and puts what pages need into `assets`.
fn from_npm(work: &Path, assets: &Path) -> Result<(), String> {
    fs::create_dir_all(work.join("src")).map_err(|cause| cause.to_string())?;
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map(drop).map_err(|cause| format!("{}: {cause}", from.display()));
    let keep =
        |from: &Path, to: &Path| fs::read(from).and_then(|bytes| put(to, &bytes)).map_err(|cause| format!("{}: {cause}", from.display()));
    for file in ["package.json", "package-lock.json", ".npmrc", "tsconfig.json", "src/vivo.ts", "src/grafico.ts", "src/latest.ts"] {
        copy(&Path::new("web").join(file), &work.join(file))?;
    }
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(work))?;
    let esbuild = work.join("node_modules/.bin/esbuild");
    for island in ISLANDS {
        let bundle = work.join(format!("{island}.js"));
        run(Command::new(&esbuild)
            .args([format!("src/{island}.ts").as_str(), "--bundle", "--minify", "--target=es2020", "--format=iife"])
            .arg(format!("--outfile={}", bundle.display()))
            .current_dir(work))?;
        keep(&bundle, &assets.join(format!("{island}.js")))?;
    }
    keep(&work.join("node_modules/uplot/dist/uPlot.min.css"), &assets.join("grafico.css"))?;
    for weight in ["400", "600"] {
        let font = work.join(format!("node_modules/@fontsource/titillium-web/files/titillium-web-latin-{weight}-normal.woff2"));
        keep(&font, &assets.join(format!("titillium-{weight}.woff2")))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("{name} failed: {}", String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or("no reason given"))),
        Err(cause) => Err(format!("{name}: {cause}")),
    }
}
