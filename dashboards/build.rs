//! Gathers what pages load: our style sheet, and from npm the fonts and the compiled islands. Without npm the pages are
//! whole, in the system's font and without refreshing themselves; one warning says so.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    for input in ["web/src", "web/style.css", "web/fonts.css", "web/package.json", "web/package-lock.json", "web/tsconfig.json"] {
        println!("cargo:rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let (work, assets) = (out.join("web"), out.join("static"));
    let _ = fs::remove_dir_all(&assets);
    fs::create_dir_all(&assets)?;
    let mut style = fs::read_to_string("web/style.css")?;
    match from_npm(&work, &assets) {
        Ok(()) => style = fs::read_to_string("web/fonts.css")? + &style,
        Err(cause) => {
            println!("cargo:warning=pages are built without fonts and live refresh: {cause}; install Node.js with npm and build again");
            fs::write(assets.join("vivo.js"), "")?;
        }
    }
    fs::write(assets.join("style.css"), style)?;
    fs::write(assets.join("favicon.svg"), include_str!("web/favicon.svg"))?;
    memory_serve::load_directory_with_embed(&assets, true);
    Ok(())
}

/// Installs from the lock file into `work`, beside the source tree, and puts what pages need into `assets`.
fn from_npm(work: &Path, assets: &Path) -> Result<(), String> {
    fs::create_dir_all(work.join("src")).map_err(|cause| cause.to_string())?;
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map(drop).map_err(|cause| format!("{}: {cause}", from.display()));
    for file in ["package.json", "package-lock.json", ".npmrc", "src/vivo.ts"] {
        copy(&Path::new("web").join(file), &work.join(file))?;
    }
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(work))?;
    let bundle = assets.join("vivo.js");
    let esbuild = work.join("node_modules/.bin/esbuild");
    run(Command::new(esbuild)
        .args(["src/vivo.ts", "--bundle", "--minify", "--target=es2020", "--format=iife"])
        .arg(format!("--outfile={}", bundle.display()))
        .current_dir(work))?;
    for weight in ["400", "600"] {
        let font = work.join(format!("node_modules/@fontsource/titillium-web/files/titillium-web-latin-{weight}-normal.woff2"));
        copy(&font, &assets.join(format!("titillium-{weight}.woff2")))?;
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
