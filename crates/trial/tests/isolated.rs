//! A function called inside and apart, by every interpreter: what is kept stays with the caller, what is not stays with the other process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use exuvia_trial::{Call, CallCost, CallWay, RefusedKind, Stop, Trials, Way};
use testbed::{for_each_interpreter, Interpreter, Scratch};

/// 64 MiB are used, 8 MiB are returned.
const WORK: &str = "
def build(how):
    used = [bytearray(1 << 20) for _ in range(how['used'])]
    return bytes(bytearray(how['kept'] << 20))
def local(how): return lambda: how
def fails(how): raise ValueError('so it is')
def dies(how):
    import os
    os.kill(os.getpid(), 9)
";

fn called(trials: &Trials, py: &Interpreter, file: &Path, name: &str, way: CallWay) -> Result<CallCost, RefusedKind> {
    let input = Some("{\"used\": 64, \"kept\": 8, \"not\": null}".to_string());
    let call = Call { file: Some(file.to_str().unwrap().into()), module: None, name: name.into(), input, way };
    let (program, answer) = call.program(py.path.clone().into(), trials.folder()).unwrap();
    let run = trials.run(&program, &Way { untouched: true, ..Way::default() }, |_| {}).unwrap();
    assert!(run.succeeded(), "{}: {run:?}", py.name);
    let cost = CallCost::read(&answer).map_err(|refused| refused.kind);
    std::fs::remove_file(answer).unwrap();
    cost
}

#[test]
fn what_a_process_of_its_own_used_goes_with_it() {
    for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let file = scratch.path().join("work.py");
        std::fs::write(&file, WORK).unwrap();
        let trials = Trials::new(PathBuf::from(env!("CARGO_BIN_EXE_exuvia-trial-test")), Stop::catch()).unwrap();
        let mib = |bytes: Option<u64>| bytes.unwrap() as f64 / f64::from(1 << 20);
        let cost = |way| called(&trials, py, &file, "build", way).unwrap();
        let inside = cost(CallWay::Inside);
        let added = mib(inside.peak_rss_bytes) - mib(inside.before_rss_bytes);
        assert!((60.0..100.0).contains(&added) && inside.sent_bytes.is_none(), "{}: {inside:?}", py.name);
        for way in [CallWay::Spawn, CallWay::Fork] {
            let apart = cost(way);
            // The result, once as it came through the pipe and once loaded.
            let added = mib(apart.peak_rss_bytes) - mib(apart.before_rss_bytes);
            let kept = mib(apart.collected_rss_bytes) - mib(apart.before_rss_bytes);
            assert!((7.0..40.0).contains(&added) && (6.0..20.0).contains(&kept), "{} {way:?}: {apart:?}", py.name);
            assert!(
                mib(apart.child_peak_rss_bytes) > 64.0 && (8.0..8.1).contains(&mib(apart.returned_bytes)),
                "{} {way:?}: {apart:?}",
                py.name
            );
            let sent = apart.sent_bytes.unwrap();
            assert!(if way == CallWay::Fork { sent == 0 } else { (20..1000).contains(&sent) }, "{} {way:?}: {sent}", py.name);
            assert!(apart.transfer_seconds.unwrap() <= apart.seconds, "{} {way:?}: {apart:?}", py.name);
        }
        for (name, way, wanted) in [
            ("local", CallWay::Spawn, RefusedKind::Result),
            ("fails", CallWay::Fork, RefusedKind::Raised),
            ("fails", CallWay::Inside, RefusedKind::Raised),
            ("dies", CallWay::Fork, RefusedKind::Ended),
            ("nothing", CallWay::Inside, RefusedKind::Name),
            ("__name__", CallWay::Inside, RefusedKind::Callable),
        ] {
            assert_eq!(called(&trials, py, &file, name, way), Err(wanted), "{}: {name}", py.name);
        }
    });
}
