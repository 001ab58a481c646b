//! The imports of a crate, file by file: `use` declarations, paths in code, and paths in the tokens of
//! macros. Test code is skipped; a re-export leads to the file with the definition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree, Visibility};

/// A module as its path below the crate's root: `["push", "uploads"]`; the root itself is empty.
type Module = Vec<String>;

/// One crate.
pub(super) struct Crate {
    /// Each module with a file of its own, as `push/uploads`.
    pub(super) modules: BTreeSet<String>,
    /// From a module to each module whose definitions it names, with the names.
    pub(super) imports: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// What one file names.
#[derive(Default)]
struct File {
    /// Paths with the number of inline modules around them.
    named: Vec<(Vec<String>, usize)>,
    /// Re-exported paths under the name they have here.
    reexports: Vec<(Vec<String>, String)>,
    inline: usize,
}

impl Crate {
    /// The sources below `folder`, of a crate that its programs call `name`.
    pub(super) fn read(folder: &Path, name: &str) -> Self {
        let mut files: BTreeMap<Module, Vec<File>> = BTreeMap::new();
        for (path, source) in super::sources_below(folder) {
            let module = module_of(&path);
            if module.last().is_some_and(|last| last == "tests" || last.ends_with("_tests")) {
                continue;
            }
            let parsed = syn::parse_file(&source).unwrap_or_else(|error| panic!("{path}: {error}"));
            let mut file = File::default();
            file.visit_file(&parsed);
            files.entry(module).or_default().push(file);
        }
        let paths = Paths { name, modules: files.keys().cloned().collect() };
        let mut reexports: BTreeMap<(Module, String), (Module, String)> = BTreeMap::new();
        for (module, parsed) in &files {
            for (path, as_name) in parsed.iter().flat_map(|file| &file.reexports) {
                if let Some((target, Some(item))) = paths.resolve(path, module, 0) {
                    reexports.insert((module.clone(), as_name.clone()), (target, item));
                }
            }
        }
        let mut imports: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, parsed) in &files {
            for (path, inline) in parsed.iter().flat_map(|file| &file.named) {
                let Some((mut target, item)) = paths.resolve(path, module, *inline) else {
                    continue;
                };
                let mut item = item.unwrap_or_else(|| "self".to_owned());
                let mut seen = BTreeSet::new();
                while seen.insert((target.clone(), item.clone()))
                    && let Some((behind, real)) = reexports.get(&(target.clone(), item.clone()))
                {
                    (target, item) = (behind.clone(), real.clone());
                }
                if target != *module && !(target.is_empty() && item == "self") {
                    let named = imports.entry(module.join("/")).or_default();
                    named.entry(target.join("/")).or_default().insert(item);
                }
            }
        }
        let modules = files.keys().map(|module| module.join("/")).collect();
        Self { modules, imports }
    }

    /// Modules that import each other, directly or around: groups of at least two. `is_seen` leaves
    /// imports out.
    pub(super) fn circles(&self, is_seen: impl Fn(&str, &str) -> bool) -> Vec<BTreeSet<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.modules.iter().map(|module| (module, self.reached(module, &is_seen))).collect();
        let mut circles: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        for (module, others) in &reached {
            let back = others.iter().filter(|other| reached[*other].contains(module));
            let mut circle: BTreeSet<String> = back.map(|other| (*other).clone()).collect();
            circle.insert((*module).clone());
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached(&self, from: &str, is_seen: &impl Fn(&str, &str) -> bool) -> BTreeSet<&String> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for target in self.imports.get(module).into_iter().flat_map(BTreeMap::keys) {
                if is_seen(module, target) && reached.insert(target) {
                    open.push(target);
                }
            }
        }
        reached
    }
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(path, "lib" | "main") {
        Vec::new()
    } else {
        path.split('/').map(str::to_owned).collect()
    }
}

/// Where paths lead.
struct Paths<'a> {
    name: &'a str,
    modules: BTreeSet<Module>,
}

impl Paths<'_> {
    /// The module of a path and the item in it; `None` for other crates.
    fn resolve(
        &self,
        path: &[String],
        here: &Module,
        inline: usize,
    ) -> Option<(Module, Option<String>)> {
        let (mut rest, mut target) = (path, here.clone());
        match path.first()?.as_str() {
            first if first == "crate" || first == self.name => {
                (rest, target) = (&path[1..], Vec::new());
            }
            "self" => rest = &path[1..],
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                rest = &path[ups..];
                let kept = here.len().checked_sub(ups.saturating_sub(inline))?;
                if ups < inline {
                    return None;
                }
                target.truncate(kept);
            }
            first => {
                target.push(first.to_owned());
                let is_child = inline == 0 && self.modules.contains(&target);
                target.pop();
                if !is_child {
                    return None;
                }
            }
        }
        while let Some((first, tail)) = rest.split_first() {
            target.push(first.clone());
            if !self.modules.contains(&target) {
                target.pop();
                break;
            }
            rest = tail;
        }
        Some((target, rest.first().filter(|item| *item != "self").cloned()))
    }
}

impl File {
    fn leaves(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        let mut path = before.to_vec();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.leaves(&part.tree, &path, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.leaves(tree, &path, is_public);
                }
            }
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.leaf(path, name.ident.to_string(), is_public);
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.leaf(path, rename.rename.to_string(), is_public);
            }
            UseTree::Glob(_) => self.leaf(path, "*".to_owned(), is_public),
        }
    }

    fn leaf(&mut self, path: Vec<String>, name: String, is_public: bool) {
        if is_public {
            self.reexports.push((path, name));
        } else {
            self.named.push((path, self.inline));
        }
    }

    /// Paths in the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 && !path.is_empty() => {
                    path.push(word.to_string());
                }
                TokenTree::Ident(word) => {
                    self.path(std::mem::take(&mut path));
                    path.push(word.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.path(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.path(path);
    }

    fn path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.named.push((path, self.inline));
        }
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_skipped = matches!(item, ImplItem::Fn(function) if is_test(&function.attrs));
        if !is_skipped {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inline += 1;
        visit::visit_item_mod(self, module);
        self.inline -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.leaves(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    /// `pub(in crate::pull)` says who may look in, and imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Whether an item is for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.meta.require_list().is_ok_and(|list| {
                let text = list.tokens.to_string();
                list.path.is_ident("cfg") && (text == "test" || text.starts_with("all (test"))
            })
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
