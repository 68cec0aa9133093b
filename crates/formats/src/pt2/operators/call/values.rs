//! What each name of an exported program stands for while it is translated, and what changes where an operator writes into a
//! tensor.
//!
//! A graph of layers has no writes. A tensor that is written gets a new value; so do the tensors that it is a view of (the
//! view is put back in its place) and, when they are read again, its other views.

use std::collections::{HashMap, HashSet};

use super::{Call, Unsupported, unsupported};
use crate::pt2::messages::Messages;
use crate::pt2::operators;
use crate::pt2::schema::{Argument, Node, Size, TensorMeta};

/// Longest chain of views that is followed.
const MAX_CHAIN: usize = 64;
/// Most views of one tensor that a write is followed to.
const MAX_FAMILY: usize = 4096;

/// A view of another tensor.
#[derive(Debug, Clone, Copy)]
struct View<'p> {
    parent: &'p str,
    /// The tensor behind all views.
    root: &'p str,
    node: &'p Node,
}

/// All values so far.
#[derive(Debug, Default)]
pub(in crate::pt2) struct Values<'p> {
    /// The nodes so far.
    pub messages: Messages,
    metas: HashMap<&'p str, &'p TensorMeta>,
    /// The value of each name, under its first name.
    current: HashMap<&'p str, String>,
    /// Other names of the same tensor.
    same: HashMap<&'p str, &'p str>,
    views: HashMap<&'p str, View<'p>>,
    /// The views of each tensor that is no view, direct and indirect ones.
    families: HashMap<&'p str, Vec<&'p str>>,
    /// Views whose tensor was written since they were made.
    stale: HashSet<&'p str>,
    /// The first size of the first input: the batch.
    pub(in crate::pt2) batch: Option<i64>,
    /// Random masks, with the probability that an element is dropped.
    pub(in crate::pt2) masks: HashMap<String, f64>,
    /// Values with the descriptions of the tensors that they first were.
    stated: Vec<(String, &'p TensorMeta)>,
}

/// The names that a node returns; none for what is left out or no tensor.
pub(in crate::pt2) fn returned(node: &Node) -> Vec<Option<&String>> {
    let mut names = Vec::with_capacity(node.outputs.len());
    for output in &node.outputs {
        match output {
            Argument::Tensor(name) | Argument::Size(Size::Name(name)) => names.push(Some(name)),
            Argument::Tensors(list) => names.extend(list.iter().map(Option::as_ref)),
            _ => names.push(None),
        }
    }
    names
}

impl<'p> Values<'p> {
    pub fn new(metas: impl Iterator<Item = (&'p String, &'p TensorMeta)>) -> Self {
        Self { metas: metas.map(|(name, meta)| (name.as_str(), meta)).collect(), ..Self::default() }
    }

    /// Type and shape of a tensor.
    pub fn meta(&self, name: &str) -> Option<&'p TensorMeta> {
        self.metas.get(name).copied()
    }

    fn first_name(&self, name: &str) -> Option<&'p str> {
        let (name, _) = self.current.get_key_value(name).or_else(|| {
            let first = self.same.get(name)?;
            self.current.get_key_value(first)
        })?;
        Some(name)
    }

    /// The present value of a name.
    pub fn read(&mut self, name: &str) -> Result<String, Unsupported> {
        let Some(first) = self.first_name(name) else {
            return unsupported(format!("it reads `{name}`, which nothing makes"));
        };
        self.refresh(first)?;
        Ok(self.current[first].clone())
    }

    /// Whether a value is known by this name.
    pub fn knows(&self, name: &str) -> bool {
        self.first_name(name).is_some()
    }

    /// Gives a name its value.
    pub fn define(&mut self, name: &'p str, value: String) {
        if let Some(meta) = self.meta(name) {
            self.stated.push((value.clone(), meta));
        }
        self.current.insert(name, value);
    }

    /// Values with the shapes that the program states for them.
    pub fn stated(&self) -> impl Iterator<Item = (String, &'p TensorMeta)> {
        self.stated.iter().cloned()
    }

    /// The tensor of which `name` is a view, direct or indirect; itself if it is none.
    pub fn whole(&self, name: &str) -> Option<&'p str> {
        self.first_name(name).map(|first| self.root(first))
    }

    /// Gives a tensor that is no view another value, of which its views are made again when they are read.
    pub fn replace(&mut self, whole: &'p str, value: String) {
        self.stale.extend(self.families.get(whole).into_iter().flatten().copied());
        self.define(whole, value);
    }

    /// Makes `name` another name of the tensor `other`.
    pub fn define_same(&mut self, name: &'p str, other: &str) {
        if let Some(first) = self.first_name(other) {
            self.same.insert(name, first);
        }
    }

    /// Makes `name` a view of `parent`, made by `node`.
    pub fn define_view(&mut self, name: &'p str, value: String, parent: &str, node: &'p Node) {
        if let Some(parent) = self.first_name(parent) {
            let root = self.root(parent);
            self.views.insert(name, View { parent, root, node });
            self.families.entry(root).or_default().push(name);
        }
        self.define(name, value);
    }

    /// The tensor of which `name` is a view. It is kept with the view: a program that makes a name twice can have views in a circle,
    /// and a chain of thousands would be followed once for each of its members.
    fn root(&self, name: &'p str) -> &'p str {
        self.views.get(name).map_or(name, |view| view.root)
    }

    /// Computes a view again whose tensor was written, from the nearest one that is current.
    fn refresh(&mut self, name: &'p str) -> Result<(), Unsupported> {
        let mut chain = Vec::new();
        let mut at = name;
        while self.stale.contains(at) {
            let Some(&view) = self.views.get(at) else { break };
            chain.push((at, view));
            at = view.parent;
            if chain.len() > MAX_CHAIN {
                return unsupported("a view of a view, too many levels deep");
            }
        }
        for (name, view) in chain.into_iter().rev() {
            self.stale.remove(name);
            let index =
                returned(view.node).iter().position(|output| output.is_some_and(|output| output == name));
            let made = operators::translated(self, view.node)?;
            let value = index.and_then(|index| made.get(index)).cloned();
            let value = value.ok_or_else(|| Unsupported("a view that cannot be computed again".into()))?;
            self.current.insert(name, value);
        }
        Ok(())
    }

    /// Writes `value` into the tensor `name`.
    pub fn write(&mut self, name: &str, value: String) -> Result<(), Unsupported> {
        let Some(first) = self.first_name(name) else {
            return unsupported(format!("it writes `{name}`, which nothing makes"));
        };
        let root = self.root(first);
        let family = self.families.get(root).map_or(&[][..], Vec::as_slice);
        if family.len() > MAX_FAMILY {
            return unsupported(format!("it writes a tensor with more than {MAX_FAMILY} views"));
        }
        let family = family.to_vec();
        // A write that cannot be followed to the end leaves everything as it was.
        let mut written = Vec::new();
        let (mut at, mut value) = (first, value);
        for _ in 0..MAX_CHAIN {
            written.push((at, value.clone()));
            let Some(&view) = self.views.get(at) else {
                self.stale.extend(family);
                for (name, value) in written {
                    self.stale.remove(name);
                    self.current.insert(name, value);
                }
                return Ok(());
            };
            let whole = self.read(view.parent)?;
            let (operator, overload) = operators::split(&view.node.target);
            let mut call = Call { node: view.node, operator, overload, values: self };
            value = operators::put_back(&mut call, at, whole, value)?;
            at = view.parent;
        }
        unsupported("it writes a view of a view, too many levels deep")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_in_a_circle_end() {
        // A program that makes `a` twice, the second time as a view of its own view.
        let node: Node =
            serde_json::from_str(r#"{"target": "torch.ops.aten.t.default", "inputs": [], "outputs": []}"#)
                .expect("a node");
        let mut values = Values::default();
        values.define("a", "first".into());
        values.define_view("b", "turned".into(), "a", &node);
        values.define_view("a", "again".into(), "b", &node);
        values.define_view("c", "third".into(), "a", &node);
        assert_eq!(values.whole("c"), Some("a"));
        assert!(values.write("c", "new".into()).is_err());
        let _ = values.read("b");
    }
}
