//! Calls that wait: generators, coroutines and tasks of asyncio, as people call them.
//!
//! Holds: [`Calls`]. Never: says what they hold.

use rustc_hash::FxHashMap;
use snapshot::{CallRow, CodeRow, LinkKind};

use crate::ownership::Ownership;
use crate::place::Place;

/// The calls of a snapshot that are not at their end.
#[derive(Clone, Debug)]
pub struct Calls<'o, 's> {
    ownership: &'o Ownership<'s>,
    calls: FxHashMap<u32, &'s CallRow>,
    tasks: FxHashMap<u32, &'s str>,
    codes: FxHashMap<u32, &'s CodeRow>,
}

impl<'o, 's> Calls<'o, 's> {
    /// Of a snapshot with its graph.
    pub fn of(ownership: &'o Ownership<'s>) -> Calls<'o, 's> {
        let details = ownership.details;
        let calls: FxHashMap<u32, &CallRow> = details.calls.iter().map(|call| (call.object, call)).collect();
        let wanted: rustc_hash::FxHashSet<u32> = details.calls.iter().filter_map(|call| call.code).collect();
        Calls {
            ownership,
            tasks: details.tasks.iter().map(|task| (task.object, task.name.as_str())).collect(),
            codes: details.codes.iter().filter(|code| wanted.contains(&code.object)).map(|code| (code.object, code)).collect(),
            calls,
        }
    }

    /// Whether it is a task.
    pub fn is_task(&self, node: u32) -> bool {
        self.tasks.contains_key(&node)
    }

    /// Whether it is a call that is not at its end.
    pub fn is_call(&self, node: u32) -> bool {
        self.calls.contains_key(&node)
    }

    /// The coroutine of a task.
    pub fn of_task(&self, task: u32) -> Option<u32> {
        self.ownership.graph.named(task, LinkKind::Field, "coro")
    }

    /// Where a call stands, or the coroutine of a task.
    pub fn place(&self, node: u32) -> Option<Place> {
        let call = match self.calls.get(&node) {
            Some(call) => call,
            None => self.calls.get(&self.of_task(node).filter(|_| self.is_task(node))?)?,
        };
        let code = self.codes.get(&call.code?)?;
        Some(Place { file: code.file.clone(), line: call.line.or(Some(code.first_line)), near: false })
    }

    /// What a task or a call is: `asyncio task "worker-3" (shop.app.worker, app.py:41)`, `generator shop.app.rows, app.py:7`.
    pub fn told(&self, node: u32) -> Option<String> {
        if let Some(name) = self.tasks.get(&node) {
            let what = self.of_task(node).and_then(|coro| self.function(coro));
            return Some(format!("asyncio task \"{name}\"{}", what.map(|what| format!(" ({what})")).unwrap_or_default()));
        }
        self.function(node).map(|what| format!("{} {what}", self.ownership.type_name(node)))
    }

    /// `shop.app.worker, app.py:41`.
    fn function(&self, node: u32) -> Option<String> {
        let call = self.calls.get(&node)?;
        let module = call.globals.and_then(|globals| self.ownership.modules.get(&globals));
        let name = module.map_or_else(|| call.name.clone(), |module| format!("{module}.{}", call.name));
        let place = self.place(node).map(|place| {
            let file = place.file.rsplit('/').next().unwrap_or_default();
            place.line.map_or_else(|| format!(", {file}"), |line| format!(", {file}:{line}"))
        });
        Some(name + &place.unwrap_or_default())
    }
}
