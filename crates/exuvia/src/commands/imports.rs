//! `exuvia imports`.

use report::imports::Runs;

use crate::cli::Imports;
use crate::live;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Imports) -> Result<(), Trouble> {
    if args.repeat == 0 {
        return Err(Trouble::usage("--repeat 0 measures nothing", "at least one run is needed", "exuvia imports --repeat 1 app.py"));
    }
    let (texts, stopped) = live::imports(args)?;
    let mut measured = Vec::new();
    for text in &texts {
        measured.push(
            analyses::imports::read(text).map_err(|e| Trouble::own("what the interpreter wrote down cannot be read", e.to_string()))?,
        );
    }
    measured.sort_by_key(analyses::imports::Imports::brought_bytes);
    let brought_bytes = measured.iter().map(analyses::imports::Imports::brought_bytes).collect();
    // Where there is none, they have their whole names.
    let runs = Runs { brought_bytes, stopped, folder: std::env::current_dir().unwrap_or_default() };
    let middle = measured.len().saturating_sub(1) / 2;
    let Some(imports) = measured.get(middle) else {
        return Err(Trouble::target("no run came to its end", "it was stopped before", "exuvia imports --timeout 10s app.py"));
    };
    if let (Some(with), [only]) = (&imports.measured.ended_with, imports.imports.as_slice()) {
        if only.error.is_some() {
            let what = format!("{} cannot be imported", args.what.to_string_lossy());
            let advice = "run it where it can be found, with the interpreter that has it: --python ./venv/bin/python3";
            return Err(Trouble::target(what, with.clone(), advice));
        }
    }
    let limit = args.rows.limit(args.json, report::imports::FIRST_SCREEN);
    screen::print(|out| {
        if args.json {
            report::imports::json(out, imports, &runs)
        } else {
            report::imports::table(out, imports, &runs, limit, &screen::style(report::Again::default()))
        }
    })
}
