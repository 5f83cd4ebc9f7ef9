//! The workspace's own source as data: files, and the paths that Rust code names.

use ctedge_tests::place;
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, ItemMod, ItemUse, Macro, Token, UseTree};

/// A text file of the workspace.
pub(crate) struct Source {
    /// Path from the workspace's root.
    pub(crate) path: String,
    /// The text.
    pub(crate) text: String,
}

/// Every text file below a folder of the workspace, sorted; build folders and dot folders left out.
pub(crate) fn files(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&place::root().join(folder), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(place::root()).ok()?.to_str()?.to_owned();
        Some(Source { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}

/// The Rust files below a folder.
pub(crate) fn rust(folder: &str) -> Vec<Source> {
    files(folder).into_iter().filter(|file| Path::new(&file.path).extension().is_some_and(|is| is == "rs")).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.') || name == "target" || name == "__pycache__";
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !hidden => walk(&path, found),
            kind if kind.is_file() && !hidden => found.push(path),
            _ => {}
        }
    }
}

/// One path that code names, e.g. `crate::floor::clock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its segments; `self` and `super` at its head are resolved to `crate::…`.
    pub(crate) path: Vec<String>,
    /// Whether it stands in test code.
    pub(crate) in_test: bool,
}

/// Every path of two or more segments, and every `use`, in a Rust file. Comments and strings do not count.
///
/// `module` is the file's own module path below `crate`, e.g. `["intake", "spool"]`.
pub(crate) fn paths(text: &str, module: &[&str]) -> Vec<Named> {
    let module: Vec<String> = module.iter().map(|&segment| segment.to_owned()).collect();
    let in_test = module.last().is_some_and(|last| last == "tests");
    let mut reader = Reader { module, in_test, found: Vec::new() };
    reader.visit_file(&syn::parse_file(text).unwrap());
    reader.found
}

/// The module path of a file, from its path below `src`, e.g. `intake/spool.rs`.
pub(crate) fn module_of(below_src: &str) -> Vec<&str> {
    let mut module: Vec<&str> = below_src.trim_end_matches(".rs").split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
        module.pop();
    }
    module
}

struct Reader {
    module: Vec<String>,
    in_test: bool,
    found: Vec<Named>,
}

impl Reader {
    fn name(&mut self, mut path: Vec<String>) {
        let ups = path.iter().take_while(|&segment| segment == "super").count();
        let own = path.first().is_some_and(|head| head == "self");
        if ups > 0 || own {
            let rest = path.split_off(ups + usize::from(own));
            let kept = self.module.len().saturating_sub(ups);
            path = std::iter::once("crate".to_owned()).chain(self.module[..kept].iter().cloned()).chain(rest).collect();
        }
        self.found.push(Named { path, in_test: self.in_test });
    }

    fn unfold(&mut self, tree: &UseTree, head: &[String]) {
        let with = |segment: &syn::Ident| [head, &[segment.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.unfold(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.unfold(item, head)),
            UseTree::Name(name) if name.ident == "self" => self.name(head.to_vec()),
            UseTree::Name(name) => self.name(with(&name.ident)),
            UseTree::Rename(rename) => self.name(with(&rename.ident)),
            UseTree::Glob(_) => self.name(head.to_vec()),
        }
    }
}

impl Visit<'_> for Reader {
    fn visit_item_use(&mut self, item: &ItemUse) {
        self.unfold(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        let outside = self.in_test;
        self.in_test |= item.ident == "tests";
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.in_test = outside;
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 {
            self.name(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &Macro) {
        self.visit_path(&item.path);
        // Most macros hold expressions; the text of the others is searched for what looks like a path.
        match item.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            Ok(list) => list.iter().for_each(|expression| self.visit_expr(expression)),
            Err(_) => item.tokens.to_string().split(' ').collect::<Vec<_>>().windows(3).for_each(|words| {
                if words[1] == "::" && words[0] != "::" {
                    self.name(vec![words[0].to_owned(), words[2].to_owned()]);
                }
            }),
        }
    }
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = r#"
        //! Speaks of crate::in_a_comment.
        use crate::{floor::clock::{self, Clock}, series as s};
        use super::sibling;
        fn f() -> crate::report::Report {
            println!("crate::in_a_string {}", crate::outbox::len());
            select! { x = rumqttc::poll() => {} }
            ort::run()
        }
        mod tests { use super::super::up; }
    "#;
    let named: Vec<String> = paths(text, &["intake", "spool"]).into_iter().map(|named| named.path.join("::")).collect();
    for expected in [
        "crate::floor::clock",
        "crate::floor::clock::Clock",
        "crate::series",
        "crate::intake::sibling",
        "crate::report::Report",
        "crate::outbox::len",
        "rumqttc::poll",
        "ort::run",
        "crate::intake::up",
    ] {
        assert!(named.iter().any(|path| path == expected), "{expected} is not among {named:?}");
    }
    assert!(!named.iter().any(|path| path.contains("in_a_")), "{named:?}");
}
