//! All groups together.

use crate::function::Function;
use crate::{
    access, array, array_build, calendar, clock, construct, dates, document, encoding, extreme, like, map, math,
    pattern, rounding, search, string, system, zone,
};

const GROUPS: &[&[Function]] = &[
    string::FUNCTIONS,
    search::FUNCTIONS,
    like::FUNCTIONS,
    pattern::FUNCTIONS,
    encoding::FUNCTIONS,
    rounding::FUNCTIONS,
    math::FUNCTIONS,
    clock::FUNCTIONS,
    calendar::FUNCTIONS,
    dates::FUNCTIONS,
    zone::FUNCTIONS,
    extreme::FUNCTIONS,
    construct::FUNCTIONS,
    access::FUNCTIONS,
    array::FUNCTIONS,
    array_build::FUNCTIONS,
    map::FUNCTIONS,
    document::FUNCTIONS,
    system::FUNCTIONS,
];

/// Every function, by group.
pub fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.iter().flat_map(|group| group.iter())
}

/// The function of this name or alias, whatever its case.
pub fn find(name: &str) -> Option<&'static Function> {
    let is = |own: &str| own.eq_ignore_ascii_case(name);
    all().find(|f| is(f.name) || f.aliases.iter().any(|alias| is(alias)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entries_are_whole_and_names_are_unique() {
        let mut names = BTreeSet::new();
        for function in all() {
            let mut own = function.aliases.to_vec();
            own.push(function.name);
            for name in own {
                assert!(names.insert(name), "{name} stands twice");
                assert_eq!(name, name.to_uppercase());
            }
            assert!(function.signature.contains(function.name), "{}: {:?}", function.name, function.signature);
            assert!(function.doc.ends_with('.') && !function.doc.contains('\n'), "{}", function.name);
            assert!(!function.examples.is_empty() || function.volatile, "{} has no example", function.name);
            assert!(function.optional <= function.params.len(), "{}", function.name);
        }
    }
}
