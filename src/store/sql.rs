//! The statements of `sql/`, as constants made by `build.rs`.

include!(concat!(env!("OUT_DIR"), "/sql.rs"));
