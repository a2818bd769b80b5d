//! Names of objects: the shortest way from a root, written as Python would.
//!
//! Holds: [`Names`]. Never: shows a value; keys of plain dicts are `[…]`.

use graph::Paths;
use rustc_hash::FxHashMap;
use snapshot::{Link, LinkKind, RootLink};

use crate::calls::Calls;
use crate::ownership::{Hold, Ownership};

/// Steps of a way that are shown; of a longer one the middle is left out.
const STEPS_SHOWN: usize = 12;

/// The shortest ways to some objects.
#[derive(Clone, Debug)]
pub struct Names<'o, 's> {
    ownership: &'o Ownership<'s>,
    paths: Paths,
    roots: FxHashMap<u32, &'o RootLink>,
    calls: Calls<'o, 's>,
}

/// One step of a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The object that the step leads to.
    pub node: u32,
    /// How it is written: `shop.cache`, `._PAGES`, `[…]`.
    pub text: String,
}

impl<'o, 's> Names<'o, 's> {
    /// Looks for ways until all of `wanted` are reached.
    pub fn of(ownership: &'o Ownership<'s>, wanted: &[u32]) -> Names<'o, 's> {
        Names::along(ownership, wanted, |_, _, _| true)
    }

    /// The same, over references that `follow` lets through (holder, place of the edge, target).
    pub fn along(ownership: &'o Ownership<'s>, wanted: &[u32], follow: impl Fn(u32, usize, u32) -> bool) -> Names<'o, 's> {
        let starts: Vec<u32> = ownership.roots.iter().map(|(node, _)| *node).collect();
        Names::from(ownership, &starts, wanted, follow)
    }

    /// The same, from some of the roots only.
    pub fn from(ownership: &'o Ownership<'s>, starts: &[u32], wanted: &[u32], follow: impl Fn(u32, usize, u32) -> bool) -> Names<'o, 's> {
        // A class is reached by its module, not by an instance.
        let is_type = |edge: usize| ownership.graph.label(edge).is_some_and(|label| label.kind == LinkKind::Type);
        let follow = |from: u32, edge: usize, to: u32| !is_type(edge) && follow(from, edge, to);
        let paths = Paths::until(ownership.graph.edges(), starts, follow, wanted);
        let mut roots = FxHashMap::default();
        // A certain one names better than a word that a scan found.
        for root in ownership.details.roots.iter().filter(|root| root.certain).chain(&ownership.details.roots) {
            roots.entry(root.target).or_insert(root);
        }
        Names { ownership, paths, roots, calls: Calls::of(ownership) }
    }

    /// Whether there is a way.
    pub fn reached(&self, node: u32) -> bool {
        self.paths.reached(node)
    }

    /// The object before it on its way.
    pub fn before(&self, node: u32) -> Option<u32> {
        self.paths.before(node)
    }

    /// The way to an object as one text: `shop.cache._PAGES[…].body`.
    pub fn text(&self, node: u32) -> String {
        joined(&self.steps(node))
    }

    /// The way to an object, the root first. The `__dict__` between an object and its attribute is left out.
    pub fn steps(&self, node: u32) -> Vec<Step> {
        let way = self.paths.to(node);
        let Some(&root) = way.first() else { return vec![Step { node, text: format!("a {}", self.ownership.type_name(node)) }] };
        let mut steps = vec![Step { node: root, text: self.root(root) }];
        for pair in way.windows(2) {
            let [holder, target] = pair else { continue };
            let Some(link) = self.ownership.graph.of(*holder).find(|link| link.target == *target && link.label.kind != LinkKind::Type)
            else {
                continue;
            };
            steps.push(Step { node: *target, text: written(&link) });
        }
        // `x.__dict__.name` is `x.name`.
        let mut short: Vec<Step> = Vec::with_capacity(steps.len());
        for step in steps {
            if step.text.starts_with('.') && short.last().is_some_and(|last| last.text == ".__dict__") {
                short.pop();
            }
            short.push(step);
        }
        self.with_calls(short)
    }

    /// A way that leads through a task of asyncio begins there: that is what people know, not the loop's queue of callbacks that holds it.
    /// A generator on the way says which it is; what stands between it and its locals is left out.
    fn with_calls(&self, steps: Vec<Step>) -> Vec<Step> {
        let task = steps.iter().rposition(|step| self.calls.is_task(step.node));
        let is_call = |node: u32| self.calls.is_call(node) || self.calls.is_task(node);
        if task.is_none() && !steps.iter().any(|step| is_call(step.node)) {
            return steps;
        }
        let mut told: Vec<Step> = Vec::with_capacity(steps.len());
        for mut step in steps.into_iter().skip(task.unwrap_or(0)) {
            let last = told.last().map(|last| last.node);
            let after_call = last.is_some_and(is_call);
            match (self.calls.told(step.node), last) {
                // Its coroutine is in the task's own words.
                (Some(_), Some(last)) if self.calls.is_task(last) && self.calls.of_task(last) == Some(step.node) => {
                    step.text = String::new();
                }
                (Some(what), _) if self.calls.is_task(step.node) => step.text = what,
                (Some(what), Some(_)) if after_call => step.text = format!(" → {what}"),
                (Some(what), _) => step.text = format!("{} ({what})", step.text),
                // To 3.10 its frame is an object of its own.
                (None, Some(last)) if after_call && matches!(step.text.as_str(), ".gi_frame" | ".cr_frame" | ".ag_frame") => {
                    step.text = String::new();
                    step.node = last;
                }
                (None, _) if after_call && step.text.starts_with(" local ") => step.text = format!(" →{}", step.text),
                _ => {}
            }
            told.push(step);
        }
        told
    }

    /// What a task or a call that waits is.
    pub(crate) fn told(&self, node: u32) -> Option<String> {
        self.calls.told(node)
    }

    /// How a root is written.
    pub(crate) fn root(&self, node: u32) -> String {
        let ownership = self.ownership;
        if let Some(module) = ownership.modules.get(&node) {
            return (*module).to_owned();
        }
        match (ownership.hold(node), self.roots.get(&node)) {
            (Hold::Garbage, _) => format!("garbage: a {}", ownership.type_name(node)),
            (Hold::C, _) => format!("held by C: a {}", ownership.type_name(node)),
            (_, Some(root)) => match (root.kind, &root.name) {
                (LinkKind::Scanned, _) | (_, None) => root.root.clone(),
                (LinkKind::Local, Some(name)) => format!("{}: local {name}", root.root),
                (_, Some(name)) => format!("{}: {name}", root.root),
            },
            (_, None) => format!("a static {}", ownership.type_name(node)),
        }
    }
}

/// The steps as one text; of a long way the middle is left out.
pub(crate) fn joined(steps: &[Step]) -> String {
    if steps.len() <= STEPS_SHOWN {
        return steps.iter().map(|step| step.text.as_str()).collect();
    }
    let (front, back) = (steps.get(..STEPS_SHOWN / 2).unwrap_or_default(), steps.get(steps.len() - STEPS_SHOWN / 2..).unwrap_or_default());
    let text = |part: &[Step]| part.iter().map(|step| step.text.as_str()).collect::<String>();
    format!("{} … {} more … {}", text(front), steps.len() - front.len() - back.len(), text(back))
}

/// How a reference is written behind its holder.
pub(crate) fn written(link: &Link<'_>) -> String {
    let name = || link.label.name.as_deref().unwrap_or("?");
    match link.label.kind {
        LinkKind::Field | LinkKind::Attribute | LinkKind::Slot => format!(".{}", name()),
        LinkKind::Local => format!(" local {}", name()),
        LinkKind::Index => format!("[{}]", link.nth),
        LinkKind::Base => ".__bases__[…]".to_owned(),
        LinkKind::Value => "[…]".to_owned(),
        LinkKind::Key => " key".to_owned(),
        LinkKind::Member => " member".to_owned(),
        LinkKind::Cell => ".cell_contents".to_owned(),
        LinkKind::Stack => " stack".to_owned(),
        LinkKind::Scanned => ".?".to_owned(),
        LinkKind::Type => ".__class__".to_owned(),
    }
}
