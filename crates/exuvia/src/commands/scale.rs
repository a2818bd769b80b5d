//! `exuvia scale`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use analyses::scale::growths;
use report::scale::{Answer, Room};
use report::Again;

use crate::cli::Scale;
use crate::live;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Scale) -> Result<(), Trouble> {
    let sizes = args.sizes()?;
    let function = args.function()?;
    args.svg.as_deref().map_or(Ok(()), placed)?;
    let grown = live::scale(args, &function, &sizes)?;
    let answer = Answer {
        function: args.named(),
        input: args.input.as_deref(),
        python: &grown.python,
        growths: growths(&grown.points),
        points: &grown.points,
        sizes: sizes.len(),
        repeat: args.repeat,
        memory: Room { bytes: args.memory.map_or(grown.left, |m| m.0), asked: args.memory.is_some() },
        seconds: args.time.as_secs_f64(),
        ended: grown.ended.as_deref(),
        lazy: grown.lazy.as_deref(),
        keeps: grown.keeps,
    };
    screen::print(|out| {
        if args.json {
            report::scale::json(out, &answer)
        } else {
            report::scale::table(out, &answer, &screen::style(Again::default()))
        }
    })?;
    args.svg.as_deref().map_or(Ok(()), |path| draw(path, &answer))
}

/// Before anything is run: minutes of work shall not end at a wrong name.
fn placed(path: &Path) -> Result<(), Trouble> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let why = match (path.is_dir(), folder.is_dir()) {
        (true, _) => "it is a folder".to_string(),
        (_, false) => format!("{} is no folder", folder.display()),
        _ => return Ok(()),
    };
    Err(unwritten(path, why))
}

fn draw(path: &Path, answer: &Answer<'_>) -> Result<(), Trouble> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut out| {
        report::scale::svg(&mut out, answer)?;
        out.flush()
    });
    written.map_err(|e| unwritten(path, e.to_string()))
}

fn unwritten(path: &Path, why: String) -> Trouble {
    Trouble::usage(format!("cannot write {}", path.display()), why, "--svg FILE in a folder that you may write to")
}
