//! A command for the tests of this crate: it is the guardian of what they start. It does nothing else.

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == target::GUARDIAN_ARGUMENT) {
        target::guardian_main(arguments);
    }
    std::process::exit(2)
}
