//! The machine and we: kernel, rights, security modules, container, memory.

use memory::Bytes;
use snapshot::Check;
use target::{as_root, headroom_of, Capability, Feature, HugePages, Seccomp};

use super::process::Named;
use super::{blocks, lacks, note, works, Here};

/// Who needs most memory: what helps where there is too little.
const WHO_HAS_THE_MEMORY: &str = "ps -eo pid,rss,args --sort=-rss | head";

/// All of them, in a fixed order. What the process that was `named` does not need is no lack.
pub(super) fn checks(here: &Here, named: Option<&Named>) -> Vec<Check> {
    let mut all = kernel(here, named);
    all.extend([rights(here, named), yama(here), modules(here), seccomp(here), container(here), memory(named)]);
    all
}

fn kernel(here: &Here, named: Option<&Named>) -> Vec<Check> {
    let k = &here.kernel;
    let target = named.map_or("PID".to_string(), |n| n.pid.to_string());
    let needed = |id, feature: Feature, what: &str| match feature {
        Feature::Works => works(id, "works"),
        no => blocks(id, format!("{what}: {no}"), as_root()),
    };
    let wanted = |id, feature: Feature, without: &str, advice: String| match feature {
        Feature::Works => works(id, "works"),
        no => lacks(id, format!("{no}: {without}"), advice),
    };
    // Without it nothing can be stopped; reading needs no tracing.
    let tracing = match k.tracing {
        Feature::Works => works("kernel.tracing", "works"),
        no => blocks("kernel.tracing", format!("stopping a child (ptrace): {no}"), format!("exuvia types --mode live {target}")),
    };
    let filters = match k.seccomp_filters {
        Feature::Works => works("kernel.seccomp-filters", "works"),
        no if named.is_some_and(|n| !n.filtered) => note("kernel.seccomp-filters", format!("{no}; not needed: it has none")),
        no => lacks("kernel.seccomp-filters", format!("{no}: a process with seccomp filters is frozen, not forked"), as_root()),
    };
    let pages = match k.huge_pages {
        Some(HugePages::Always) => works("kernel.huge-pages", "always"),
        Some(HugePages::Madvise) => works("kernel.huge-pages", "where asked for"),
        Some(HugePages::Never) => note("kernel.huge-pages", "never: copying is somewhat slower"),
        None => note("kernel.huge-pages", "not known: copying may be somewhat slower"),
    };
    vec![
        works("kernel", k.release.clone()),
        tracing,
        needed("kernel.bulk-reads", k.bulk_reads, "reading a child (/proc/PID/mem)"),
        needed("kernel.pagemap", k.pagemap, "which pages of a child are there (pagemap)"),
        wanted(
            "kernel.debug-registers",
            k.debug_registers,
            "a started program is seen only after its interpreter was taken apart",
            "exuvia types --after 5s -- python3 app.py".to_string(),
        ),
        filters,
        wanted("kernel.pidfd", k.pidfd, "no forked copy is made", format!("exuvia types --mode freeze {target}")),
        match k.populate_write {
            Feature::Works => works("kernel.populate-write", "works"),
            no => note("kernel.populate-write", format!("{no}: a copy's memory is prepared a page at a time, which is slower")),
        },
        pages,
    ]
}

fn rights(here: &Here, named: Option<&Named>) -> Check {
    let us = &here.facts.us;
    let [_, user, ..] = us.users;
    // Those that a look can need: to read others' memory, and their filters of system calls.
    let held: Vec<String> =
        [Capability::SysPtrace, Capability::SysAdmin].into_iter().filter(|c| us.effective.has(*c)).map(|c| c.to_string()).collect();
    let outside = us.namespaces.in_first_user();
    let reach = match (outside, us.effective.has(Capability::SysPtrace)) {
        (true, true) => format!("user {user} with {}", held.join(", ")),
        (true, false) => format!("user {user} without CAP_SYS_PTRACE: it may read its own processes alone"),
        (false, true) => format!("user {user} of a user namespace: its capabilities end at the processes inside"),
        (false, false) => format!("user {user} of a user namespace, without CAP_SYS_PTRACE in it"),
    };
    match named.map(|n| n.permitted) {
        Some(Some(true)) => works("rights", reach),
        // What is missing, and what to do, is said of the process itself.
        Some(_) => note("rights", reach),
        None if outside && us.effective.has(Capability::SysPtrace) => works("rights", reach),
        None => lacks("rights", reach, as_root()),
    }
}

fn yama(here: &Here) -> Check {
    let us = &here.facts.us;
    let capable = us.effective.has(Capability::SysPtrace) && us.namespaces.in_first_user();
    match here.facts.yama_scope {
        None => works("yama", "not in this kernel"),
        Some(0) => works("yama", "kernel.yama.ptrace_scope is 0: the same user may"),
        Some(scope @ 1..=2) if capable => works("yama", format!("kernel.yama.ptrace_scope is {scope}, CAP_SYS_PTRACE is held")),
        Some(1) => lacks("yama", "kernel.yama.ptrace_scope is 1: a parent may, or who was named by the process", as_root()),
        Some(2) => lacks("yama", "kernel.yama.ptrace_scope is 2: CAP_SYS_PTRACE is needed", as_root()),
        Some(scope) => blocks(
            "yama",
            format!("kernel.yama.ptrace_scope is {scope}: no process may be traced until a reboot with a lower one"),
            "grep -r ptrace_scope /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d  # lower it there, then reboot",
        ),
    }
}

fn modules(here: &Here) -> Check {
    let label = here.facts.us.label.as_ref().map_or(String::new(), |label| format!("; we are {label}"));
    match &here.facts.security_modules {
        Some(modules) => note("security", format!("{modules}{label}")),
        None => note("security", format!("not told (securityfs is not mounted){label}")),
    }
}

fn seccomp(here: &Here) -> Check {
    match here.facts.us.seccomp {
        None => works("seccomp", "not in this kernel"),
        Some(Seccomp::Off) => works("seccomp", "we have no filters"),
        Some(Seccomp::Strict) => note("seccomp", "we are in strict mode"),
        Some(Seccomp::Filters { .. }) => note("seccomp", "we have filters: calls may be refused, and others' filters are not shown to us"),
    }
}

fn container(here: &Here) -> Check {
    if here.facts.container.is_empty() {
        return works("container", "no sign of one");
    }
    let signs: Vec<String> = here.facts.container.iter().map(|sign| sign.to_string()).collect();
    note("container", signs.join(", "))
}

/// Room for the copy that we hold.
fn memory(named: Option<&Named>) -> Check {
    let ours = headroom_of(std::process::id() as i32);
    let needed = named.map_or(Bytes(0), |n| n.resident);
    let left = format!("{} left to us below {}", ours.bytes, ours.limited_by);
    match named {
        _ if ours.bytes < needed => blocks("memory", format!("{left}, and a copy takes {needed}"), WHO_HAS_THE_MEMORY),
        _ => works("memory", left),
    }
}
