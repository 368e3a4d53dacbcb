//! The files and folders of a folder import each other one way only: no circles.

use std::collections::BTreeSet;

use super::{Source, assert_no_violations, sources_below, words};

/// The path of the module in a file: `jobs/fetch/wait.rs` is `jobs::fetch::wait`.
fn module(path: &str) -> String {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

/// The paths that `code` names after `crate::`, one for each name of a group.
fn named_paths(code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for text in code.split("crate::").skip(1) {
        let end = text.find(|c| !is_path(c)).unwrap_or(text.len());
        let (path, rest) = text.split_at(end);
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                paths.extend(words(group).map(|name| format!("{path}{name}")));
            }
            None => paths.push(path.to_owned()),
        }
    }
    paths
}

/// The members of the innermost common folder of two modules to which the modules belong. None
/// if one module is in the other.
fn siblings(importer: &str, imported: &str) -> Option<(String, String)> {
    let (from, to): (Vec<&str>, Vec<&str>) = (
        importer.split("::").collect(),
        imported.split("::").collect(),
    );
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let member = |path: &[&str]| path.get(..=common).map(|path| path.join("::"));
    member(&from).zip(member(&to))
}

/// Keeps only the imports that are part of a circle, or lie between two circles.
fn circles(mut imports: BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    loop {
        let importers: BTreeSet<_> = imports.iter().map(|(from, _)| from.clone()).collect();
        let imported: BTreeSet<_> = imports.iter().map(|(_, to)| to.clone()).collect();
        let count = imports.len();
        imports.retain(|(from, to)| imported.contains(from) && importers.contains(to));
        if imports.len() == count {
            return imports;
        }
    }
}

/// The imports between the members of the same folder.
fn imports(sources: &[Source]) -> BTreeSet<(String, String)> {
    let modules: BTreeSet<String> = sources.iter().map(|source| module(&source.path)).collect();
    let mut imports = BTreeSet::new();
    for source in sources {
        let importer = module(&source.path);
        for path in named_paths(&source.code) {
            let mut ends = path.match_indices("::").map(|(end, _)| end);
            let prefixes = std::iter::once(path.len())
                .chain(ends.by_ref())
                .map(|end| &path[..end]);
            let named = prefixes.filter(|prefix| modules.contains(*prefix));
            let named = named.max_by_key(|prefix| prefix.len());
            imports.extend(named.and_then(|named| siblings(&importer, named)));
        }
    }
    imports
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for (folder, at_least) in [("src", 500), ("benches/compare", 15), ("benches/load", 15)] {
        let imports = imports(&sources_below(folder));
        let count = imports.len();
        assert!(count > at_least, "only {count} imports in {folder}");
        let circles = circles(imports).into_iter();
        let circles: Vec<String> = circles
            .map(|(from, to)| format!("{folder}: {from} imports {to}"))
            .collect();
        assert_no_violations(&circles);
    }
}

#[test]
fn a_circle_is_found() {
    assert_eq!(module("jobs/fetch/wait.rs"), "jobs::fetch::wait");
    assert_eq!(module("jobs/mod.rs"), "jobs");
    let code = "use crate::a::{B, c::D};\nlet e = crate::f::g(1);";
    assert_eq!(named_paths(code), ["a::B", "a::c", "a::D", "f::g"]);
    let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
    assert_eq!(siblings("a::b::c", "a::d"), pair("a::b", "a::d"));
    assert_eq!(siblings("a::b::c", "a::b"), None);
    let imports = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")];
    let imports = imports.map(|(from, to)| (from.to_owned(), to.to_owned()));
    let found: Vec<_> = circles(imports.into()).into_iter().collect();
    assert_eq!(
        found,
        [("b", "c"), ("c", "b")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
}
