//! EDN text against `edn-format`, where that is right: no floats (it writes `1.0` as `1`), no deep nesting.

use edn_format::{Keyword, Symbol, Value as Theirs};
use errand::value::edn;
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = Theirs> {
    let name = "[a-z][a-z0-9-]{0,8}";
    prop_oneof![
        Just(Theirs::Nil),
        any::<bool>().prop_map(Theirs::Boolean),
        any::<i64>().prop_map(Theirs::Integer),
        "\\PC{0,12}".prop_map(Theirs::String),
        name.prop_map(|name| Theirs::Keyword(Keyword::from_name(&name))),
        (name, name).prop_map(|(space, name)| Theirs::Keyword(Keyword::from_namespace_and_name(&space, &name))),
        "s[a-z]{1,8}".prop_map(|name| Theirs::Symbol(Symbol::from_name(&name))),
    ]
}

fn value() -> impl Strategy<Value = Theirs> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Theirs::Vector),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Theirs::List),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..6).prop_map(|map| {
                let entry = |(key, value): (String, Theirs)| (Theirs::Keyword(Keyword::from_name(&key)), value);
                Theirs::Map(map.into_iter().map(entry).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_it_writes_we_read_and_what_we_write_it_reads(theirs in value()) {
        let ours = edn::read(&edn_format::emit_str(&theirs)).expect("its text is EDN");
        let back = edn_format::parse_str(&edn::write(&ours)).expect("our text is EDN");
        prop_assert_eq!(back, theirs);
    }
}
