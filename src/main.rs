//! The command line `errand`.

fn main() {
    errand::cli::main()
}
